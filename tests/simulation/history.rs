//! What really happened, as only the simulation can know it, and the checks of what was
//! said against it.
//!
//! Every write of the users table is known with its time, so that no search for a
//! linearization is needed: it is enough that each acknowledged write took effect once,
//! between its request and its answer, and that each read gives what was stored at a
//! moment between its request and its answer. These moments are the linearization
//! points, in the order of the register's own history. A write that was answered with
//! `outcome-unknown`, or that was queued, may take effect at any later time, but once.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::apply::Decision;
use rules::status::{Outcome, State};
use rules::{OperationId, Precondition};

use crate::events::{Counts, Event};
use crate::plan::{FAR_BACKSTOP, Plan};
use crate::scheduler::Time;
use crate::tables::{Grounds, OutcomeItem, Tables, UserItem, UserWrite};

pub type PutId = usize;
pub type UserIndex = usize;

/// How a PUT asks to be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    Inline,
    Deferred,
    /// `respond-async, wait`, for this long.
    Wait(Time),
}

/// What the step before the write does with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Passes,
    Refuses,
    RefusesAtTimes,
    /// Until it is mended.
    Panics,
    /// Until it is mended.
    EndsTheProcess,
}

#[derive(Clone, Debug)]
pub struct Put {
    pub user: UserIndex,
    pub mode: Mode,
    pub precondition: Precondition,
    pub behaviour: Behaviour,
}

/// What a client is told of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 201 or 200.
    Written {
        id: OperationId,
        created: bool,
    },
    Accepted {
        id: OperationId,
    },
    PreconditionFailed,
    NotWritten,
    OutcomeUnknown,
    ClockRefused,
}

impl Answer {
    /// Whether it says that nothing was written, and nothing will be.
    fn is_refusal(self) -> bool {
        matches!(self, Self::PreconditionFailed | Self::NotWritten | Self::ClockRefused)
    }
}

/// A PUT, and what became of it.
struct Known {
    put: Put,
    requested: Time,
    answered: Option<(Time, Answer)>,
    /// The ids it had; the last one counts.
    ids: Vec<OperationId>,
    /// Its writes of the user.
    effects: Vec<(Time, OperationId)>,
    final_outcome: Option<(Time, Outcome)>,
}

impl Known {
    fn id(&self) -> Option<OperationId> {
        self.ids.last().copied()
    }

    fn accepted(&self) -> Option<OperationId> {
        match self.answered {
            Some((_, Answer::Accepted { id })) => Some(id),
            _ => None,
        }
    }
}

#[derive(Default)]
pub struct History {
    puts: Vec<Known>,
    owners: BTreeMap<OperationId, PutId>,
    /// What each user was at, from when on.
    states: BTreeMap<UserIndex, Vec<(Time, OperationId)>>,
    /// The least time between an answer and a request that are in order; `None` where
    /// the clocks do not allow it.
    order_after: Option<Time>,
    pub counts: Counts,
    /// Whether the queue gives a message up only after so many receives as on AWS.
    is_backstop_far: bool,
    is_traced: bool,
    /// The first check that failed.
    pub violation: Option<String>,
}

/// What the design says of clocks (kept apart from the constants of `rules`).
const MAX_LEAD: Duration = Duration::from_secs(1);
const MAX_LAG: Duration = Duration::from_secs(30);

impl History {
    pub fn new(plan: &Plan, is_traced: bool) -> Self {
        let order_after = plan.is_within_bound.then_some(plan.gap);
        let is_backstop_far = plan.max_receives >= FAR_BACKSTOP;
        Self { order_after, is_backstop_far, is_traced, ..Self::default() }
    }

