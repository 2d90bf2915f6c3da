//! Reading and writing the outcomes of operations.

use std::time::Duration;

use aws_calls::CallError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use rules::status::{OUTCOME_KEPT, Outcome, OutcomeRecord};
use rules::{Failure, OperationId, UserId};

use crate::Tables;
use crate::item::{Item, Unreadable, number, parsed, read_number, string, take_string};

const GET_ITEM: &str = "dynamodb:GetItem";
const PUT_ITEM: &str = "dynamodb:PutItem";

/// Names the value `:true`.
pub(crate) const NO_FINAL_OUTCOME: &str = "attribute_not_exists(id) OR provisional = :true";

impl Tables {
    /// Reads the outcome of an operation, strongly consistent; `None` where none is
    /// stored or it has expired by `now`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn outcome(
        &self,
        id: OperationId,
        now: Duration,
    ) -> Result<Option<OutcomeRecord>, CallError> {
        let reply = self
            .client
            .get_item()
            .table_name(&self.operations)
            .key("id", string(id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| CallError::from_sdk(GET_ITEM, &error))?;
        let Some(item) = reply.item else { return Ok(None) };
        let unreadable = |error: Unreadable| CallError::new(GET_ITEM, Failure::NeverLands, error);
        // DynamoDB deletes an expired item some time later.
        if read_number(&item, "expires_at").map_err(unreadable)? <= now.as_secs() {
            return Ok(None);
        }
        read_outcome(item).map(Some).map_err(unreadable)
    }

    /// Writes the outcome of an operation that writes no user, unless it has a final
    /// one already: the first decision stands. Returns whether it was written.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`.
    pub async fn record_outcome(
        &self,
        user: &UserId,
        id: OperationId,
        outcome: &OutcomeRecord,
    ) -> Result<bool, CallError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.operations)
            .set_item(Some(outcome_item(user, id, outcome)))
            .condition_expression(NO_FINAL_OUTCOME)
            .expression_attribute_values(":true", AttributeValue::Bool(true));
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(false),
                _ => Err(CallError::from_sdk(PUT_ITEM, &error)),
            },
        }
    }
}

pub(crate) fn outcome_item(user: &UserId, id: OperationId, record: &OutcomeRecord) -> Item {
    let expires_at = (record.completed_at + OUTCOME_KEPT).as_secs();
    let completed_at = u64::try_from(record.completed_at.as_millis()).unwrap_or(u64::MAX);
    let mut item = Item::from([
        ("id".to_owned(), string(id)),
        ("user".to_owned(), string(user)),
        ("outcome".to_owned(), string(record.outcome.as_str())),
        ("completed_at".to_owned(), number(completed_at)),
        ("expires_at".to_owned(), number(expires_at)),
    ]);
    if record.is_provisional {
        item.insert("provisional".to_owned(), AttributeValue::Bool(true));
    }
    if let Some(problem) = &record.problem {
        item.insert("problem".to_owned(), string(problem));
    }
    item
}

fn read_outcome(mut item: Item) -> Result<OutcomeRecord, Unreadable> {
    Ok(OutcomeRecord {
        outcome: parsed(&mut item, "outcome", Outcome::parse)?,
        completed_at: Duration::from_millis(read_number(&item, "completed_at")?),
        problem: take_string(&mut item, "problem").ok(),
        is_provisional: item.get("provisional") == Some(&AttributeValue::Bool(true)),
    })
}
