//! The resources of the tests, which depend on no adopter's resource.

use std::fmt::Display;
use std::time::Duration;

use rules::resource::Example;
use rules::{Change, Operation, OperationId, Problem, ProblemType, Resource, Updated};

use crate::world::Notes;

const EXAMPLE: Example = Example { parameters: &["42"], body: r#"{"name":"Ada VALUE"}"# };

/// A body that differs from those with another value.
pub fn sample(value: impl Display) -> String {
    EXAMPLE.body.replace("VALUE", &value.to_string())
}

/// A resource without an update.
#[derive(Clone, Debug, Default)]
pub struct Thing;

impl Resource for Thing {
    const PATH: &'static str = "/things/{id}";
    const OWNER: &'static str = "id";
    const EXAMPLE: Example = EXAMPLE;
}

/// A resource whose update does what the first of these words in the body says: `panic`, `refuse`,
/// `temporary` (refuse with a 503), `later`, `hang`, `time`. Without such a word it is done.
#[derive(Clone, Debug, Default)]
pub struct ByBody {
    seen: Notes<OperationId>,
    changes: Notes<Change>,
}

impl ByBody {
    /// The ids that the updates so far got for idempotency.
    pub fn seen(&self) -> Vec<OperationId> {
        self.seen.all()
    }

    /// The changes of the operations of the updates so far.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.all()
    }
}

impl Resource for ByBody {
    const PATH: &'static str = Thing::PATH;
    const OWNER: &'static str = Thing::OWNER;
    const EXAMPLE: Example = EXAMPLE;
    const HAS_UPDATE: bool = true;

    async fn update(&self, operation: &Operation, time_left: Duration) -> Updated {
        self.seen.add(operation.origin);
        self.changes.add(operation.change.clone());
        // A DELETE may be refused too, by the id that it is sent under.
        let body = operation.body().unwrap_or(operation.resource.as_str());
        let words = ["panic", "refuse", "temporary", "later", "hang", "time"];
        match words.into_iter().find(|word| body.contains(word)) {
            Some("panic") => panic!("told to"),
            Some("refuse") => Updated::Refused(Problem::new(ProblemType::Refused, "Told to.")),
            Some("temporary") => Updated::Refused(Problem::new(ProblemType::NotRead, "Told to.")),
            Some("later") => Updated::TryLater("told to".to_owned()),
            Some("hang") => std::future::pending().await,
            Some("time") => {
                assert!(time_left > Duration::from_secs(20) && time_left < Duration::from_secs(30));
                Updated::Done
            }
            _ => Updated::Done,
        }
    }
}
