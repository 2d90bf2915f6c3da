//! Checks what GETs show.

use std::time::Duration;

use rules::{Change, OperationId, ProblemType, ResourceId};

use super::records::kind;
use super::{History, resource_at};
use crate::events::Event;
use crate::http::Shown;
use crate::scheduler::Time;
use crate::world::since_epoch;

const DAY: u64 = 24 * 3600;

/// Ages of operations in the design (separate from the constants of `rules`).
const PENDING_FOR: Duration = Duration::from_secs(32 * DAY + 3600);
pub(super) const TOLD_FOR: Duration = Duration::from_secs(44 * DAY);
const OUTCOME_KEPT: Duration = Duration::from_secs(60 * DAY);

impl History {
    /// A GET of a resource that was sent at `from` got `seen`, the version that it showed.
    pub fn on_resource_read(
        &mut self,
        from: Time,
        now: Time,
        resource: &ResourceId,
        seen: Result<Result<Option<(String, OperationId)>, ProblemType>, String>,
    ) -> Option<OperationId> {
        let seen = match seen {
            Ok(Ok(seen)) => seen,
            Ok(Err(ProblemType::NotRead)) => return None,
            wrong => {
                self.violate(|| format!("form: {resource} was read as {wrong:?}"));
                return None;
            }
        };
        self.count(Event::ResourceRead);
        let states = self.states_between(resource, from, now);
        let version = seen.as_ref().map(|(_, version)| *version);
        let owner = version.and_then(|version| self.owner(version));
        let change = owner.map(|put| self.puts[put].request.change.clone());
        let is_its_body = match (&seen, &change) {
            (Some((seen, _)), Some(Change::Put(body))) => seen == body,
            (seen, _) => seen.is_none(),
        };
        let was_there = states.iter().any(|state| resource_at(*state) == version);
        self.check(was_there && is_its_body, || {
            format!(
                "read: {resource} is {change:?} and was at {states:?}, but was read as {seen:?}"
            )
        });
        version
    }

    /// Whether a function may know no outcome of an operation any more. The table deletes by true
    /// time and a function uses its host's clock; `latest` is the later of both.
    pub(super) fn is_forgotten(&self, id: OperationId, latest: Duration) -> bool {
        self.decided(id).is_none_or(|by| latest >= by.completed_at + OUTCOME_KEPT)
    }

    /// A GET of a status, under way from `from` to `to`, showed something. `clock` is the time of
    /// its host's clock at the end.
    pub fn on_status_read(
        &mut self,
        (from, to): (Time, Time),
        clock: Duration,
        id: OperationId,
        shown: Shown,
    ) {
        self.count(match shown {
            Shown::Expired => Event::ExpiredShown,
            Shown::Gone => Event::GoneShown,
            Shown::Stalled => Event::StalledShown,
            _ => Event::StatusRead,
        });
        let age = clock.saturating_sub(id.tick().to_unix());
        let is_forgotten = self.is_forgotten(id, clock.max(since_epoch(to)));
        let fate = self.fates.entry(id).or_default();
        let decided = fate.decided.clone();
        let was_decided = decided.as_ref().is_some_and(|by| by.at < from);
        let was_stalled = fate.stalled.is_some_and(|at| at < from);
        let was_expired = fate.shown_expired.is_some_and(|at| at < from);
        let is_open = !was_decided && !was_expired;
        let is_true = match &shown {
            Shown::Pending => is_open && !was_stalled && age <= PENDING_FOR,
            Shown::Stalled => is_open && fate.stalled.is_some() && age <= PENDING_FOR,
            Shown::Expired => !was_decided && age > PENDING_FOR && age <= TOLD_FOR,
            Shown::Gone => is_forgotten && age > TOLD_FOR,
            Shown::Decided(shown) => decided.as_ref().is_some_and(|by| kind(&by.outcome) == *shown),
        };
        if shown == Shown::Expired {
            fate.shown_expired = fate.shown_expired.or(Some(to));
        }
        let (stalled, expired) = (fate.stalled, fate.shown_expired);
        let (put, age) = (self.owner(id), age.as_secs());
        self.check(is_true, || {
            format!(
                "status: {id} of #{put:?} is shown as {shown:?} at an age of {age} s, but it is {decided:?}, stalled {stalled:?}, expired {expired:?}"
            )
        });
    }
}
