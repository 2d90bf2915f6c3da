//! The queue that messages come from.

use std::time::Duration;

use crate::CallError;

/// The queue that a function's messages come from.
pub trait Inbox {
    /// Deletes a received message.
    ///
    /// # Errors
    /// [`CallError`]; the message then comes back after its visibility timeout.
    async fn delete(&self, receipt_handle: &str) -> Result<(), CallError>;

    /// Hides a received message for `timeout` from now on, in whole seconds.
    ///
    /// # Errors
    /// [`CallError`]; the message then comes back after the queue's own timeout.
    async fn hide(&self, receipt_handle: &str, timeout: Duration) -> Result<(), CallError>;
}
