//! Reading and writing users.

use aws_calls::CallError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Put, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use rules::inline::{Reply, Stored};
use rules::status::OutcomeRecord;
use rules::{Failure, OperationId, Precondition, UserId};

use crate::Tables;
use crate::condition::ConditionalWrite;
use crate::item::{Item, Unreadable, operation_id, string, take_string};
use crate::operations::{NO_FINAL_OUTCOME, is_final, outcome_item};

const UPDATE_ITEM: &str = "dynamodb:UpdateItem";
const GET_ITEM: &str = "dynamodb:GetItem";
const TRANSACT_WRITE_ITEMS: &str = "dynamodb:TransactWriteItems";

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The body, byte for byte as it was sent.
    pub body: String,
    /// The operation that wrote it.
    pub id: OperationId,
}

/// How a transaction of user and outcome ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// User and outcome were written.
    Written,
    /// Nothing was written, since a condition was false.
    Refused {
        /// Whether the operation has a final outcome.
        has_final_outcome: bool,
        /// Where the user stands, if its condition was the false one.
        stored: Option<OperationId>,
    },
}

impl Tables {
    /// Reads a user, strongly consistent.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn user(&self, user: &UserId) -> Result<Option<User>, CallError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.users)
            .key("id", string(user))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| CallError::from_sdk(GET_ITEM, &error))?;
        let read = |mut item: Item| {
            let id = operation_id(&item, "op")?;
            Ok(User { body: take_string(&mut item, "body")?, id })
        };
        reply.item.map(read).transpose().map_err(|error| unreadable(GET_ITEM, &error))
    }

    /// The one conditional write: replaces the user, or creates it, if `id` is newer
    /// than what is stored and `precondition` holds.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` tells whether the write may have landed.
    pub async fn write_user(
        &self,
        user: &UserId,
        id: OperationId,
        body: &str,
        precondition: &Precondition,
    ) -> Result<Reply, CallError> {
        let write = ConditionalWrite::new(id, body, precondition);
        let sent = self
            .client
            .update_item()
            .table_name(&self.users)
            .key("id", string(user))
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
                Ok(Reply::Written { created: !had_body })
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(refusal)) => {
                    let stored = refusal.item.as_ref().map(stored).transpose();
                    let stored = stored.map_err(|error| unreadable(UPDATE_ITEM, &error))?;
                    Ok(Reply::Refused { stored })
                }
                _ => Err(CallError::from_sdk(UPDATE_ITEM, &error)),
            },
        }
    }

    /// Writes the user and the outcome of the operation in one transaction: both, or
    /// neither where the write is refused or a final outcome exists.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`, since the
    /// operation id makes a second write refuse itself.
    pub async fn apply(
        &self,
        user: &UserId,
        id: OperationId,
        body: &str,
        precondition: &Precondition,
        outcome: &OutcomeRecord,
    ) -> Result<Applied, CallError> {
        let build_error = |error| CallError::new(TRANSACT_WRITE_ITEMS, Failure::NeverLands, error);
        let write = ConditionalWrite::new(id, body, precondition);
        let update = Update::builder()
            .table_name(&self.users)
            .key("id", string(user))
            .update_expression(write.update)
            .condition_expression(write.condition)
            .set_expression_attribute_values(Some(write.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(build_error)?;
        let put = Put::builder()
            .table_name(&self.operations)
            .set_item(Some(outcome_item(user, id, outcome)))
            .condition_expression(NO_FINAL_OUTCOME)
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map_err(build_error)?;
        let sent = self
            .client
            .transact_write_items()
            .transact_items(TransactWriteItem::builder().update(update).build())
            .transact_items(TransactWriteItem::builder().put(put).build())
            .send()
            .await;
        let error = match sent {
            Ok(_) => return Ok(Applied::Written),
            Err(error) => error,
        };
        match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(canceled)) => {
                refusal(canceled.cancellation_reasons())
            }
            _ => Err(CallError::from_sdk(TRANSACT_WRITE_ITEMS, &error)),
        }
    }
}

/// Reads why a transaction was cancelled. Whatever the reasons, it wrote nothing; of
/// mixed reasons one that is worth a retry decides.
fn refusal(reasons: &[CancellationReason]) -> Result<Applied, CallError> {
    let code = |reason: &CancellationReason| reason.code().unwrap_or("None").to_owned();
    let codes: Vec<_> = reasons.iter().map(code).collect();
    let failed = |failure| {
        let reason = format!("cancelled: {}", codes.join(", "));
        Err(CallError::new(TRANSACT_WRITE_ITEMS, failure, reason))
    };
    let mut is_refused = false;
    let mut is_permanent = false;
    for code in &codes {
        match code.as_str() {
            "None" => {}
            "ConditionalCheckFailed" => is_refused = true,
            "TransactionConflict" | "ProvisionedThroughputExceeded" | "ThrottlingError" => {
                return failed(Failure::NotLanded);
            }
            _ => is_permanent = true,
        }
    }
    let (true, false, [user, outcome]) = (is_refused, is_permanent, reasons) else {
        return failed(Failure::NeverLands);
    };
    let stored = user.item.as_ref().map(|item| operation_id(item, "op")).transpose();
    Ok(Applied::Refused {
        has_final_outcome: outcome.item.as_ref().is_some_and(is_final),
        stored: stored.map_err(|error| unreadable(TRANSACT_WRITE_ITEMS, &error))?,
    })
}

fn stored(item: &Item) -> Result<Stored, Unreadable> {
    Ok(Stored { id: operation_id(item, "op")?, created_by: operation_id(item, "created_by").ok() })
}

fn unreadable(operation: &'static str, error: &Unreadable) -> CallError {
    CallError::new(operation, Failure::NeverLands, error)
}
