//! What becomes of dead letters: the operation gets the provisional outcome `failed`,
//! and the message is parked unchanged, for an operator to look at and to move back.

use aws_calls::CallError;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::Error;
use lambda_shell::batch::{batch_response, receives};
use lambda_shell::environment::{self, Invalid};
use lambda_shell::{host, log};
use rules::status::{Outcome, OutcomeRecord};
use rules::{Problem, ProblemType};
use updates_queue::{Message, Queue};
use users_table::Tables;

/// The function's clients.
#[derive(Debug)]
pub struct Bury {
    tables: Tables,
    parked: Queue,
}

impl Bury {
    /// The function as its environment describes it.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn from_environment() -> Result<Self, Invalid> {
        // A user is never touched here, so its table has no name.
        let operations = environment::required("OPERATIONS_TABLE")?;
        Ok(Self {
            tables: Tables::new(&environment::aws("DYNAMODB")?, String::new(), operations),
            parked: Queue::new(
                &environment::aws("SQS")?,
                environment::required("PARKED_QUEUE_URL")?,
            ),
        })
    }

    /// Buries a batch; names the records that SQS must deliver again.
    ///
    /// # Errors
    /// Only if a record to deliver again has no message id: then the whole batch must be.
    pub async fn handle(&self, event: SqsEvent) -> Result<SqsBatchResponse, Error> {
        let mut handed_back = Vec::new();
        for record in &event.records {
            if let Err(error) = self.bury(record).await {
                tracing::error!(message_id = record.message_id, failure = ?error.failure, %error, "handed back a dead letter");
                handed_back.push(record);
            }
        }
        batch_response(&handed_back)
    }

    async fn bury(&self, record: &SqsMessage) -> Result<(), CallError> {
        let message_id = record.message_id.as_deref();
        match Message::read(record) {
            Ok(Message { id, user, .. }) => {
                let problem = Problem::new(ProblemType::NotApplied, reason(record));
                let outcome = OutcomeRecord {
                    outcome: Outcome::Failed,
                    completed_at: host::now(),
                    problem: serde_json::to_string(&problem).ok(),
                    is_provisional: true,
                };
                if !self.tables.record_outcome(&user, id, &outcome).await? {
                    tracing::info!(message_id, %user, operation = %id, "dropped the dead letter of an operation that was decided");
                    return Ok(());
                }
                tracing::error!(message_id, %user, operation = %id, "parked a message; its operation failed");
            }
            Err(error) => tracing::error!(message_id, %error, "parked an unreadable message"),
        }
        log::count("Parked");
        self.parked.forward(record).await
    }
}

/// Why the message is a dead letter. SQS names the queue it took it from; `apply` itself
/// sends on only what it cannot carry out.
fn reason(record: &SqsMessage) -> String {
    let next = "it may still be carried out once an operator has mended the cause";
    if record.attributes.contains_key("DeadLetterQueueSourceArn") {
        format!("The PUT could not be carried out in {} attempts; {next}.", receives(record))
    } else {
        format!("The code that carries out the PUT failed on it in every attempt; {next}.")
    }
}
