//! The table of resources.

use std::time::Duration;

use rules::outcome::Recorded;
use rules::{Operation, OperationId, ResourceId, Version};

use crate::CallError;

/// A stored resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
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
        /// Whether it is a PUT, and there was no resource before.
        created: bool,
    },
    /// Nothing was written, since its condition was false.
    ConditionFalse {
        /// The version that it was false of, if there is a resource or a tombstone.
        stored: Option<Version>,
    },
}

/// How a transaction of a resource and outcomes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// Resource and outcomes were written.
    Written,
    /// Nothing was written, since a condition was false.
    Cancelled {
        /// Whether the resource's condition was false, and then the version it was false of.
        resource: Option<Option<Version>>,
        /// The operations of the transaction that are decided already.
        decided: Vec<OperationId>,
    },
}

/// The table of resources, with the one conditional write. All reads are strongly consistent.
pub trait Resources {
    /// Reads a resource; a tombstone is none.
    ///
    /// # Errors
    /// [`CallError`]
    async fn read(&self, resource: &ResourceId) -> Result<Option<Stored>, CallError>;

    /// Reads the version of a resource, or of the tombstone in its place.
    ///
    /// # Errors
    /// [`CallError`]
    async fn version(&self, resource: &ResourceId) -> Result<Option<Version>, CallError>;

    /// Reads, in one call, the version of an operation's resource and what is recorded of the
    /// operation, unless that has expired by `now` since the Unix epoch.
    ///
    /// # Errors
    /// [`CallError`]
    async fn look(
        &self,
        operation: &Operation,
        now: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError>;

    /// The one conditional write: replaces, creates or deletes the resource, where
    /// [`Operation::may_replace`] says so.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` says whether the write may have landed.
    async fn write(&self, operation: &Operation) -> Result<Write, CallError>;

    /// The same write with `succeeded` for the operation, and `superseded` for older ones
    /// of the resource, completed at `now` since the Unix epoch, in one transaction: all of
    /// it, or nothing where a condition is false or one of the operations is decided.
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
}
