//! The two DynamoDB tables (contract.rs compares them with real ones). Each method is one call, as
//! the tables carry it out, in one step. Its times are those of a host's clock, but the tables
//! delete expired items by true time.

use std::collections::BTreeMap;
use std::time::Duration;

use rules::outcome::{
    Decision, Outcome, RETENTION, Recorded, TOMBSTONE_KEPT_FOR, tombstone_expires_at,
};
use rules::request::key::{Claim, VALID_FOR};
use rules::{Change, Operation, OperationId, Precondition, ResourceId, Tick, Version};
use world::{Stored, Transaction, Write};

use crate::history::History;
use crate::mutants::Mutant;
use crate::scheduler::{DAY, Time};
use crate::world::since_epoch;

/// DynamoDB deletes an expired item some time later.
const LONGEST_BEFORE_DELETION: Time = 3 * DAY;

/// A resource, or the tombstone of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceItem {
    /// `None` for a tombstone.
    pub body: Option<String>,
    pub written_by: OperationId,
    pub created_by: Option<OperationId>,
    /// In s since the Unix epoch; only for a tombstone.
    pub expires_at: Option<u64>,
}

impl ResourceItem {
    pub fn version(&self) -> Version {
        let Self { body, written_by, created_by, .. } = self;
        let is_live = body.is_some();
        Version { written_by: *written_by, created_by: *created_by, is_live }
    }
}

/// An item with a time to live, in seconds since the Unix epoch.
#[derive(Clone)]
struct Expiring<T> {
    value: T,
    expires_at: u64,
}

/// What was stored, and since when. A read may return an old version.
type Versions<T> = Vec<(Time, T)>;

pub struct Tables {
    resources: BTreeMap<ResourceId, Versions<Option<ResourceItem>>>,
    records: BTreeMap<OperationId, Versions<Expiring<Recorded>>>,
    claims: BTreeMap<String, Expiring<Claim>>,
    mutant: Option<Mutant>,
}

/// The step of a call: its time, and the history that records it.
pub struct Step<'a> {
    pub now: Time,
    pub history: &'a mut History,
}

impl Tables {
    pub fn new(mutant: Option<Mutant>) -> Self {
        let (resources, records) = (BTreeMap::new(), BTreeMap::new());
        Self { resources, records, claims: BTreeMap::new(), mutant }
    }

    fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn stored(&self, resource: &ResourceId) -> Option<&ResourceItem> {
        self.resources.get(resource)?.last()?.1.as_ref()
    }

    /// Deletes the resource items that have expired by now: at once, late or never. No call has
    /// seen them since.
    pub fn expire(&mut self, Step { now, history }: Step<'_>) {
        for (resource, versions) in &mut self.resources {
            let Some((_, Some(item))) = versions.last() else { continue };
            let (Some(expires_at), chance) = (item.expires_at, item.written_by.to_bytes()[15])
            else {
                continue;
            };
            let is_gone = match chance % 4 {
                0 => is_deleted(expires_at, chance, now),
                1 => false,
                _ => is_deleted(expires_at, 0, now),
            };
            if is_gone {
                history.on_expired(now, resource, item.version());
                versions.push((now, None));
            }
        }
    }

    /// The record of an operation, unless DynamoDB has deleted it.
    fn undeleted(&self, id: OperationId, now: Time) -> Option<&Expiring<Recorded>> {
        let (_, item) = self.records.get(&id)?.last()?;
        Some(item).filter(|item| !is_deleted(item.expires_at, id.to_bytes()[15], now))
    }

    /// `Resources::read` with the state of `age` ago, which is zero except for a mutant.
    pub fn read(&self, resource: &ResourceId, now: Time, age: Time) -> Option<Stored> {
        let item = as_of(self.resources.get(resource)?, now - age.min(now))?.as_ref()?;
        Some(Stored { body: item.body.clone()?, written_by: item.written_by })
    }

    /// `Resources::version` with the state of `age` ago.
    pub fn version_then(&self, resource: &ResourceId, now: Time, age: Time) -> Option<Version> {
        let item = as_of(self.resources.get(resource)?, now - age.min(now))?;
        item.as_ref().map(ResourceItem::version)
    }

    /// `Outcomes::recorded` with the state of `age` ago.
    pub fn recorded(
        &self,
        id: OperationId,
        clock: Duration,
        now: Time,
        age: Time,
    ) -> Option<Recorded> {
        self.undeleted(id, now)?;
        let item = as_of(self.records.get(&id)?, now - age.min(now))?;
        Some(item.value.clone()).filter(|_| item.expires_at > clock.as_secs())
    }

    /// `Resources::write`
    pub fn write(&mut self, operation: &Operation, step: Step<'_>) -> Write {
        if let Some(moved) = self.oversteps(operation) {
            step.history.on_operation(&moved, None);
            return self.write(&moved, step);
        }
        let stored = self.version(&operation.resource);
        if !self.may_replace(operation) {
            return Write::ConditionFalse { stored };
        }
        let was_live = stored.is_some_and(|stored| stored.is_live);
        self.replace(operation, step);
        Write::Written { created: operation.body().is_some() && !was_live }
    }

