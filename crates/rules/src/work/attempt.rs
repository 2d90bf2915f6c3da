//! The attempt of `put` to write a resource: one conditional write, repeated until its fate
//! is known.
//!
//! The caller makes each call itself, without retries of the SDK, so that this state
//! knows whether an earlier one may have landed. That a write took place is only said
//! of one that is known to have landed.

use std::time::Duration;

use crate::order::verdict::{Refusal, Verdict};
use crate::work::backoff::Retries;
use crate::{Arrival, Failure, Operation, Version};

/// Most newer ids that one PUT steps over.
pub const MAX_STEPS: u32 = 10;

/// What to do after a call that did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call again, after this pause, with the operation as it is now.
    Call {
        /// Zero where the write was refused only for its id.
        after: Duration,
    },
    /// An earlier call wrote the resource.
    Landed {
        /// Whether that made a new resource.
        created: bool,
    },
    /// The operation is refused, and none of its calls so far landed or will.
    Refused(Refusal),
    /// No further call would help now; whether one landed tells
    /// [`Attempt::may_have_landed`].
    Open,
}

/// The state of an attempt.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Until when the id may change; `None` if others know it.
    arrival: Option<Arrival>,
    may_have_landed: bool,
    steps: u32,
    retries: Retries,
}

impl Attempt {
    /// An attempt at an operation that arrived then and that nobody else knows. It may
    /// step over a newer stored id, as long as none of its calls may have landed.
    #[must_use]
    pub fn new(arrival: Arrival) -> Self {
        let retries = Retries::default();
        Self { arrival: Some(arrival), may_have_landed: false, steps: 0, retries }
    }

    /// An attempt at an operation that an idempotency key stands for: its id is fixed, and
    /// a refusal is recorded before it is told, after which no call can land any more.
    #[must_use]
    pub fn claimed() -> Self {
        let retries = Retries::default();
        Self { arrival: None, may_have_landed: false, steps: 0, retries }
    }

    /// Whether some call so far may have written, now or later.
    #[must_use]
    pub fn may_have_landed(&self) -> bool {
        self.may_have_landed
    }

    /// The last call failed.
    pub fn on_failed(&mut self, failure: Failure, random: u64) -> Next {
        self.may_have_landed |= failure.may_have_landed();
        match self.retries.after(failure, random) {
            Some(after) => Next::Call { after },
            None => Next::Open,
        }
    }

