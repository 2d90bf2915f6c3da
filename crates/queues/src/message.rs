//! The form of a message: its body is the PUT's body, byte for byte; all else stands
//! in message attributes of type String.
//!
//! | attribute | value |
//! |---|---|
//! | `version` | `1` |
//! | `operation` | operation id |
//! | `resource` | resource id |
//! | `precondition` | absent, `exists`, `absent`, or operation ids parted by commas |

use std::fmt;

use aws_lambda_events::sqs::SqsMessage;
use rules::{Operation, OperationId, Precondition, ResourceId};

/// The form that this version writes. A reader of another version leaves the message
/// to one that knows it, since old and new code share the queue during a deployment.
const VERSION: &str = "1";

/// The message is not of a form that this version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Why not.
    pub reason: Reason,
    /// The operation and its resource, where at least these can be read.
    pub operation: Option<(OperationId, ResourceId)>,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was written by another version.
    Version(String),
    /// This attribute, or `body`, is missing or malformed.
    Part(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            Reason::Version(version) => write!(f, "the message's version {version:?} is unknown"),
            Reason::Part(part) => write!(f, "the message's {part} is missing or malformed"),
        }
    }
}

impl std::error::Error for Unreadable {}

/// The attributes of an operation's message, as name and value.
#[must_use]
pub fn attributes(operation: &Operation) -> Vec<(&'static str, String)> {
    let mut attributes = vec![
        ("version", VERSION.to_owned()),
        ("operation", operation.id.to_string()),
        ("resource", operation.resource.to_string()),
    ];
    if let Some(precondition) = write_precondition(&operation.precondition) {
        attributes.push(("precondition", precondition));
    }
    attributes
}

/// Reads a record of an event from the queue.
///
/// # Errors
/// [`Unreadable`]
pub fn read(record: &SqsMessage) -> Result<Operation, Unreadable> {
    let attribute = |name| {
        let attribute = record.message_attributes.get(name)?;
        attribute.string_value.as_deref()
    };
    let id = attribute("operation").and_then(|text| text.parse().ok());
    let resource = attribute("resource").and_then(|text| ResourceId::new(text).ok());
    let unreadable = |reason| Unreadable { reason, operation: id.zip(resource.clone()) };
    let missing = |part| unreadable(Reason::Part(part));
    let version = attribute("version").ok_or_else(|| missing("version"))?;
    if version != VERSION {
        return Err(unreadable(Reason::Version(version.to_owned())));
    }
    let precondition = match attribute("precondition") {
        None => Some(Precondition::None),
        Some(text) => read_precondition(text),
    };
    Ok(Operation {
        id: id.ok_or_else(|| missing("operation"))?,
        resource: resource.clone().ok_or_else(|| missing("resource"))?,
        precondition: precondition.ok_or_else(|| missing("precondition"))?,
        body: record.body.clone().ok_or_else(|| missing("body"))?,
    })
}

fn write_precondition(precondition: &Precondition) -> Option<String> {
    match precondition {
        Precondition::None => None,
        Precondition::Exists => Some("exists".to_owned()),
        Precondition::Absent => Some("absent".to_owned()),
        Precondition::OneOf(tags) => {
            let tags: Vec<_> = tags.iter().map(OperationId::to_string).collect();
            Some(tags.join(","))
        }
    }
}

fn read_precondition(text: &str) -> Option<Precondition> {
    match text {
        "exists" => Some(Precondition::Exists),
        "absent" => Some(Precondition::Absent),
        tags => {
            let tags: Result<Vec<_>, _> = tags.split(',').map(str::parse).collect();
            tags.ok().map(Precondition::OneOf)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lambda_events::sqs::SqsMessageAttribute;
    use proptest::prelude::*;
    use rules::Tick;

    fn id() -> impl Strategy<Value = OperationId> {
        let tick = (0..4_000_000_000_000u64).prop_map(Tick::from_unix_ms);
        (tick, any::<u64>()).prop_map(|(tick, random)| OperationId::new(tick, random))
    }

    fn operation() -> impl Strategy<Value = Operation> {
        let precondition = prop_oneof![
            Just(Precondition::None),
            Just(Precondition::Exists),
            Just(Precondition::Absent),
            prop::collection::vec(id(), 1..5).prop_map(Precondition::OneOf),
        ];
        (id(), "[!-$&-.0-~]{3,128}", precondition, ".{0,20}").prop_map(
            |(id, resource, precondition, body)| Operation {
                id,
                resource: ResourceId::new(&resource).unwrap(),
                precondition,
                body,
            },
        )
    }

    fn record(operation: &Operation) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.body = Some(operation.body.clone());
        for (name, value) in attributes(operation) {
            set(&mut record, name, value);
        }
        record
    }

    fn set(record: &mut SqsMessage, name: &str, value: String) {
        let mut attribute = SqsMessageAttribute::default();
        attribute.string_value = Some(value);
        record.message_attributes.insert(name.to_owned(), attribute);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(operation in operation()) {
            prop_assert_eq!(read(&record(&operation)), Ok(operation));
        }

        #[test]
        fn a_part_that_is_missing_or_malformed_is_named(operation in operation(), part in 0..4usize, with in "[ a-c]{0,9}") {
            let name = ["version", "operation", "resource", "body"][part];
            let known = Some((operation.id, operation.resource.clone()));
            let mut broken = record(&operation);
            broken.message_attributes.remove(name);
            if name == "body" {
                broken.body = None;
            }
            let named = known.clone().filter(|_| !matches!(name, "operation" | "resource"));
            let expected = Unreadable { reason: Reason::Part(name), operation: named };
            prop_assert_eq!(read(&broken), Err(expected));
            let mut broken = record(&operation);
            set(&mut broken, "precondition", format!("{with} "));
            let expected = Unreadable { reason: Reason::Part("precondition"), operation: known };
            prop_assert_eq!(read(&broken), Err(expected));
        }

        #[test]
        fn another_version_is_told_apart_with_its_operation(operation in operation()) {
            let mut other = record(&operation);
            set(&mut other, "version", "2".to_owned());
            let (reason, known) = (Reason::Version("2".to_owned()), (operation.id, operation.resource));
            prop_assert_eq!(read(&other), Err(Unreadable { reason: reason.clone(), operation: Some(known) }));
            set(&mut other, "resource", "a b".to_owned());
            prop_assert_eq!(read(&other), Err(Unreadable { reason, operation: None }));
        }
    }
}
