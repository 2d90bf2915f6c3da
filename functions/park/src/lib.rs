//! What becomes of dead letters: the operation is marked as stalled, and the message is
//! parked unchanged, for an operator to look at and to move back.

#[cfg(test)]
mod tests;

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::Error;
use lambda_shell::batch::{batch_response, receives};
use queues::message;
use rules::reply::status::{self, Record};
use rules::{Problem, ProblemType};
use world::{CallError, Host, Metric, Queue, Tables, within};

/// The function: its world.
#[derive(Debug)]
pub struct Park<H, T, Q> {
    /// The host it runs on.
    pub host: H,
    /// Where outcomes are.
    pub tables: T,
    /// Where messages wait for an operator.
    pub parked: Q,
}

impl<H: Host, T: Tables, Q: Queue> Park<H, T, Q> {
    /// Parks a batch before `deadline`, since the Unix epoch; names the records that SQS
    /// must deliver again.
    ///
    /// # Errors
    /// Only if a record to deliver again has no message id: then the whole batch must be.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Duration,
    ) -> Result<SqsBatchResponse, Error> {
        let mut handed_back = Vec::new();
        for record in &event.records {
            if let Err(error) = within(&self.host, deadline, self.park(record)).await {
                tracing::error!(message_id = record.message_id, failure = ?error.failure, %error, "handed back a dead letter");
                handed_back.push(record);
            }
        }
        batch_response(&handed_back)
    }

    /// Parks a message, unless its operation is decided: then nothing is left to do.
    async fn park(&self, record: &SqsMessage) -> Result<(), CallError> {
        let message_id = record.message_id.as_deref();
        let known = match message::read(record) {
            Ok(operation) => Some((operation.id, operation.user)),
            Err(error) => {
                tracing::error!(message_id, %error, "an unreadable message is to be parked");
                error.operation
            }
        };
        if let Some((id, user)) = known {
            let problem = Problem::new(ProblemType::NotApplied, reason(record));
            let problem = status::document(&problem);
            let stalled = Record::Stalled { problem, since: self.host.now() };
            if self.tables.record(&user, id, &stalled).await?.is_some() {
                tracing::info!(message_id, %user, operation = %id, "dropped the dead letter of an operation that was decided");
                return Ok(());
            }
            tracing::error!(message_id, %user, operation = %id, "parked a message; its operation is stalled");
        }
        self.parked.forward(record).await?;
        self.host.measure(Metric::Parked, 1);
        Ok(())
    }
}

/// Why the message is a dead letter. SQS names the queue it took it from; `apply` itself
/// sends on only what it cannot carry out.
fn reason(record: &SqsMessage) -> String {
    let next = "it may still be carried out once an operator has mended the cause";
    if record.attributes.contains_key("DeadLetterQueueSourceArn") {
        format!("The PUT could not be carried out in {} attempts; {next}.", receives(record))
    } else {
        format!("The code that carries out the PUT failed on it; {next}.")
    }
}
