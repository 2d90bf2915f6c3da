//! The order: a request that was answered before a PUT was sent never wins over it, as long as the
//! gateway's clocks stay within the bound.

use rules::{OperationId, ResourceId};

use super::{History, PutId, Sending, WINDOW};
use crate::clients::Mode;
use crate::events::Event;
use crate::scheduler::{MS, Time};

impl History {
    /// Whether, within the bound, `earlier` had ended before `later` was sent.
    pub(super) fn is_before(&self, earlier: PutId, later: PutId) -> bool {
        let Some(gap) = self.gap else { return false };
        let (earlier, later) = (&self.puts[earlier], &self.puts[later]);
        let (Some(first), false) = (later.sendings.first(), earlier.sendings.is_empty()) else {
            return false;
        };
        let is_keyed = earlier.request.key.is_some();
        let mut ends = earlier.sendings.iter().map(|sending| self.end(sending, is_keyed));
        ends.all(|end| end.is_some_and(|end| end + gap <= first.requested))
    }

    /// When a sending ended: it was answered, or given up. A sending that may step over newer ids
    /// may do so up to 1 s after its arrival.
    fn end(&self, sending: &Sending, is_keyed: bool) -> Option<Time> {
        let answered = sending.answered.map(|(answered, _)| answered);
        let arrived = sending.arrived?;
        let given_up = sending.given_up.map(|given_up| {
            let may_step = !is_keyed && sending.mode != Mode::Deferred;
            given_up.max(arrived + if may_step { WINDOW } else { 0 })
        });
        answered.into_iter().chain(given_up).min()
    }

    /// Checks that operation `winner` may be stored and `loser` not.
    pub(super) fn check_order(&mut self, winner: OperationId, loser: PutId) {
        let Some(winner) = self.owners.get(&winner).copied() else { return };
        if winner != loser {
            self.count(Event::OrderedPairs);
            let is_stale = self.is_before(winner, loser);
            self.check(!is_stale, || {
                format!("stale: #{winner} wins over #{loser}, which was sent after #{winner} ended")
            });
        }
    }

    /// Checks that the write of `winner` may replace all earlier states of the resource.
    pub(super) fn check_overwritten(&mut self, resource: &ResourceId, winner: OperationId) {
        let earlier = self.stored_so_far(resource);
        let losers: Vec<_> = earlier.filter_map(|id| self.owner(id)).collect();
        for loser in losers {
            self.check_order(winner, loser);
            self.check_promise(winner, loser);
        }
    }

    /// The operations of all states so far of a resource or its tombstone.
    fn stored_so_far(&self, resource: &ResourceId) -> impl Iterator<Item = OperationId> {
        let states = self.states.get(resource).map_or(&[][..], Vec::as_slice);
        states.iter().filter_map(|(_, state)| state.map(|state| state.written_by))
    }

    /// Checks that the operations that `winner` overwrites arrived at most a second after it, by
    /// the gateway's clocks, whatever all other clocks say.
    fn check_promise(&mut self, winner: OperationId, loser: PutId) {
        let Some(winner) = self.owners.get(&winner).copied() else { return };
        let arrivals =
            |put: PutId| self.puts[put].sendings.iter().filter_map(|sending| sending.gateway_ms);
        let (latest, earliest) = (arrivals(winner).max(), arrivals(loser).min());
        let is_kept = winner == loser || earliest <= latest.map(|ms| ms + WINDOW / MS);
        self.check(is_kept, || {
            format!("promise: #{winner} of {latest:?} overwrites #{loser} of {earliest:?}")
        });
    }

    /// Checks that some newer operation that was stored may win over `loser` (`id`).
    pub(super) fn check_superseded(&mut self, id: OperationId, loser: PutId) {
        let resource = &self.puts[loser].request.resource;
        let newer = self.stored_so_far(resource).filter(|stored| *stored > id);
        let winners: Vec<_> = newer.filter_map(|stored| self.owner(stored)).collect();
        self.check(!winners.is_empty(), || {
            format!("outcome: #{loser} ({id}) is superseded, but nothing newer was stored")
        });
        let is_stale =
            !winners.is_empty() && winners.iter().all(|winner| self.is_before(*winner, loser));
        self.check(!is_stale, || {
            format!("stale: #{loser} is superseded only by {winners:?}, which ended before")
        });
    }
}
