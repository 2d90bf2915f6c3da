//! The two tables.

use std::time::Duration;

use rules::reply::status::{Decision, Record};
use rules::request::key::Claim;
use rules::{Operation, OperationId, ResourceId, Version};

use crate::CallError;

/// A stored resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredResource {
    /// The body, byte for byte as it was sent.
    pub body: String,
    /// The operation that wrote it.
    pub written_by: OperationId,
}

/// How a conditional write of a resource ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It took place.
    Written {
        /// Whether there was no resource before.
        created: bool,
    },
    /// Nothing was written, since its condition was false.
    Refused {
        /// What it was false of: the resource's version, if there is a resource.
        stored: Option<Version>,
    },
}

/// How a transaction of a resource and outcomes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Resource and outcomes were written.
    Written,
    /// Nothing was written, since a condition was false.
    Refused {
        /// Whether the resource's condition was false, and then what it was false of.
        resource: Option<Option<Version>>,
        /// The operations of the transaction that are decided already.
        decided: Vec<OperationId>,
    },
}

/// The tables of one deployment: `users` with the one conditional write, `operations`
/// with outcomes and claims. All reads are strongly consistent.
pub trait Tables {
    /// Reads a resource.
    ///
    /// # Errors
    /// [`CallError`]
    async fn resource(&self, resource: &ResourceId) -> Result<Option<StoredResource>, CallError>;

    /// Reads which operation created a resource.
    ///
    /// # Errors
    /// [`CallError`]
    async fn creator(&self, resource: &ResourceId) -> Result<Option<OperationId>, CallError>;

    /// The one conditional write: replaces the resource, or creates it, where
    /// [`Operation::may_replace`] says so.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` tells whether the write may have landed.
    async fn write_resource(&self, operation: &Operation) -> Result<Write, CallError>;

    /// The same write with `succeeded` for the operation, and `superseded` for older ones
    /// of the resource, completed at `now` since the Unix epoch, in one transaction: all of
    /// it, or nothing where the write is refused or one of the operations is decided.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`, since a second write
    /// of an operation is refused.
    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError>;

    /// Reads what is recorded of an operation, unless it has expired by `now` since the
    /// Unix epoch.
    ///
    /// # Errors
    /// [`CallError`]
    async fn record_of(&self, id: OperationId, now: Duration) -> Result<Option<Record>, CallError>;

    /// Records what became of an operation that writes no resource, unless it is decided
    /// already; then returns that decision, which stands.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`.
    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        record: &Record,
    ) -> Result<Option<Decision>, CallError>;

    /// Claims a key at `now` since the Unix epoch; returns the claim that holds it, which
    /// is the given one if the key was free or its last claim has expired.
    ///
    /// # Errors
    /// [`CallError`]; calling again with the same claim is safe.
    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError>;
}
