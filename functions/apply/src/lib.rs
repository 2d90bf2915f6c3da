//! Applies deferred operations, in batches of messages. Each message succeeds or fails on its own.

mod batch;
mod group;
mod messages;
mod run;
mod sort;

#[cfg(panic = "abort")]
compile_error!("apply must unwind: otherwise a panic on one record would end its whole batch");

use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use lambda_runtime::Error;
use lambda_shell::sqs_event::batch_response;
use rules::Resource;
use world::{Host, Inbox, Invocation, Metric, Outbox, Outcomes, Report, Resources};

use crate::sort::Sorted;

/// Maximum number of resources at a time, and of concurrent calls to the queue. A batch of this
/// size takes as long as one call to the table, a batch of 1,000 as long as ten. Each resource
/// needs its own connection, and a function may have 1,024 open files
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const CONCURRENCY: usize = 100;

/// The function and its dependencies.
#[derive(Debug)]
pub struct Apply<H, R, S, O, I, Q> {
    /// The host that it runs on.
    pub host: H,
    /// The kind of resource.
    pub resource: R,
    /// The table of resources.
    pub resources: S,
    /// The table of outcomes.
    pub operations: O,
    /// The queue that delivers the messages.
    pub updates: I,
    /// The dead-letter queue, for poison messages.
    pub dead_letters: Q,
}

impl<H, R, S, O, I, Q> Apply<H, R, S, O, I, Q>
where
    H: Host,
    R: Resource,
    S: Resources,
    O: Outcomes,
    I: Inbox,
    Q: Outbox,
{
    /// Applies a batch before the deadline of the `invocation`. Returns the records that SQS must
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
        let sorted = Sorted::new(&event);
        let size = i64::try_from(event.records.len()).unwrap_or(i64::MAX);
        let report = Report::info(invocation, "received a batch").value(Metric::BatchSize, size);
        self.host.report(&match sorted.lead_ms {
            Some(lead) => report.value(Metric::ClockLead, lead),
            None => report,
        });
        let mut batch = self.apply_healthy(sorted.healthy, invocation).await;
        let open = batch.oldest_open();
        self.sort_out_unreadable(sorted.unreadable, &mut batch);
        self.send_to_dead_letters(&mut batch, invocation).await;
        if !sorted.suspect.is_empty() {
            self.delete_finished(&batch, invocation).await;
            batch.extend(self.apply_suspects(sorted.suspect, &open, invocation).await);
            self.send_to_dead_letters(&mut batch, invocation).await;
        }
        self.hand_back(&batch, invocation).await;
        let messages: Vec<_> = batch.handed_back.iter().map(|one| one.message).collect();
        batch_response(&messages)
    }
}

/// The time at which the message was sent, by SQS's clock, in ms since the Unix epoch.
fn sent_ms(message: &SqsMessage) -> Option<i64> {
    message.attributes.get("SentTimestamp")?.parse().ok()
}

fn unix_ms(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod large_batch_tests;
#[cfg(test)]
mod tests;
