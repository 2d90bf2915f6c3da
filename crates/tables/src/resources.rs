//! Reading and writing resources.

use std::time::Duration;

use aws_calls::call_error;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, KeysAndAttributes, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use rules::outcome::{Decision, Outcome, Recorded};
use rules::{Failure, Method, Operation, OperationId, ResourceId, Version};
use world::{CallError, Stored, Transaction, Write};

use crate::condition::ConditionalWrite;
use crate::item::{Item, UnreadableItem, operation_id, string, take_string};
use crate::outcomes::{STALLED, UNDECIDED, item_of, read_unexpired};
use crate::{GET_ITEM, Resources};

const BATCH_GET_ITEM: &str = "dynamodb:BatchGetItem";
const UPDATE_ITEM: &str = "dynamodb:UpdateItem";
const TRANSACT_WRITE_ITEMS: &str = "dynamodb:TransactWriteItems";

/// The attributes of a [`Version`], without the body, which may be large.
const VERSION: &str = "op, created_by, expires_at";

impl Resources {
    async fn get(
        &self,
        resource: &ResourceId,
        attributes: Option<&str>,
    ) -> Result<Option<Item>, CallError> {
        let reply = self
            .client()
            .get_item()
            .table_name(&self.name)
            .key("id", string(resource))
            .set_projection_expression(attributes.map(str::to_owned))
            .consistent_read(true)
            .send()
            .await;
        reply.map(|reply| reply.item).map_err(|error| call_error(GET_ITEM, &error))
    }
}

impl world::Resources for Resources {
    async fn read(&self, resource: &ResourceId) -> Result<Option<Stored>, CallError> {
        let item = self.get(resource, None).await?;
        let read = |mut item: Item| {
            let written_by = operation_id(&item, "op")?;
            let is_tombstone = !item.contains_key("body");
            let body = (!is_tombstone).then(|| take_string(&mut item, "body")).transpose()?;
            Ok(body.map(|body| Stored { body, written_by }))
        };
        let stored = item.map(read).transpose().map_err(|error| unreadable(GET_ITEM, &error));
        stored.map(Option::flatten)
    }

    async fn version(&self, resource: &ResourceId) -> Result<Option<Version>, CallError> {
        let item = self.get(resource, Some(VERSION)).await?;
        let version = item.as_ref().map(version_without_body).transpose();
        version.map_err(|error| unreadable(GET_ITEM, &error))
    }

    async fn look(
        &self,
        operation: &Operation,
        now: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError> {
        let build_error = |error| CallError::new(BATCH_GET_ITEM, Failure::NeverLands, error);
        let key = |id: AttributeValue| Item::from([("id".to_owned(), id)]);
        let keys = KeysAndAttributes::builder().consistent_read(true);
        let resource = keys.clone().keys(key(string(&operation.resource)));
        let outcome = keys.keys(key(string(operation.id)));
        let resource = resource.projection_expression(VERSION).build().map_err(build_error)?;
        let outcome = outcome.build().map_err(build_error)?;
        let reply = self
            .client()
            .batch_get_item()
            .request_items(&self.name, resource)
            .request_items(&self.operations, outcome)
            .send()
            .await
            .map_err(|error| call_error(BATCH_GET_ITEM, &error))?;
        // The capacity did not suffice for both.
        if reply.unprocessed_keys.is_some_and(|keys| !keys.is_empty()) {
            return Err(CallError::new(BATCH_GET_ITEM, Failure::NotLanded, "unprocessed keys"));
        }
        let mut items = reply.responses.unwrap_or_default();
        let mut item = |table: &str| items.remove(table)?.pop();
        let version = item(&self.name).as_ref().map(version_without_body).transpose();
        let recorded = read_unexpired(item(&self.operations), now);
        let unreadable = |error| unreadable(BATCH_GET_ITEM, &error);
        Ok((version.map_err(unreadable)?, recorded.map_err(unreadable)?))
    }

    async fn write(&self, operation: &Operation) -> Result<Write, CallError> {
        let write = ConditionalWrite::new(operation);
        let sent = self
            .client()
            .update_item()
            .table_name(&self.name)
            .key("id", string(&operation.resource))
            .update_expression(write.update)
            .condition_expression(write.condition)
            .set_expression_attribute_values(Some(write.values))
            .return_values(write.returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(reply) => {
                let had_body = reply.attributes.is_some_and(|old| old.contains_key("body"));
                let created = operation.method() == Method::Put && !had_body;
                Ok(Write::Written { created })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    let stored = refusal.item.as_ref().map(version).transpose();
                    let stored = stored.map_err(|error| unreadable(UPDATE_ITEM, &error))?;
                    Ok(Write::ConditionFalse { stored })
                }
                _ => Err(call_error(UPDATE_ITEM, &error)),
            },
        }
    }

    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        let build_error = |error| CallError::new(TRANSACT_WRITE_ITEMS, Failure::NeverLands, error);
        let resource = &operation.resource;
        let write = ConditionalWrite::new(operation);
        let update = Update::builder()
            .table_name(&self.name)
            .key("id", string(resource))
            .update_expression(write.update)
            .condition_expression(write.condition)
            .set_expression_attribute_values(Some(write.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(build_error)?;
        let mut call = self
            .client()
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update).build());
        let decided = std::iter::once((operation.id, Outcome::Succeeded(operation.method())))
            .chain(superseded.iter().map(|id| (*id, Outcome::Superseded)));
        for (id, outcome) in decided.clone() {
            let recorded = Recorded::Decided(Decision { outcome, completed_at: now });
            let put = Put::builder()
                .table_name(&self.operations)
                .set_item(Some(item_of(resource, id, &recorded)))
                .condition_expression(UNDECIDED)
                .expression_attribute_values(":stalled", string(STALLED))
                .build()
                .map_err(build_error)?;
            call = call.transact_items(TransactWriteItem::builder().put(put).build());
        }
        let error = match call.send().await {
            Ok(_) => return Ok(Transaction::Written),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                let ids: Vec<_> = decided.map(|(id, _)| id).collect();
                refusal(canceled.cancellation_reasons(), &ids)
            }
            _ => Err(call_error(TRANSACT_WRITE_ITEMS, &error)),
        }
    }
}

