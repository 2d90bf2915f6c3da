//! The one rule as DynamoDB condition expressions: [`Operation::may_replace`] in
//! DynamoDB's words.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use rules::{Operation, Precondition};

use crate::item::string;

/// The update of a resource: expressions, and the values they name.
pub(crate) struct ConditionalWrite {
    pub update: &'static str,
    pub condition: String,
    pub values: HashMap<String, AttributeValue>,
}

impl ConditionalWrite {
    pub fn new(operation: &Operation) -> Self {
        let mut values = HashMap::from([
            (":op".to_owned(), string(operation.id)),
            (":body".to_owned(), AttributeValue::S(operation.body.clone())),
        ]);
        let condition = match &operation.precondition {
            Precondition::None => "attribute_not_exists(id) OR op < :op".to_owned(),
            Precondition::Exists => "op < :op".to_owned(),
            Precondition::Absent => "attribute_not_exists(id)".to_owned(),
            Precondition::OneOf(tags) => {
                let names: Vec<_> = (0..tags.len()).map(|i| format!(":tag{i}")).collect();
                values.extend(names.iter().cloned().zip(tags.iter().map(string)));
                format!("op IN ({}) AND op < :op", names.join(", "))
            }
        };
        let update = "SET body = :body, op = :op, created_by = if_not_exists(created_by, :op)";
        Self { update, condition, values }
    }
}
