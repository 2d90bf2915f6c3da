//! Writes of the resources table.

use std::time::Duration;

use rules::{Operation, OperationId, Precondition, ResourceId, Version};

use super::records::{Kind, kind};
use super::{Effect, History, PutId, is_true};
use crate::clients::Mode;
use crate::events::Event;
use crate::http::Answer;
use crate::scheduler::Time;
use crate::tables::ResourceItem;

/// How long after its DELETE a tombstone is removed (separate from the constant of `rules`).
const TOMBSTONE_KEPT_FOR: Duration = Duration::from_secs(33 * 24 * 3600);

impl History {
    pub fn on_resource_written(
        &mut self,
        now: Time,
        operation: &Operation,
        before: Option<ResourceItem>,
        after: Option<&ResourceItem>,
    ) {
        let Operation { id, resource, change, .. } = operation;
        self.trace(now, || format!("{resource} moves to {change:?}, {id}"));
        let latest = (id.tick().to_unix() + TOMBSTONE_KEPT_FOR).as_secs() + 1;
        let expires_at = after.and_then(|after| after.expires_at);
        self.check(expires_at <= Some(latest), || {
            format!("expiry: {resource} at {id} is kept until {expires_at:?}, not {latest}")
        });
        let (stored, after) = (before.map(|item| item.version()), after.map(ResourceItem::version));
        let live = stored.filter(|stored| stored.is_live);
        let creator = after.filter(|after| after.is_live).and_then(|after| after.created_by);
        let is_creator_true = match operation.body() {
            Some(_) => creator == live.map_or(Some(*id), |live| live.created_by),
            None => creator.is_none(),
        };
        self.check(is_creator_true, || {
            format!("creator: {resource} moved from {stored:?} to {after:?}")
        });
        let Some(put) = self.put_of(operation) else {
            return self.violate(|| format!("operation: {operation:?} belongs to no request"));
        };
        let known = &self.puts[put];
        let is_allowed = is_true(&known.request.precondition, stored);
        let (effects, claims, refused) =
            (known.effects.clone(), known.claims.clone(), known.refused);
        self.check(is_allowed, || {
            format!("precondition: #{put} replaced {stored:?}, which it does not allow")
        });
        // An expired key may be used for another operation.
        let is_again = !effects.is_empty() && claims.len() < 2;
        let is_same = effects.iter().any(|effect| effect.id == *id);
        self.check(!is_again && !is_same, || format!("twice: #{put} took effect again, as {id}"));
        self.check(claims.is_empty() || claims.iter().any(|(claimed, _)| claimed == id), || {
            format!("key: #{put} took effect as {id}, its key stands for {claims:?}")
        });
        self.check(stored.is_none_or(|stored| stored.written_by < *id), || {
            format!("down: {resource} moved from {stored:?} to {id}")
        });
        let newest = self.newest.get(resource).copied();
        self.check(newest < Some(*id), || {
            format!("back: {resource} was at {newest:?}, now #{put} brings {id}")
        });
        self.newest.insert(resource.clone(), *id);
        self.check(refused.is_none(), || {
            format!("refused: #{put} took effect after its client got {refused:?}")
        });
        let fate = self.fates.entry(*id).or_default();
        let (decided, expired) = (fate.decided.clone(), fate.shown_expired);
        let is_told_cancelled = fate.is_told_cancelled;
        self.check(
            decided.as_ref().is_none_or(|by| matches!(kind(&by.outcome), Kind::Succeeded(_))),
            || format!("outcome: #{put} took effect after {decided:?}"),
        );
        self.check(expired.is_none(), || format!("expired: #{put} took effect after that"));
        self.check(!is_told_cancelled, || format!("cancel: #{put} took effect after that"));
        self.check_overwritten(resource, *id);
        self.count_effect(put);
        self.puts[put].effects.push(Effect { id: *id, was_live: live.is_some() });
        self.states.entry(resource.clone()).or_default().push((now, after));
    }

    /// The table removes an item after its time to live.
    pub fn on_expired(&mut self, now: Time, resource: &ResourceId, item: Version) {
        self.trace(now, || format!("{resource} is removed, at {item:?}"));
        self.count(Event::TombstoneRemoved);
        self.check(!item.is_live, || format!("expiry: {resource} is removed at {item:?}"));
        self.states.entry(resource.clone()).or_default().push((now, None));
    }

    fn count_effect(&mut self, put: PutId) {
        let known = &self.puts[put];
        if known.request.precondition != Precondition::None {
            self.count(Event::ConditionalWritten);
        }
        let mut answers =
            self.puts[put].sendings.iter().map(|sending| (sending.mode, sending.answered));
        let is_unknown = |(_, answered): (Mode, Option<(Time, Answer)>)| {
            answered.is_some_and(|(_, answer)| answer.is_unknown())
        };
        if answers.any(is_unknown) {
            self.count(Event::LateAfterAnswer);
        }
    }

    /// Whether the resource of a PUT was deleted by an operation newer than this operation of the
    /// PUT.
    pub(super) fn is_deleted_since(&self, put: PutId, id: OperationId) -> bool {
        let states = self.states.get(&self.puts[put].request.resource);
        let mut states = states.into_iter().flatten().filter_map(|(_, state)| *state);
        states.any(|state| !state.is_live && state.written_by > id)
    }

    /// The states of the resource between `from` and `to`, both included.
    pub(super) fn states_between(
        &self,
        resource: &ResourceId,
        from: Time,
        to: Time,
    ) -> Vec<Option<Version>> {
        let writes = self.states.get(resource).map_or(&[][..], Vec::as_slice);
        let earlier = writes.iter().rev().find(|(at, _)| *at < from);
        let earlier = earlier.and_then(|(_, state)| *state);
        let within = writes.iter().filter(|(at, _)| (from..=to).contains(at));
        std::iter::once(earlier).chain(within.map(|(_, state)| *state)).collect()
    }

    /// Whether the precondition was false at any moment since the PUT was first sent.
    pub(super) fn was_false(&self, put: PutId, now: Time) -> bool {
        let known = &self.puts[put];
        let from = known.sendings.first().map_or(0, |first| first.requested);
        let states = self.states_between(&known.request.resource, from, now);
        states.iter().any(|state| !is_true(&known.request.precondition, *state))
    }
}
