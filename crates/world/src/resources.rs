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
    /// The resource was written.
    Written {
        /// Whether a PUT created the resource.
        created: bool,
    },
    /// Nothing was written, since its condition was false.
    ConditionFalse {
        /// The stored version, if there is a resource or a tombstone.
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
        /// `Some` with the stored version if the resource's condition was false.
        resource: Option<Option<Version>>,
        /// The operations of the transaction that are already decided.
        decided: Vec<OperationId>,
    },
}

/// The table of resources, with the one conditional write. All reads are strongly consistent.
pub trait Resources {
    /// Reads a resource; `None` also for a tombstone.
    ///
    /// # Errors
    /// [`CallError`]
    async fn read(&self, resource: &ResourceId) -> Result<Option<Stored>, CallError>;

    /// Reads the version of a resource, or of the tombstone in its place.
    ///
    /// # Errors
    /// [`CallError`]
    async fn version(&self, resource: &ResourceId) -> Result<Option<Version>, CallError>;

    /// Reads the version of an operation's resource and the record of the operation in one call. A
    /// record that has expired at `now` (since the Unix epoch) does not count.
    ///
    /// # Errors
    /// [`CallError`]
    async fn look(
        &self,
        operation: &Operation,
        now: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError>;

    /// The one conditional write: replaces, creates or deletes the resource if
    /// [`Operation::may_replace`] allows it.
    ///
    /// # Errors
    /// [`CallError`]; its `failure` says whether the write may have landed.
    async fn write(&self, operation: &Operation) -> Result<Write, CallError>;

    /// The same write in one transaction with the outcomes: `succeeded` for the operation, and
    /// `superseded` for older operations on the resource. `now` (since the Unix epoch) is their
    /// time of completion. It writes nothing if a condition is false or one of the operations is
    /// decided.
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
