//! What is recorded of operations.

use std::time::Duration;

use aws_calls::call_error;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use rules::reply::status::{Decision, OUTCOME_KEPT, Outcome, Record};
use rules::{Failure, OperationId, ResourceId};
use world::CallError;

use crate::item::{Item, Unreadable, number, read_number, string, take_string};
use crate::{DynamoDb, GET_ITEM, PUT_ITEM};

/// Names the value `:true`.
pub(crate) const UNDECIDED: &str = "attribute_not_exists(id) OR provisional = :true";

impl DynamoDb {
    pub(crate) async fn get_record(
        &self,
        id: OperationId,
        now: Duration,
    ) -> Result<Option<Record>, CallError> {
        let reply = self
            .client()
            .get_item()
            .table_name(&self.operations)
            .key("id", string(id))
            .consistent_read(true)
            .send()
            .await
            .map_err(|error| call_error(GET_ITEM, &error))?;
        let Some(item) = reply.item else { return Ok(None) };
        let unreadable = |error: Unreadable| CallError::new(GET_ITEM, Failure::NeverLands, error);
        // DynamoDB deletes an expired item some time later.
        if read_number(&item, "expires_at").map_err(unreadable)? <= now.as_secs() {
            return Ok(None);
        }
        read_record(item).map(Some).map_err(unreadable)
    }

    pub(crate) async fn put_record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        record: &Record,
    ) -> Result<Option<Decision>, CallError> {
        let put = self
            .client()
            .put_item()
            .table_name(&self.operations)
            .set_item(Some(record_item(resource, id, record)))
            .condition_expression(UNDECIDED)
            .expression_attribute_values(":true", AttributeValue::Bool(true))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(refusal)) => {
                    let stands = refusal.item.clone().unwrap_or_default();
                    match read_record(stands) {
                        Ok(Record::Decided(decision)) => Ok(Some(decision)),
                        // The condition is true of a stalled one.
                        Ok(Record::Stalled { .. }) => Err(CallError::new(
                            PUT_ITEM,
                            Failure::NotLanded,
                            "refused for a record that it replaces",
                        )),
                        Err(error) => Err(CallError::new(PUT_ITEM, Failure::NeverLands, error)),
                    }
                }
                _ => Err(call_error(PUT_ITEM, &error)),
            },
        }
    }
}

pub(crate) fn record_item(resource: &ResourceId, id: OperationId, record: &Record) -> Item {
    let (outcome, problem, at) = match record {
        Record::Decided(Decision { outcome, completed_at }) => {
            let problem = match outcome {
                Outcome::Succeeded | Outcome::Superseded => None,
                Outcome::Failed { problem } => Some(problem),
            };
            (outcome.as_str(), problem, *completed_at)
        }
        Record::Stalled { problem, since } => (FAILED, Some(problem), *since),
    };
    let mut item = Item::from([
        ("id".to_owned(), string(id)),
        ("resource".to_owned(), string(resource)),
        ("outcome".to_owned(), string(outcome)),
        ("completed_at".to_owned(), number(u64::try_from(at.as_millis()).unwrap_or(u64::MAX))),
        ("expires_at".to_owned(), number((at + OUTCOME_KEPT).as_secs() + 1)),
    ]);
    if let Record::Stalled { .. } = record {
        item.insert(PROVISIONAL.to_owned(), AttributeValue::Bool(true));
    }
    if let Some(problem) = problem {
        item.insert("problem".to_owned(), string(problem));
    }
    item
}

/// An outcome of this text is also what a stalled operation has, marked [`PROVISIONAL`].
const FAILED: &str = "failed";
const PROVISIONAL: &str = "provisional";

fn read_record(mut item: Item) -> Result<Record, Unreadable> {
    let at = Duration::from_millis(read_number(&item, "completed_at")?);
    let outcome = take_string(&mut item, "outcome")?;
    // A failure without a problem is of another version; that it failed is known.
    let mut problem = || take_string(&mut item, "problem").unwrap_or_default();
    let outcome = match outcome.as_str() {
        "succeeded" => Outcome::Succeeded,
        "superseded" => Outcome::Superseded,
        FAILED => Outcome::Failed { problem: problem() },
        _ => return Err(Unreadable::attribute("outcome")),
    };
    let is_provisional = item.get(PROVISIONAL) == Some(&AttributeValue::Bool(true));
    Ok(match outcome {
        Outcome::Failed { problem } if is_provisional => Record::Stalled { problem, since: at },
        outcome => Record::Decided(Decision { outcome, completed_at: at }),
    })
}