    /// With a mutant: the operation with the id that steps over one that arrived more than a second
    /// after it.
    fn oversteps(&self, operation: &Operation) -> Option<Operation> {
        let stored = self.version(&operation.resource)?.written_by;
        let (from, window_ms) = match self.mutant? {
            Mutant::WindowIsLonger => (operation.origin, 1100),
            Mutant::WindowIsTwice => (operation.origin, 2000),
            Mutant::WindowMoves => (operation.id, 1000),
            _ => return None,
        };
        let is_free = operation.body().is_some() && operation.precondition == Precondition::None;
        let is_overstepped = stored > operation.id
            && is_within(stored, from, window_ms)
            && !is_within(stored, operation.origin, 1000)
            && is_free;
        let id = stored.successor(0);
        is_overstepped.then(|| Operation { id, ..operation.clone() })
    }

    /// `Resources::transact`
    pub fn transact(
        &mut self,
        operation: &Operation,
        superseded: &[OperationId],
        clock: Duration,
        step: Step<'_>,
    ) -> Transaction {
        let Step { now, history } = step;
        let is_refused = !self.may_replace(operation);
        let is_ignored = |id| {
            let stands = self.undeleted(id, now).map(|item| &item.value);
            self.is(Mutant::CancelledIsWritten) && stands.is_some_and(is_cancelled)
        };
        let ids = || std::iter::once(operation.id).chain(superseded.iter().copied());
        let decided: Vec<_> =
            ids().filter(|id| !self.may_record(*id, now) && !is_ignored(*id)).collect();
        if is_refused || !decided.is_empty() {
            // DynamoDB does not promise to name every reason of a cancelled transaction.
            let is_cut = is_refused && operation.id.to_bytes()[15].is_multiple_of(2);
            let decided = if is_cut { Vec::new() } else { decided };
            let resource = is_refused.then(|| self.version(&operation.resource));
            return Transaction::Cancelled { resource, decided };
        }
        let met = self.version(&operation.resource);
        self.replace(operation, Step { now, history: &mut *history });
        for id in ids() {
            let is_own = id == operation.id;
            let succeeded = Outcome::Succeeded(operation.method());
            let outcome = if is_own { succeeded } else { Outcome::Superseded };
            let record = Recorded::Decided(Decision { outcome, completed_at: clock });
            history.on_transacted(id, is_own, met);
            self.put_record(id, record, Step { now, history: &mut *history });
        }
        Transaction::Written
    }

    /// `Outcomes::record`
    pub fn record(
        &mut self,
        id: OperationId,
        record: Recorded,
        step: Step<'_>,
    ) -> Option<Decision> {
        if self.is(Mutant::FenceIsDropped) && matches!(record, Recorded::Decided(_)) {
            return None;
        }
        let overwrites = match &record {
            Recorded::Stalled { .. } => self.is(Mutant::StalledOverwrites),
            record => is_cancelled(record) && self.is(Mutant::CancellationOverwrites),
        };
        if !self.may_record(id, step.now) && !overwrites {
            let stands = self.undeleted(id, step.now).map(|item| item.value.clone());
            let Some(Recorded::Decided(decision)) = stands else { return None };
            return Some(decision).filter(|_| !self.is(Mutant::DecisionIsNotTold));
        }
        let record = match record {
            Recorded::Stalled { problem, since } if self.is(Mutant::StalledIsFinal) => {
                let outcome = Outcome::Failed { problem };
                Recorded::Decided(Decision { outcome, completed_at: since })
            }
            record => record,
        };
        self.put_record(id, record, step);
        None
    }

    /// `Claims::claim`
    pub fn claim(&mut self, claim: Claim, clock: Duration, now: Time) -> Claim {
        let valid_for = match self.mutant {
            Some(Mutant::ClaimExpiresEarly) => Duration::from_secs(3),
            Some(Mutant::ClaimNeverExpires) => VALID_FOR * 1000,
            _ => VALID_FOR,
        };
        let held = self.claims.get(&claim.id).filter(|held| {
            let last = claim.operation.to_bytes()[15];
            let is_gone = is_deleted(held.expires_at, last, now);
            let is_moved =
                self.is(Mutant::ClaimMoves) && held.value.fingerprint == claim.fingerprint;
            held.expires_at > clock.as_secs() && !is_gone && !is_moved
        });
        if let Some(held) = held {
            let held = held.value.clone();
            if self.is(Mutant::FingerprintIsIgnored) {
                return Claim { fingerprint: claim.fingerprint, ..held };
            }
            return held;
        }
        let expires_at = (clock + valid_for).as_secs();
        self.claims.insert(claim.id.clone(), Expiring { value: claim.clone(), expires_at });
        claim
    }

    pub fn version(&self, resource: &ResourceId) -> Option<Version> {
        self.stored(resource).map(ResourceItem::version)
    }

