//! The hosts of `put`: the calls of `functions/put`, in their order, around its rules.

use std::rc::Rc;
use std::time::Duration;

use rules::inline::{InlineWrite, Next, Reply, Stored};
use rules::{OperationId, Precondition, backoff, clock};
use users_table::Applied;

use crate::events::Event;
use crate::history::{Answer, Mode, Put, PutId};
use crate::mutants::Mutant;
use crate::queue::Update;
use crate::scheduler::Time;
use crate::tables::UserWrite;
use crate::world::{Host, World};

/// Most calls for one message.
const MAX_SENDS: u32 = 3;

/// One request at one host.
pub struct Handler {
    pub world: Rc<World>,
    pub host: Rc<Host>,
    pub number: PutId,
    pub put: Put,
}

impl Handler {
    /// `Put::put`
    pub async fn handle(&self, gateway: Duration) -> Answer {
        if self.world.plan.checks_clock {
            let now = self.world.time_of(&self.host);
            let is_off = clock::check(now, gateway).is_err();
            let is_refused = is_off && !self.world.is(Mutant::ClockUnchecked);
            self.world.history().on_clock_check(now, gateway, is_refused);
            if is_refused {
                return Answer::ClockRefused;
            }
        }
        match self.put.mode {
            Mode::Inline => self.write().await,
            Mode::Deferred => self.defer().await,
            Mode::Wait(wait) => self.write_or_send(wait).await,
        }
    }

    /// `Put::write`
    async fn write(&self) -> Answer {
        if self.put.precondition.is_never_true() {
            return Answer::PreconditionFailed;
        }
        let mut write = self.new_write(self.put.precondition.clone());
        loop {
            let call = self.user_write(&write);
            let timeout = self.world.plan.call_timeout;
            let sent =
                self.world.on_tables(&self.host.name, timeout, move |tables, now, history| {
                    tables.write_user(&call, now, history)
                });
            let reply = sent.await.unwrap_or_else(Reply::Failed);
            match self.next(&mut write, reply) {
                Next::Call { after } => self.world.sleep(after).await,
                Next::Done { created } => {
                    return Answer::Written { id: write.id(), created: created == Some(true) };
                }
                Next::PreconditionFailed => return Answer::PreconditionFailed,
                Next::NotWritten => return Answer::NotWritten,
                Next::Superseded { .. } | Next::Decided | Next::OutcomeUnknown => {
                    return Answer::OutcomeUnknown;
                }
            }
        }
    }

    /// `Put::write_or_send`
    async fn write_or_send(&self, wait: Time) -> Answer {
        let deadline = self.world.now() + wait;
        let now = self.world.time_of(&self.host);
        let precondition = self.put.precondition.clone().without_future_tags(now);
        if precondition.is_never_true() {
            return Answer::PreconditionFailed;
        }
        let mut write = self.new_write(precondition);
        match self.transact(&mut write, deadline).await {
            Next::Done { created } => self.done(write.id(), created).await,
            Next::PreconditionFailed => Answer::PreconditionFailed,
            Next::Call { .. }
            | Next::Superseded { .. }
            | Next::NotWritten
            | Next::Decided
            | Next::OutcomeUnknown => self.fall_back(&write).await,
        }
    }

    async fn fall_back(&self, write: &InlineWrite) -> Answer {
        self.world.count(Event::WaitFellBack);
        if write.may_have_landed() {
            self.world.count(Event::WaitFellBackInFlight);
        }
        let id = if self.world.is(Mutant::WaitFallsBackWithNewId) {
            self.world.mint(&self.host, self.number, write.precondition())
        } else {
            write.id()
        };
        self.send(id, write.precondition().clone(), write.may_have_landed()).await
    }

    /// `Put::transact`
    async fn transact(&self, write: &mut InlineWrite, deadline: Time) -> Next {
        loop {
            let left = deadline.saturating_sub(self.world.now());
            let reply = self.transact_once(write, left.min(self.world.plan.call_timeout)).await;
            match self.next(write, reply) {
                Next::Call { after }
                    if self.world.now() + (after.as_micros() as Time) < deadline =>
                {
                    self.world.sleep(after).await;
                }
                next => return next,
            }
        }
    }

    /// `Put::transact_once`
    async fn transact_once(&self, write: &InlineWrite, timeout: Time) -> Reply {
        let (call, id) = (self.user_write(write), write.id());
        let sent = self.world.on_tables(&self.host.name, timeout, move |tables, now, history| {
            tables.apply(&call, &[], now, history)
        });
        match sent.await {
            Ok(Applied::Written) => Reply::Written { created: None },
            Ok(Applied::Refused { decided, .. }) if decided.contains(&id) => {
                self.world.count(Event::OwnOutcomeFound);
                Reply::Decided
            }
            Ok(Applied::Refused { user, .. }) => Reply::Refused { stored: user.flatten() },
            Err(failure) => Reply::Failed(failure),
        }
    }

