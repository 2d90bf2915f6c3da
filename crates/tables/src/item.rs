//! Attributes of items.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use rules::OperationId;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// This version of the code cannot read an item.
#[derive(Debug)]
pub(crate) struct UnreadableItem {
    attribute: &'static str,
}

impl UnreadableItem {
    pub fn attribute(attribute: &'static str) -> Self {
        Self { attribute }
    }
}

impl Display for UnreadableItem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the item's attribute {} is missing or has an unknown form", self.attribute)
    }
}

pub(crate) fn string(value: impl Display) -> AttributeValue {
    AttributeValue::S(value.to_string())
}

pub(crate) fn number(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(crate) fn take_string(
    item: &mut Item,
    attribute: &'static str,
) -> Result<String, UnreadableItem> {
    match item.remove(attribute) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(UnreadableItem { attribute }),
    }
}

pub(crate) fn operation_id(
    item: &Item,
    attribute: &'static str,
) -> Result<OperationId, UnreadableItem> {
    let text = item.get(attribute).and_then(|value| value.as_s().ok());
    text.and_then(|text| text.parse().ok()).ok_or(UnreadableItem { attribute })
}

pub(crate) fn read_number(item: &Item, attribute: &'static str) -> Result<u64, UnreadableItem> {
    let text = item.get(attribute).and_then(|value| value.as_n().ok());
    text.and_then(|text| text.parse().ok()).ok_or(UnreadableItem { attribute })
}