    /// The last call was refused, since its condition was false of the resource at `stored`,
    /// by a clock that showed `now` after that. A newer id is stepped over by giving the
    /// operation its successor.
    pub fn on_refused(
        &mut self,
        operation: &mut Operation,
        stored: Option<Version>,
        now: Duration,
        random: u64,
    ) -> Next {
        let created_by = stored.and_then(|stored| stored.created_by);
        if created_by == Some(operation.id) {
            return Next::Landed { created: true };
        }
        let stored = stored.map(|stored| stored.written_by);
        let is_overtaken = stored.is_some_and(|stored| stored > operation.id);
        match (operation.judge(stored, now), self.arrival) {
            (Verdict::Landed, _) => Next::Landed { created: false },
            // The resource cannot have moved back, so the refusal was of another item's form.
            (Verdict::Write, _) => self.on_failed(Failure::NotLanded, random),
            (Verdict::Refused(refusal), None) => Next::Refused(refusal),
            // An earlier call may have landed and been overtaken.
            (Verdict::Refused(_), Some(_)) if self.may_have_landed && is_overtaken => Next::Open,
            (Verdict::Refused(refusal @ Refusal::PreconditionFailed { .. }), Some(_)) => {
                // An earlier call may be under way still, and land once it is true.
                let may_come_true = operation.precondition.may_come_true(stored);
                if self.may_have_landed && may_come_true {
                    Next::Open
                } else {
                    Next::Refused(refusal)
                }
            }
            (Verdict::Refused(Refusal::Superseded | Refusal::OrderUnknown), Some(arrival)) => {
                match stored {
                    Some(stored) if self.steps < MAX_STEPS && arrival.may_step(now) => {
                        self.steps += 1;
                        operation.id = stored.successor(random);
                        Next::Call { after: Duration::ZERO }
                    }
                    _ => Next::Open,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{OperationId, Precondition, ResourceId, Tick};

    /// When the operation arrived, which is its id.
    const ARRIVED: u64 = 1000;

    #[derive(Clone, Copy)]
    enum Reply {
        Refused { stored: Option<Version> },
        Failed(Failure),
    }

    const NOT_LANDED: Reply = Reply::Failed(Failure::NotLanded);
    const NEVER_LANDS: Reply = Reply::Failed(Failure::NeverLands);
    const MAY_HAVE_LANDED: Reply = Reply::Failed(Failure::MayHaveLanded);
    const GONE: Reply = Reply::Refused { stored: None };

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    fn at(written_by: OperationId) -> Reply {
        version(written_by, id(1))
    }

    fn version(written_by: OperationId, created_by: OperationId) -> Reply {
        Reply::Refused { stored: Some(Version { written_by, created_by: Some(created_by) }) }
    }

    fn operation(precondition: Precondition) -> Operation {
        let (resource, body) = (ResourceId::new("42").unwrap(), "{}".to_owned());
        Operation { id: id(ARRIVED), resource, precondition, body }
    }

    /// Runs an attempt through `replies`, all `after` ms after the arrival: what is next,
    /// the ids called with, and whether a call may have landed.
    fn run_after(
        after: u64,
        precondition: Precondition,
        replies: &[Reply],
    ) -> (Next, Vec<OperationId>, bool) {
        let now = Duration::from_millis(ARRIVED + after);
        let mut attempt = Attempt::new(Arrival::at_gateway(ARRIVED, now).unwrap());
        let mut operation = operation(precondition);
        let mut ids = Vec::new();
        let mut last = None;
        for reply in replies {
            assert!(matches!(last, None | Some(Next::Call { .. })), "{last:?} before the end");
            ids.push(operation.id);
            last = Some(match *reply {
                Reply::Refused { stored } => attempt.on_refused(&mut operation, stored, now, 7),
                Reply::Failed(failure) => attempt.on_failed(failure, 7),
            });
        }
        ids.push(operation.id);
        (last.unwrap(), ids, attempt.may_have_landed())
    }

    fn run(precondition: Precondition, replies: &[Reply]) -> (Next, bool) {
        let (next, _, may_have_landed) = run_after(0, precondition, replies);
        (next, may_have_landed)
    }

    fn last(replies: &[Reply]) -> (Next, bool) {
        run(Precondition::None, replies)
    }

    /// Refused, since the precondition is false of the resource at this id.
    fn refused(stored: Option<OperationId>) -> Next {
        Next::Refused(Refusal::PreconditionFailed { stored })
    }

    #[test]
    fn newer_ids_are_stepped_over_ten_times() {
        let newer: Vec<_> = (0..10).map(|step| at(id(2000 + 1000 * step))).collect();
        let (next, ids, _) = run_after(0, Precondition::None, &newer);
        assert_eq!(next, Next::Call { after: Duration::ZERO });
        assert!(ids.is_sorted() && ids[10] > id(11_000) && ids[10] < id(11_001), "{ids:?}");
        assert_eq!(last(&[&newer[..], &[at(id(20_000))]].concat()), (Next::Open, false));
    }

    #[test]
    fn two_seconds_after_the_arrival_none_is_stepped_over_any_more() {
        let step = |after| run_after(after, Precondition::None, &[at(id(1500))]).0;
        assert_eq!(step(2000), Next::Call { after: Duration::ZERO });
        assert_eq!(step(2001), Next::Open);
    }

    #[test]
    fn after_a_lost_reply_the_id_is_fixed() {
        let own = id(ARRIVED);
        let landed = |created| (Next::Landed { created }, true);
        assert_eq!(last(&[MAY_HAVE_LANDED, at(own)]), landed(false));
        assert_eq!(last(&[MAY_HAVE_LANDED, version(own, own)]), landed(true));
        assert_eq!(last(&[MAY_HAVE_LANDED, version(id(2000), own)]), landed(true));
        assert_eq!(last(&[MAY_HAVE_LANDED, at(id(2000))]), (Next::Open, true));
    }

    #[test]
    fn failed_calls_are_told_as_what_they_leave() {
        assert_eq!(last(&[NOT_LANDED, NOT_LANDED, NOT_LANDED]), (Next::Open, false));
        assert_eq!(last(&[NOT_LANDED, MAY_HAVE_LANDED, NOT_LANDED]), (Next::Open, true));
        assert_eq!(last(&[NEVER_LANDS]), (Next::Open, false));
        assert_eq!(last(&[MAY_HAVE_LANDED, NEVER_LANDS]), (Next::Open, true));
    }

    #[test]
    fn a_claimed_id_is_judged_and_never_stepped_from() {
        let now = Duration::from_millis(ARRIVED);
        for (precondition, stored, refusal) in [
            (Precondition::None, id(1500), Refusal::Superseded),
            (Precondition::None, id(2001), Refusal::OrderUnknown),
            (
                Precondition::Absent,
                id(1500),
                Refusal::PreconditionFailed { stored: Some(id(1500)) },
            ),
        ] {
            let mut attempt = Attempt::claimed();
            let mut operation = operation(precondition);
            let again = Next::Call { after: Duration::from_millis(25) };
            assert_eq!(attempt.on_failed(Failure::MayHaveLanded, 0), again);
            let stored = Some(Version { written_by: stored, created_by: Some(id(1)) });
            let next = attempt.on_refused(&mut operation, stored, now, 7);
            assert_eq!((next, operation.id), (Next::Refused(refusal), id(ARRIVED)));
        }
    }

    #[test]
    fn preconditions() {
        let at_1 = Precondition::OneOf(vec![id(1)]);
        assert_eq!(run(Precondition::Exists, &[GONE]), (refused(None), false));
        assert_eq!(run(Precondition::Absent, &[at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_1.clone(), &[at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_1.clone(), &[MAY_HAVE_LANDED, at(id(5))]), (refused(Some(id(5))), true));
        assert_eq!(run(at_1, &[MAY_HAVE_LANDED, at(id(2000))]), (Next::Open, true));
        let ahead = Precondition::OneOf(vec![id(2000)]);
        let (next, ids, _) = run_after(0, ahead, &[at(id(2000))]);
        assert_eq!((next, ids[1] > id(2000)), (Next::Call { after: Duration::ZERO }, true));
        // The version it names may be queued still, and a call may land after it.
        let at_9 = Precondition::OneOf(vec![id(2), id(9)]);
        assert_eq!(run(at_9.clone(), &[at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_9.clone(), &[NOT_LANDED, at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_9.clone(), &[MAY_HAVE_LANDED, at(id(5))]), (Next::Open, true));
        assert_eq!(run(at_9, &[MAY_HAVE_LANDED, GONE]), (Next::Open, true));
        assert_eq!(run(Precondition::Exists, &[MAY_HAVE_LANDED, GONE]), (Next::Open, true));
        assert_eq!(
            run(Precondition::Absent, &[MAY_HAVE_LANDED, at(id(5))]),
            (refused(Some(id(5))), true)
        );
        assert_eq!(
            run(Precondition::Exists, &[at(id(2000))]).0,
            Next::Call { after: Duration::ZERO }
        );
    }
}
