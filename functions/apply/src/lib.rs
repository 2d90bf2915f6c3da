//! The deferred update: applies a batch of messages, each record on its own.

mod record;
mod update;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::SystemTime;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{FutureExt, StreamExt, stream};
use lambda_runtime::Error;
use lambda_shell::environment::{self, Invalid};
use lambda_shell::host;
use record::Fate;
use rules::{UserId, backoff};
use updates_queue::{Message, UpdatesQueue};
use users_table::Tables;

/// Most users at a time. More would open more connections at once than the first
/// batch of a cold start gains by it.
const CONCURRENT_USERS: usize = 10;

/// The function's clients.
#[derive(Debug)]
pub struct Apply {
    tables: Tables,
    updates: UpdatesQueue,
}

impl Apply {
    /// The function as its environment describes it.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn from_environment() -> Result<Self, Invalid> {
        let users = environment::required("USERS_TABLE")?;
        let operations = environment::required("OPERATIONS_TABLE")?;
        let queue_url = environment::required("UPDATES_QUEUE_URL")?;
        Ok(Self {
            tables: Tables::new(&environment::aws("DYNAMODB")?, users, operations),
            updates: UpdatesQueue::new(&environment::aws("SQS")?, queue_url),
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
        let mut handed_back = Vec::new();
        let mut by_user: BTreeMap<UserId, Vec<(Message, &SqsMessage)>> = BTreeMap::new();
        for record in &event.records {
            match Message::read(record) {
                Ok(message) => {
                    by_user.entry(message.user.clone()).or_default().push((message, record));
                }
                Err(error) => {
                    tracing::error!(message_id = record.message_id, %error, "handed back an unreadable message");
                    handed_back.push(record);
                }
            }
        }
        let users = by_user.into_values().map(|updates| self.apply_in_order(updates, deadline));
        let mut users = stream::iter(users).buffer_unordered(CONCURRENT_USERS);
        while let Some(records) = users.next().await {
            handed_back.extend(records);
        }
        for record in &handed_back {
            self.back_off(record).await;
        }
        batch_response(&handed_back)
    }

    /// Applies the updates of one user, oldest first; returns the records to hand back.
    async fn apply_in_order<'a>(
        &self,
        mut updates: Vec<(Message, &'a SqsMessage)>,
        deadline: SystemTime,
    ) -> Vec<&'a SqsMessage> {
        updates.sort_by_key(|(message, _)| message.id);
        let mut handed_back = Vec::new();
        for (message, record) in updates {
            let applied = AssertUnwindSafe(self.apply_record(&message, deadline)).catch_unwind();
            let fate = applied.await.unwrap_or_else(|_| {
                // The panic hook has printed the panic itself.
                tracing::error!(user = %message.user, operation = %message.id, "handed back a message that panicked");
                Fate::HandedBack
            });
            if fate == Fate::HandedBack {
                handed_back.push(record);
            }
        }
        handed_back
    }

    /// Hides a record that is handed back, longer with each receive.
    async fn back_off(&self, record: &SqsMessage) {
        let Some(receipt_handle) = &record.receipt_handle else { return };
        let receives = record.attributes.get("ApproximateReceiveCount");
        let receives = receives.and_then(|count| count.parse().ok()).unwrap_or(1);
        let timeout = backoff::visibility(receives, host::random());
        if let Err(error) = self.updates.hide(receipt_handle, timeout).await {
            tracing::warn!(message_id = record.message_id, %error, "a message could not be hidden and comes back after the queue's own visibility timeout");
        }
    }
}

fn batch_response(handed_back: &[&SqsMessage]) -> Result<SqsBatchResponse, Error> {
    let mut response = SqsBatchResponse::default();
    for record in handed_back {
        // An empty identifier would make Lambda take the whole batch for failed, silently.
        let id = record.message_id.clone().filter(|id| !id.is_empty());
        let mut failure = BatchItemFailure::default();
        failure.item_identifier = id.ok_or("a record to hand back has no message id")?;
        response.batch_item_failures.push(failure);
    }
    Ok(response)
}
