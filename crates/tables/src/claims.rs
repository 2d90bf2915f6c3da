//! Claims of idempotency keys, in the operations table.

use std::time::Duration;

use aws_calls::call_error;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure;
use rules::Failure;
use rules::request::key::{Claim, VALID_FOR};
use world::{CallError, Claims};

use crate::item::{Item, UnreadableItem, number, operation_id, string, take_string};
use crate::{Operations, PUT_ITEM};

impl Claims for Operations {
    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError> {
        let item = Item::from([
            ("id".to_owned(), string(&claim.id)),
            ("fingerprint".to_owned(), string(&claim.fingerprint)),
            ("op".to_owned(), string(claim.operation)),
            ("expires_at".to_owned(), number((now + VALID_FOR).as_secs())),
        ]);
        let sent = self
            .client()
            .put_item()
            .table_name(&self.name)
            .set_item(Some(item))
            // DynamoDB deletes an item some time after it has expired.
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
                _ => Err(call_error(PUT_ITEM, &error)),
            },
        }
    }
}

fn read_claim(id: String, mut item: Item) -> Result<Claim, UnreadableItem> {
    let fingerprint = take_string(&mut item, "fingerprint")?;
    Ok(Claim { id, fingerprint, operation: operation_id(&item, "op")? })
}