/// Why one action of a cancelled transaction was refused.
/// <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cancellation {
    None,
    ConditionalCheckFailed,
    ForNow,
    Permanent,
}

impl Cancellation {
    fn of(reason: &CancellationReason) -> Self {
        match reason.code().unwrap_or("None") {
            "None" => Self::None,
            "ConditionalCheckFailed" => Self::ConditionalCheckFailed,
            "ProvisionedThroughputExceeded" | "ThrottlingError" | "TransactionConflict" => {
                Self::ForNow
            }
            // ItemCollectionSizeLimitExceeded, ValidationError and any that AWS may add.
            _ => Self::Permanent,
        }
    }
}

/// Reads why a transaction was cancelled. Its first action writes the resource, the others the
/// outcomes of `ids`. A cancelled transaction wrote nothing. If one of the reasons is temporary,
/// the result is [`Failure::NotLanded`], whatever the others are.
fn refusal(reasons: &[CancellationReason], ids: &[OperationId]) -> Result<Transaction, CallError> {
    let kinds: Vec<_> = reasons.iter().map(Cancellation::of).collect();
    let failed = |failure| {
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
        let reason = format!("cancelled: {}", codes.join(", "));
        Err(CallError::new(TRANSACT_WRITE_ITEMS, failure, reason))
    };
    if kinds.contains(&Cancellation::ForNow) {
        return failed(Failure::NotLanded);
    }
    let is_refused = kinds.contains(&Cancellation::ConditionalCheckFailed);
    if kinds.contains(&Cancellation::Permanent) || !is_refused || kinds.len() != ids.len() + 1 {
        return failed(Failure::NeverLands);
    }
    let is_resource_refused = kinds[0] == Cancellation::ConditionalCheckFailed;
    let resource = is_resource_refused.then(|| reasons[0].item.as_ref().map(version).transpose());
    let resource =
        resource.transpose().map_err(|error| unreadable(TRANSACT_WRITE_ITEMS, &error))?;
    let decided = ids
        .iter()
        .zip(&kinds[1..])
        .filter(|(_, kind)| **kind == Cancellation::ConditionalCheckFailed);
    Ok(Transaction::Cancelled { resource, decided: decided.map(|(id, _)| *id).collect() })
}

/// The version of a whole item.
fn version(item: &Item) -> Result<Version, UnreadableItem> {
    version_of(item, item.contains_key("body"))
}

/// The version from the attributes in [`VERSION`]. An item with `expires_at` is a tombstone.
fn version_without_body(item: &Item) -> Result<Version, UnreadableItem> {
    version_of(item, !item.contains_key("expires_at"))
}

fn version_of(item: &Item, is_live: bool) -> Result<Version, UnreadableItem> {
    let created_by = operation_id(item, "created_by").ok();
    Ok(Version { written_by: operation_id(item, "op")?, created_by, is_live })
}

fn unreadable(action: &'static str, error: &UnreadableItem) -> CallError {
    CallError::new(action, Failure::NeverLands, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::Tick;

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    /// Reads the reply to a transaction of a resource and the operations 1 and 2.
    fn read(codes: [&str; 3]) -> Result<Transaction, Failure> {
        let reasons = codes.map(|code| CancellationReason::builder().code(code).build());
        refusal(&reasons, &[id(1), id(2)]).map_err(|error| error.failure)
    }

    #[test]
    fn of_mixed_reasons_one_worth_a_retry_decides() {
        let condition = "ConditionalCheckFailed";
        for for_now in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
            assert_eq!(read([for_now, "None", "None"]), Err(Failure::NotLanded));
            assert_eq!(read([condition, "ValidationError", for_now]), Err(Failure::NotLanded));
        }
        for permanent in ["ValidationError", "ItemCollectionSizeLimitExceeded", "SomethingNew"] {
            assert_eq!(read(["None", permanent, "None"]), Err(Failure::NeverLands));
            assert_eq!(read([condition, permanent, "None"]), Err(Failure::NeverLands));
        }
        assert_eq!(read(["None"; 3]), Err(Failure::NeverLands));
        let refused = CancellationReason::builder().code(condition).build();
        let too_few = refusal(&[refused.clone(), refused], &[id(1), id(2)]);
        assert_eq!(too_few.map_err(|error| error.failure), Err(Failure::NeverLands));
        let resource = Some(None);
        assert_eq!(
            read([condition, "None", "None"]),
            Ok(Transaction::Cancelled { resource, decided: vec![] })
        );
        let decided = vec![id(2)];
        assert_eq!(
            read(["None", "None", condition]),
            Ok(Transaction::Cancelled { resource: None, decided })
        );
    }
}
