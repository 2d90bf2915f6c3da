//! A call that failed.

use std::error::Error;
use std::fmt;

use rules::Failure;

/// A call that failed: what it leaves behind, and why, for the log. It holds no body.
#[derive(Debug)]
pub struct CallError {
    /// The action of the service, such as `dynamodb:UpdateItem`; none where the time ended.
    pub action: Option<&'static str>,
    /// What the call leaves behind.
    pub failure: Failure,
    reason: String,
}

impl CallError {
    /// A failure of `action`.
    pub fn new(action: &'static str, failure: Failure, reason: impl fmt::Display) -> Self {
        Self { action: Some(action), failure, reason: reason.to_string() }
    }

    /// The time for a call ended, before or after it was made.
    pub(crate) fn out_of_time(failure: Failure, reason: &str) -> Self {
        Self { action: None, failure, reason: reason.to_owned() }
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
