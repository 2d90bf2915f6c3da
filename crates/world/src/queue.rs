//! A queue.

use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use rules::Operation;

use crate::CallError;

/// One of the queues that a deferred PUT passes through.
pub trait Queue {
    /// Sends an operation, with the resource as its group so that one busy resource does not
    /// delay the others (SQS fair queues), and an X-Ray trace header if there is one.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` tells whether the message may be in the queue.
    async fn send(&self, operation: &Operation, trace: Option<&str>) -> Result<(), CallError>;

    /// Sends a message that was received from another queue on, unchanged.
    ///
    /// # Errors
    /// [`CallError`]
    async fn forward(&self, record: &SqsMessage) -> Result<(), CallError>;

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
