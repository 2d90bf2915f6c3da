//! The deferred update: applies a batch of messages, each record on its own.

mod batch;
mod group;
#[cfg(test)]
mod large_batch_tests;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{FutureExt, StreamExt, stream};
use lambda_runtime::Error;
use lambda_shell::batch::{batch_response, receives};
use queues::message::{self, Reason, Unreadable};
use rules::work::backoff;
use rules::work::batch::{POISON_RECEIVES, SUSPECT_RECEIVES, groups};
use rules::{Operation, OperationId, Problem, UserId};
pub use update::Update;
use world::{Host, Metric, Queue, Tables, within};

use crate::batch::{Batch, Delivered};

/// Most users at a time, and most calls on the queue. A batch as large takes one latency of
/// the table, one of 1,000 takes ten. Each needs a connection of its own, and a function may
/// have 1,024 files open
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>).
const CONCURRENCY: usize = 100;

/// Work that is done before an operation is written; in production that of [`Update`].
#[expect(async_fn_in_trait, reason = "main knows the concrete type, and that its future is Send")]
pub trait Work {
    /// Does the work for an operation, within `time_left`.
    async fn before_write(&self, operation: &Operation, time_left: Duration) -> Worked;
}

/// How the work for an operation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Worked {
    /// The user may be written.
    Done,
    /// It is refused for good: nothing is written, and the operation ends as `failed` with
    /// this problem, which the client sees.
    Refused(Problem),
    /// It could not be done now, for this reason, and is tried again later: the message is
    /// backed off like one that a throttled table did not take.
    TryLater(String),
}

/// The function: its world and its work.
#[derive(Debug)]
pub struct Apply<H, T, Q, W> {
    /// The host it runs on.
    pub host: H,
    /// Where users and outcomes are.
    pub tables: T,
    /// Where the messages come from.
    pub updates: Q,
    /// Where poison goes.
    pub dead_letters: Q,
    /// What is done before a user is written.
    pub work: W,
}

