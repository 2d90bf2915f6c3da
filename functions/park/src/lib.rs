//! Handles dead letters: marks the operation as stalled, and parks the message unchanged, for an
//! operator to check and to move back.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::Error;
use lambda_shell::sqs_event::{batch_response, receives};
use rules::outcome::Recorded;
use rules::{Problem, ProblemType};
use world::{CallError, Host, Invocation, Level, Metric, Outbox, Outcomes, Report, within};

/// The function and its dependencies.
#[derive(Debug)]
pub struct Park<H, O, Q> {
    /// The host that it runs on.
    pub host: H,
    /// The table of outcomes.
    pub operations: O,
    /// The queue of messages that wait for an operator.
    pub parked: Q,
}

impl<H: Host, O: Outcomes, Q: Outbox> Park<H, O, Q> {
    /// Parks a batch before the deadline of the `invocation`. Returns the records that SQS must
    /// deliver again.
    ///
    /// # Errors
    /// Only if a record that SQS must deliver again has no message id. SQS then delivers the whole
    /// batch again.
    pub async fn handle(
        &self,
        event: SqsEvent,
        invocation: &Invocation,
    ) -> Result<SqsBatchResponse, Error> {
        let mut handed_back = Vec::new();
        for message in &event.records {
            let park = self.park(message, invocation);
            if let Err(error) = within(&self.host, invocation.deadline, park).await {
                let report = Report::error(invocation, "handed back a dead letter").failed(&error);
                self.host.report(&report.message(message.message_id.as_deref()));
                handed_back.push(message);
            }
        }
        batch_response(&handed_back)
    }

    /// Parks a message, unless its operation is already decided.
    async fn park(&self, message: &SqsMessage, invocation: &Invocation) -> Result<(), CallError> {
        let mut report = Report::error(invocation, "parked a message");
        let known = match queues::message::read(message) {
            Ok(operation) => Some((operation.id, operation.resource)),
            Err(error) => {
                report = report.because(error.to_string());
                error.operation
            }
        };
        report = report.message(message.message_id.as_deref());
        if let Some((id, resource)) = &known {
            report = report.resource(resource).operation(*id);
            let problem = Problem::new(ProblemType::NotApplied, reason(message));
            let problem = problem.to_json();
            let stalled = Recorded::Stalled { problem, since: self.host.now() };
            if self.operations.record(resource, *id, &stalled).await?.is_some() {
                let text = "dropped a dead letter: its operation is already decided";
                self.host.report(&Report { level: Level::Info, message: text, ..report });
                return Ok(());
            }
            report = report.count(Metric::Stalled);
        }
        self.parked.forward(message).await?;
        self.host.report(&report.count(Metric::Parked));
        Ok(())
    }
}

/// Why the message is a dead letter. SQS names the source queue of a message that it moved. The
/// others come from `apply`, which cannot carry them out.
fn reason(message: &SqsMessage) -> String {
    let next = "it may still be carried out once an operator has fixed the cause";
    if message.attributes.contains_key("DeadLetterQueueSourceArn") {
        format!("The operation could not be carried out in {} attempts; {next}.", receives(message))
    } else {
        format!("The service failed to carry out the operation; {next}.")
    }
}

#[cfg(test)]
mod tests;
