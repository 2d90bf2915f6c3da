//! Checks the answers that clients get to their PUTs.

use std::time::Duration;

use rules::{Method, OperationId, Precondition, ProblemType, Tick};

use super::records::{Kind, PRECONDITION_FAILED};
use super::{History, PutId, WINDOW};
use crate::clients::Mode;
use crate::events::Event;
use crate::host::Invocation;
use crate::http::Answer;
use crate::scheduler::{MS, Time};

/// What the design says about clocks (separate from the constants of `rules`).
const MAX_AHEAD: Duration = Duration::from_secs(30);
const MAX_BEHIND: Duration = Duration::from_secs(5 * 60);
const MAX_STEPS: u32 = 10;

/// The time that an invocation reserves for the write and the answer.
const TIME_TO_WRITE: Duration = Duration::from_secs(5);

impl History {
    pub fn on_answer(&mut self, now: Time, invocation: &Invocation, answer: Answer) {
        let Some((put, sending)) = invocation.sending else { return };
        self.puts[put].sendings[sending].answered = Some((now, answer));
        let told = &invocation.told;
        if self.puts[put].request.precondition == Precondition::OneOf(Vec::new()) {
            // No version can meet it, so it is refused before the claim and the check of the
            // clocks.
            let problem = ProblemType::PreconditionFailed;
            let (is_told, calls) = (answer == Answer::Refused(problem), told.calls.get());
            self.check(is_told && calls == 0, || {
                format!("never: #{put} got {answer:?} after {calls} calls")
            });
            self.count(Event::NeverTrue);
            return self.check_refused(put, problem);
        }
        let mode = self.puts[put].sendings[sending].mode;
        self.check_clock(put, answer, invocation);
        if let (Some(id), Some(claimed)) = (answer.id(), told.claimed.get()) {
            self.check(id == claimed, || format!("key: #{put} got {id}, its key: {claimed}"));
        }
        match answer {
            Answer::Written { .. } | Answer::Deleted => {
                self.count(match answer {
                    Answer::Written { created: true, .. } => Event::Created,
                    Answer::Written { .. } => Event::Replaced,
                    _ => Event::Deleted,
                });
                if mode != Mode::Inline {
                    self.count(Event::WaitWritten);
                }
                self.check_written(put, answer, told.claimed.get());
            }
            Answer::Succeeded { id } => {
                self.count(Event::SucceededAnswered);
                self.check_written(put, answer, None);
                let is_excused = told.failed_calls.get() > 0 || self.is_deleted_since(put, id);
                self.check(is_excused && self.method(put) == Method::Put, || {
                    format!("answer: #{put} got {answer:?} in vain")
                });
            }
            Answer::Queued { id } => self.on_queued(put, id, mode, invocation),
            Answer::Refused(problem) => self.on_problem(now, put, problem, invocation),
        }
    }

    fn check_clock(&mut self, put: PutId, answer: Answer, invocation: &Invocation) {
        let is_skewed = self.is_skewed(invocation);
        let is_told = answer == Answer::Refused(ProblemType::ClockSkew);
        let is_keyed = self.puts[put].request.key.is_some();
        let is_unknown = is_keyed && answer.is_unknown();
        self.check(if is_skewed { is_told || is_unknown } else { !is_told }, || {
            format!("clock: #{put} got {answer:?}; the clocks differ: {is_skewed}")
        });
    }

    /// Whether the clocks of the gateway and of the host differ by too much.
    fn is_skewed(&self, invocation: &Invocation) -> bool {
        let arrival = invocation.sending.and_then(|(put, sending)| {
            self.puts[put].sendings[sending].gateway_ms.map(Duration::from_millis)
        });
        arrival.is_none_or(|arrival| {
            arrival > invocation.begun_by_host + MAX_AHEAD
                || invocation.begun_by_host > arrival + MAX_BEHIND
        })
    }

    /// Checks that the operation of an answer, or of the key, was written.
    fn check_written(&mut self, put: PutId, answer: Answer, claimed: Option<OperationId>) {
        let effects = &self.puts[put].effects;
        let id = answer.id().or(claimed).or(effects.first().map(|effect| effect.id));
        let effect = effects.iter().find(|effect| Some(effect.id) == id).copied();
        self.check(effect.is_some(), || {
            format!("acknowledged: #{put} got {answer:?}, but {id:?} is not written")
        });
        if let (Some(effect), Answer::Written { created, .. }) = (effect, answer) {
            self.check(effect.was_live != created, || {
                format!("created: #{put} got {answer:?} for {effect:?}")
            });
        }
    }

