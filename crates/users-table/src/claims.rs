//! Claims of idempotency keys, in the operations table.

use std::time::Duration;

use aws_calls::CallError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rules::idempotency::VALID_FOR;
use rules::{Failure, OperationId};

use crate::Tables;
use crate::item::{Item, Unreadable, number, operation_id, string, take_string};

const PUT_ITEM: &str = "dynamodb:PutItem";
const UPDATE_ITEM: &str = "dynamodb:UpdateItem";

/// A claim of an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The name of the claim; see [`rules::idempotency::claim_id`].
    pub id: String,
    /// What the request was; see [`rules::idempotency::fingerprint`].
    pub fingerprint: String,
    /// The operation that the key stands for.
    pub operation: OperationId,
}

impl Tables {
    /// Claims a key at `now` since the Unix epoch; returns the claim that holds it,
    /// which is the given one if the key was free or its last claim has expired.
    ///
    /// # Errors
    /// [`CallError`]; calling again with the same claim is safe.
    pub async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError> {
        let item = Item::from([
            ("id".to_owned(), string(&claim.id)),
            ("fingerprint".to_owned(), string(&claim.fingerprint)),
            ("op".to_owned(), string(claim.operation)),
            ("expires_at".to_owned(), number((now + VALID_FOR).as_secs())),
        ]);
        let sent = self
            .client
            .put_item()
            .table_name(&self.operations)
            .set_item(Some(item))
            // DynamoDB deletes an expired item some time later.
            .condition_expression("attribute_not_exists(id) OR expires_at <= :now")
            .expression_attribute_values(":now", number(now.as_secs()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match sent {
            Ok(_) => Ok(claim.clone()),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    let holder = refusal.item.clone().unwrap_or_default();
                    read_claim(claim.id.clone(), holder)
                        .map_err(|error| CallError::new(PUT_ITEM, Failure::NeverLands, error))
                }
                _ => Err(CallError::from_sdk(PUT_ITEM, &error)),
            },
        }
    }

    /// Makes a claim stand for another operation; whether it still stood for its own.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn move_claim(&self, claim: &Claim, to: OperationId) -> Result<bool, CallError> {
        let sent = self
            .client
            .update_item()
            .table_name(&self.operations)
            .key("id", string(&claim.id))
            .update_expression("SET op = :to")
            .condition_expression("op = :from OR op = :to")
            .expression_attribute_values(":from", string(claim.operation))
            .expression_attribute_values(":to", string(to))
            .send()
            .await;
        match sent {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(CallError::from_sdk(UPDATE_ITEM, &error)),
            },
        }
    }
}

fn read_claim(id: String, mut item: Item) -> Result<Claim, Unreadable> {
    let fingerprint = take_string(&mut item, "fingerprint")?;
    Ok(Claim { id, fingerprint, operation: operation_id(&item, "op")? })
}
