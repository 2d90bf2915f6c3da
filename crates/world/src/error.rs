//! A call that failed.

use std::error::Error;
use std::fmt;

use rules::Failure;

/// A call that failed: its effect, and the reason for the log. It contains no body.
#[derive(Debug)]
pub struct CallError {
    /// The action, such as `dynamodb:UpdateItem`; `None` if the time ran out.
    pub action: Option<&'static str>,
    /// The effect of the call.
    pub failure: Failure,
    /// Whether it failed on a connection that had served other calls before. The next call uses
    /// another connection, and need not wait.
    pub is_by_reused_connection: bool,
    reason: String,
}

impl CallError {
    /// A failure of `action`.
    pub fn new(action: &'static str, failure: Failure, reason: impl fmt::Display) -> Self {
        Self::with(Some(action), failure, reason.to_string())
    }

    /// The time for a call ran out, before or after it was made.
    pub(crate) fn out_of_time(failure: Failure, reason: &str) -> Self {
        Self::with(None, failure, reason.to_owned())
    }

    fn with(action: Option<&'static str>, failure: Failure, reason: String) -> Self {
        Self { action, failure, is_by_reused_connection: false, reason }
    }

    /// It failed on a connection that had served other calls before.
    #[must_use]
    pub fn by_reused_connection(self) -> Self {
        Self { is_by_reused_connection: true, ..self }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.action {
            Some(action) => write!(f, "{action}: {}", self.reason),
            None => f.write_str(&self.reason),
        }
    }
}

impl Error for CallError {}