    /// The write condition.
    fn may_replace(&self, operation: &Operation) -> bool {
        let stored = self.version(&operation.resource).map(|stored| {
            let is_resource = stored.is_live || self.is_taken_for_one(operation);
            Version { is_live: is_resource, ..stored }
        });
        let written_by = stored.map(|stored| stored.written_by);
        let holds = operation.precondition.holds(stored);
        match self.mutant {
            Some(Mutant::NoComparison) => holds,
            Some(Mutant::LessOrEqual) => holds && written_by <= Some(operation.id),
            Some(Mutant::NoPrecondition) => written_by < Some(operation.id),
            Some(Mutant::AbsentIsNotCompared) if operation.precondition == Precondition::Absent => {
                holds
            }
            _ => operation.may_replace(stored),
        }
    }

    /// Whether a mutant takes a tombstone for a resource.
    fn is_taken_for_one(&self, operation: &Operation) -> bool {
        match operation.precondition {
            Precondition::OneOf(_) => self.is(Mutant::TombstoneHasATag),
            Precondition::Exists => self.is(Mutant::TombstoneExists),
            Precondition::None | Precondition::Absent => false,
        }
    }

    /// `attribute_not_exists(id) OR outcome = :stalled`
    fn may_record(&self, id: OperationId, now: Time) -> bool {
        let stands = self.undeleted(id, now).map(|item| &item.value);
        self.is(Mutant::NoOutcomeCheck) || !matches!(stands, Some(Recorded::Decided(_)))
    }

    fn replace(&mut self, operation: &Operation, step: Step<'_>) {
        let before = self.stored(&operation.resource).cloned();
        let kept = before.as_ref().and_then(|before| before.created_by);
        let kept = kept.filter(|_| !self.is(Mutant::CreatorOverwritten));
        let written_by = operation.id;
        let after = match &operation.change {
            Change::Put(body) => {
                let (body, created_by) = (Some(body.clone()), kept.or(Some(written_by)));
                let left = before.as_ref().and_then(|before| before.expires_at);
                let expires_at = left.filter(|_| self.is(Mutant::ExpiryIsLeft));
                ResourceItem { body, written_by, created_by, expires_at }
            }
            Change::Delete => {
                let created_by = kept.filter(|_| self.is(Mutant::CreatorIsLeft));
                let expires_at = Some(self.expires_at(written_by, step.now));
                ResourceItem { body: None, written_by, created_by, expires_at }
            }
        };
        let is_left = before.is_some()
            || after.body.is_some()
            || !self.is(Mutant::DeletionOfNothingLeavesNothing);
        let after = Some(after).filter(|_| is_left);
        let versions = self.resources.entry(operation.resource.clone()).or_default();
        versions.push((step.now, after.clone()));
        step.history.on_resource_written(step.now, operation, before, after.as_ref());
    }

    /// When the tombstone of a DELETE expires, in s since the Unix epoch.
    fn expires_at(&self, id: OperationId, now: Time) -> u64 {
        let at = match self.mutant {
            Some(Mutant::TombstoneKeptFromNow) => since_epoch(now) + TOMBSTONE_KEPT_FOR,
            Some(Mutant::TombstoneKeptForAMonth) => {
                id.tick().to_unix() + Duration::from_secs(31 * 24 * 3600)
            }
            _ => return tombstone_expires_at(id),
        };
        at.as_secs() + 1
    }

    fn put_record(&mut self, id: OperationId, record: Recorded, step: Step<'_>) {
        let at = match &record {
            Recorded::Decided(decision) => decision.completed_at,
            Recorded::Stalled { since, .. } => *since,
        };
        let kept = match self.mutant {
            Some(Mutant::OutcomeKeptForHours) => Duration::from_secs(6 * 3600),
            _ => RETENTION,
        };
        let expires_at = (at + kept).as_secs() + 1;
        let before = self.undeleted(id, step.now).map(|item| item.value.clone());
        step.history.on_record(step.now, id, before, &record);
        let versions = self.records.entry(id).or_default();
        versions.push((step.now, Expiring { value: record, expires_at }));
    }
}

fn is_cancelled(record: &Recorded) -> bool {
    matches!(record, Recorded::Decided(by) if by.outcome == Outcome::Cancelled)
}

/// Whether the time of an id is at most this long after that of another.
pub fn is_within(id: OperationId, from: OperationId, window_ms: u64) -> bool {
    id.tick() <= Tick::from_unix_ms(from.tick().unix_ms() + window_ms)
}

fn as_of<T>(versions: &Versions<T>, at: Time) -> Option<&T> {
    versions.iter().rev().find(|(since, _)| *since <= at).map(|(_, value)| value)
}

/// Whether DynamoDB has deleted an item by now; `chance` makes it late.
fn is_deleted(expires_at: u64, chance: u8, now: Time) -> bool {
    let late = LONGEST_BEFORE_DELETION / 256 * Time::from(chance);
    now > late && since_epoch(now - late).as_secs() > expires_at
}
