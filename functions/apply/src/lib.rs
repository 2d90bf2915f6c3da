//! The deferred update: applies a batch of messages, each record on its own.

mod group;
#[cfg(test)]
mod tests;
mod update;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{FutureExt, StreamExt, stream};
use lambda_runtime::Error;
use lambda_shell::batch::{batch_response, receives};
use lambda_shell::environment::{self, Invalid};
use lambda_shell::{host, log};
use rules::batch::{POISON_RECEIVES, SUSPECT_RECEIVES, groups};
use rules::{OperationId, UserId, backoff};
use updates_queue::{Message, Queue, Unreadable};
use users_table::Tables;

/// Most users at a time. More would open more connections at once than the first
/// batch of a cold start gains by it.
const CONCURRENT_USERS: usize = 10;

/// The function's clients.
#[derive(Debug)]
pub struct Apply {
    tables: Tables,
    updates: Queue,
    dead_letters: Queue,
}

/// An operation of the batch, with the record that brought it; with several where SQS
/// delivered it more than once.
#[derive(Debug)]
struct Update<'a> {
    message: Message,
    records: Vec<&'a SqsMessage>,
}

/// What becomes of the records of a batch.
#[derive(Debug, Default)]
struct Batch<'a> {
    finished: Vec<&'a SqsMessage>,
    handed_back: Vec<&'a SqsMessage>,
}

impl<'a> Batch<'a> {
    fn sort_in(&mut self, records: Vec<&'a SqsMessage>, is_open: bool) {
        if is_open { self.handed_back.extend(records) } else { self.finished.extend(records) }
    }
}

