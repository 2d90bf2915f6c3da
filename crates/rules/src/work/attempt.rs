//! The attempt of `put` to write a resource: one conditional write, repeated until its result is
//! known.
//!
//! The caller makes each call itself, without retries of the SDK, so the attempt knows whether an
//! earlier call may have landed. The service answers 200, 201 or 204 only for a write that is known
//! to have landed.

use std::time::Duration;

use crate::order::arrival::Arrival;
use crate::order::verdict::{Refusal, Verdict};
use crate::work::backoff::Retries;
use crate::{Failure, Operation, OperationId, Version};

/// Maximum number of newer ids that one operation steps over.
pub const MAX_STEPS: u32 = 10;

/// Whether the id of an operation may still change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// Only this host knows the id. The operation, which has this arrival, may step over a newer
    /// stored id unless one of its calls may have landed.
    Free(Arrival),
    /// The request has an idempotency key, which may already belong to another id.
    Unclaimed,
    /// The key belongs to this id, which never changes.
    Claimed,
}

/// What to do after a call that did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call again, after this pause, with the current operation.
    Call {
        /// Zero if the write was refused only for its id.
        after: Duration,
    },
    /// An earlier call landed.
    Landed {
        /// Whether it created the resource.
        created: bool,
    },
    /// The operation is refused: none of its calls has landed, and none will.
    Refused(Refusal),
    /// No further call would help now. [`Attempt::may_have_landed`] says whether a call may have
    /// landed.
    Open,
}

/// An operation and the state of the attempt to write it.
#[derive(Clone, Debug)]
pub struct Attempt {
    operation: Operation,
    identity: Identity,
    may_have_landed: bool,
    steps: u32,
    retries: Retries,
}

impl Attempt {
    /// An attempt at `operation`, before its first call.
    #[must_use]
    pub fn new(operation: Operation, identity: Identity) -> Self {
        let retries = Retries::default();
        Self { operation, identity, may_have_landed: false, steps: 0, retries }
    }

    /// The current operation.
    #[must_use]
    pub fn operation(&self) -> &Operation {
        &self.operation
    }

    /// Whether the operation's id may still change.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The operation, at the end of the attempt.
    #[must_use]
    pub fn into_operation(self) -> Operation {
        self.operation
    }

    /// Whether a call so far may have written or queued it, or may still do so.
    #[must_use]
    pub fn may_have_landed(&self) -> bool {
        self.may_have_landed
    }

    /// Whether it has stepped over [`MAX_STEPS`] newer ids.
    #[must_use]
    pub fn is_out_of_steps(&self) -> bool {
        self.steps >= MAX_STEPS
    }

    /// The idempotency key belongs to `holder`.
    pub fn on_claimed(&mut self, holder: OperationId) {
        (self.operation.id, self.operation.origin) = (holder, holder);
        self.identity = Identity::Claimed;
    }

    /// The last call failed.
    pub fn on_failed(
        &mut self,
        failure: Failure,
        is_by_reused_connection: bool,
        random: u64,
    ) -> Next {
        self.may_have_landed |= failure.may_have_landed();
        match self.retries.after(failure, is_by_reused_connection, random) {
            Some(after) => Next::Call { after },
            None => Next::Open,
        }
    }

    /// The last call's condition was false for the `stored` version, or a read before the first
    /// call found that version. To step over a newer id, the operation gets the successor of that
    /// id.
    pub fn on_met(&mut self, stored: Option<Version>, random: u64) -> Next {
        let created_by = stored.and_then(|stored| stored.created_by);
        if created_by == Some(self.operation.id) {
            return Next::Landed { created: true };
        }
        let refusal = match self.operation.judge(stored) {
            Verdict::Landed => return Next::Landed { created: false },
            // The stored version never gets older, so the condition must have refused an item of an
            // unknown form.
            Verdict::Write => return self.on_failed(Failure::NotLanded, false, random),
            Verdict::Refused(refusal) => refusal,
        };
        let Identity::Free(arrival) = self.identity else { return Next::Refused(refusal) };
        if self.may_have_landed && self.may_still_land(stored) {
            return Next::Open;
        }
        match stored.map(|stored| stored.written_by) {
            Some(stored) if refusal == Refusal::Superseded && arrival.is_followed_by(stored) => {
                if self.is_out_of_steps() {
                    return Next::Open;
                }
                self.steps += 1;
                self.operation.id = stored.successor(random);
                Next::Call { after: Duration::ZERO }
            }
            _ => Next::Refused(refusal),
        }
    }

    /// Whether an earlier call with a lost reply may have landed and been overwritten since, or may
    /// still land when the precondition becomes true.
    fn may_still_land(&self, stored: Option<Version>) -> bool {
        let id = self.operation.id;
        let is_overtaken = stored.is_some_and(|stored| stored.written_by > id);
        is_overtaken || self.operation.precondition.may_come_true(stored, id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Precondition, ResourceId, Tick};

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
        let created_by = Some(created_by);
        Reply::Refused { stored: Some(Version { written_by, created_by, is_live: true }) }
    }

    fn tombstone(written_by: OperationId) -> Reply {
        Reply::Refused { stored: Some(Version { written_by, created_by: None, is_live: false }) }
    }

