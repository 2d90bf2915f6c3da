//! The one rule, [`Operation::may_replace`], as DynamoDB expressions.
//!
//! A resource has a `body`; a tombstone does not. A DELETE of a resource that does not exist leaves
//! a tombstone too: without it, an older PUT that is still queued would create the resource.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};
use rules::outcome::tombstone_expires_at;
use rules::{Change, Operation, Precondition};

use crate::item::{number, string};

/// The update of an item: the expressions and their values.
pub(crate) struct ConditionalWrite {
    pub update: &'static str,
    pub condition: String,
    pub values: HashMap<String, AttributeValue>,
    /// The old attributes to return: they show whether a PUT created the resource.
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
                number(tombstone_expires_at(operation.id)),
                "SET op = :op, expires_at = :expires REMOVE body, created_by",
                ReturnValue::None,
            ),
        };
        values.insert(name.to_owned(), value);
        Self { update, condition, values, returned }
    }
}