impl Apply {
    /// The function as its environment describes it.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn from_environment() -> Result<Self, Invalid> {
        let users = environment::required("USERS_TABLE")?;
        let operations = environment::required("OPERATIONS_TABLE")?;
        let sqs = environment::aws("SQS")?;
        Ok(Self {
            tables: Tables::new(&environment::aws("DYNAMODB")?, users, operations),
            updates: Queue::new(&sqs, environment::required("UPDATES_QUEUE_URL")?),
            dead_letters: Queue::new(&sqs, environment::required("DEAD_LETTERS_QUEUE_URL")?),
        })
    }

    /// Applies a batch before `deadline`; names the records that SQS must deliver again.
    ///
    /// # Errors
    /// Only if a record to deliver again has no message id: then the whole batch must be.
    pub async fn handle(
        &self,
        event: SqsEvent,
        deadline: SystemTime,
    ) -> Result<SqsBatchResponse, Error> {
        let mut batch = Batch::default();
        let (mut by_user, mut suspects) = (BTreeMap::new(), Vec::new());
        let mut lead = None;
        for record in &event.records {
            match Message::read(record) {
                Ok(message) => {
                    lead = lead.max(lead_ms(&message, record));
                    if receives(record) >= SUSPECT_RECEIVES {
                        suspects.push(Update { message, records: vec![record] });
                    } else {
                        add(&mut by_user, message, record);
                    }
                }
                Err(error) => self.on_unreadable(record, &error, &mut batch).await,
            }
        }
        if let Some(lead) = lead {
            log::measure("ClockLead", "Milliseconds", lead);
        }
        let users = by_user.into_values().map(|updates| {
            let updates: Vec<_> = updates.into_values().collect();
            self.apply_user(updates, deadline)
        });
        let mut users = stream::iter(users).buffer_unordered(CONCURRENT_USERS);
        while let Some(applied) = users.next().await {
            batch.finished.extend(applied.finished);
            batch.handed_back.extend(applied.handed_back);
        }
        if !suspects.is_empty() {
            suspects.sort_by_key(|update| update.message.id);
            self.delete_finished(&batch).await;
            self.apply_suspects(suspects, deadline, &mut batch).await;
        }
        let handed_back = stream::iter(batch.handed_back.iter().copied());
        handed_back.for_each_concurrent(None, |record| self.back_off(record)).await;
        batch_response(&batch.handed_back)
    }

    /// Another version's message waits for one that knows it; any other cannot be
    /// carried out by waiting.
    async fn on_unreadable<'a>(
        &self,
        record: &'a SqsMessage,
        error: &Unreadable,
        batch: &mut Batch<'a>,
    ) {
        let message_id = record.message_id.as_deref();
        match error {
            Unreadable::Version(_) => {
                tracing::error!(message_id, %error, "handed back a message");
                batch.handed_back.push(record);
            }
            Unreadable::Part(_) => {
                tracing::error!(message_id, %error, "sent a message to the dead letters");
                self.send_to_dead_letters(record, batch).await;
            }
        }
    }

    /// Applies the updates of one user, sorted by id.
    async fn apply_user<'a>(&self, updates: Vec<Update<'a>>, deadline: SystemTime) -> Batch<'a> {
        let mut batch = Batch::default();
        for group in groups(updates, |update| (update.message.id, &update.message.precondition)) {
            // After a panic nothing is known of the group's operations.
            let open = self.apply_safely(&group, deadline).await;
            for Update { message, records } in group {
                let is_open = open.as_ref().is_none_or(|open| open.contains(&message.id));
                batch.sort_in(records, is_open);
            }
        }
        batch
    }

    /// Applies the updates that may be what ended an earlier process, one at a time.
    async fn apply_suspects<'a>(
        &self,
        suspects: Vec<Update<'a>>,
        deadline: SystemTime,
        batch: &mut Batch<'a>,
    ) {
        for update in suspects {
            let open = self.apply_safely(std::slice::from_ref(&update), deadline).await;
            for record in update.records {
                match &open {
                    Some(open) => batch.sort_in(vec![record], !open.is_empty()),
                    None if receives(record) >= POISON_RECEIVES => {
                        let message_id = record.message_id.as_deref();
                        tracing::error!(
                            message_id,
                            "sent a message that keeps panicking to the dead letters"
                        );
                        self.send_to_dead_letters(record, batch).await;
                    }
                    None => batch.handed_back.push(record),
                }
            }
        }
    }

    /// The operations that are left without an outcome; `None` if there was a panic.
    async fn apply_safely(
        &self,
        updates: &[Update<'_>],
        deadline: SystemTime,
    ) -> Option<Vec<OperationId>> {
        let messages: Vec<_> = updates.iter().map(|update| &update.message).collect();
        let applied = AssertUnwindSafe(self.apply_group(&messages, deadline)).catch_unwind().await;
        applied
            .inspect_err(|_| {
                // The panic hook has printed the panic itself.
                let ids: Vec<_> = updates.iter().map(|update| update.message.id).collect();
                tracing::error!(operations = ?ids, "a panic");
            })
            .ok()
    }

    /// Deletes what is done, so that a suspect that ends the process takes nothing with it.
    async fn delete_finished(&self, batch: &Batch<'_>) {
        let handles = batch.finished.iter().filter_map(|record| record.receipt_handle.as_deref());
        let deletions = stream::iter(handles).map(|handle| self.updates.delete(handle));
        let mut deletions = deletions.buffer_unordered(batch.finished.len().max(1));
        while let Some(deleted) = deletions.next().await {
            if let Err(error) = deleted {
                tracing::warn!(%error, "a finished message could not be deleted");
            }
        }
    }

    async fn send_to_dead_letters<'a>(&self, record: &'a SqsMessage, batch: &mut Batch<'a>) {
        match self.dead_letters.forward(record).await {
            Ok(()) => batch.finished.push(record),
            Err(error) => {
                tracing::error!(message_id = record.message_id, %error, "handed back a message that could not be sent to the dead letters");
                batch.handed_back.push(record);
            }
        }
    }

    /// Hides a record that is handed back, longer with each receive.
    async fn back_off(&self, record: &SqsMessage) {
        let Some(receipt_handle) = &record.receipt_handle else { return };
        let timeout = backoff::visibility(receives(record), host::random());
        if let Err(error) = self.updates.hide(receipt_handle, timeout).await {
            tracing::warn!(message_id = record.message_id, %error, "a message could not be hidden and comes back after the queue's own visibility timeout");
        }
    }
}

type ByUser<'a> = BTreeMap<UserId, BTreeMap<OperationId, Update<'a>>>;

fn add<'a>(by_user: &mut ByUser<'a>, message: Message, record: &'a SqsMessage) {
    let updates = by_user.entry(message.user.clone()).or_default();
    let update = updates.entry(message.id);
    update.or_insert(Update { message, records: Vec::new() }).records.push(record);
}

/// How far the clock that made the id was ahead of SQS's when the message was sent.
fn lead_ms(message: &Message, record: &SqsMessage) -> Option<i64> {
    let sent: i64 = record.attributes.get("SentTimestamp")?.parse().ok()?;
    Some(i64::try_from(message.id.tick().unix_ms()).ok()? - sent)
}
