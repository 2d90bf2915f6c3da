//! The form of a message. Its body is the PUT's body, byte for byte. Everything else is in message
//! attributes of type String.
//!
//! | attribute | value |
//! |---|---|
//! | `version` | `1` for a PUT, `2` for a DELETE |
//! | `operation` | operation id |
//! | `resource` | resource id |
//! | `origin` | absent, or the operation's first id, if it differs from the operation id |
//! | `precondition` | absent, `exists`, `absent`, or operation ids separated by commas |

use std::fmt;

use aws_lambda_events::sqs::SqsMessage;
use rules::{Change, Operation, OperationId, Precondition, ResourceId};

/// The `version` of a PUT's message. Old and new code share the queue during a deployment, so a
/// reader leaves a message in an unknown form to a reader that knows it.
const PUT: &str = "1";

/// The `version` of a DELETE's message. It differs from a PUT's, since a reader that knows only
/// PUTs must not store the body.
const DELETE: &str = "2";

/// The body of a DELETE's message: SQS refuses an empty one.
const NO_BODY: &str = "-";

/// This version of the code cannot read a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadableMessage {
    /// Why it cannot be read.
    pub defect: Defect,
    /// The operation and its resource, if these can be read.
    pub operation: Option<(OperationId, ResourceId)>,
}

/// Why a message cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defect {
    /// Another version of the code wrote it.
    Version(String),
    /// This attribute, or `body`, is missing or malformed.
    Part(&'static str),
}

impl fmt::Display for UnreadableMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.defect {
            Defect::Version(version) => write!(f, "the message's version {version:?} is unknown"),
            Defect::Part(part) => write!(f, "the message's {part} is missing or malformed"),
        }
    }
}

impl std::error::Error for UnreadableMessage {}

/// The attributes of an operation's message, as name and value.
#[must_use]
pub fn attributes(operation: &Operation) -> Vec<(&'static str, String)> {
    let version = match operation.change {
        Change::Put(_) => PUT,
        Change::Delete => DELETE,
    };
    let mut attributes = vec![
        ("version", version.to_owned()),
        ("operation", operation.id.to_string()),
        ("resource", operation.resource.to_string()),
    ];
    if operation.origin != operation.id {
        attributes.push(("origin", operation.origin.to_string()));
    }
    if let Some(precondition) = write_precondition(&operation.precondition) {
        attributes.push(("precondition", precondition));
    }
    attributes
}

/// The body of an operation's message.
#[must_use]
pub fn body(operation: &Operation) -> &str {
    operation.body().unwrap_or(NO_BODY)
}

/// Reads a record of an event from the queue.
///
/// # Errors
/// [`UnreadableMessage`]
pub fn read(record: &SqsMessage) -> Result<Operation, UnreadableMessage> {
    let attribute = |name| {
        let attribute = record.message_attributes.get(name)?;
        attribute.string_value.as_deref()
    };
    let id = attribute("operation").and_then(|text| text.parse().ok());
    let resource = attribute("resource").and_then(ResourceId::new);
    let unreadable = |defect| UnreadableMessage { defect, operation: id.zip(resource.clone()) };
    let missing = |part| unreadable(Defect::Part(part));
    let version = attribute("version").ok_or_else(|| missing("version"))?;
    let change = match version {
        PUT => record.body.clone().map(Change::Put),
        DELETE => record.body.is_some().then_some(Change::Delete),
        _ => return Err(unreadable(Defect::Version(version.to_owned()))),
    };
    let precondition = match attribute("precondition") {
        None => Some(Precondition::None),
        Some(text) => read_precondition(text),
    };
    let id = id.ok_or_else(|| missing("operation"))?;
    let origin = attribute("origin").map_or(Ok(id), str::parse);
    Ok(Operation {
        id,
        origin: origin.map_err(|_| missing("origin"))?,
        resource: resource.clone().ok_or_else(|| missing("resource"))?,
        precondition: precondition.ok_or_else(|| missing("precondition"))?,
        change: change.ok_or_else(|| missing("body"))?,
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
        let resource = "[!-$&-.0->@-~]{3,60}(/[!-$&-.0->@-~]{3,60})?";
        let change = prop_oneof![".{0,20}".prop_map(Change::Put), Just(Change::Delete)];
        (id(), prop::option::of(id()), resource, precondition, change).prop_map(
            |(id, origin, resource, precondition, change)| Operation {
                id,
                origin: origin.unwrap_or(id),
                resource: ResourceId::new(&resource).unwrap(),
                precondition,
                change,
            },
        )
    }

    fn record(operation: &Operation) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.body = Some(body(operation).to_owned());
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
            let expected = UnreadableMessage { defect: Defect::Part(name), operation: named };
            prop_assert_eq!(read(&broken), Err(expected));
            let mut broken = record(&operation);
            set(&mut broken, "precondition", format!("{with} "));
            let defect = Defect::Part("precondition");
            let expected = UnreadableMessage { defect, operation: known.clone() };
            prop_assert_eq!(read(&broken), Err(expected));
            let mut broken = record(&operation);
            set(&mut broken, "origin", with);
            let expected = UnreadableMessage { defect: Defect::Part("origin"), operation: known };
            prop_assert_eq!(read(&broken), Err(expected));
        }

        #[test]
        fn another_version_is_told_apart_with_its_operation(operation in operation()) {
            let mut other = record(&operation);
            set(&mut other, "version", "3".to_owned());
            let (defect, known) = (Defect::Version("3".to_owned()), (operation.id, operation.resource));
            prop_assert_eq!(read(&other), Err(UnreadableMessage { defect: defect.clone(), operation: Some(known) }));
            set(&mut other, "resource", "a b".to_owned());
            prop_assert_eq!(read(&other), Err(UnreadableMessage { defect, operation: None }));
        }
    }
}
