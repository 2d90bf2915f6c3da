//! Checks what is recorded of operations.

use std::time::Duration;

use rules::outcome::{Outcome, Recorded};
use rules::{Method, OperationId, Precondition, Problem, ProblemType, ResourceId, Version};

use super::{Decided, History, WINDOW, is_true, resource_at};
use crate::events::Event;
use crate::scheduler::{DAY, Time};

impl History {
    /// A function is about to record something of an operation, after it had `met` the resource at
    /// a version.
    pub fn on_judged(
        &mut self,
        who: &'static str,
        resource: &ResourceId,
        id: OperationId,
        record: &Recorded,
        met: Option<Option<Version>>,
    ) {
        let Some(put) = self.owners.get(&id).copied() else {
            return self.violate(|| format!("record: {id} belongs to no request"));
        };
        let request = &self.puts[put].request;
        let (of, behaviour) = (request.resource.clone(), request.behaviour);
        let precondition = request.precondition.clone();
        self.check(of == *resource, || {
            format!("record: {id} of #{put} is recorded for {resource}")
        });
        let Recorded::Decided(decision) = record else {
            let is_dead = self.puts[put].is_dead_lettered && who == "park";
            return self.check(is_dead, || format!("stalled: #{put}, by {who}"));
        };
        // A chain of conditional PUTs is in order: the id follows the tag, if there is only one.
        let near = id.tick().to_unix() + Duration::from_micros(WINDOW);
        let kind_recorded = kind(&decision.outcome);
        let is_broken_chain = !matches!(kind_recorded, Kind::Succeeded(_))
            && match (&precondition, resource_at(met.flatten())) {
                (Precondition::OneOf(tags), Some(stored)) => {
                    tags[..] == [stored] && stored > id && stored.tick().to_unix() <= near
                }
                _ => false,
            };
        self.check(!is_broken_chain || behaviour.may_refuse(), || {
            format!("chain: #{put} ({id}) does not follow its tag, {record:?}")
        });
        let is_expected = match (kind_recorded, met) {
            (Kind::Failed(Some(ProblemType::Refused)), _) => behaviour.may_refuse(),
            (_, None) => false,
            (kind, Some(stored)) => {
                let written_by = stored.map(|stored| stored.written_by);
                let verdict = if written_by == Some(id) {
                    Kind::Succeeded(self.method(put))
                } else if !is_true(&precondition, stored) {
                    PRECONDITION_FAILED
                } else {
                    Kind::Superseded
                };
                kind == verdict && (written_by >= Some(id) || kind == PRECONDITION_FAILED)
            }
        };
        self.check(is_expected, || {
            format!("verdict: {who} records {record:?} of #{put} ({id}), having met {met:?}")
        });
        match kind_recorded {
            PRECONDITION_FAILED => self.count(Event::PreconditionFailedRecorded),
            Kind::Succeeded(_) => self.count(Event::OwnIdFound),
            _ => {}
        }
    }

    /// A transaction on a resource that was at `met` is about to record an operation: the one that
    /// it writes, or an older one. The older one is superseded only if it would have been written.
    pub fn on_transacted(&mut self, id: OperationId, is_own: bool, met: Option<Version>) {
        self.count(if is_own { Event::Transacted } else { Event::Coalesced });
        let Some(put) = self.owners.get(&id).copied() else {
            return self.violate(|| format!("record: {id} belongs to no request"));
        };
        let is_allowed = is_own || is_true(&self.puts[put].request.precondition, met);
        self.check(is_allowed, || {
            format!("coalesced: #{put} is superseded at {met:?}, where its precondition was false")
        });
    }

    /// A record is written.
    pub fn on_record(
        &mut self,
        now: Time,
        id: OperationId,
        before: Option<Recorded>,
        after: &Recorded,
    ) {
        self.trace(now, || format!("{id} is {after:?}, was {before:?}"));
        let Some(put) = self.owners.get(&id).copied() else {
            return self.violate(|| format!("record: {id} belongs to no request"));
        };
        let fate = self.fates.entry(id).or_default();
        let (decided, shown_expired) = (fate.decided.clone(), fate.shown_expired);
        let Recorded::Decided(decision) = after else {
            fate.stalled = Some(now);
            self.count(Event::Stalled);
            // After its time to live, nothing is known of a decision.
            let is_open = decided.is_none_or(|by| now > by.at + 59 * DAY);
            return self
                .check(is_open, || format!("outcome: #{put} had an outcome, now {after:?}"));
        };
        if matches!(&before, Some(Recorded::Stalled { .. })) {
            self.count(Event::StalledDecided);
        }
        let is_first = decided.is_none();
        let (completed_at, outcome) = (decision.completed_at, decision.outcome.clone());
        let new = Decided { at: now, completed_at, outcome };
        let changed = decided.filter(|by| by.outcome != new.outcome);
        self.check(changed.is_none(), || format!("outcome: #{put} had {changed:?}, now {after:?}"));
        self.check(shown_expired.is_none(), || format!("expired: #{put} is now {after:?}"));
        let effects = self.puts[put].effects.iter().filter(|effect| effect.id == id).count();
        let has_succeeded = kind(&new.outcome) == Kind::Succeeded(self.method(put));
        let expected = usize::from(has_succeeded);
        self.check(effects == expected, || {
            format!("outcome: #{put} has {after:?} but took effect {effects} times")
        });
        match kind(&new.outcome) {
            Kind::Superseded => {
                self.count(Event::Superseded);
                self.check_superseded(id, put);
            }
            PRECONDITION_FAILED => {
                let was_false = self.was_false(put, now);
                self.check(was_false, || format!("precondition: #{put} failed, but it was true"));
            }
            Kind::Cancelled => {
                self.count(match before {
                    Some(Recorded::Stalled { .. }) => Event::StalledCancelled,
                    _ => Event::CancelledRecorded,
                });
                self.check_cancelled(id);
            }
            Kind::Succeeded(_) | Kind::Failed(_) => {}
        }
        if is_first {
            self.fates.entry(id).or_default().decided = Some(new);
        }
    }

    /// The final outcome of an operation so far, without its texts.
    pub(super) fn kind_of(&self, id: OperationId) -> Option<Kind> {
        self.decided(id).map(|by| kind(&by.outcome))
    }
}

/// An outcome without the texts of its problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Succeeded(Method),
    Superseded,
    Failed(Option<ProblemType>),
    Cancelled,
}

pub const PRECONDITION_FAILED: Kind = Kind::Failed(Some(ProblemType::PreconditionFailed));

pub fn kind(outcome: &Outcome) -> Kind {
    match outcome {
        Outcome::Succeeded(method) => Kind::Succeeded(*method),
        Outcome::Superseded => Kind::Superseded,
        Outcome::Cancelled => Kind::Cancelled,
        Outcome::Failed { problem } => {
            Kind::Failed(Problem::read(problem).map(|problem| problem.problem_type()))
        }
    }
}