impl<H: Host, T: Tables, Q: Queue, W: Work> Apply<H, T, Q, W> {
    /// Applies a batch before `deadline`, since the Unix epoch; names the records that SQS
    /// must deliver again.
    ///
    /// # Errors
    /// Only if a record to deliver again has no message id: then the whole batch must be.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: Duration,
    ) -> Result<SqsBatchResponse, Error> {
        let mut batch = Batch::default();
        let (mut by_user, mut suspects) = (BTreeMap::new(), Vec::new());
        let (mut unreadable, mut lead) = (Vec::new(), None);
        for record in &event.records {
            match message::read(record) {
                Ok(operation) => {
                    lead = lead.max(lead_ms(&operation, record));
                    if receives(record) >= SUSPECT_RECEIVES {
                        suspects.push(Delivered { operation, records: vec![record] });
                    } else {
                        add(&mut by_user, operation, record);
                    }
                }
                Err(error) => unreadable.push((record, error)),
            }
        }
        if let Some(lead) = lead {
            self.host.measure(Metric::ClockLead, lead);
        }
        let users = by_user.into_values().map(|delivered| {
            let delivered: Vec<_> = delivered.into_values().collect();
            self.apply_user(delivered, deadline)
        });
        let mut users = stream::iter(users).buffer_unordered(CONCURRENCY);
        while let Some(applied) = users.next().await {
            batch.extend(applied);
        }
        for (record, error) in unreadable {
            self.on_unreadable(record, &error, deadline, &mut batch).await;
        }
        if !suspects.is_empty() {
            suspects.sort_by_key(|suspect| suspect.operation.id);
            self.delete_finished(&batch, deadline).await;
            self.apply_suspects(suspects, deadline, &mut batch).await;
        }
        let handed_back = stream::iter(batch.handed_back.iter().copied());
        handed_back
            .for_each_concurrent(CONCURRENCY, |record| self.back_off(record, deadline))
            .await;
        batch_response(&batch.handed_back)
    }

    /// Another version's message waits for one that knows it; any other cannot be
    /// carried out by waiting.
    async fn on_unreadable<'a>(
        &self,
        record: &'a SqsMessage,
        error: &Unreadable,
        deadline: Duration,
        batch: &mut Batch<'a>,
    ) {
        let message_id = record.message_id.as_deref();
        match error.reason {
            Reason::Version(_) => {
                tracing::error!(message_id, %error, "handed back a message");
                batch.handed_back.push(record);
            }
            Reason::Part(_) => {
                tracing::error!(message_id, %error, "sent a message to the dead letters");
                self.send_to_dead_letters(record, deadline, batch).await;
            }
        }
    }

    /// Applies the operations of one user, sorted by id. Where one is left open, those after
    /// it are handed back with it, since their preconditions may be about it.
    async fn apply_user<'a>(&self, delivered: Vec<Delivered<'a>>, deadline: Duration) -> Batch<'a> {
        let mut batch = Batch::default();
        let mut waits_for_older = false;
        for group in groups(delivered, |delivered| &delivered.operation) {
            // After a panic nothing is known of the group's operations.
            let open =
                if waits_for_older { None } else { self.apply_safely(&group, deadline).await };
            for Delivered { operation, records } in group {
                let is_open = open.as_ref().is_none_or(|open| open.contains(&operation.id));
                waits_for_older |= is_open;
                batch.sort_in(records, is_open);
            }
        }
        batch
    }

    /// Applies the operations that may be what ended an earlier process, one at a time.
    async fn apply_suspects<'a>(
        &self,
        suspects: Vec<Delivered<'a>>,
        deadline: Duration,
        batch: &mut Batch<'a>,
    ) {
        for suspect in suspects {
            let open = self.apply_safely(std::slice::from_ref(&suspect), deadline).await;
            for record in suspect.records {
                match &open {
                    Some(open) => batch.sort_in(vec![record], !open.is_empty()),
                    None if receives(record) >= POISON_RECEIVES => {
                        let message_id = record.message_id.as_deref();
                        tracing::error!(
                            message_id,
                            "sent a message that keeps panicking to the dead letters"
                        );
                        self.send_to_dead_letters(record, deadline, batch).await;
                    }
                    None => batch.handed_back.push(record),
                }
            }
        }
    }

    /// The operations that are left without an outcome; `None` if there was a panic.
    async fn apply_safely(
        &self,
        group: &[Delivered<'_>],
        deadline: Duration,
    ) -> Option<Vec<OperationId>> {
        let operations: Vec<_> = group.iter().map(|delivered| &delivered.operation).collect();
        let applied = AssertUnwindSafe(self.apply_group(operations, deadline)).catch_unwind();
        applied
            .await
            .inspect_err(|_| {
                // The panic hook has printed the panic itself.
                let ids: Vec<_> = group.iter().map(|delivered| delivered.operation.id).collect();
                tracing::error!(operations = ?ids, "a panic");
            })
            .ok()
    }

    /// Deletes what is done, so that a suspect that ends the process takes nothing with it.
    async fn delete_finished(&self, batch: &Batch<'_>, deadline: Duration) {
        let handles = batch.finished.iter().filter_map(|record| record.receipt_handle.as_deref());
        let deletions = stream::iter(handles)
            .map(|handle| within(&self.host, deadline, self.updates.delete(handle)));
        let mut deletions = deletions.buffer_unordered(CONCURRENCY);
        while let Some(deleted) = deletions.next().await {
            if let Err(error) = deleted {
                tracing::warn!(%error, "a finished message could not be deleted");
            }
        }
    }

    async fn send_to_dead_letters<'a>(
        &self,
        record: &'a SqsMessage,
        deadline: Duration,
        batch: &mut Batch<'a>,
    ) {
        match within(&self.host, deadline, self.dead_letters.forward(record)).await {
            Ok(()) => batch.finished.push(record),
            Err(error) => {
                tracing::error!(message_id = record.message_id, %error, "handed back a message that could not be sent to the dead letters");
                batch.handed_back.push(record);
            }
        }
    }

    /// Hides a record that is handed back, longer with each receive.
    async fn back_off(&self, record: &SqsMessage, deadline: Duration) {
        let Some(receipt_handle) = &record.receipt_handle else { return };
        let timeout = backoff::visibility(receives(record), self.host.random());
        let hide = self.updates.hide(receipt_handle, timeout);
        if let Err(error) = within(&self.host, deadline, hide).await {
            tracing::warn!(message_id = record.message_id, %error, "a message could not be hidden and comes back after the queue's own visibility timeout");
        }
    }
}

type ByUser<'a> = BTreeMap<UserId, BTreeMap<OperationId, Delivered<'a>>>;

fn add<'a>(by_user: &mut ByUser<'a>, operation: Operation, record: &'a SqsMessage) {
    let delivered = by_user.entry(operation.user.clone()).or_default();
    let delivered = delivered.entry(operation.id);
    delivered.or_insert(Delivered { operation, records: Vec::new() }).records.push(record);
}

/// How far the clock that gave the arrival was ahead of SQS's when the message was sent.
fn lead_ms(operation: &Operation, record: &SqsMessage) -> Option<i64> {
    let sent: i64 = record.attributes.get("SentTimestamp")?.parse().ok()?;
    i64::try_from(operation.id.tick().unix_ms()).ok()?.checked_sub(sent)
}
