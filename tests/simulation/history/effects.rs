//! Writes of the resources table.

use rules::outcome::Outcome;
use rules::{Operation, OperationId, Precondition, ResourceId};

use super::{History, PutId, is_true};
use crate::clients::Mode;
use crate::events::Event;
use crate::http::Answer;
use crate::scheduler::Time;
use crate::tables::ResourceItem;

impl History {
    pub fn on_resource_written(
        &mut self,
        now: Time,
        operation: &Operation,
        before: Option<ResourceItem>,
        after: &ResourceItem,
    ) {
        let Operation { id, resource, body, .. } = operation;
        self.trace(now, || format!("{resource} moves to {body}, {id}"));
        self.check(
            before.as_ref().is_none_or(|before| before.created_by == after.created_by),
            || format!("creator: {resource} moved from {before:?} to {after:?}"),
        );
        let Some(put) = self.by_body.get(body).copied() else {
            return self.violate(|| format!("body: {body} is nobody's"));
        };
        let stored = before.map(|before| before.written_by);
        let known = &self.puts[put];
        let is_allowed = is_true(&known.request.precondition, stored);
        let (effects, claims, refused) =
            (known.effects.clone(), known.claims.clone(), known.refused);
        self.check(is_allowed, || {
            format!("precondition: #{put} replaced {stored:?}, which it does not allow")
        });
        // A key that has expired stands for another operation.
        let is_again = !effects.is_empty() && claims.len() < 2;
        let is_same = effects.iter().any(|(_, effect)| effect == id);
        self.check(!is_again && !is_same, || format!("twice: #{put} took effect again, as {id}"));
        self.check(claims.is_empty() || claims.iter().any(|(claimed, _)| claimed == id), || {
            format!("key: #{put} took effect as {id}, its key stands for {claims:?}")
        });
        self.check(stored < Some(*id), || {
            format!("down: {resource} moved from {stored:?} to {id}")
        });
        self.check(refused.is_none(), || {
            format!("refused: #{put} took effect after its client was told {refused:?}")
        });
        let fate = self.fates.entry(*id).or_default();
        let (decided, expired) = (fate.decided.clone(), fate.shown_expired);
        self.check(
            decided.as_ref().is_none_or(|by| by.outcome == Outcome::Succeeded(Method::Put)),
            || format!("outcome: #{put} took effect after {decided:?}"),
        );
        self.check(expired.is_none(), || format!("expired: #{put} took effect after that"));
        self.check_overwritten(resource, *id);
        self.count_effect(put);
        self.puts[put].effects.push((now, *id));
        self.states.entry(resource.clone()).or_default().push((now, *id));
    }

    fn count_effect(&mut self, put: PutId) {
        let known = &self.puts[put];
        if known.request.precondition != Precondition::None {
            self.count(Event::ConditionalWritten);
        }
        let mut answers =
            self.puts[put].sendings.iter().map(|sending| (sending.mode, sending.answered));
        let is_unknown = |(_, answered): (Mode, Option<(Time, Answer)>)| {
            answered.is_some_and(|(_, answer)| answer.id().is_none())
        };
        if answers.any(is_unknown) {
            self.count(Event::LateAfterAnswer);
        }
    }

    /// What the resource was at between `from` and `to`, both included.
    pub(super) fn states_between(
        &self,
        resource: &ResourceId,
        from: Time,
        to: Time,
    ) -> Vec<Option<OperationId>> {
        let writes = self.states.get(resource).map_or(&[][..], Vec::as_slice);
        let earlier = writes.iter().rev().find(|(at, _)| *at < from).map(|(_, id)| *id);
        let within = writes.iter().filter(|(at, _)| (from..=to).contains(at));
        std::iter::once(earlier).chain(within.map(|(_, id)| Some(*id))).collect()
    }

    /// Whether the precondition was false at a moment since the PUT was first sent.
    pub(super) fn was_false(&self, put: PutId, now: Time) -> bool {
        let known = &self.puts[put];
        let from = known.sendings.first().map_or(0, |first| first.requested);
        let states = self.states_between(&known.request.resource, from, now);
        states.iter().any(|state| !is_true(&known.request.precondition, *state))
    }
}
