//! The outcomes of operations, in the operations table.

use std::time::Duration;

use aws_calls::call_error;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rules::outcome::{Decision, Outcome, RETENTION, Recorded};
use rules::{Failure, Method, OperationId, ResourceId};
use world::{CallError, Outcomes};

use crate::item::{Item, UnreadableItem, number, read_number, string, take_string};
use crate::{GET_ITEM, Operations, PUT_ITEM};

/// The condition that an operation does not have a final outcome; `:stalled` is [`STALLED`].
pub(crate) const UNDECIDED: &str = "attribute_not_exists(id) OR outcome = :stalled";

/// The `outcome` of a stalled operation, which is not final.
pub(crate) const STALLED: &str = "stalled";

impl Outcomes for Operations {
    async fn recorded(
        &self,
        id: OperationId,
        now: Duration,
    ) -> Result<Option<Recorded>, CallError> {
        let reply = self
            .client()
            .get_item()
            .table_name(&self.name)
            .key("id", string(id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| call_error(GET_ITEM, &error))?;
        read_unexpired(reply.item, now)
            .map_err(|error| CallError::new(GET_ITEM, Failure::NeverLands, error))
    }

    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        recorded: &Recorded,
    ) -> Result<Option<Decision>, CallError> {
        let put = self
            .client()
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item_of(resource, id, recorded)))
            .condition_expression(UNDECIDED)
            .expression_attribute_values(":stalled", string(STALLED))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    let stands = refusal.item.clone().unwrap_or_default();
                    match read(stands) {
                        Ok(Recorded::Decided(decision)) => Ok(Some(decision)),
                        // The condition allows a stalled outcome to be replaced.
                        Ok(Recorded::Stalled { .. }) => Err(CallError::new(
                            PUT_ITEM,
                            Failure::NotLanded,
                            "the condition was false although the outcome is not final",
                        )),
                        Err(error) => Err(CallError::new(PUT_ITEM, Failure::NeverLands, error)),
                    }
                }
                _ => Err(call_error(PUT_ITEM, &error)),
            },
        }
    }
}

pub(crate) fn item_of(resource: &ResourceId, id: OperationId, recorded: &Recorded) -> Item {
    // The problem may be empty but never absent: the template of the pipe names it.
    let (mut problem, mut method) = ("", None);
    let (outcome, at) = match recorded {
        Recorded::Decided(Decision { outcome, completed_at }) => {
            match outcome {
                Outcome::Succeeded(Method::Delete) => method = Some(Method::Delete),
                Outcome::Failed { problem: document } => problem = document,
                Outcome::Succeeded(Method::Put) | Outcome::Superseded | Outcome::Cancelled => {}
            }
            (outcome.as_str(), *completed_at)
        }
        Recorded::Stalled { problem: document, since } => {
            problem = document;
            (STALLED, *since)
        }
    };
    let mut item = Item::from([
        ("id".to_owned(), string(id)),
        ("resource".to_owned(), string(resource)),
        ("outcome".to_owned(), string(outcome)),
        ("completed_at".to_owned(), number(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))),
        ("problem".to_owned(), string(problem)),
        ("expires_at".to_owned(), number((at + RETENTION).as_secs() + 1)),
    ]);
    item.extend(method.map(|method| ("method".to_owned(), string(method.as_str()))));
    item
}

/// Reads the item of an operation, unless it has expired at `now` (since the Unix epoch). DynamoDB
/// deletes an item some time after that.
pub(crate) fn read_unexpired(
    item: Option<Item>,
    now: Duration,
) -> Result<Option<Recorded>, UnreadableItem> {
    let Some(item) = item else { return Ok(None) };
    if read_number(&item, "expires_at")? <= now.as_secs() {
        return Ok(None);
    }
    read(item).map(Some)
}

fn read(mut item: Item) -> Result<Recorded, UnreadableItem> {
    let at = Duration::from_millis(read_number(&item, "completed_at")?);
    let outcome = take_string(&mut item, "outcome")?;
    let is_delete = item.get("method") == Some(&string(Method::Delete.as_str()));
    // A failed operation without a problem was written by another version of the code.
    let mut problem = || take_string(&mut item, "problem").unwrap_or_default();
    let outcome = match outcome.as_str() {
        "succeeded" if is_delete => Outcome::Succeeded(Method::Delete),
        "succeeded" => Outcome::Succeeded(Method::Put),
        "cancelled" => Outcome::Cancelled,
        "superseded" => Outcome::Superseded,
        "failed" => Outcome::Failed { problem: problem() },
        STALLED => return Ok(Recorded::Stalled { problem: problem(), since: at }),
        _ => return Err(UnreadableItem::attribute("outcome")),
    };
    Ok(Recorded::Decided(Decision { outcome, completed_at: at }))
}
