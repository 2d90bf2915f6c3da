//! The inline write: one conditional write, repeated until its fate is known.
//!
//! The caller makes each call itself, without retries of the SDK, so that this
//! state knows whether an earlier one may have landed. 200 and 201 are said only
//! of a write that is known to have landed.

use std::time::Duration;

use crate::{Failure, Minter, OperationId, Precondition, Tick, backoff};

/// Most newer ids that one PUT steps over.
const MAX_STEPS: u32 = 3;
/// Most calls that may fail.
const MAX_FAILED_CALLS: u32 = 3;

/// What a user's item says of its history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The operation that wrote the body.
    pub id: OperationId,
    /// The operation that created the user.
    pub created_by: Option<OperationId>,
}

/// How a conditional write of a user ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It took place.
    Written {
        /// Whether there was no user before; a transaction does not tell.
        created: Option<bool>,
    },
    /// The operation has a final outcome already.
    Decided,
    /// Its condition was false of the item in the table.
    Refused {
        /// That item, if there is one.
        stored: Option<Stored>,
    },
    /// The call failed.
    Failed(Failure),
}

/// What to do after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Call again with [`InlineWrite::id`], after this pause.
    Call {
        /// Zero where the write was refused only for its id.
        after: Duration,
    },
    /// The write took place.
    Done {
        /// Whether it made a new user, if that is known.
        created: Option<bool>,
    },
    /// The operation has a final outcome, which need not be that it was written.
    Decided,
    /// The precondition is false; nothing was written.
    PreconditionFailed,
    /// The user is at a newer operation, and the id may not change. If no earlier call
    /// landed, none ever will.
    Superseded {
        /// That operation.
        by: OperationId,
    },
    /// Nothing was written.
    NotWritten,
    /// Whether it was written is not known.
    OutcomeUnknown,
}

/// The state of one inline write.
#[derive(Clone, Debug)]
pub struct InlineWrite {
    id: OperationId,
    precondition: Precondition,
    is_fixed: bool,
    may_have_landed: bool,
    steps: u32,
    failed_calls: u32,
}

impl InlineWrite {
    /// A write that no call was made for yet.
    #[must_use]
    pub fn new(id: OperationId, precondition: Precondition) -> Self {
        Self {
            id,
            precondition,
            is_fixed: false,
            may_have_landed: false,
            steps: 0,
            failed_calls: 0,
        }
    }

    /// A write whose id others know, so that it may not change.
    #[must_use]
    pub fn fixed(id: OperationId, precondition: Precondition, may_have_landed: bool) -> Self {
        Self { is_fixed: true, may_have_landed, ..Self::new(id, precondition) }
    }

    /// The id to write with.
    #[must_use]
    pub fn id(&self) -> OperationId {
        self.id
    }

    /// The precondition to write under.
    #[must_use]
    pub fn precondition(&self) -> &Precondition {
        &self.precondition
    }

    /// Whether some call so far may have written, now or later.
    #[must_use]
    pub fn may_have_landed(&self) -> bool {
        self.may_have_landed
    }

    /// Takes the reply to the last call. A write that is refused for a newer stored
    /// id takes a newer one from `minter` at `now`, unless a call may have landed.
    pub fn on_reply(&mut self, reply: Reply, minter: &mut Minter, now: Tick, random: u64) -> Next {
        match reply {
            Reply::Written { created } => Next::Done { created },
            Reply::Decided if self.is_fixed => Next::Decided,
            // Nobody else knows the id, so it was an earlier call of this write.
            Reply::Decided => Next::Done { created: None },
            Reply::Refused { stored } => self.on_refused(stored, minter, now, random),
            Reply::Failed(failure) => self.on_failed(failure, random),
        }
    }

    /// What the caller is told when no further call will be made.
    #[must_use]
    pub fn give_up(&self) -> Next {
        if self.may_have_landed { Next::OutcomeUnknown } else { Next::NotWritten }
    }

