//! The state of one group of operations on a resource: the next call, and what its reply decides.

use std::collections::VecDeque;
use std::time::Duration;

use crate::order::verdict::{Refusal, Verdict};
use crate::outcome::{self, Outcome};
use crate::work::backoff::Retries;
use crate::{Failure, Operation, OperationId, Problem, Version};

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call<'a> {
    /// Write the resource for this operation, with the outcomes, in one transaction.
    Write {
        /// The operation, which becomes `succeeded`.
        operation: &'a Operation,
        /// Older operations, which become `superseded`.
        superseded: Vec<OperationId>,
    },
    /// Record the outcome of an operation without writing its resource, which is not needed or not
    /// allowed.
    Record {
        /// The operation.
        operation: &'a Operation,
        /// The reason.
        reason: Unwritten,
    },
}

impl<'a> Call<'a> {
    /// The main operation of the call.
    #[must_use]
    pub fn operation(&self) -> &'a Operation {
        match self {
            Self::Write { operation, .. } | Self::Record { operation, .. } => operation,
        }
    }
}

/// Why an operation does not write its resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unwritten {
    /// An earlier call of it landed.
    Landed,
    /// It may not be written.
    Refused(Refusal),
    /// `update` refused it permanently, with this problem.
    RefusedByUpdate(Problem),
}

impl Unwritten {
    /// The outcome to record for `operation`.
    #[must_use]
    pub fn outcome(&self, operation: &Operation) -> Outcome {
        match self {
            Self::Landed => Outcome::Succeeded(operation.method()),
            Self::Refused(refusal) => refusal.outcome(&operation.precondition),
            Self::RefusedByUpdate(problem) => Outcome::failed(problem),
        }
    }
}

/// The state of one group; see [`crate::work::coalesce::groups`].
#[derive(Clone, Debug)]
pub struct Group<'a> {
    open: Vec<&'a Operation>,
    to_record: VecDeque<(&'a Operation, Unwritten)>,
    retries: Retries,
    has_given_up: bool,
}

impl<'a> Group<'a> {
    /// A group of sorted operations. A conditional operation must be alone in its group.
    #[must_use]
    pub fn new(operations: Vec<&'a Operation>) -> Self {
        let retries = Retries::default();
        Self { open: operations, to_record: VecDeque::new(), retries, has_given_up: false }
    }

    /// Drops and returns the operations that are too old at `now`: their status is `expired`, which
    /// is final.
    pub fn drop_expired(&mut self, now: Duration) -> Vec<OperationId> {
        let before: Vec<_> = self.undecided().collect();
        self.open.retain(|operation| !outcome::is_too_old(operation.id, now));
        self.to_record.retain(|(operation, _)| !outcome::is_too_old(operation.id, now));
        let left: Vec<_> = self.undecided().collect();
        before.into_iter().filter(|id| !left.contains(id)).collect()
    }