    /// `Put::done`
    async fn done(&self, id: OperationId, created: Option<bool>) -> Answer {
        self.world.count(Event::WaitWritten);
        if let Some(created) = created {
            return Answer::Written { id, created };
        }
        let (user, timeout) = (self.put.user, self.world.plan.call_timeout);
        let read = self.world.on_tables(&self.host.name, timeout, move |tables, _, _| {
            tables.user(user).map(|user| user.created_by)
        });
        match read.await {
            Ok(creator) => Answer::Written { id, created: creator == Some(id) },
            Err(_) => Answer::Accepted { id },
        }
    }

    /// `Put::send` with its own id.
    async fn defer(&self) -> Answer {
        let now = self.world.time_of(&self.host);
        let precondition = self.put.precondition.clone().without_future_tags(now);
        if precondition.is_never_true() {
            return Answer::PreconditionFailed;
        }
        let id = self.world.mint(&self.host, self.number, &precondition);
        self.send(id, precondition, false).await
    }

    async fn send(
        &self,
        id: OperationId,
        precondition: Precondition,
        mut may_have_landed: bool,
    ) -> Answer {
        let update = Update { put: self.number, id, user: self.put.user, precondition };
        for call in 1.. {
            let sent = self.world.send(&self.host.name, |world| &world.updates, update.clone());
            let Err(failure) = sent.await else {
                if call > 1 && may_have_landed {
                    self.world.count(Event::SentTwice);
                }
                break;
            };
            may_have_landed |= failure.may_have_landed();
            if call == MAX_SENDS || !failure.is_retryable() {
                return if may_have_landed { Answer::OutcomeUnknown } else { Answer::NotWritten };
            }
            self.world.sleep(backoff::between_calls(call, self.world.random())).await;
        }
        Answer::Accepted { id }
    }

    fn new_write(&self, precondition: Precondition) -> InlineWrite {
        let id = self.world.mint(&self.host, self.number, &precondition);
        InlineWrite::new(id, precondition)
    }

    fn user_write(&self, write: &InlineWrite) -> UserWrite {
        UserWrite {
            user: self.put.user,
            body: self.number,
            id: write.id(),
            precondition: write.precondition().clone(),
        }
    }

    /// `Put::next`
    fn next(&self, write: &mut InlineWrite, reply: Reply) -> Next {
        self.world.trace(&self.host.name, || format!("#{} gets {reply:?}", self.number));
        let before = write.id();
        let next = self.mistake(write, reply).unwrap_or_else(|| {
            let now = self.world.tick_of(&self.host);
            write.on_reply(reply, &mut self.host.minter(), now, self.world.random())
        });
        self.count(write, reply, before);
        if write.id() != before {
            if let Some(stored) = stored_in(reply)
                && self.world.is(Mutant::SuccessorWithoutRandom)
                && write.id().tick() == stored.id.successor(0).tick()
            {
                let id = stored.id.successor(random_bits(stored.id));
                *write = InlineWrite::new(id, write.precondition().clone());
            }
            self.world.goes_by(&self.host, self.number, write.id(), write.precondition());
        }
        self.world.trace(&self.host.name, || format!("#{} next: {next:?}", self.number));
        next
    }

    fn count(&self, write: &InlineWrite, reply: Reply, id: OperationId) {
        let Some(stored) = stored_in(reply) else { return };
        if stored.id == id {
            self.world.count(Event::OwnIdFound);
        } else if write.id() != id {
            self.world.count(Event::StepOver);
        } else if stored.id > id && write.may_have_landed() {
            self.world.count(Event::FixedIdMetNewer);
        }
    }

    /// What a mutant does instead of asking the rule.
    fn mistake(&self, write: &mut InlineWrite, reply: Reply) -> Option<Next> {
        let Reply::Refused { stored } = reply else { return None };
        let is_lost = write.may_have_landed();
        let meets = |is_it: fn(OperationId, OperationId) -> bool| {
            stored.filter(|stored| is_it(stored.id, write.id()))
        };
        match self.world.mutant? {
            Mutant::NewerIsSuccess if is_lost => {
                meets(|stored, own| stored > own).map(|_| Next::Done { created: Some(false) })
            }
            Mutant::OwnIdUnrecognised => {
                let own = meets(|stored, own| stored == own)?;
                Some(self.start_anew(write, own))
            }
            Mutant::StepOverAfterLostReply if is_lost => {
                let newer = meets(|stored, own| stored > own)?;
                Some(self.start_anew(write, newer))
            }
            Mutant::FalseNowIsFalseForGood if is_lost => {
                let at = stored.map(|stored| stored.id);
                let is_false = at <= Some(write.id()) && !write.precondition().holds(at);
                (is_false && at != Some(write.id())).then_some(Next::PreconditionFailed)
            }
            _ => None,
        }
    }

    fn start_anew(&self, write: &mut InlineWrite, stored: Stored) -> Next {
        let (now, random) = (self.world.tick_of(&self.host), self.world.random());
        let id = self.host.minter().mint_after(now, stored.id, random);
        *write = InlineWrite::new(id, write.precondition().clone());
        Next::Call { after: Duration::ZERO }
    }
}

fn stored_in(reply: Reply) -> Option<Stored> {
    match reply {
        Reply::Refused { stored } => stored,
        Reply::Written { .. } | Reply::Decided | Reply::Failed(_) => None,
    }
}

fn random_bits(id: OperationId) -> u64 {
    let [.., a, b, c, d, e, f, g, h] = id.to_bytes();
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
