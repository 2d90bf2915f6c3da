//! The calls on the tables.

use std::time::Duration;

use rules::reply::status::{Decision, Outcome, Record};
use rules::request::key::Claim;
use rules::{Operation, OperationId, ResourceId};
use world::{CallError, Host as _, StoredResource, Tables, Transaction, Write};

use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::scheduler::{SECOND, Time};
use crate::tables::{self, Step};

impl Invocation {
    /// One step on the tables.
    async fn on_tables<T: 'static>(
        &self,
        action: &'static str,
        step: impl FnOnce(&mut tables::Tables, Step<'_>) -> T + 'static,
    ) -> Result<T, CallError> {
        self.call(action, move |here| {
            let now = here.world.now();
            let history = &mut here.world.history();
            step(&mut here.world.tables.borrow_mut(), Step { now, history })
        })
        .await
    }

    /// How old what a read gives may be, which is always strongly consistent but for
    /// this mutant.
    fn age(&self, mutant: Mutant) -> Time {
        if self.world.is(mutant) { 2 * SECOND } else { 0 }
    }

    fn is_told(&self, resource: &ResourceId, stored: Option<OperationId>) {
        self.told.refused_calls.set(self.told.refused_calls.get() + 1);
        self.told.refusals.borrow_mut().insert(resource.clone(), (stored, self.now()));
        self.trace(|| format!("a write is refused, the resource is at {stored:?}"));
    }

    /// A transaction that is not atomic: the record first, or last.
    async fn transact_in_parts(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        let decides = |id, outcome| {
            let record = Record::Decided(Decision { outcome, completed_at: now });
            self.on_tables("record", move |tables, step| tables.record(id, record, step))
        };
        let is_record_first = self.world.is(Mutant::OutcomeBeforeWrite);
        if is_record_first {
            decides(operation.id, Outcome::Succeeded).await?;
        }
        if let Write::Refused { stored } = self.write_resource(operation).await? {
            return Ok(Transaction::Refused { resource: Some(stored), decided: Vec::new() });
        }
        if !is_record_first {
            decides(operation.id, Outcome::Succeeded).await?;
        }
        for older in superseded {
            decides(*older, Outcome::Superseded).await?;
        }
        Ok(Transaction::Written)
    }
}

impl Tables for Invocation {
    async fn resource(&self, resource: &ResourceId) -> Result<Option<StoredResource>, CallError> {
        let (resource, age) = (resource.clone(), self.age(Mutant::StaleResource));
        self.on_tables("read of a resource", move |tables, step| {
            tables.resource(&resource, step.now, age)
        })
        .await
    }

    async fn creator(&self, resource: &ResourceId) -> Result<Option<OperationId>, CallError> {
        let (resource, age) = (resource.clone(), self.age(Mutant::StaleCreator));
        let read = move |tables: &mut tables::Tables, step: Step<'_>| {
            tables.creator(&resource, step.now, age)
        };
        self.on_tables("read of a creator", read).await
    }

    async fn write_resource(&self, operation: &Operation) -> Result<Write, CallError> {
        self.makes(operation);
        let write = operation.clone();
        let reply = self
            .on_tables("write", move |tables, step| tables.write_resource(&write, step))
            .await?;
        match reply {
            Write::Refused { stored } => {
                self.is_told(&operation.resource, stored.map(|stored| stored.written_by));
            }
            Write::Written { .. } => self.told.has_written.set(true),
        }
        Ok(reply)
    }

    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        self.makes(operation);
        if self.sending.is_none() && !self.told.worked.borrow().contains(&operation.id) {
            let says = || format!("work: {} is written without it", operation.body);
            self.world.history().violate(says);
        }
        if self.world.is(Mutant::OutcomeBeforeWrite) || self.world.is(Mutant::OutcomeAfterWrite) {
            return self.transact_in_parts(operation, superseded, now).await;
        }
        let (write, older) = (operation.clone(), superseded.to_vec());
        let transaction = move |tables: &mut tables::Tables, step: Step<'_>| {
            tables.transact(&write, &older, now, step)
        };
        let reply = self.on_tables("transaction", transaction).await?;
        match &reply {
            Transaction::Refused { resource: Some(stored), .. } => {
                self.is_told(&operation.resource, stored.map(|stored| stored.written_by));
            }
            Transaction::Refused { resource: None, .. } => {}
            Transaction::Written => self.told.has_written.set(true),
        }
        self.world.history().on_transaction(&reply);
        Ok(reply)
    }

    async fn record_of(&self, id: OperationId, now: Duration) -> Result<Option<Record>, CallError> {
        let age = self.age(Mutant::StaleRecord);
        self.on_tables("read of a record", move |tables, step| {
            tables.record_of(id, now, step.now, age)
        })
        .await
    }

    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        record: &Record,
    ) -> Result<Option<Decision>, CallError> {
        let judged = self.told.refusals.borrow().get(resource).copied();
        self.world.history().on_judged(self.name, resource, id, record, judged);
        let record = record.clone();
        self.on_tables("record", move |tables, step| tables.record(id, record, step)).await
    }

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
