//! What clients are told of their PUTs.

use std::time::Duration;

use rules::{Method, OperationId, Precondition, ProblemType, Tick};

use super::records::{Kind, PRECONDITION_FAILED};
use super::{History, Known, PutId, WINDOW};
use crate::clients::Mode;
use crate::events::Event;
use crate::host::Invocation;
use crate::http::Answer;
use crate::scheduler::{MS, Time};

/// What the design says of clocks (kept apart from the constants of `rules`).
const MAX_AHEAD: Duration = Duration::from_secs(30);
const MAX_BEHIND: Duration = Duration::from_secs(5 * 60);
const MAX_STEPS: u32 = 10;

/// What an invocation keeps of its time for the write and the answer.
const TIME_TO_WRITE: Duration = Duration::from_secs(5);

/// An invocation's clocks.
pub struct Invoked {
    /// When it began.
    pub begun: Time,
    /// The time of the gateway's clock when it took the request.
    pub gateway_ms: Option<u64>,
    /// The host's clock at the start.
    pub host_now: Duration,
}

impl Invoked {
    fn is_skewed(&self) -> bool {
        let Some(arrival) = self.gateway_ms.map(Duration::from_millis) else { return true };
        arrival > self.host_now + MAX_AHEAD || self.host_now > arrival + MAX_BEHIND
    }
}

impl History {
    pub fn on_answer(
        &mut self,
        now: Time,
        invocation: &Invocation,
        answer: Answer,
        invoked: &Invoked,
    ) {
        let Some((put, sending)) = invocation.sending else { return };
        self.puts[put].sendings[sending].answered = Some((now, answer));
        let told = &invocation.told;
        if self.puts[put].request.precondition == Precondition::OneOf(Vec::new()) {
            // No version can meet it: refused before the claim and the look at the clocks.
            let problem = ProblemType::PreconditionFailed;
            let (is_told, calls) = (answer == Answer::Refused(problem), told.calls.get());
            self.check(is_told && calls == 0, || {
                format!("never: #{put} was told {answer:?} after {calls} calls")
            });
            self.count(Event::NeverTrue);
            return self.check_refused(put, problem);
        }
        let mode = self.puts[put].sendings[sending].mode;
        let is_keyed = self.puts[put].request.key.is_some();
        self.check_clock(put, answer, invoked, is_keyed);
        match answer {
            Answer::Written { id, created } => {
                self.count(if created { Event::Created } else { Event::Replaced });
                if mode != Mode::Inline {
                    self.count(Event::WaitWritten);
                }
                self.check_written(put, id, answer);
                let mut effects = self.puts[put].effects.iter().filter(|effect| effect.id == id);
                let effect = effects.next().copied();
                self.check(effect.is_some_and(|effect| effect.was_live != created), || {
                    format!("created: #{put} was told {answer:?} of {effect:?}")
                });
            }
            Answer::Deleted => {
                self.count(Event::Deleted);
                if mode != Mode::Inline {
                    self.count(Event::WaitWritten);
                }
                let effects = &self.puts[put].effects;
                let id = told.claimed.get().or(effects.first().map(|effect| effect.id));
                match id {
                    Some(id) => self.check_written(put, id, answer),
                    None => self.violate(|| format!("acknowledged: #{put} was told {answer:?}")),
                }
            }
            Answer::Succeeded { id } => {
                self.count(Event::SucceededAnswered);
                self.check_written(put, id, answer);
                let is_excused = told.failed_calls.get() > 0 || self.is_deleted_since(put, id);
                self.check(is_excused && self.method(put) == Method::Put, || {
                    format!("answer: #{put} was told {answer:?} in vain")
                });
            }
            Answer::Queued { id } => {
                self.count(if mode == Mode::Deferred {
                    Event::Queued
                } else {
                    Event::WaitFellBack
                });
                self.fates.entry(id).or_default().is_accepted = true;
                let owner = self.owner(id);
                self.check(owner == Some(put), || {
                    format!("accepted: #{put} was told {id}, which is of {owner:?}")
                });
                let has_written = told.has_written.get();
                self.check(!has_written, || {
                    format!("pending: #{put} was told {answer:?}, and is known to have landed")
                });
                self.check(told.sent.get() == Some(id), || {
                    format!("queued: #{put} was told {answer:?}, and no queue has taken it")
                });
                self.check(mode != Mode::Inline, || format!("mode: #{put} was told {answer:?}"));
                let decided = self.fates.get(&id).and_then(|fate| fate.decided.as_ref());
                let was_decided = decided.is_some_and(|by| by.at < invoked.begun);
                self.check(!was_decided, || format!("replay: #{put} was decided, told {answer:?}"));
            }
            Answer::Refused(problem) => {
                self.on_problem(now, put, problem, invocation, invoked);
            }
        }
        if let (Some(id), Some(claimed)) = (answer.id(), told.claimed.get()) {
            self.check(id == claimed, || format!("key: #{put} was told {id}, its key: {claimed}"));
        }
    }

    fn check_clock(&mut self, put: PutId, answer: Answer, invoked: &Invoked, is_keyed: bool) {
        let is_skewed = invoked.is_skewed();
        let expected = match is_keyed {
            true => Answer::Refused(ProblemType::OutcomeUnknown),
            false => Answer::Refused(ProblemType::ClockSkew),
        };
        self.check(!is_skewed || answer == expected, || {
            format!("clock: #{put} was told {answer:?} though the clocks differ")
        });
        let is_told = answer == Answer::Refused(ProblemType::ClockSkew);
        self.check(!is_told || is_skewed, || {
            format!("clock: #{put} was told {answer:?}, and the clocks do not differ")
        });
    }

