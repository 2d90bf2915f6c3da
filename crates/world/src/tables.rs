//! The two tables.

use std::time::Duration;

use rules::reply::status::{Decision, Record};
use rules::request::key::Claim;
use rules::{Operation, OperationId, UserId, Version};

use crate::CallError;

/// A stored user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The body, byte for byte as it was sent.
    pub body: String,
    /// The operation that wrote it.
    pub written_by: OperationId,
}

/// How a conditional write of a user ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// It took place.
    Written {
        /// Whether there was no user before.
        created: bool,
    },
    /// Nothing was written, since its condition was false.
    Refused {
        /// What it was false of: the user's version, if there is a user.
        stored: Option<Version>,
    },
}

/// How a transaction of a user and outcomes ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transaction {
    /// User and outcomes were written.
    Written,
    /// Nothing was written, since a condition was false.
    Refused {
        /// Whether the user's condition was false, and then what it was false of.
        user: Option<Option<Version>>,
        /// The operations of the transaction that are decided already.
        decided: Vec<OperationId>,
    },
}

/// The tables of one deployment: `users` with the one conditional write, `operations`
/// with outcomes and claims. All reads are strongly consistent.
pub trait Tables {
    /// Reads a user.
    ///
    /// # Errors
    /// [`CallError`]
    async fn user(&self, user: &UserId) -> Result<Option<User>, CallError>;

    /// Reads which operation created a user.
    ///
    /// # Errors
    /// [`CallError`]
    async fn creator(&self, user: &UserId) -> Result<Option<OperationId>, CallError>;

    /// The one conditional write: replaces the user, or creates it, where
    /// [`Operation::may_replace`] says so.
    ///
    /// # Errors
    /// [`CallError`], whose `failure` tells whether the write may have landed.
    async fn write_user(&self, operation: &Operation) -> Result<Write, CallError>;

    /// The same write with `succeeded` for the operation, and `superseded` for older ones
    /// of the user, completed at `now` since the Unix epoch, in one transaction: all of
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

    /// Records what became of an operation that writes no user, unless it is decided
    /// already; then returns that decision, which stands.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`.
    async fn record(
        &self,
        user: &UserId,
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