    fn on_failed(&mut self, failure: Failure, random: u64) -> Next {
        self.may_have_landed |= failure.may_have_landed();
        self.failed_calls += 1;
        if failure.is_retryable() && self.failed_calls < MAX_FAILED_CALLS {
            Next::Call { after: backoff::between_calls(self.failed_calls, random) }
        } else {
            self.give_up()
        }
    }

    fn on_refused(
        &mut self,
        stored: Option<Stored>,
        minter: &mut Minter,
        now: Tick,
        random: u64,
    ) -> Next {
        let landed = |stored: &Stored| stored.id == self.id || stored.created_by == Some(self.id);
        match stored {
            Some(stored) if landed(&stored) => {
                Next::Done { created: Some(stored.created_by == Some(self.id)) }
            }
            Some(stored) if stored.id > self.id && self.may_have_landed && !self.is_fixed => {
                Next::OutcomeUnknown
            }
            stored if !self.precondition.holds(stored.map(|stored| stored.id)) => {
                // An earlier call may be under way still, and land once it is true.
                let may_come_true = self.precondition.may_come_true(stored.map(|stored| stored.id));
                if self.may_have_landed && may_come_true {
                    Next::OutcomeUnknown
                } else {
                    Next::PreconditionFailed
                }
            }
            Some(stored) if self.is_fixed => Next::Superseded { by: stored.id },
            Some(stored) if self.steps < MAX_STEPS => {
                self.steps += 1;
                self.id = minter.mint_after(now, stored.id, random);
                Next::Call { after: Duration::ZERO }
            }
            _ => self.give_up(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1000;
    const NOT_LANDED: Reply = Reply::Failed(Failure::NotLanded);
    const NEVER_LANDS: Reply = Reply::Failed(Failure::NeverLands);
    const MAY_HAVE_LANDED: Reply = Reply::Failed(Failure::MayHaveLanded);

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix(Duration::from_millis(ms)), 1)
    }

    fn refused(at: OperationId) -> Reply {
        Reply::Refused { stored: Some(Stored { id: at, created_by: Some(id(1)) }) }
    }

    /// Runs a write at id(NOW) through `replies`: the last decision and the ids called with.
    fn run(precondition: Precondition, replies: &[Reply]) -> (Next, Vec<OperationId>) {
        let mut minter = Minter::default();
        let mut write = InlineWrite::new(id(NOW), precondition);
        let mut ids = Vec::new();
        for (i, reply) in replies.iter().enumerate() {
            ids.push(write.id());
            let now = Tick::from_unix(Duration::from_millis(NOW));
            let next = write.on_reply(*reply, &mut minter, now, 7);
            if i + 1 == replies.len() || !matches!(next, Next::Call { .. }) {
                assert_eq!(i + 1, replies.len(), "{next:?} before the last reply");
                return (next, ids);
            }
        }
        unreachable!()
    }

    fn last(replies: &[Reply]) -> Next {
        run(Precondition::None, replies).0
    }

    #[test]
    fn newer_ids_are_stepped_over_three_times() {
        let newer = [refused(id(2000)), refused(id(3000)), refused(id(4000))];
        let (next, ids) = run(
            Precondition::None,
            &[&newer[..], &[Reply::Written { created: Some(false) }]].concat(),
        );
        assert_eq!(next, Next::Done { created: Some(false) });
        assert!(ids.is_sorted() && ids[3] > id(4000) && ids[3] < id(4001), "{ids:?}");
        assert_eq!(last(&[&newer[..], &[refused(id(5000))]].concat()), Next::NotWritten);
    }

    #[test]
    fn after_a_lost_reply_the_id_is_fixed() {
        use Reply::*;
        let own = |created_by| Refused {
            stored: Some(Stored { id: id(NOW), created_by: Some(created_by) }),
        };
        assert_eq!(last(&[MAY_HAVE_LANDED, own(id(1))]), Next::Done { created: Some(false) });
        assert_eq!(last(&[MAY_HAVE_LANDED, own(id(NOW))]), Next::Done { created: Some(true) });
        assert_eq!(last(&[MAY_HAVE_LANDED, refused(id(2000))]), Next::OutcomeUnknown);
        assert_eq!(last(&[MAY_HAVE_LANDED, Reply::Decided]), Next::Done { created: None });
        assert_eq!(
            last(&[MAY_HAVE_LANDED, Written { created: Some(true) }]),
            Next::Done { created: Some(true) }
        );
        let overtaken =
            Refused { stored: Some(Stored { id: id(2000), created_by: Some(id(NOW)) }) };
        assert_eq!(last(&[MAY_HAVE_LANDED, overtaken]), Next::Done { created: Some(true) });
    }

    #[test]
    fn failed_calls_are_told_as_what_they_leave() {
        assert_eq!(last(&[NOT_LANDED, NOT_LANDED, NOT_LANDED]), Next::NotWritten);
        assert_eq!(last(&[NOT_LANDED, MAY_HAVE_LANDED, NOT_LANDED]), Next::OutcomeUnknown);
        assert_eq!(last(&[NEVER_LANDS]), Next::NotWritten);
        assert_eq!(last(&[MAY_HAVE_LANDED, NEVER_LANDS]), Next::OutcomeUnknown);
    }

    #[test]
    fn a_fixed_id_is_not_stepped_over_from() {
        let now = Tick::from_unix(Duration::from_millis(NOW));
        let mut minter = Minter::default();
        for may_have_landed in [false, true] {
            let mut fixed = InlineWrite::fixed(id(NOW), Precondition::None, may_have_landed);
            let again = Next::Call { after: backoff::between_calls(1, 7) };
            assert_eq!(fixed.on_reply(NOT_LANDED, &mut minter, now, 7), again);
            assert_eq!(fixed.may_have_landed(), may_have_landed);
            let next = fixed.on_reply(refused(id(2000)), &mut minter, now, 7);
            assert_eq!((next, fixed.id()), (Next::Superseded { by: id(2000) }, id(NOW)));
            assert_eq!(fixed.on_reply(Reply::Decided, &mut minter, now, 7), Next::Decided);
        }
    }

    #[test]
    fn preconditions() {
        use Reply::*;
        let gone = Refused { stored: None };
        let at_1 = Precondition::OneOf(vec![id(1)]);
        assert_eq!(run(Precondition::Exists, &[gone]).0, Next::PreconditionFailed);
        assert_eq!(run(Precondition::Absent, &[refused(id(5))]).0, Next::PreconditionFailed);
        assert_eq!(run(at_1.clone(), &[refused(id(5))]).0, Next::PreconditionFailed);
        assert_eq!(
            run(at_1.clone(), &[MAY_HAVE_LANDED, refused(id(5))]).0,
            Next::PreconditionFailed
        );
        assert_eq!(run(at_1, &[MAY_HAVE_LANDED, refused(id(2000))]).0, Next::OutcomeUnknown);
        let ahead = Precondition::OneOf(vec![id(2000)]);
        let (next, ids) = run(ahead, &[refused(id(2000)), Written { created: Some(false) }]);
        assert_eq!((next, ids[1] > id(2000)), (Next::Done { created: Some(false) }, true));
        // The version it names may be queued still, and a call may land after it.
        let at_9 = Precondition::OneOf(vec![id(2), id(9)]);
        assert_eq!(run(at_9.clone(), &[refused(id(5))]).0, Next::PreconditionFailed);
        assert_eq!(run(at_9.clone(), &[NOT_LANDED, refused(id(5))]).0, Next::PreconditionFailed);
        assert_eq!(run(at_9.clone(), &[MAY_HAVE_LANDED, refused(id(5))]).0, Next::OutcomeUnknown);
        assert_eq!(run(at_9, &[MAY_HAVE_LANDED, gone]).0, Next::OutcomeUnknown);
        assert_eq!(run(Precondition::Exists, &[MAY_HAVE_LANDED, gone]).0, Next::OutcomeUnknown);
        assert_eq!(
            run(Precondition::Absent, &[MAY_HAVE_LANDED, refused(id(5))]).0,
            Next::PreconditionFailed
        );
        assert_eq!(
            run(Precondition::Exists, &[refused(id(2000)), Written { created: Some(false) }]).0,
            Next::Done { created: Some(false) }
        );
    }
}
