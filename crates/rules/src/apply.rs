//! Applying one group of operations of a user: which call comes next, and what its
//! reply decides.

use std::collections::VecDeque;
use std::time::Duration;

use crate::status::Outcome;
use crate::verdict::{Verdict, judge};
use crate::{Failure, OperationId, Precondition, backoff};

/// Most calls in a row that decide nothing.
const MAX_FAILED_CALLS: u32 = 3;

/// A call to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Write the user for this operation, with the outcomes, in one transaction.
    Write {
        /// The operation, which becomes `succeeded`.
        id: OperationId,
        /// Older operations, which become `superseded`.
        superseded: Vec<OperationId>,
    },
    /// Record the outcome of an operation that writes no user.
    Record {
        /// The operation.
        id: OperationId,
        /// What became of it.
        decision: Decision,
    },
}

/// What became of an operation that writes no user (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// An earlier attempt wrote it.
    Succeeded,
    /// A newer operation won.
    Superseded,
    /// Its precondition was false.
    PreconditionFailed,
    /// The user is at an id of a clock that was far ahead.
    ClockSkew,
    /// The step before the write refused it for good.
    Refused,
}

impl Decision {
    /// The outcome to store.
    #[must_use]
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Succeeded => Outcome::Succeeded,
            Self::Superseded => Outcome::Superseded,
            Self::PreconditionFailed | Self::ClockSkew | Self::Refused => Outcome::Failed,
        }
    }
}

/// The state of one group; see [`crate::batch::groups`].
#[derive(Clone, Debug)]
pub struct Group {
    open: Vec<(OperationId, Precondition)>,
    to_record: VecDeque<(OperationId, Decision)>,
    failed_calls: u32,
    has_given_up: bool,
}

impl Group {
    /// A group of operations, sorted; only one that stands alone may be conditional.
    #[must_use]
    pub fn new(operations: Vec<(OperationId, Precondition)>) -> Self {
        Self { open: operations, to_record: VecDeque::new(), failed_calls: 0, has_given_up: false }
    }

    /// The call to make; `None` when all is decided or no further call would help now.
    #[must_use]
    pub fn next_call(&self) -> Option<Call> {
        if self.has_given_up {
            return None;
        }
        if let Some((id, decision)) = self.to_record.front() {
            return Some(Call::Record { id: *id, decision: *decision });
        }
        let ((id, _), older) = self.open.split_last()?;
        let superseded = older.iter().map(|(id, _)| *id).collect();
        Some(Call::Write { id: *id, superseded })
    }

    /// The operations that have no outcome yet.
    pub fn undecided(&self) -> impl Iterator<Item = OperationId> {
        let open = self.open.iter().map(|(id, _)| *id);
        open.chain(self.to_record.iter().map(|(id, _)| *id))
    }

    /// The write took place: all operations are decided.
    pub fn on_written(&mut self) {
        self.open.clear();
    }

    /// The step before the write refused the newest operation for good; the next older
    /// one is tried once that is recorded.
    pub fn on_refused_before_write(&mut self) {
        self.to_record.extend(self.open.pop().map(|(id, _)| (id, Decision::Refused)));
    }

    /// The transaction was refused, at `now` since the Unix epoch: because of what the
    /// user was `at`, if its own condition was false, and because the operations
    /// `decided` have a final outcome. Returns the pause before the next call.
    pub fn on_refused(
        &mut self,
        at: Option<Option<OperationId>>,
        decided: &[OperationId],
        now: Duration,
        random: u64,
    ) -> Duration {
        let before = self.open.len();
        self.open.retain(|(id, _)| !decided.contains(id));
        if let Some(stored) = at {
            let to_record = &mut self.to_record;
            self.open.retain(|(id, precondition)| {
                let decision = match judge(*id, precondition, false, stored, now) {
                    Verdict::Succeeded => Decision::Succeeded,
                    Verdict::PreconditionFailed => Decision::PreconditionFailed,
                    Verdict::ClockSkew => Decision::ClockSkew,
                    Verdict::Superseded => Decision::Superseded,
                    Verdict::Write | Verdict::Done => return true,
                };
                to_record.push_back((*id, decision));
                false
            });
        }
        if self.open.len() < before {
            self.failed_calls = 0;
            Duration::ZERO
        } else {
            self.on_failed(Failure::NotLanded, random)
        }
    }

