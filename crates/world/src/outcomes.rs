//! The outcomes of operations.

use std::time::Duration;

use rules::outcome::{Decision, Recorded};
use rules::{OperationId, ResourceId};

use crate::CallError;

/// The outcomes of operations. All reads are strongly consistent.
pub trait Outcomes {
    /// Reads the record of an operation, unless it has expired at `now` (since the Unix epoch).
    ///
    /// # Errors
    /// [`CallError`]
    async fn recorded(&self, id: OperationId, now: Duration)
    -> Result<Option<Recorded>, CallError>;

    /// Records the outcome of an operation that does not write its resource. If the operation is
    /// already decided, that decision remains, and is returned.
    ///
    /// # Errors
    /// [`CallError`]; calling again is safe whatever its `failure`.
    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        recorded: &Recorded,
    ) -> Result<Option<Decision>, CallError>;
}
