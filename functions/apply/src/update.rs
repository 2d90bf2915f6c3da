//! The slow work of an update. **This is the file to edit for work that a PUT should
//! not wait for**, such as a call to another service.

use std::time::Duration;

use lambda_shell::environment::Invalid;
use rules::Operation;

use crate::{Work, Worked};

/// What the work needs, made once when the function starts: clients of other services,
/// their settings. Today it needs nothing.
#[derive(Debug)]
pub struct Update {}

impl Update {
    /// The work as the function's environment describes it.
    ///
    /// # Errors
    /// [`Invalid`] if a variable of the environment is missing or has no valid value.
    pub fn from_environment() -> Result<Self, Invalid> {
        Ok(Self {})
    }
}

impl Work for Update {
    /// Runs before `apply` writes the resource.
    ///
    /// - It may run more than once for one operation, also for one that is decided already
    ///   or that loses to a newer one after all, so it must be idempotent; `operation.id` is
    ///   the key to make it so.
    /// - It is skipped for an operation that a newer one beside it supersedes, and for a PUT
    ///   that `put` itself writes: an inline one, or one with `wait` that lands in time.
    ///   Deploy with `DefaultMode=deferred`, and let clients send no `wait`, where it must
    ///   run for each.
    /// - What takes longer than `time_left` is cut off, and tried again later.
    async fn before_write(&self, _operation: &Operation, _time_left: Duration) -> Worked {
        Worked::Done
    }
}
