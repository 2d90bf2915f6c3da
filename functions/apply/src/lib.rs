//! The deferred update: applies a batch of messages, each record on its own.

mod batch;
mod group;
#[cfg(test)]
mod large_batch_tests;
#[cfg(test)]
mod tests;
mod update;

#[cfg(panic = "abort")]
compile_error!("apply must unwind: a record that panics would else take its batch down");

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
use rules::{Operation, OperationId, Problem, ResourceId};
pub use update::Update;
use world::{Host, Invocation, Level, Metric, Queue, Report, Tables, within};

use crate::batch::{Batch, Delivered, HandedBack};

/// Most resources at a time, and most calls on the queue. A batch as large takes one latency of
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
    /// The resource may be written.
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
    /// Where resources and outcomes are.
    pub tables: T,
    /// Where the messages come from.
    pub updates: Q,
    /// Where poison goes.
    pub dead_letters: Q,
    /// What is done before a resource is written.
    pub work: W,
}

impl<H: Host, T: Tables, Q: Queue, W: Work> Apply<H, T, Q, W> {
    /// Applies a batch before the deadline of the `invocation`; names the records that SQS
    /// must deliver again.
    ///
    /// # Errors
    /// Only if a record to deliver again has no message id: then the whole batch must be.
    pub async fn handle(
        &self,
        event: SqsEvent,
        invocation: &Invocation,
    ) -> Result<SqsBatchResponse, Error> {
        let mut batch = Batch::default();
        let (mut by_resource, mut suspects) = (BTreeMap::new(), Vec::new());
        let (mut unreadable, mut lead) = (Vec::new(), None);
        for record in &event.records {
            match message::read(record) {
                Ok(operation) => {
                    lead = lead.max(lead_ms(&operation, record));
                    if receives(record) >= SUSPECT_RECEIVES {
                        suspects.push(Delivered { operation, records: vec![record] });
                    } else {
                        add(&mut by_resource, operation, record);
                    }
                }
                Err(error) => unreadable.push((record, error)),
            }
        }
        let size = i64::try_from(event.records.len()).unwrap_or(i64::MAX);
        let report = Report::info(invocation, "received a batch").value(Metric::BatchSize, size);
        self.host.report(&match lead {
            Some(lead) => report.value(Metric::ClockLead, lead),
            None => report,
        });
        let resources = by_resource.into_values().map(|delivered| {
            let delivered: Vec<_> = delivered.into_values().collect();
            self.apply_resource(delivered, invocation)
        });
        let mut resources = stream::iter(resources).buffer_unordered(CONCURRENCY);
        while let Some(applied) = resources.next().await {
            batch.extend(applied);
        }
        for (record, error) in unreadable {
            self.on_unreadable(record, error, invocation, &mut batch).await;
        }
        if !suspects.is_empty() {
            suspects.sort_by_key(|suspect| suspect.operation.id);
            self.delete_finished(&batch, invocation).await;
            self.apply_suspects(suspects, invocation, &mut batch).await;
        }
        let handed_back = stream::iter(&batch.handed_back);
        handed_back.for_each_concurrent(CONCURRENCY, |one| self.hand_back(one, invocation)).await;
        let records: Vec<_> = batch.handed_back.iter().map(|one| one.record).collect();
        batch_response(&records)
    }

