//! A queue to send messages to.

use aws_lambda_events::sqs::SqsMessage;
use rules::Operation;

use crate::CallError;

/// A queue to send messages to.
pub trait Outbox {
    /// Sends an operation, with an X-Ray trace header if there is one. Its message group is the
    /// resource, so one busy resource does not delay the others (SQS fair queues).
    ///
    /// # Errors
    /// [`CallError`]; its `failure` says whether the message may be in the queue.
    async fn send(&self, operation: &Operation, trace: Option<&str>) -> Result<(), CallError>;

    /// Forwards a message from another queue, unchanged.
    ///
    /// # Errors
    /// [`CallError`]
    async fn forward(&self, message: &SqsMessage) -> Result<(), CallError>;
}
