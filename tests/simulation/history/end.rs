//! What must be true when everything is delivered.

use rules::{Change, OperationId};

use super::records::{Kind, kind};
use super::{Effect, Fate, History, PutId};
use crate::clients::Mode;
use crate::events::Event;
use crate::scheduler::{DAY, Time};
use crate::world::time_of;

impl History {
    /// Everything is delivered. `is_parked` says whether a message with this body is left for an
    /// operator.
    pub fn at_the_end(&mut self, now: Time, is_parked: impl Fn(&str) -> bool) {
        let ids: Vec<_> = self.owners.iter().map(|(id, put)| (*id, *put)).collect();
        for (id, put) in ids {
            self.check_fate(now, id, put, &is_parked);
        }
        for put in 0..self.puts.len() {
            self.check_transaction(put);
            self.check_last(put);
            self.check_foreign(put, &is_parked);
        }
    }

    fn check_fate(
        &mut self,
        now: Time,
        id: OperationId,
        put: PutId,
        is_parked: impl Fn(&str) -> bool,
    ) {
        let Some(fate) = self.fates.get(&id).filter(|fate| fate.is_accepted) else { return };
        let known = &self.puts[put];
        let (decided, stalled) = (fate.decided.clone(), fate.stalled);
        let has_effect = known.effects.iter().any(|effect| effect.id == id);
        let is_too_old = now.saturating_sub(time_of(id.tick().to_unix())) > 31 * DAY;
        let is_left = is_parked(&self.name(put, id));
        let is_dropped = known.is_dropped;
        if let Some(decided) = decided {
            let has_succeeded = kind(&decided.outcome) == Kind::Succeeded(self.method(put));
            self.check(has_effect == has_succeeded, || {
                format!("end: #{put} has {decided:?}, took effect: {has_effect}")
            });
        } else if is_left {
            self.count(Event::LeftParked);
            self.check(stalled.is_some(), || format!("parked: #{put} is not stalled"));
            if self.is_backstop_far {
                self.count(Event::LeftParkedAsPoison);
                let may_be_parked = self.may_be_given_up(put);
                self.check(may_be_parked, || format!("poison: #{put} is parked without a reason"));
            }
        } else if is_dropped || is_too_old {
            self.count(Event::LeftToExpire);
        } else {
            self.violate(|| format!("lost: #{put} ({id}) was accepted and has no outcome"));
        }
    }

    /// A write that records an outcome has recorded it.
    fn check_transaction(&mut self, put: PutId) {
        let known = &self.puts[put];
        let is_plain = known.request.key.is_none()
            && known.sendings.iter().all(|sending| sending.mode == Mode::Inline);
        if is_plain {
            return;
        }
        for Effect { id, .. } in known.effects.clone() {
            let decided = self.kind_of(id);
            let is_told = decided == Some(Kind::Succeeded(self.method(put)));
            self.check(is_told, || format!("end: #{put} took effect, but {id} is {decided:?}"));
        }
    }

    /// Checks that the body of the resource is that of the newest operation that was not refused:
    /// the newest by id and, within the bound, also by the times of the requests.
    fn check_last(&mut self, put: PutId) {
        let known = &self.puts[put];
        let states = self.states.get(&known.request.resource).map_or(&[][..], Vec::as_slice);
        let last = states.iter().rev().find_map(|(_, state)| state.map(|state| state.written_by));
        if let (Some(last), Some(Effect { id, .. })) = (last, known.effects.last().copied()) {
            self.check(last >= id, || format!("end: {last} is stored over {id} of #{put}"));
            self.check_order(last, put);
        }
    }

    /// A message that cannot be read is not lost, though no client heard of it either.
    fn check_foreign(&mut self, put: PutId, is_parked: impl Fn(&str) -> bool) {
        let known = &self.puts[put];
        let mut fates = self.ids_of(put).filter_map(|id| self.fates.get(&id));
        let is_over = |fate: &Fate| fate.decided.is_some() || fate.shown_expired.is_some();
        let is_decided = fates.any(is_over);
        drop(fates);
        let is_left = matches!(&known.request.change, Change::Put(body) if is_parked(body));
        let is_accepted = known.sendings.iter().any(|sending| sending.answered.is_some());
        let has_ended = !known.effects.is_empty() || is_decided || known.is_dropped || is_left;
        let is_fine = !known.is_foreign || is_accepted || has_ended;
        self.check(is_fine, || format!("lost: #{put}, which could not be read"));
    }
}
