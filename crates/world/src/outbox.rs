//! A queue that messages are sent to.

use aws_lambda_events::sqs::SqsMessage;
use rules::Operation;

use crate::CallError;

/// A queue that messages are sent to.
pub trait Outbox {
    /// Sends an operation, with the resource as its group so that one busy resource does not
    /// delay the others (SQS fair queues), and an X-Ray trace header if there is one.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` says whether the message may be in the queue.
    async fn send(&self, operation: &Operation, trace: Option<&str>) -> Result<(), CallError>;

    /// Sends a message that was received from another queue on, unchanged.
    ///
    /// # Errors
    /// [`CallError`]
    async fn forward(&self, message: &SqsMessage) -> Result<(), CallError>;
}