    /// The outcome of the last [`Call::Record`] stands.
    pub fn on_recorded(&mut self) {
        self.to_record.pop_front();
        self.failed_calls = 0;
    }

    /// The call failed. Making it again is safe, whether it landed or not, since every
    /// write of an operation refuses a second one. Returns the pause before it.
    pub fn on_failed(&mut self, failure: Failure, random: u64) -> Duration {
        self.failed_calls += 1;
        self.has_given_up = !failure.is_retryable() || self.failed_calls >= MAX_FAILED_CALLS;
        backoff::between_calls(self.failed_calls, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    const NOW: Duration = Duration::from_secs(1000);

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix(Duration::from_millis(ms)), 1)
    }

    fn group(ids: &[u64]) -> Group {
        Group::new(ids.iter().map(|ms| (id(*ms), Precondition::None)).collect())
    }

    fn write(newest: u64, older: &[u64]) -> Option<Call> {
        Some(Call::Write { id: id(newest), superseded: older.iter().map(|ms| id(*ms)).collect() })
    }

    fn record(ms: u64, decision: Decision) -> Option<Call> {
        Some(Call::Record { id: id(ms), decision })
    }

    #[test]
    fn the_newest_is_written_and_the_others_superseded() {
        let mut group = group(&[1, 2, 3]);
        assert_eq!(group.next_call(), write(3, &[1, 2]));
        group.on_written();
        assert_eq!((group.next_call(), group.undecided().count()), (None, 0));
    }

    #[test]
    fn what_is_decided_already_is_left_out() {
        let mut group = group(&[1, 2, 3]);
        group.on_refused(None, &[id(3), id(1)], NOW, 0);
        assert_eq!(group.next_call(), write(2, &[]));
    }

    #[test]
    fn a_newer_user_supersedes_all() {
        let mut group = group(&[1, 2]);
        group.on_refused(Some(Some(id(5))), &[], NOW, 0);
        assert_eq!(group.next_call(), record(1, Decision::Superseded));
        assert_eq!(group.undecided().count(), 2);
        group.on_recorded();
        assert_eq!(group.next_call(), record(2, Decision::Superseded));
        group.on_recorded();
        assert_eq!((group.next_call(), group.undecided().count()), (None, 0));
    }

    #[test]
    fn an_earlier_attempt_of_the_newest_has_succeeded() {
        let mut group = group(&[1, 2]);
        group.on_refused(Some(Some(id(2))), &[], NOW, 0);
        assert_eq!(group.next_call(), record(1, Decision::Superseded));
        group.on_recorded();
        assert_eq!(group.next_call(), record(2, Decision::Succeeded));
    }

    #[test]
    fn a_refused_newest_makes_way_for_the_next_older() {
        let mut group = group(&[1, 2, 3]);
        group.on_refused_before_write();
        assert_eq!(group.next_call(), record(3, Decision::Refused));
        group.on_recorded();
        assert_eq!(group.next_call(), write(2, &[1]));
    }

    #[test]
    fn it_gives_up_after_three_failures_in_a_row_or_one_for_good() {
        let mut group = group(&[1]);
        for _ in 0..2 {
            group.on_failed(Failure::MayHaveLanded, 0);
            assert_eq!(group.next_call(), write(1, &[]));
        }
        group.on_failed(Failure::NotLanded, 0);
        assert_eq!((group.next_call(), group.undecided().count()), (None, 1));
        let mut group = self::group(&[1]);
        group.on_failed(Failure::NeverLands, 0);
        assert_eq!((group.next_call(), group.undecided().count()), (None, 1));
    }

    #[test]
    fn a_false_precondition_and_a_wild_clock_are_failures() {
        let mut group = Group::new(vec![(id(2), Precondition::Exists)]);
        group.on_refused(Some(None), &[], NOW, 0);
        assert_eq!(group.next_call(), record(2, Decision::PreconditionFailed));
        let mut group = self::group(&[1]);
        group.on_refused(Some(Some(id(2_000_000))), &[], NOW, 0);
        assert_eq!(group.next_call(), record(1, Decision::ClockSkew));
        assert_eq!(Decision::ClockSkew.outcome(), Outcome::Failed);
    }
}