    fn check_written(&mut self, put: PutId, id: OperationId, answer: Answer) {
        let effects = &self.puts[put].effects;
        let has_landed = effects.iter().any(|effect| effect.id == id);
        let says = format!("acknowledged: #{put} was told {answer:?}, its effects: {effects:?}");
        self.check(has_landed, || says);
    }

    fn on_problem(
        &mut self,
        now: Time,
        put: PutId,
        problem: ProblemType,
        invocation: &Invocation,
        invoked: &Invoked,
    ) {
        use ProblemType as P;
        let known = &self.puts[put];
        let (is_keyed, key) = (known.request.key.is_some(), known.request.key);
        let may_refuse = known.request.behaviour.may_refuse();
        self.count(match problem {
            P::PreconditionFailed => Event::PreconditionFailed,
            P::Superseded => Event::SupersededAnswered,
            P::Refused => Event::RefusedAnswered,
            P::Cancelled => Event::CancelledAnswered,
            P::IdempotencyKeyReused => Event::KeyReusedAnswered,
            P::NotWritten => Event::NotWritten,
            P::OutcomeUnknown => Event::OutcomeUnknown,
            P::ClockSkew => Event::ClockRefusal,
            _ => return self.violate(|| format!("problem: #{put} was told {problem:?}")),
        });
        if problem == P::PreconditionFailed {
            let was_false = self.was_false(put, now);
            self.check(was_false, || {
                format!("precondition: #{put} was told 412, but it was true all the time")
            });
        }
        let is_503 = matches!(problem, P::NotWritten | P::OutcomeUnknown | P::ClockSkew);
        if is_keyed {
            self.check(!is_503 || problem == P::OutcomeUnknown, || {
                format!("keyed: #{put} was told {problem:?}, and another sending may have landed")
            });
        } else {
            let is_possible = is_503
                || matches!(problem, P::PreconditionFailed | P::Superseded)
                || problem == P::Refused && may_refuse;
            self.check(is_possible, || format!("problem: #{put} without a key: {problem:?}"));
            if problem == P::Superseded {
                self.check_overtaken(now, put, invocation, invoked);
            }
        }
        if is_503 {
            self.check_reason(put, problem, invocation, invoked);
        }
        match problem {
            P::OutcomeUnknown => {}
            P::IdempotencyKeyReused => {
                let others = self.keyed(|request| request.key == key);
                self.check(others.len() > 1, || format!("key: {key:?} of #{put} is nobody else's"));
                self.check_refused(put, problem);
            }
            _ => {
                if is_keyed {
                    self.check_fence(put, problem, invocation);
                }
                self.check_refused(put, problem);
            }
        }
    }

    /// A PUT without a key is superseded only by one that arrived too long after it.
    fn check_overtaken(
        &mut self,
        now: Time,
        put: PutId,
        invocation: &Invocation,
        invoked: &Invoked,
    ) {
        let Known { request, sendings, .. } = &self.puts[put];
        let stored = invocation.told.met.borrow().get(&request.resource).copied().flatten();
        let stored = stored.map(|stored| stored.written_by);
        let latest = invoked.gateway_ms.map(|ms| Tick::from_unix_ms(ms + WINDOW / MS));
        let is_beyond = stored.map(OperationId::tick) > latest;
        // By true time it was held up at least as long as the clocks of the gateway allow.
        let held_up = sendings[0].arrived.map(|arrived| now - arrived);
        let is_needless = held_up.zip(self.gap).is_some_and(|(time, gap)| time + gap < WINDOW);
        let mode = sendings[0].mode;
        self.check(is_beyond && mode != Mode::Deferred, || {
            format!("superseded: #{put} ({mode:?}) might have stepped over {stored:?}")
        });
        self.check(!is_needless, || {
            format!("needless: #{put} was superseded {held_up:?} after its arrival")
        });
    }

    /// Nothing was written of it, and from now on nothing may be.
    fn check_refused(&mut self, put: PutId, problem: ProblemType) {
        let effects = self.puts[put].effects.clone();
        if self.puts[put].sendings.iter().any(|sending| sending.is_late) {
            // What it was before its key expired may have landed, or do so.
            return;
        }
        self.check(effects.is_empty(), || {
            format!("refused: #{put} was told {problem:?}, its effects: {effects:?}")
        });
        self.puts[put].refused = Some(Answer::Refused(problem));
    }

    /// Under a key an operation is decided before it is told that it was not written.
    fn check_fence(&mut self, put: PutId, problem: ProblemType, invocation: &Invocation) {
        let claimed = invocation.told.claimed.get();
        let decided = claimed.and_then(|id| self.kind_of(id));
        let expected = match problem {
            ProblemType::PreconditionFailed => PRECONDITION_FAILED,
            ProblemType::Superseded => Kind::Superseded,
            ProblemType::Cancelled => Kind::Cancelled,
            other => Kind::Failed(Some(other)),
        };
        self.check(decided == Some(expected), || {
            format!("fence: #{put} was told {problem:?}, but {claimed:?} is {decided:?}")
        });
    }

    /// That a 503 has a reason: a call that failed, an update that is to be tried later,
    /// clocks that differ, many newer ids, or too little time left to write.
    fn check_reason(
        &mut self,
        put: PutId,
        problem: ProblemType,
        invocation: &Invocation,
        invoked: &Invoked,
    ) {
        let told = &invocation.told;
        let is_excused = told.failed_calls.get() > 0
            || told.has_tried_later.get()
            || told.refused_calls.get() > MAX_STEPS
            || invoked.is_skewed()
            || invocation.time_left() <= TIME_TO_WRITE;
        self.check(is_excused, || {
            format!("reason: #{put} was told {problem:?} though nothing failed")
        });
    }
}