    /// The next call; `None` if everything is decided or no further call would help now.
    #[must_use]
    pub fn next_call(&self) -> Option<Call<'a>> {
        if self.has_given_up {
            return None;
        }
        if let Some((operation, reason)) = self.to_record.front() {
            return Some(Call::Record { operation, reason: reason.clone() });
        }
        let (operation, older) = self.open.split_last()?;
        let superseded = older.iter().map(|older| older.id).collect();
        Some(Call::Write { operation, superseded })
    }

    /// The operations that have no outcome yet.
    pub fn undecided(&self) -> impl Iterator<Item = OperationId> {
        let open = self.open.iter().map(|operation| operation.id);
        open.chain(self.to_record.iter().map(|(operation, _)| operation.id))
    }

    /// The write took place: all operations are decided.
    pub fn on_written(&mut self) {
        self.open.clear();
    }

    /// `update` refused the newest operation permanently. After this is recorded, the next older
    /// operation is tried.
    pub fn on_refused_by_update(&mut self, problem: Problem) {
        let refused = self.open.pop().map(|newest| (newest, Unwritten::RefusedByUpdate(problem)));
        self.to_record.extend(refused);
    }

    /// `update` must be tried again later.
    pub fn on_try_later(&mut self) {
        self.has_given_up = true;
    }

    /// The transaction was cancelled, or a read before it found that it would be. `at` is the
    /// stored version if the resource's condition was false. The operations in `decided` already
    /// have a final outcome. Returns the pause before the next call.
    pub fn on_met(
        &mut self,
        at: Option<Option<Version>>,
        decided: &[OperationId],
        random: u64,
    ) -> Duration {
        let before = self.open.len();
        self.open.retain(|operation| !decided.contains(&operation.id));
        if let Some(stored) = at {
            let to_record = &mut self.to_record;
            self.open.retain(|operation| {
                let reason = match operation.judge(stored) {
                    Verdict::Write => return true,
                    Verdict::Landed => Unwritten::Landed,
                    Verdict::Refused(refusal) => Unwritten::Refused(refusal),
                };
                to_record.push_back((*operation, reason));
                false
            });
        }
        if self.open.len() < before {
            self.retries = Retries::default();
            Duration::ZERO
        } else {
            self.on_failed(Failure::NotLanded, false, random)
        }
    }

    /// The outcome of the last [`Call::Record`] is recorded, or another outcome was recorded
    /// before.
    pub fn on_recorded(&mut self) {
        self.to_record.pop_front();
        self.retries = Retries::default();
    }

    /// The call failed. It is safe to repeat, whether it landed or not, since a second write of an
    /// operation is refused. Returns the pause before the next call.
    pub fn on_failed(
        &mut self,
        failure: Failure,
        is_by_reused_connection: bool,
        random: u64,
    ) -> Duration {
        let pause = self.retries.after(failure, is_by_reused_connection, random);
        self.has_given_up = pause.is_none();
        pause.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Method, Precondition, ProblemType, ResourceId, Tick};

    fn operation(ms: u64) -> Operation {
        let id = OperationId::new(Tick::from_unix_ms(ms), 1);
        let resource = ResourceId::new("42").unwrap();
        Operation::put(id, resource, Precondition::None, "{}".to_owned())
    }

    /// The resource at a version.
    fn at(ms: u64) -> Option<Option<Version>> {
        let (written_by, created_by) = (operation(ms).id, None);
        Some(Some(Version { written_by, created_by, is_live: true }))
    }

    fn operations<const N: usize>(ms: [u64; N]) -> [Operation; N] {
        ms.map(operation)
    }

    fn write<'a>(operation: &'a Operation, older: &[&Operation]) -> Option<Call<'a>> {
        let superseded = older.iter().map(|older| older.id).collect();
        Some(Call::Write { operation, superseded })
    }

    fn record(operation: &Operation, refusal: Refusal) -> Option<Call<'_>> {
        Some(Call::Record { operation, reason: Unwritten::Refused(refusal) })
    }

    /// What is left: the next call, and how many operations have no outcome.
    fn left<'a>(group: &Group<'a>) -> (Option<Call<'a>>, usize) {
        (group.next_call(), group.undecided().count())
    }

    #[test]
    fn the_newest_is_written_and_the_others_superseded() {
        let [a, b, c] = &operations([1, 2, 3]);
        let mut group = Group::new(vec![a, b, c]);
        assert_eq!(left(&group), (write(c, &[a, b]), 3));
        // Decided before.
        assert_eq!(group.on_met(None, &[c.id], 0), Duration::ZERO);
        assert_eq!(left(&group), (write(b, &[a]), 2));
        group.on_written();
        assert_eq!(left(&group), (None, 0));
    }

    #[test]
    fn what_meets_its_own_version_landed_and_what_meets_a_newer_one_is_superseded() {
        let [a, b] = &operations([1, 2]);
        let landed = Some(Call::Record { operation: b, reason: Unwritten::Landed });
        let superseded = record(b, Refusal::Superseded);
        for (stored_ms, of_newest) in [(2, landed), (5, superseded)] {
            let mut group = Group::new(vec![a, b]);
            assert_eq!(group.on_met(at(stored_ms), &[], 0), Duration::ZERO);
            assert_eq!(left(&group), (record(a, Refusal::Superseded), 2));
            group.on_recorded();
            assert_eq!(left(&group), (of_newest, 1));
            group.on_recorded();
            assert_eq!(left(&group), (None, 0));
        }
        assert_eq!(Unwritten::Landed.outcome(b), Outcome::Succeeded(Method::Put));
    }

    #[test]
    fn an_update_that_refuses_makes_way_for_the_next_older_and_one_for_later_ends_the_group() {
        let [a, b, c] = &operations([1, 2, 3]);
        let mut group = Group::new(vec![a, b, c]);
        let problem = Problem::new(ProblemType::Refused, "Why.");
        group.on_refused_by_update(problem.clone());
        let reason = Unwritten::RefusedByUpdate(problem.clone());
        assert_eq!(reason.outcome(c), Outcome::failed(&problem));
        assert_eq!(left(&group), (Some(Call::Record { operation: c, reason }), 3));
        group.on_recorded();
        assert_eq!(left(&group), (write(b, &[a]), 2));
        group.on_try_later();
        assert_eq!(left(&group), (None, 2));
    }

    #[test]
    fn it_gives_up_after_three_failures_in_a_row_or_one_that_never_lands() {
        let [a, b, c] = &operations([1, 2, 3]);
        let fail_twice = |group: &mut Group<'_>| {
            for _ in 0..2 {
                group.on_failed(Failure::MayHaveLanded, false, 0);
                assert!(group.next_call().is_some());
            }
        };
        let mut group = Group::new(vec![a, b, c]);
        // A decision ends a series of failures.
        fail_twice(&mut group);
        group.on_met(None, &[c.id], 0);
        fail_twice(&mut group);
        group.on_met(at(5), &[], 0);
        fail_twice(&mut group);
        group.on_recorded();
        fail_twice(&mut group);
        group.on_failed(Failure::NotLanded, false, 0);
        assert_eq!(left(&group), (None, 1));
        let mut group = Group::new(vec![a]);
        group.on_failed(Failure::NeverLands, false, 0);
        assert_eq!(left(&group), (None, 1));
        // A refusal without a decision counts as a failure.
        let mut group = Group::new(vec![a]);
        let pauses = [25, 50, 0].map(Duration::from_millis);
        assert_eq!([0; 3].map(|random| group.on_met(None, &[], random)), pauses);
        assert_eq!(left(&group), (None, 1));
    }

    #[test]
    fn what_is_too_old_is_dropped_whatever_was_decided_of_it() {
        let [a, b] = &operations([1, 60_000]);
        let mut group = Group::new(vec![a, b]);
        let too_old = Duration::from_millis(2) + outcome::MAX_AGE;
        assert_eq!(group.drop_expired(too_old), [a.id]);
        assert_eq!(group.next_call(), write(b, &[]));
        group.on_met(at(70_000), &[], 0);
        assert_eq!(group.drop_expired(too_old + Duration::from_secs(1000)), [b.id]);
        assert_eq!(left(&group), (None, 0));
    }
}
