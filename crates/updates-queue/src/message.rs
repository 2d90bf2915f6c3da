//! The form of a message: its body is the PUT's body, byte for byte; all else stands
//! in message attributes of type String.
//!
//! | attribute | value |
//! |---|---|
//! | `version` | `1` |
//! | `operation` | operation id |
//! | `user` | user id |
//! | `precondition` | absent, `exists`, `absent`, or operation ids parted by commas |

use std::fmt;

use aws_lambda_events::sqs::SqsMessage;
use rules::{OperationId, Precondition, UserId};

/// The form that this version writes. A reader of another version leaves the message
/// to one that knows it, since old and new code share the queue during a deployment.
const VERSION: &str = "1";

/// A deferred PUT.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The operation.
    pub id: OperationId,
    /// Whom it is for.
    pub user: UserId,
    /// What must be true of the user when it is applied.
    pub precondition: Precondition,
    /// The user's new body.
    pub body: String,
}

/// The message is not of a form that this version can read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It was written by another version.
    Version(String),
    /// This attribute, or `body`, is missing or malformed.
    Part(&'static str),
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "the message's version {version:?} is unknown"),
            Self::Part(part) => write!(f, "the message's {part} is missing or malformed"),
        }
    }
}

impl std::error::Error for Unreadable {}

impl Message {
    /// The attributes of the message, as name and value.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        let mut attributes = vec![
            ("version", VERSION.to_owned()),
            ("operation", self.id.to_string()),
            ("user", self.user.to_string()),
        ];
        if let Some(precondition) = write_precondition(&self.precondition) {
            attributes.push(("precondition", precondition));
        }
        attributes
    }

    /// Reads a record of an event from the queue.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub fn read(record: &SqsMessage) -> Result<Self, Unreadable> {
        let attribute = |name| {
            let attribute = record.message_attributes.get(name)?;
            attribute.string_value.as_deref()
        };
        let version = attribute("version").ok_or(Unreadable::Part("version"))?;
        if version != VERSION {
            return Err(Unreadable::Version(version.to_owned()));
        }
        let id = attribute("operation").and_then(|text| text.parse().ok());
        let user = attribute("user").and_then(|text| UserId::new(text).ok());
        let precondition = match attribute("precondition") {
            None => Some(Precondition::None),
            Some(text) => read_precondition(text),
        };
        Ok(Self {
            id: id.ok_or(Unreadable::Part("operation"))?,
            user: user.ok_or(Unreadable::Part("user"))?,
            precondition: precondition.ok_or(Unreadable::Part("precondition"))?,
            body: record.body.clone().ok_or(Unreadable::Part("body"))?,
        })
    }
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
    use std::time::Duration;

    fn id() -> impl Strategy<Value = OperationId> {
        let tick =
            (0..4_000_000_000_000u64).prop_map(|ms| Tick::from_unix(Duration::from_millis(ms)));
        (tick, any::<u64>()).prop_map(|(tick, random)| OperationId::new(tick, random))
    }

    fn message() -> impl Strategy<Value = Message> {
        let precondition = prop_oneof![
            Just(Precondition::None),
            Just(Precondition::Exists),
            Just(Precondition::Absent),
            prop::collection::vec(id(), 1..5).prop_map(Precondition::OneOf),
        ];
        (id(), "[!-$&-.0-~]{3,128}", precondition, ".{0,20}").prop_map(
            |(id, user, precondition, body)| Message {
                id,
                user: UserId::new(&user).unwrap(),
                precondition,
                body,
            },
        )
    }

    fn record(message: &Message) -> SqsMessage {
        let mut record = SqsMessage::default();
        record.body = Some(message.body.clone());
        for (name, value) in message.attributes() {
            let mut attribute = SqsMessageAttribute::default();
            attribute.string_value = Some(value);
            record.message_attributes.insert(name.to_owned(), attribute);
        }
        record
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(message in message()) {
            prop_assert_eq!(Message::read(&record(&message)), Ok(message));
        }

        #[test]
        fn a_part_that_is_missing_or_malformed_is_named(message in message(), part in 0..4usize, with in "[ a-c]{0,9}") {
            let name = ["version", "operation", "user", "body"][part];
            let mut broken = record(&message);
            broken.message_attributes.remove(name);
            if name == "body" {
                broken.body = None;
            }
            prop_assert_eq!(Message::read(&broken), Err(Unreadable::Part(name)));
            let mut attribute = SqsMessageAttribute::default();
            attribute.string_value = Some(format!("{with} "));
            let mut broken = record(&message);
            broken.message_attributes.insert("precondition".to_owned(), attribute);
            prop_assert_eq!(Message::read(&broken), Err(Unreadable::Part("precondition")));
        }
    }

    #[test]
    fn another_version_is_told_apart() {
        let mut record = SqsMessage::default();
        let mut attribute = SqsMessageAttribute::default();
        attribute.string_value = Some("2".to_owned());
        record.message_attributes.insert("version".to_owned(), attribute);
        assert_eq!(Message::read(&record), Err(Unreadable::Version("2".to_owned())));
    }
}
