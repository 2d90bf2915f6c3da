//! The queue that delivers messages.

use std::time::Duration;

use crate::CallError;

/// The queue that delivers a function's messages.
pub trait Inbox {
    /// Deletes a received message.
    ///
    /// # Errors
    /// [`CallError`]; the message then returns after its visibility timeout.
    async fn delete(&self, receipt_handle: &str) -> Result<(), CallError>;

    /// Hides a received message for `timeout` from now on, in whole seconds.
    ///
    /// # Errors
    /// [`CallError`]; the message then returns after the queue's own timeout.
    async fn hide(&self, receipt_handle: &str, timeout: Duration) -> Result<(), CallError>;
}