    fn attempt(precondition: Precondition, is_free: bool) -> Attempt {
        let (resource, body) = (ResourceId::new("42").unwrap(), "{}".to_owned());
        let operation = Operation::put(id(ARRIVED), resource, precondition, body);
        let now = Duration::from_millis(ARRIVED);
        let arrival = Arrival::at_gateway(Some(ARRIVED), now).unwrap();
        Attempt::new(operation, if is_free { Identity::Free(arrival) } else { Identity::Claimed })
    }

    /// Runs an attempt through `replies`; returns the next step, the ids of the calls, and whether
    /// a call may have landed.
    fn run_all(precondition: Precondition, replies: &[Reply]) -> (Next, Vec<OperationId>, bool) {
        let mut attempt = attempt(precondition, true);
        let mut ids = Vec::new();
        let mut last = None;
        for reply in replies {
            assert!(matches!(last, None | Some(Next::Call { .. })), "{last:?} before the end");
            ids.push(attempt.operation().id);
            last = Some(match *reply {
                Reply::Refused { stored } => attempt.on_met(stored, 7),
                Reply::Failed(failure) => attempt.on_failed(failure, false, 7),
            });
        }
        ids.push(attempt.operation().id);
        assert_eq!(attempt.operation().origin, id(ARRIVED));
        (last.unwrap(), ids, attempt.may_have_landed())
    }

    fn run(precondition: Precondition, replies: &[Reply]) -> (Next, bool) {
        let (next, _, may_have_landed) = run_all(precondition, replies);
        (next, may_have_landed)
    }

    fn last(replies: &[Reply]) -> (Next, bool) {
        run(Precondition::None, replies)
    }

    /// It was refused, since the precondition is false for the resource at this id.
    fn refused(live: Option<OperationId>) -> Next {
        Next::Refused(Refusal::PreconditionFailed { live })
    }

    #[test]
    fn newer_ids_are_stepped_over_ten_times() {
        let newer: Vec<_> = (0..10).map(|step| at(id(1100 + 10 * step))).collect();
        let (next, ids, _) = run_all(Precondition::None, &newer);
        assert_eq!(next, Next::Call { after: Duration::ZERO });
        assert!(ids.is_sorted() && ids[10] > id(1190) && ids[10] < id(1191), "{ids:?}");
        assert_eq!(last(&[&newer[..], &[at(id(1300))]].concat()), (Next::Open, false));
    }

    #[test]
    fn what_arrived_over_a_second_later_is_never_stepped_over() {
        let superseded = (Next::Refused(Refusal::Superseded), false);
        let again = (Next::Call { after: Duration::ZERO }, false);
        assert_eq!(last(&[at(id(ARRIVED + 1000))]), again);
        assert_eq!(last(&[at(id(ARRIVED + 1000).successor(1))]), superseded);
        // The window starts at the arrival, not at the id that it has moved to.
        assert_eq!(last(&[at(id(ARRIVED + 900)), at(id(ARRIVED + 1001))]), superseded);
        assert_eq!(last(&[MAY_HAVE_LANDED, at(id(ARRIVED + 1001))]), (Next::Open, true));
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
        let is_false = Refusal::PreconditionFailed { live: Some(id(1500)) };
        for (precondition, refusal) in
            [(Precondition::None, Refusal::Superseded), (Precondition::Absent, is_false)]
        {
            let mut attempt = attempt(precondition, false);
            let again = Next::Call { after: Duration::from_millis(25) };
            assert_eq!(attempt.on_failed(Failure::MayHaveLanded, false, 0), again);
            let Reply::Refused { stored } = at(id(1500)) else { unreachable!() };
            let next = attempt.on_met(stored, 7);
            assert_eq!((next, attempt.operation().id), (Next::Refused(refusal), id(ARRIVED)));
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
        let (next, ids, _) = run_all(ahead, &[at(id(2000))]);
        assert_eq!((next, ids[1] > id(2000)), (Next::Call { after: Duration::ZERO }, true));
        // The version that it names may still be queued, and a call may land after it.
        let at_9 = Precondition::OneOf(vec![id(2), id(9)]);
        assert_eq!(run(at_9.clone(), &[at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_9.clone(), &[NOT_LANDED, at(id(5))]), (refused(Some(id(5))), false));
        assert_eq!(run(at_9.clone(), &[MAY_HAVE_LANDED, at(id(5))]), (Next::Open, true));
        assert_eq!(run(at_9, &[MAY_HAVE_LANDED, GONE]), (Next::Open, true));
        assert_eq!(run(Precondition::Exists, &[MAY_HAVE_LANDED, GONE]), (Next::Open, true));
        // A queued DELETE may still remove an older resource.
        let older = run(Precondition::Absent, &[MAY_HAVE_LANDED, at(id(5))]);
        assert_eq!(older, (Next::Open, true));
        // A tombstone does not count as a resource.
        let newer = tombstone(id(2000));
        assert_eq!(run(Precondition::Exists, &[newer]), (refused(None), false));
        let stepped = Next::Call { after: Duration::ZERO };
        assert_eq!(run(Precondition::Absent, &[newer]), (stepped, false));
        assert_eq!(run(Precondition::Absent, &[MAY_HAVE_LANDED, newer]), (Next::Open, true));
        assert_eq!(
            run(Precondition::Exists, &[at(id(2000))]).0,
            Next::Call { after: Duration::ZERO }
        );
    }
}
