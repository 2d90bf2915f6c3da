//! A call that failed.

use std::error::Error;
use std::fmt;

use rules::Failure;

/// A call that failed: what it leaves behind, and why, for the log. It holds no body.
#[derive(Debug)]
pub struct CallError {
    /// The action of the service, such as `dynamodb:UpdateItem`.
    pub action: &'static str,
    /// What the call leaves behind.
    pub failure: Failure,
    reason: String,
}

impl CallError {
    /// A failure of `action`.
    pub fn new(action: &'static str, failure: Failure, reason: impl fmt::Display) -> Self {
        Self { action, failure, reason: reason.to_string() }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.action, self.reason)
    }
}

impl Error for CallError {}
