//! Reading and writing resources.

use std::time::Duration;

use aws_calls::call_error;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use rules::reply::status::{Decision, Outcome, Record};
use rules::{Failure, Operation, OperationId, ResourceId, Version};
use world::{CallError, StoredResource, Transaction, Write};

use crate::condition::ConditionalWrite;
use crate::item::{Item, Unreadable, operation_id, string, take_string};
use crate::operations::{UNDECIDED, record_item};
use crate::{DynamoDb, GET_ITEM};

const UPDATE_ITEM: &str = "dynamodb:UpdateItem";
const TRANSACT_WRITE_ITEMS: &str = "dynamodb:TransactWriteItems";

impl DynamoDb {
    pub(crate) async fn get_resource(
        &self,
        resource: &ResourceId,
    ) -> Result<Option<StoredResource>, CallError> {
        let reply = self
            .client()
            .get_item()
            .table_name(&self.resources)
            .key("id", string(resource))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| call_error(GET_ITEM, &error))?;
        let read = |mut item: Item| {
            let written_by = operation_id(&item, "op")?;
            Ok(StoredResource { body: take_string(&mut item, "body")?, written_by })
        };
        reply.item.map(read).transpose().map_err(|error| unreadable(GET_ITEM, &error))
    }

    pub(crate) async fn update_resource(&self, operation: &Operation) -> Result<Write, CallError> {
        let write = ConditionalWrite::new(operation);
        let sent = self
            .client()
            .update_item()
            .table_name(&self.resources)
            .key("id", string(&operation.resource))
            .update_expression(write.update)
            .condition_expression(write.condition)
            .set_expression_attribute_values(Some(write.values))
            .return_values(ReturnValue::UpdatedOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(reply) => {
                let had_body = reply.attributes.is_some_and(|old| old.contains_key("op"));
                Ok(Write::Written { created: !had_body })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    let stored = refusal.item.as_ref().map(version).transpose();
                    let stored = stored.map_err(|error| unreadable(UPDATE_ITEM, &error))?;
                    Ok(Write::Refused { stored })
                }
                _ => Err(call_error(UPDATE_ITEM, &error)),
            },
        }
    }

    pub(crate) async fn get_creator(
        &self,
        resource: &ResourceId,
    ) -> Result<Option<OperationId>, CallError> {
        let reply = self
            .client()
            .get_item()
            .table_name(&self.resources)
            .key("id", string(resource))
            .projection_expression("created_by")
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| call_error(GET_ITEM, &error))?;
        Ok(reply.item.and_then(|item| operation_id(&item, "created_by").ok()))
    }

    pub(crate) async fn write_in_transaction(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        let build_error = |error| CallError::new(TRANSACT_WRITE_ITEMS, Failure::NeverLands, error);
        let resource = &operation.resource;
        let write = ConditionalWrite::new(operation);
        let update = Update::builder()
            .table_name(&self.resources)
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
        let decided = std::iter::once((operation.id, Outcome::Succeeded))
            .chain(superseded.iter().map(|id| (*id, Outcome::Superseded)));
        for (id, outcome) in decided.clone() {
            let record = Record::Decided(Decision { outcome, completed_at: now });
            let put = Put::builder()
                .table_name(&self.operations)
                .set_item(Some(record_item(resource, id, &record)))
                .condition_expression(UNDECIDED)
                .expression_attribute_values(":true", AttributeValue::Bool(true))
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
enum Reason {
    None,
    ConditionalCheckFailed,
    ForNow,
    ForGood,
}

impl Reason {
    fn of(reason: &CancellationReason) -> Self {
        match reason.code().unwrap_or("None") {
            "None" => Self::None,
            "ConditionalCheckFailed" => Self::ConditionalCheckFailed,
            "ProvisionedThroughputExceeded" | "ThrottlingError" | "TransactionConflict" => {
                Self::ForNow
            }
            // ItemCollectionSizeLimitExceeded, ValidationError and what AWS may add.
            _ => Self::ForGood,
        }
    }
}

/// Reads why a transaction was cancelled: its first action writes the resource, the others
/// the outcomes of `ids`. Whatever the reasons, it wrote nothing; of mixed reasons one
/// that is worth a retry decides.
fn refusal(reasons: &[CancellationReason], ids: &[OperationId]) -> Result<Transaction, CallError> {
    let kinds: Vec<_> = reasons.iter().map(Reason::of).collect();
    let failed = |failure| {
        let codes: Vec<_> = reasons.iter().map(|reason| reason.code().unwrap_or("None")).collect();
        let reason = format!("cancelled: {}", codes.join(", "));
        Err(CallError::new(TRANSACT_WRITE_ITEMS, failure, reason))
    };
    if kinds.contains(&Reason::ForNow) {
        return failed(Failure::NotLanded);
    }
    let is_refused = kinds.contains(&Reason::ConditionalCheckFailed);
    if kinds.contains(&Reason::ForGood) || !is_refused || kinds.len() != ids.len() + 1 {
        return failed(Failure::NeverLands);
    }
    let is_resource_refused = kinds[0] == Reason::ConditionalCheckFailed;
    let resource = is_resource_refused.then(|| reasons[0].item.as_ref().map(version).transpose());
    let resource =
        resource.transpose().map_err(|error| unreadable(TRANSACT_WRITE_ITEMS, &error))?;
    let decided =
        ids.iter().zip(&kinds[1..]).filter(|(_, kind)| **kind == Reason::ConditionalCheckFailed);
    Ok(Transaction::Refused { resource, decided: decided.map(|(id, _)| *id).collect() })
}

fn version(item: &Item) -> Result<Version, Unreadable> {
    let created_by = operation_id(item, "created_by").ok();
    Ok(Version { written_by: operation_id(item, "op")?, created_by })
}

fn unreadable(action: &'static str, error: &Unreadable) -> CallError {
    CallError::new(action, Failure::NeverLands, error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::Tick;

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    /// The reading of a transaction of a resource and the operations 1 and 2.
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
        for for_good in ["ValidationError", "ItemCollectionSizeLimitExceeded", "SomethingNew"] {
            assert_eq!(read(["None", for_good, "None"]), Err(Failure::NeverLands));
            assert_eq!(read([condition, for_good, "None"]), Err(Failure::NeverLands));
        }
        assert_eq!(read(["None"; 3]), Err(Failure::NeverLands));
        let refused = CancellationReason::builder().code(condition).build();
        let too_few = refusal(&[refused.clone(), refused], &[id(1), id(2)]);
        assert_eq!(too_few.map_err(|error| error.failure), Err(Failure::NeverLands));
        let resource = Some(None);
        assert_eq!(
            read([condition, "None", "None"]),
            Ok(Transaction::Refused { resource, decided: vec![] })
        );
        let decided = vec![id(2)];
        assert_eq!(
            read(["None", "None", condition]),
            Ok(Transaction::Refused { resource: None, decided })
        );
    }
}