    fn on_queued(&mut self, put: PutId, id: OperationId, mode: Mode, invocation: &Invocation) {
        let told = &invocation.told;
        self.count(match mode {
            Mode::Deferred => Event::Queued,
            Mode::Inline | Mode::Wait(_) => Event::WaitFellBack,
        });
        self.fates.entry(id).or_default().is_accepted = true;
        let owner = self.owner(id);
        self.check(owner == Some(put), || {
            format!("accepted: #{put} got {id}, which is of {owner:?}")
        });
        self.check(!told.has_written.get(), || {
            format!("pending: #{put} got {id}, but is known to have landed")
        });
        self.check(told.sent.get() == Some(id), || {
            format!("queued: #{put} got {id}, but no queue has taken it")
        });
        self.check(mode != Mode::Inline, || format!("mode: #{put} got {id}"));
        let was_decided = self.decided(id).is_some_and(|by| by.at < invocation.begun);
        self.check(!was_decided, || format!("replay: #{put} was decided, but got {id}"));
    }

    fn on_problem(&mut self, now: Time, put: PutId, problem: ProblemType, invocation: &Invocation) {
        use ProblemType as P;
        let request = &self.puts[put].request;
        let (key, may_refuse) = (request.key, request.behaviour.may_refuse());
        self.count(match problem {
            P::PreconditionFailed => Event::PreconditionFailed,
            P::Superseded => Event::SupersededAnswered,
            P::Refused => Event::RefusedAnswered,
            P::Cancelled => Event::CancelledAnswered,
            P::IdempotencyKeyReused => Event::KeyReusedAnswered,
            P::NotWritten => Event::NotWritten,
            P::OutcomeUnknown => Event::OutcomeUnknown,
            P::ClockSkew => Event::ClockRefusal,
            _ => return self.violate(|| format!("problem: #{put} got {problem:?}")),
        });
        let is_503 = matches!(problem, P::NotWritten | P::OutcomeUnknown | P::ClockSkew);
        let is_possible = match problem {
            P::OutcomeUnknown | P::PreconditionFailed | P::Superseded => true,
            P::NotWritten | P::ClockSkew => key.is_none(),
            P::Refused => key.is_some() || may_refuse,
            _ => key.is_some(),
        };
        self.check(is_possible, || format!("problem: #{put}, key {key:?}, got {problem:?}"));
        if is_503 {
            self.check_reason(put, problem, invocation);
        }
        if problem == P::PreconditionFailed {
            let was_false = self.was_false(put, now);
            self.check(was_false, || {
                format!("precondition: #{put} got 412, but its precondition was always true")
            });
        }
        if problem == P::Superseded && key.is_none() {
            self.check_overtaken(now, put, invocation);
        }
        if problem == P::IdempotencyKeyReused {
            let others = self.keyed(|request| request.key == key);
            self.check(others.len() > 1, || format!("key: {key:?} of #{put} is used only once"));
        } else if key.is_some() && !is_503 {
            self.check_fence(put, problem, invocation);
        }
        if problem != P::OutcomeUnknown {
            self.check_refused(put, problem);
        }
    }

    /// A PUT without a key is superseded only by one that arrived too long after it.
    fn check_overtaken(&mut self, now: Time, put: PutId, invocation: &Invocation) {
        let known = &self.puts[put];
        let (sending, met) = (&known.sendings[0], invocation.told.met.borrow());
        let stored = met.get(&known.request.resource).copied().flatten();
        let stored = stored.map(|stored| stored.written_by);
        let latest = sending.gateway_ms.map(|ms| Tick::from_unix_ms(ms + WINDOW / MS));
        let is_beyond = stored.map(OperationId::tick) > latest;
        // In true time it was held up at least as long as the clocks of the gateway allow.
        let held_up = sending.arrived.map(|arrived| now - arrived);
        let is_needless = held_up.zip(self.gap).is_some_and(|(time, gap)| time + gap < WINDOW);
        let mode = sending.mode;
        self.check(is_beyond && mode != Mode::Deferred, || {
            format!("superseded: #{put} ({mode:?}) might have stepped over {stored:?}")
        });
        self.check(!is_needless, || {
            format!("needless: #{put} was superseded {held_up:?} after its arrival")
        });
    }

    /// Nothing of it was written, and nothing may be written from now on.
    fn check_refused(&mut self, put: PutId, problem: ProblemType) {
        let known = &self.puts[put];
        if known.sendings.iter().any(|sending| sending.is_late) {
            // An operation of it from before its key expired may have landed, or may still land.
            return;
        }
        let effects = known.effects.clone();
        self.check(effects.is_empty(), || {
            format!("refused: #{put} got {problem:?}, its effects: {effects:?}")
        });
        self.puts[put].refused = Some(Answer::Refused(problem));
    }

    /// With a key, an operation is decided before its client hears that it was not written.
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
            format!("fence: #{put} got {problem:?}, but {claimed:?} is {decided:?}")
        });
    }

    /// Checks that a 503 has a reason: a failed call, an update that asks to be tried later, clocks
    /// that differ, many newer ids, or too little time left to write.
    fn check_reason(&mut self, put: PutId, problem: ProblemType, invocation: &Invocation) {
        let told = &invocation.told;
        let is_excused = told.failed_calls.get() > 0
            || told.has_tried_later.get()
            || told.refused_calls.get() > MAX_STEPS
            || self.is_skewed(invocation)
            || invocation.time_left() <= TIME_TO_WRITE;
        self.check(is_excused, || format!("reason: #{put} got {problem:?} though nothing failed"));
    }
}