    fn trace(&self, now: Time, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>6}.{:06} tables   {}", now / 1_000_000, now % 1_000_000, what());
        }
    }

    pub fn count(&mut self, event: Event) {
        self.counts.add(event, 1);
    }

    pub fn put(&self, put: PutId) -> &Put {
        &self.puts[put].put
    }

    fn check(&mut self, is_true: bool, says: impl FnOnce() -> String) {
        if !is_true && self.violation.is_none() {
            self.violation = Some(says());
        }
    }

    pub fn on_request(&mut self, now: Time, put: Put) -> PutId {
        self.puts.push(Known {
            put,
            requested: now,
            answered: None,
            ids: Vec::new(),
            effects: Vec::new(),
            final_outcome: None,
        });
        self.puts.len() - 1
    }

    /// A host compared its clock with the gateway's time of a request.
    pub fn on_clock_check(&mut self, host: Duration, gateway: Duration, is_refused: bool) {
        let is_off =
            host.saturating_sub(gateway) > MAX_LEAD || gateway.saturating_sub(host) > MAX_LAG;
        self.check(is_refused == is_off, || {
            format!(
                "clock: at {host:?} by the host, {gateway:?} by the gateway, refused: {is_refused}"
            )
        });
    }

    /// A PUT goes by a new id from now on, which is `at` by the clock of its host, and by
    /// the precondition that the host made of what was sent.
    pub fn on_id(
        &mut self,
        put: PutId,
        id: OperationId,
        precondition: &Precondition,
        at: Duration,
    ) {
        self.owners.entry(id).or_insert(put);
        self.puts[put].ids.push(id);
        self.puts[put].put.precondition = precondition.clone();
        let is_near = |id: OperationId| id.tick().to_unix() <= at + MAX_LEAD;
        let follows = match precondition {
            Precondition::OneOf(tags) => tags.iter().all(|tag| *tag < id || !is_near(*tag)),
            _ => true,
        };
        self.check(follows, || format!("order: #{put} has {id}, which does not follow its tags"));
        self.check(is_near(id) || self.order_after.is_none(), || {
            format!("order: #{put} has {id}, which is out of reach of others")
        });
        for earlier in 0..self.puts.len() {
            if self.is_before(earlier, put)
                && let Some(earlier_id) = self.puts[earlier].id()
            {
                self.count(Event::OrderedPairs);
                self.check(earlier_id < id, || {
                    format!("order: #{put} has {id}, older than {earlier_id} of #{earlier}, which was answered before")
                });
            }
        }
    }

    /// Whether, within the bound, `earlier` was answered before `later` was sent.
    fn is_before(&self, earlier: PutId, later: PutId) -> bool {
        let (earlier, later) = (&self.puts[earlier], &self.puts[later]);
        let (Some(gap), Some((answered, _))) = (self.order_after, earlier.answered) else {
            return false;
        };
        earlier.put.user == later.put.user && answered + gap <= later.requested
    }

    /// That operation `winner` may stand where `loser` does not.
    fn check_order(&mut self, winner: OperationId, loser: PutId) {
        if let Some(winner) = self.owners.get(&winner).copied() {
            let is_stale = self.is_before(winner, loser);
            self.check(!is_stale, || {
                format!("stale: #{winner} wins over #{loser}, which was sent after its answer")
            });
        }
    }

    pub fn on_user_written(
        &mut self,
        now: Time,
        write: &UserWrite,
        before: Option<UserItem>,
        after: UserItem,
    ) {
        let UserWrite { user, body: put, id, .. } = *write;
        self.trace(now, || format!("user {user} moves from {before:?} to {after:?}"));
        self.check(before.is_none_or(|before| before.created_by == after.created_by), || {
            format!("creator: user {user} moved from {before:?} to {after:?}")
        });
        let owner = self.owners.get(&id).copied();
        self.check(owner == Some(put), || {
            format!("body: user {user} is at {id} of #{owner:?} with the body of #{put}")
        });
        let stored = before.map(|before| before.op);
        let known = &self.puts[put];
        let is_allowed = is_true(&known.put.precondition, stored);
        let answered = known.answered;
        let is_twice = !known.effects.is_empty();
        let outcome = known.final_outcome;
        let is_conditional = known.put.precondition != Precondition::None;
        self.check(is_allowed, || {
            format!("precondition: #{put} replaced {stored:?}, which it does not allow")
        });
        self.check(!is_twice, || format!("twice: #{put} took effect again, as {id}"));
        self.check(before.is_none_or(|before| before.op < after.op), || {
            format!("down: user {user} moved from {before:?} to {after:?}")
        });
        self.check(!answered.is_some_and(|(_, answer)| answer.is_refusal()), || {
            format!("refused: #{put} took effect after its client was told {answered:?}")
        });
        self.check(outcome.is_none_or(|(_, outcome)| outcome == Outcome::Succeeded), || {
            format!("outcome: #{put} took effect after its outcome {outcome:?}")
        });
        if let Some(overwritten) = stored.and_then(|stored| self.owners.get(&stored).copied()) {
            self.check_order(id, overwritten);
        }
        if let Some((_, answer)) = answered {
            let is_wait = matches!(answer, Answer::Accepted { .. })
                && matches!(self.puts[put].put.mode, Mode::Wait(_));
            if matches!(answer, Answer::OutcomeUnknown) {
                self.count(Event::LateAfterAnswer);
            } else if is_wait {
                self.count(Event::WaitLandedAfterFallback);
            }
        }
        if is_conditional {
            self.count(Event::ConditionalWritten);
        }
        self.puts[put].effects.push((now, id));
        self.states.entry(user).or_default().push((now, id));
    }

    pub fn on_outcome_written(
        &mut self,
        now: Time,
        id: OperationId,
        before: Option<OutcomeItem>,
        after: OutcomeItem,
    ) {
        self.trace(now, || format!("the outcome of {id} moves from {before:?} to {after:?}"));
        let was_final = before.is_some_and(|before| !before.is_provisional);
        self.check(!was_final, || format!("outcome: {id} had {before:?}, now {after:?}"));
        let Some(put) = self.owners.get(&id).copied() else {
            return self.check(false, || format!("outcome: {id} is nobody's"));
        };
        if after.is_provisional {
            let is_bury = after.outcome == Outcome::Failed && after.grounds == Grounds::Buried;
            self.check(is_bury, || format!("outcome: #{put} has provisional {after:?}"));
            return self.count(Event::Provisional);
        }
        if before.is_some() {
            self.count(Event::ProvisionalReplaced);
        }
        let effects = self.puts[put].effects.len();
        let expected = usize::from(after.outcome == Outcome::Succeeded);
        self.check(effects == expected, || {
            format!("outcome: #{put} has {after:?} but took effect {effects} times")
        });
        match after.outcome {
            Outcome::Succeeded => {}
            Outcome::Superseded => self.check_superseded(put, id, after.grounds),
            Outcome::Failed => self.check_failed(now, put, id, after.grounds),
        }
        self.puts[put].final_outcome = Some((now, after.outcome));
    }

    /// A newer one had been stored, or was in the same transaction; and the precondition
    /// was true, or else it should have been 412.
    fn check_superseded(&mut self, put: PutId, id: OperationId, grounds: Grounds) {
        let user = self.puts[put].put.user;
        let (met, newer) = match grounds {
            Grounds::Transaction { before, written } => (before, Some(written)),
            Grounds::Judged { seen, at, .. } => {
                let is_near = seen.is_none_or(|seen| seen.tick().to_unix() <= at + MAX_LEAD);
                self.check(is_near, || {
                    format!("clock: #{put} superseded by {seen:?} at {at:?}, which is far behind")
                });
                (seen, seen)
            }
            Grounds::RefusedBeforeWrite | Grounds::Buried => (None, None),
        };
        let was_stored = newer.is_some_and(|newer| self.was_stored(user, newer));
        self.check(was_stored && newer > Some(id), || {
            format!(
                "outcome: #{put} ({id}) superseded on {grounds:?}, but nothing newer was stored"
            )
        });
        let was_allowed = is_true(&self.puts[put].put.precondition, met);
        self.check(was_allowed, || {
            format!("outcome: #{put} superseded at {met:?}, where its precondition was false")
        });
        if let Some(newer) = newer {
            self.check_order(newer, put);
        }
        let is_coalesced = matches!(grounds, Grounds::Transaction { .. });
        self.count(if is_coalesced { Event::Coalesced } else { Event::Superseded });
    }

    fn check_failed(&mut self, now: Time, put: PutId, id: OperationId, grounds: Grounds) {
        let is_true = match grounds {
            Grounds::Judged { decision: Decision::PreconditionFailed, .. } => {
                self.count(Event::DeferredPreconditionFailed);
                self.was_false(put, now)
            }
            Grounds::Judged { decision: Decision::ClockSkew, seen: Some(seen), at } => {
                self.count(Event::ClockSkew);
                self.order_after.is_none() && seen > id && seen.tick().to_unix() > at + MAX_LEAD
            }
            Grounds::RefusedBeforeWrite => {
                self.count(Event::Refused);
                let behaviour = self.puts[put].put.behaviour;
                matches!(behaviour, Behaviour::Refuses | Behaviour::RefusesAtTimes)
            }
            _ => false,
        };
        self.check(is_true, || format!("outcome: #{put} failed for good on {grounds:?}"));
    }

    fn was_stored(&self, user: UserIndex, id: OperationId) -> bool {
        self.states.get(&user).is_some_and(|states| states.iter().any(|(_, at)| *at == id))
    }

    /// What the user was at between `from` and `to`, both included.
    fn states_between(&self, user: UserIndex, from: Time, to: Time) -> Vec<Option<OperationId>> {
        let writes = self.states.get(&user).map_or(&[][..], Vec::as_slice);
        let earlier = writes.iter().rev().find(|(at, _)| *at < from).map(|(_, id)| *id);
        let within = writes.iter().filter(|(at, _)| (from..=to).contains(at));
        std::iter::once(earlier).chain(within.map(|(_, id)| Some(*id))).collect()
    }

    /// Whether the precondition was false at a moment since the request.
    fn was_false(&self, put: PutId, now: Time) -> bool {
        let Known { put, requested, .. } = &self.puts[put];
        let states = self.states_between(put.user, *requested, now);
        states.iter().any(|state| !is_true(&put.precondition, *state))
    }

    /// `has_future_tag`: whether the host could not take one of the tags for genuine.
    pub fn on_answer(&mut self, now: Time, put: PutId, answer: Answer, has_future_tag: bool) {
        let known = &mut self.puts[put];
        known.answered = Some((now, answer));
        let (effects, requested, id) = (known.effects.clone(), known.requested, known.id());
        let user = known.put.user;
        self.check(!answer.is_refusal() || effects.is_empty(), || {
            format!("refused: #{put} was told {answer:?}, but took effect at {effects:?}")
        });
        match answer {
            Answer::Written { id, created } => {
                self.count(if created { Event::Created } else { Event::Replaced });
                let is_linear = matches!(effects[..], [(at, as_)] if at >= requested && as_ == id);
                self.check(is_linear, || {
                    format!("acknowledged: #{put} was told {answer:?}, its effects: {effects:?}")
                });
                let first = self.states.get(&user).and_then(|states| states.first().copied());
                let is_creator = first.is_some_and(|(_, first)| first == id);
                self.check(created == is_creator, || {
                    format!("created: #{put} was told {answer:?}, the creator: {first:?}")
                });
            }
            Answer::Accepted { id: accepted } => {
                self.count(Event::Accepted);
                self.check(id == Some(accepted), || {
                    format!("accepted: #{put} was told {accepted}, but goes by {id:?}")
                });
            }
            Answer::PreconditionFailed => {
                let is_excused = has_future_tag && self.order_after.is_none();
                self.count(if is_excused { Event::FutureTag } else { Event::PreconditionFailed });
                let was_false = self.was_false(put, now);
                self.check(was_false || is_excused, || {
                    format!("precondition: #{put} was told 412, but it was true all the time")
                });
            }
            Answer::NotWritten => self.count(Event::NotWritten),
            Answer::OutcomeUnknown => self.count(Event::OutcomeUnknown),
            Answer::ClockRefused => {
                self.count(Event::ClockRefusal);
                self.check(id.is_none(), || format!("clock: #{put} was refused, but has {id:?}"));
            }
        }
    }

    /// A GET of a user that was sent at `from` gave `seen`.
    pub fn on_user_read(&mut self, from: Time, now: Time, user: UserIndex, seen: Option<UserItem>) {
        self.count(Event::UserRead);
        let states = self.states_between(user, from, now);
        self.check(states.contains(&seen.map(|seen| seen.op)), || {
            format!("read: user {user} was read as {seen:?}, but was at {states:?}")
        });
    }

    /// A GET of a status that was sent at `from` gave `state`. What is shown once final
    /// is what was recorded, so pending never follows it.
    pub fn on_status_read(&mut self, from: Time, put: PutId, state: &State) {
        self.count(Event::StatusRead);
        let decided = self.puts[put].final_outcome;
        let is_true = match state {
            State::Completed(shown) if !shown.is_provisional => {
                decided.is_some_and(|(_, outcome)| outcome == shown.outcome)
            }
            State::Completed(_) | State::Pending => decided.is_none_or(|(at, _)| at >= from),
            State::Expired | State::Forgotten => false,
        };
        self.check(is_true, || {
            format!("status: #{put} is shown as {state:?}, but its outcome is {decided:?}")
        });
    }

    /// Everything is delivered. `is_parked` tells whether a message of the operation is
    /// left for an operator.
    pub fn at_the_end(&mut self, tables: &Tables, is_parked: impl Fn(OperationId) -> bool) {
        for put in 0..self.puts.len() {
            self.check_fate(put, tables, &is_parked);
            self.check_last(put, tables);
        }
    }

    fn check_fate(&mut self, put: PutId, tables: &Tables, is_parked: impl Fn(OperationId) -> bool) {
        let known = &self.puts[put];
        let outcome_of = |id| tables.outcome(id).filter(|outcome| !outcome.is_provisional);
        let takes_effect_in_a_transaction = known.put.mode != Mode::Inline;
        if let Some((_, id)) = known.effects.first().copied()
            && takes_effect_in_a_transaction
        {
            let outcome = outcome_of(id);
            self.check(outcome.is_some_and(|item| item.outcome == Outcome::Succeeded), || {
                format!("end: #{put} took effect as {id}, but its outcome is {outcome:?}")
            });
        }
        let Some(id) = self.puts[put].accepted() else { return };
        match outcome_of(id) {
            Some(item) => {
                let has_effect = !self.puts[put].effects.is_empty();
                self.check(has_effect == (item.outcome == Outcome::Succeeded), || {
                    format!("end: #{put} has {item:?}, took effect: {has_effect}")
                });
            }
            None if is_parked(id) => {
                self.count(Event::LeftParked);
                let behaviour = self.puts[put].put.behaviour;
                let is_poison = matches!(behaviour, Behaviour::Panics | Behaviour::EndsTheProcess);
                if self.is_backstop_far {
                    self.count(Event::LeftParkedAsPoison);
                    self.check(is_poison, || {
                        format!("poison: #{put} is parked, but {behaviour:?}")
                    });
                }
            }
            None => self.check(false, || format!("lost: #{put} was accepted and has no outcome")),
        }
    }

    /// That the user's body is that of the newest operation that was not refused, by id
    /// and, within the bound, also by who was answered before whom.
    fn check_last(&mut self, put: PutId, tables: &Tables) {
        let known = &self.puts[put];
        let is_written = !known.effects.is_empty();
        let is_superseded =
            known.final_outcome.is_some_and(|(_, outcome)| outcome == Outcome::Superseded);
        if !is_written && !is_superseded {
            return;
        }
        let (id, user) = (known.id(), known.put.user);
        let last = tables.user(user);
        self.check(last.is_some_and(|last| Some(last.op) >= id), || {
            format!("end: user {user} is at {last:?}, older than {id:?} of #{put}")
        });
        if let Some(last) = last {
            self.check_order(last.op, put);
        }
    }
}

/// What the preconditions mean, in words of the checks' own.
fn is_true(precondition: &Precondition, state: Option<OperationId>) -> bool {
    match (precondition, state) {
        (Precondition::None, _) | (Precondition::Exists, Some(_)) => true,
        (Precondition::Absent, state) => state.is_none(),
        (Precondition::OneOf(tags), Some(state)) => tags.contains(&state),
        (Precondition::Exists | Precondition::OneOf(_), None) => false,
    }
}
