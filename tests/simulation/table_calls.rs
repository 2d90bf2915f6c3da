//! The calls on the tables.

use std::time::Duration;

use rules::outcome::{Decision, Outcome, Recorded};
use rules::request::key::Claim;
use rules::{Operation, OperationId, ResourceId, Tick, Version};
use world::{CallError, Claims, Outcomes, Resources, Stored, Transaction, Write};

use crate::events::Event;
use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::scheduler::{SECOND, Time};
use crate::tables::{self, Step};

impl Invocation {
    /// One step on the tables.
    pub async fn on_tables<T: 'static>(
        &self,
        action: &'static str,
        step: impl FnOnce(&mut tables::Tables, Step<'_>) -> T + 'static,
    ) -> Result<T, CallError> {
        self.call(action, move |here| {
            let now = here.world.now();
            let history = &mut here.world.history();
            let tables = &mut here.world.tables.borrow_mut();
            tables.expire(Step { now, history });
            step(tables, Step { now, history })
        })
        .await
    }

    /// How old the result of a read may be. Reads are always strongly consistent, except with this
    /// mutant.
    fn age(&self, mutant: Mutant) -> Time {
        if self.world.is(mutant) { 2 * SECOND } else { 0 }
    }

    /// The version that the function sees after its write was refused. A mutant shows one that the
    /// function may not step over.
    fn shown(&self, operation: &Operation, stored: Version) -> Version {
        let window_ms = match self.world.mutant {
            Some(Mutant::NeverSteps) => 0,
            Some(Mutant::WindowIsAQuarter) => 250,
            _ => return stored,
        };
        if tables::is_within(stored.written_by, operation.origin, window_ms) {
            return stored;
        }
        let later = Tick::from_unix_ms(stored.written_by.tick().unix_ms() + 3_600_000);
        Version { written_by: OperationId::new(later, 0), ..stored }
    }

    /// A transaction that is not atomic: it writes the record first, or last.
    async fn transact_in_parts(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        let decides = |id, outcome| {
            let record = Recorded::Decided(Decision { outcome, completed_at: now });
            self.on_tables("record", move |tables, step| tables.record(id, record, step))
        };
        let is_record_first = self.world.is(Mutant::OutcomeBeforeWrite);
        if is_record_first {
            decides(operation.id, Outcome::Succeeded(operation.method())).await?;
        }
        if let Write::ConditionFalse { stored } = self.write(operation).await? {
            return Ok(Transaction::Cancelled { resource: Some(stored), decided: Vec::new() });
        }
        if !is_record_first {
            decides(operation.id, Outcome::Succeeded(operation.method())).await?;
        }
        for older in superseded {
            decides(*older, Outcome::Superseded).await?;
        }
        Ok(Transaction::Written)
    }
}

impl Resources for Invocation {
    async fn read(&self, resource: &ResourceId) -> Result<Option<Stored>, CallError> {
        let (resource, age) = (resource.clone(), self.age(Mutant::StaleResource));
        self.on_tables("read of a resource", move |tables, step| {
            tables.read(&resource, step.now, age)
        })
        .await
    }

    async fn version(&self, resource: &ResourceId) -> Result<Option<Version>, CallError> {
        // Before the write it is a look; after the write it shows which operation created the
        // resource.
        let put = self.sending.map(|(put, _)| put);
        let is_look = !self.world.history().has_effect(put);
        if is_look {
            self.about_to_try(resource);
            self.about_to_look(resource);
        }
        let (read, age) = (resource.clone(), self.age(Mutant::StaleVersion));
        let stored = self
            .on_tables("read of a version", move |tables, step| {
                tables.version_then(&read, step.now, age)
            })
            .await?;
        self.has_looked(resource, None, stored, None);
        Ok(stored)
    }

    async fn look(
        &self,
        operation: &Operation,
        now: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError> {
        let (id, resource) = (operation.id, operation.resource.clone());
        self.about_to_try(&resource);
        self.is_in_order(operation);
        self.about_to_look(&resource);
        // The two items are read at two times between the request and its reply.
        let (sent, apart) = (self.world.now(), self.world.delay());
        let (age, of_version) = (self.age(Mutant::StaleRecord), self.world.prng().chance(500));
        let look = move |tables: &mut tables::Tables, step: Step<'_>| {
            let earlier = apart.min(step.now - sent);
            let (version_age, record_age) =
                if of_version { (earlier, age) } else { (0, age + earlier) };
            let version = tables.version_then(&resource, step.now, version_age);
            (version, tables.recorded(id, now, step.now, record_age))
        };
        let (stored, recorded) = self.on_tables("look", look).await?;
        self.has_looked(&operation.resource, Some(id), stored, recorded.as_ref());
        Ok((stored, recorded))
    }

    async fn write(&self, operation: &Operation) -> Result<Write, CallError> {
        self.about_to_write(operation);
        let sent = operation.clone();
        let reply = self.on_tables("write", move |tables, step| tables.write(&sent, step)).await?;
        let Write::ConditionFalse { stored } = reply else {
            self.told.has_written.set(true);
            return Ok(reply);
        };
        self.is_refused(&operation.resource, stored);
        Ok(Write::ConditionFalse { stored: stored.map(|stored| self.shown(operation, stored)) })
    }

    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        self.about_to_write(operation);
        if self.world.is(Mutant::OutcomeBeforeWrite) || self.world.is(Mutant::OutcomeAfterWrite) {
            return self.transact_in_parts(operation, superseded, now).await;
        }
        let (sent, older) = (operation.clone(), superseded.to_vec());
        let transaction = move |tables: &mut tables::Tables, step: Step<'_>| {
            tables.transact(&sent, &older, now, step)
        };
        let reply = self.on_tables("transaction", transaction).await?;
        match &reply {
            Transaction::Written => self.told.has_written.set(true),
            Transaction::Cancelled { resource, decided } => {
                self.world.history().counts[Event::AlreadyDecided as usize] += decided.len() as u64;
                if let Some(stored) = resource {
                    self.is_refused(&operation.resource, *stored);
                }
            }
        }
        Ok(reply)
    }
}

impl Outcomes for Invocation {
    async fn recorded(
        &self,
        id: OperationId,
        now: Duration,
    ) -> Result<Option<Recorded>, CallError> {
        let age = self.age(Mutant::StaleRecord);
        let read = move |tables: &mut tables::Tables, step: Step<'_>| {
            tables.recorded(id, now, step.now, age)
        };
        let recorded = self.on_tables("read of a record", read).await;
        if self.world.is(Mutant::FailedReadFindsNone) { recorded.or(Ok(None)) } else { recorded }
    }

    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        recorded: &Recorded,
    ) -> Result<Option<Decision>, CallError> {
        let met = self.told.met.borrow().get(resource).copied();
        let is_cancel = self.cancels == Some(id);
        match is_cancel {
            true => self.world.history().on_cancelling(id, recorded),
            false => self.world.history().on_judged(self.name, resource, id, recorded, met),
        }
        let recorded = recorded.clone();
        self.on_tables("record", move |tables, step| tables.record(id, recorded, step)).await
    }
}

impl Claims for Invocation {
    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError> {
        let own = claim.clone();
        let reply =
            self.on_tables("claim", move |tables, step| tables.claim(own, now, step.now)).await?;
        if reply.fingerprint == claim.fingerprint {
            self.told.claimed.set(Some(reply.operation));
            if let Some((put, sending)) = self.sending {
                self.world.history().on_claim(put, sending, reply.operation);
            }
        }
        Ok(reply)
    }
}
