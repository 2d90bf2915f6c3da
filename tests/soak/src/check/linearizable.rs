//! Checks whether one register could have shown what the clients saw of a resource, with the
//! checker of Wing, Gong and Lowe in `todc-utils`. (The tester of `stateright` does not remember
//! what it has tried: deferred PUTs overlap so much that it does not finish.)

use std::cell::Cell;
use std::collections::HashMap;
use std::time::Duration;

use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

use crate::record::{Condition, Fate, Method, Story};

/// Most steps of the search. A correct history takes some hundreds.
const MAX_STEPS: u32 = 3_000_000;

/// Most PUTs and DELETEs left open. Each doubles the number of tries. If there are more, those are
/// closed by what the wire saw.
const MAX_OPEN: usize = 4;

/// The result of the checker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Yes,
    No,
    /// The search took too long.
    Unknown,
}

/// The number of the body that is stored; 0 if there is no resource.
type Body = u32;

/// The stored bodies for which something is true, one bit each.
type Bodies = u64;

/// A body that no client sent.
const UNKNOWN: Body = Bodies::BITS - 1;

#[derive(Clone, Debug)]
enum Operation {
    Read(Body),
    /// `created`, if the answer says whether there was no resource before.
    Write {
        body: Body,
        over: Bodies,
        created: Option<bool>,
    },
    /// It was refused, since the stored body was none of these.
    Refused(Bodies),
    /// It may have been written or not. If it was not, it is put at the very end.
    Open {
        body: Body,
        over: Bodies,
    },
}

thread_local! {
    static STEPS: Cell<u32> = const { Cell::new(0) };
}

/// A resource: one register that can be deleted.
struct Register;

impl Specification for Register {
    type State = Body;
    type Operation = Operation;

    fn init() -> Body {
        0
    }

    fn apply(operation: &Operation, stored: &Body) -> (bool, Body) {
        STEPS.set(STEPS.get() + 1);
        if STEPS.get() > MAX_STEPS {
            // The checker finishes if nothing fits.
            return (false, *stored);
        }
        let is_one_of = |bodies: &Bodies| bodies & (1 << stored) != 0;
        match operation {
            Operation::Read(body) => (body == stored, *stored),
            Operation::Write { body, over, created } => {
                let is_true = created.is_none_or(|created| created == (*stored == 0));
                (is_true && is_one_of(over), *body)
            }
            Operation::Refused(over) => (!is_one_of(over), *stored),
            Operation::Open { body, over } => (true, if is_one_of(over) { *body } else { *stored }),
        }
    }
}

/// Whether the story is linearizable.
pub fn linearizable(story: &Story) -> Verdict {
    let open = story.changes.iter().filter(|change| change.fate().0 == Fate::Open).count();
    let verdict = if open <= MAX_OPEN { search(story, false) } else { Verdict::Unknown };
    if verdict == Verdict::Unknown { search(story, true) } else { verdict }
}

/// `closed`: the wire decides the PUTs and DELETEs that are open.
fn search(story: &Story, closed: bool) -> Verdict {
    let mut operations = operations(story, closed);
    if operations.is_empty() {
        return Verdict::Yes;
    }
    operations.sort_by_key(|(sent, ..)| *sent);
    let mut events = Vec::new();
    for (number, (sent, answered, operation)) in operations.into_iter().enumerate() {
        // At equal times they overlap: calls come before answers.
        events.push((sent, 0, number, Action::Call(operation.clone())));
        events.push((answered, 1, number, Action::Response(operation)));
    }
    events.sort_by_key(|(at, order, number, _)| (*at, *order, *number));
    let actions = events.into_iter().map(|(_, _, number, action)| (number, action)).collect();
    STEPS.set(0);
    let is_linearizable = WGLChecker::<Register>::is_linearizable(History::from_actions(actions));
    match is_linearizable {
        true => Verdict::Yes,
        false if STEPS.get() > MAX_STEPS => Verdict::Unknown,
        false => Verdict::No,
    }
}

fn operations(story: &Story, closed: bool) -> Vec<(Duration, Duration, Operation)> {
    let numbers = story.numbers();
    let of_body = |body: &str| numbers.get(body).copied().unwrap_or(UNKNOWN).min(UNKNOWN);
    // The number of a DELETE is never stored, so its entity tag matches no version.
    let versions = story.landed.iter();
    let bodies: HashMap<&str, Body> =
        versions.map(|write| (write.operation.as_str(), of_body(&write.mark))).collect();
    let over = |condition: &Condition| match condition {
        Condition::None => Bodies::MAX,
        Condition::Exists => !1,
        Condition::Absent => 1,
        Condition::Match(tags) => {
            let bodies = tags.iter().filter_map(|tag| bodies.get(tag.as_str()));
            bodies.map(|body| 1 << body).fold(0, |all, one| all | one)
        }
    };
    let changes = story.changes.iter().filter_map(|change| {
        let over = over(&change.condition);
        let body = match change.method {
            Method::Put => of_body(&change.mark),
            Method::Delete => 0,
        };
        let (fate, at) = change.fate();
        let (until, operation) = match fate {
            Fate::Written => {
                // An answer to the change shows it, if any does.
                let created = change.sendings.iter().find_map(|sending| sending.said.created);
                (at, Operation::Write { body, over, created })
            }
            Fate::PreconditionFailed => (at, Operation::Refused(over)),
            Fate::Never | Fate::Cancelled => return None,
            Fate::Open | Fate::Unexpected if closed => {
                let landed = story.landed.iter().find(|write| write.mark == change.mark)?;
                (landed.at, Operation::Write { body, over, created: None })
            }
            Fate::Open | Fate::Unexpected => (Duration::MAX, Operation::Open { body, over }),
        };
        Some((change.sent(), until, operation))
    });
    let gets = story.gets.iter().map(|get| {
        let body = get.seen.as_ref().map_or(0, |(_, body)| of_body(body));
        (get.sent, get.answered, Operation::Read(body))
    });
    changes.chain(gets).collect()
}
