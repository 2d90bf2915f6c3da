//! Whether what the clients saw of a resource is what one register would have shown, by the
//! checker of Wing, Gong and Lowe in `todc-utils`. (The tester of `stateright` does not
//! remember what it tried: deferred PUTs overlap so much that it does not come to an end.)

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use rules::Method;
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::record::{Change, Condition, Fate, Story};

/// Most steps of the search. What is fine takes some hundreds.
const MAX_STEPS: u32 = 3_000_000;

/// Most PUTs and DELETEs left open. Each doubles what must be tried; where there are more,
/// what the wire saw closes them.
const MAX_OPEN: usize = 4;

/// What the checker found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is linearizable.
    Yes,
    /// It is not.
    No,
    /// The search takes too long.
    Unknown,
}

/// The number of the body that is stored; 0 is no resource.
type Body = u32;

/// What must be true of the stored body.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Is {
    Any,
    Some,
    None,
    OneOf(Vec<Body>),
}

impl Is {
    fn holds(&self, stored: Body) -> bool {
        match self {
            Self::Any => true,
            Self::Some => stored != 0,
            Self::None => stored == 0,
            Self::OneOf(bodies) => bodies.contains(&stored),
        }
    }
}

#[derive(Clone, Debug)]
enum Operation {
    Read(Body),
    /// `created`, if the answer told whether there was no resource before.
    Write {
        body: Body,
        condition: Is,
        created: Option<bool>,
    },
    /// Refused, since this was false.
    Refused(Is),
    /// May have been written or not. The one that was not is put at the very end.
    Open {
        body: Body,
        condition: Is,
    },
}

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

/// The search took too long.
struct TooLong;

/// A resource: one register that can be deleted.
struct Register;

impl Specification for Register {
    type State = Body;
    type Operation = Operation;

    fn init() -> Body {
        0
    }

    fn apply(operation: &Operation, stored: &Body) -> (bool, Body) {
        let steps = STEPS.get() + 1;
        STEPS.set(steps);
        if steps > MAX_STEPS {
            // The checker has no other way out.
            resume_unwind(Box::new(TooLong));
        }
        match operation {
            Operation::Read(body) => (body == stored, *stored),
            Operation::Write { body, condition, created } => {
                let is_told = created.is_none_or(|created| created == (*stored == 0));
                (is_told && condition.holds(*stored), *body)
            }
            Operation::Refused(condition) => (!condition.holds(*stored), *stored),
            Operation::Open { body, condition } => {
                (true, if condition.holds(*stored) { *body } else { *stored })
            }
        }
    }
}

/// Whether the story is linearizable.
///
/// # Panics
/// If the checker does for another reason than the length of its search.
#[must_use]
pub fn linearizable(story: &Story) -> Verdict {
    let open = story.changes.iter().filter(|change| change.fate() == Fate::Open).count();
    let verdict = if open <= MAX_OPEN { search(story, false) } else { Verdict::Unknown };
    if verdict == Verdict::Unknown { search(story, true) } else { verdict }
}

/// `closed`: what the wire saw tells of the PUTs and DELETEs that are open.
fn search(story: &Story, closed: bool) -> Verdict {
    let mut operations = operations(story, closed);
    if operations.is_empty() {
        return Verdict::Yes;
    }
    operations.sort_by_key(|(sent, ..)| *sent);
    let mut events = Vec::new();
    for (number, (sent, answered, operation)) in operations.into_iter().enumerate() {
        // At the same time they overlap: calls come before answers.
        events.push((sent, 0, number, Action::Call(operation.clone())));
        events.push((answered, 1, number, Action::Response(operation)));
    }
    events.sort_by_key(|(at, order, number, _)| (*at, *order, *number));
    let actions = events.into_iter().map(|(_, _, number, action)| (number, action)).collect();
    STEPS.set(0);
    let found = catch_unwind(AssertUnwindSafe(|| {
        WGLChecker::<Register>::is_linearizable(History::from_actions(actions))
    }));
    match found {
        Ok(true) => Verdict::Yes,
        Ok(false) => Verdict::No,
        Err(panic) if panic.is::<TooLong>() => Verdict::Unknown,
        Err(panic) => resume_unwind(panic),
    }
}

fn operations(story: &Story, closed: bool) -> Vec<(Duration, Duration, Operation)> {
    let numbers = story.numbers();
    let of_body = |body: &str| numbers.get(body).copied().unwrap_or(Body::MAX);
    // The number of a DELETE is never stored, so its entity tag is of no version.
    let versions = story.landed.iter();
    let bodies: HashMap<&str, Body> =
        versions.map(|write| (write.operation.as_str(), of_body(&write.mark))).collect();
    let is = |condition: &Condition| match condition {
        Condition::None => Is::Any,
        Condition::Exists => Is::Some,
        Condition::Absent => Is::None,
        Condition::Match(tags) => {
            Is::OneOf(tags.iter().filter_map(|tag| bodies.get(tag.as_str()).copied()).collect())
        }
    };
    let changes = story.changes.iter().filter_map(|change| {
        let condition = is(&change.condition);
        let body = match change.method {
            Method::Put => of_body(&change.mark),
            Method::Delete => 0,
        };
        let (until, operation) = match change.fate() {
            Fate::Written(at) => {
                (at, Operation::Write { body, condition, created: created(change) })
            }
            Fate::PreconditionFailed(at) => (at, Operation::Refused(condition)),
            Fate::Never | Fate::Cancelled(_) => return None,
            Fate::Open if closed => {
                let landed = story.landed.iter().find(|write| write.mark == change.mark)?;
                (landed.at, Operation::Write { body, condition, created: None })
            }
            Fate::Open => (Duration::MAX, Operation::Open { body, condition }),
        };
        Some((change.sent(), until, operation))
    });
    let gets = story.gets.iter().map(|get| {
        let body = get.seen.as_ref().map_or(0, |(_, body)| of_body(body));
        (get.sent, get.answered, Operation::Read(body))
    });
    changes.chain(gets).collect()
}

fn created(change: &Change) -> Option<bool> {
    use crate::record::Answer::Written;
    change.sendings.iter().find_map(|sending| match sending.answer {
        Written { created, .. } => Some(created),
        _ => None,
    })
}