    /// Another version's message waits for one that knows it; any other cannot be
    /// carried out by waiting.
    async fn on_unreadable<'a>(
        &self,
        record: &'a SqsMessage,
        error: Unreadable,
        invocation: &Invocation,
        batch: &mut Batch<'a>,
    ) {
        let reason = (Level::Error, error.to_string());
        let handed_back = HandedBack { record, operation: error.operation, reason };
        match error.reason {
            Reason::Version(_) => batch.handed_back.push(handed_back),
            Reason::Part(_) => self.send_to_dead_letters(handed_back, invocation, batch).await,
        }
    }

    /// Applies the operations of one resource, sorted by id. Where one is left open, those after
    /// it are handed back with it, since their preconditions may be about it.
    async fn apply_resource<'a>(
        &self,
        delivered: Vec<Delivered<'a>>,
        invocation: &Invocation,
    ) -> Batch<'a> {
        let mut batch = Batch::default();
        let mut waits_for_older = false;
        for group in groups(delivered, |delivered| &delivered.operation) {
            if waits_for_older {
                let reason = (Level::Warn, "it waits for an older one of its resource");
                group.into_iter().for_each(|one| batch.sort_in(one, Some(reason)));
                continue;
            }
            let open = self.apply_safely(&group, invocation).await;
            for delivered in group {
                let reason = open.why_open(&delivered.operation);
                waits_for_older |= reason.is_some();
                batch.sort_in(delivered, reason);
            }
        }
        batch
    }

    /// Applies the operations that may be what ended an earlier process, one at a time.
    async fn apply_suspects<'a>(
        &self,
        suspects: Vec<Delivered<'a>>,
        invocation: &Invocation,
        batch: &mut Batch<'a>,
    ) {
        for suspect in suspects {
            let open = self.apply_safely(std::slice::from_ref(&suspect), invocation).await;
            let receives = suspect.records.iter().map(|record| receives(record)).max();
            let is_poison = receives >= Some(POISON_RECEIVES);
            let reason = open.why_open(&suspect.operation);
            let mut suspected = Batch::default();
            suspected.sort_in(suspect, reason);
            if matches!(open, Open::Panicked) && is_poison {
                for poison in suspected.handed_back {
                    self.send_to_dead_letters(poison, invocation, batch).await;
                }
            } else {
                batch.extend(suspected);
            }
        }
    }

    /// What a group leaves open.
    async fn apply_safely(&self, group: &[Delivered<'_>], invocation: &Invocation) -> Open {
        let operations: Vec<_> = group.iter().map(|delivered| &delivered.operation).collect();
        let applied = AssertUnwindSafe(self.apply_group(operations, invocation)).catch_unwind();
        // The panic hook prints the panic itself.
        applied.await.map_or(Open::Panicked, Open::Undecided)
    }

    /// Deletes what is done, so that a suspect that ends the process takes nothing with it.
    async fn delete_finished(&self, batch: &Batch<'_>, invocation: &Invocation) {
        let handles = batch.finished.iter().filter_map(|record| record.receipt_handle.as_deref());
        let deletions = stream::iter(handles)
            .map(|handle| within(&self.host, invocation.deadline, self.updates.delete(handle)));
        let mut deletions = deletions.buffer_unordered(CONCURRENCY);
        while let Some(deleted) = deletions.next().await {
            if let Err(error) = deleted {
                let report = Report::warn(invocation, "a finished message could not be deleted");
                self.host.report(&report.failed(&error));
            }
        }
    }

    async fn send_to_dead_letters<'a>(
        &self,
        poison: HandedBack<'a>,
        invocation: &Invocation,
        batch: &mut Batch<'a>,
    ) {
        let (record, (level, reason)) = (poison.record, &poison.reason);
        let forward = self.dead_letters.forward(record);
        match within(&self.host, invocation.deadline, forward).await {
            Ok(()) => {
                batch.finished.push(record);
                let report = Report::error(invocation, "sent a message to the dead letters");
                self.host.report(&poison.about(report.because(reason)));
            }
            Err(error) => {
                let reason = (*level, format!("{reason}; {error}"));
                batch.handed_back.push(HandedBack { reason, ..poison });
            }
        }
    }

    /// Reports a record that is handed back, and hides it, longer with each receive.
    async fn hand_back(&self, handed_back: &HandedBack<'_>, invocation: &Invocation) {
        let (record, (level, reason)) = (handed_back.record, &handed_back.reason);
        let report = Report::warn(invocation, "handed back a message").because(reason);
        let report = handed_back.about(report.count(Metric::HandedBack));
        let age_s = sent_ms(record).map(|sent| (unix_ms(self.host.now()) - sent).max(0) / 1000);
        let report = match age_s {
            Some(age_s) => report.value(Metric::HandedBackAge, age_s),
            None => report,
        };
        self.host.report(&Report { level: *level, ..report });
        let Some(receipt_handle) = &record.receipt_handle else { return };
        let timeout = backoff::visibility(receives(record), self.host.random());
        let hide = self.updates.hide(receipt_handle, timeout);
        if let Err(error) = within(&self.host, invocation.deadline, hide).await {
            let message = "a message could not be hidden and comes back after the queue's own visibility timeout";
            let report = Report::warn(invocation, message).failed(&error);
            self.host.report(&handed_back.about(report));
        }
    }
}

/// What a group leaves open.
enum Open {
    /// These operations have no outcome.
    Undecided(Vec<OperationId>),
    /// There was a panic, after which nothing is known of the group's operations.
    Panicked,
}

impl Open {
    /// Why an operation of the group is open, if it is, and how much that matters.
    fn why_open(&self, operation: &Operation) -> Option<(Level, &'static str)> {
        match self {
            Self::Undecided(open) if open.contains(&operation.id) => {
                Some((Level::Warn, "it could not be carried out now"))
            }
            Self::Undecided(_) => None,
            Self::Panicked => Some((Level::Error, "a panic")),
        }
    }
}

type ByResource<'a> = BTreeMap<ResourceId, BTreeMap<OperationId, Delivered<'a>>>;

fn add<'a>(by_resource: &mut ByResource<'a>, operation: Operation, record: &'a SqsMessage) {
    let delivered = by_resource.entry(operation.resource.clone()).or_default();
    let delivered = delivered.entry(operation.id);
    delivered.or_insert(Delivered { operation, records: Vec::new() }).records.push(record);
}

/// How far the clock that gave the arrival was ahead of SQS's when the message was sent.
fn lead_ms(operation: &Operation, record: &SqsMessage) -> Option<i64> {
    let arrived = i64::try_from(operation.id.tick().unix_ms()).ok()?;
    arrived.checked_sub(sent_ms(record)?)
}

/// When the message was sent, in ms since the Unix epoch by SQS's clock.
fn sent_ms(record: &SqsMessage) -> Option<i64> {
    record.attributes.get("SentTimestamp")?.parse().ok()
}

fn unix_ms(since_epoch: Duration) -> i64 {
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}
