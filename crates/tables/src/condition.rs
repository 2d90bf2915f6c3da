//! The one rule as DynamoDB expressions: [`Operation::may_replace`] in DynamoDB's words.
//!
//! A live resource has a `body`, and a tombstone has none. A DELETE of nothing leaves a tombstone
//! too: without it an older PUT that is still queued would bring the resource to life.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use rules::{Change, Operation, OperationId, Precondition};

use crate::item::{number, string};

/// How long a tombstone is kept, from the time of its operation id. No operation older than
/// [`EXPIRES_AFTER`](rules::outcome::EXPIRES_AFTER) is carried out, so nothing that is older than
/// a removed tombstone can bring the resource back.
pub(crate) const TOMBSTONE_KEPT_FOR: Duration = Duration::from_secs(33 * 24 * 60 * 60);

/// The update of an item: expressions, and the values they name.
pub(crate) struct ConditionalWrite {
    pub update: &'static str,
    pub condition: String,
    pub values: HashMap<String, AttributeValue>,
    /// What tells whether a PUT made a new resource.
    pub returned: ReturnValue,
}

impl ConditionalWrite {
    pub fn new(operation: &Operation) -> Self {
        let mut values = HashMap::from([(":op".to_owned(), string(operation.id))]);
        let condition = match &operation.precondition {
            Precondition::None => "attribute_not_exists(id) OR op < :op".to_owned(),
            Precondition::Exists => "attribute_exists(body) AND op < :op".to_owned(),
            Precondition::Absent => {
                "attribute_not_exists(id) OR (attribute_not_exists(body) AND op < :op)".to_owned()
            }
            Precondition::OneOf(tags) => {
                let names: Vec<_> = (0..tags.len()).map(|i| format!(":tag{i}")).collect();
                values.extend(names.iter().cloned().zip(tags.iter().map(string)));
                format!("op IN ({}) AND op < :op AND attribute_exists(body)", names.join(", "))
            }
        };
        let (name, value, update, returned) = match &operation.change {
            Change::Put(body) => (
                ":body",
                AttributeValue::S(body.clone()),
                "SET body = :body, op = :op, created_by = if_not_exists(created_by, :op) REMOVE expires_at",
                ReturnValue::UpdatedOld,
            ),
            Change::Delete => (
                ":expires",
                number(expires_at(operation.id)),
                "SET op = :op, expires_at = :expires REMOVE body, created_by",
                ReturnValue::None,
            ),
        };
        values.insert(name.to_owned(), value);
        Self { update, condition, values, returned }
    }
}

/// When the tombstone of a DELETE is removed, in s since the Unix epoch.
fn expires_at(id: OperationId) -> u64 {
    (id.tick().to_unix() + TOMBSTONE_KEPT_FOR).as_secs() + 1
}
