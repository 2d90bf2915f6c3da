//! Outcomes of operations: their records, and how long these are kept.

use std::time::Duration;

use crate::{Method, OperationId, Problem};

const DAY: u64 = 24 * 60 * 60;

/// Age up to which an operation is carried out. SQS keeps a message 14 days from each time it is
/// sent or moved by a task. Without this limit a late redrive could change an `expired` status.
pub const MAX_AGE: Duration = Duration::from_secs(32 * DAY);

/// Age from which an undecided operation is `expired`. The extra hour allows for a call that began
/// within [`MAX_AGE`], and for the difference between the clocks of two hosts.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(32 * DAY + 60 * 60);

/// Age from which the status of an operation without a final outcome is gone (410).
pub const GONE_AFTER: Duration = Duration::from_secs(44 * DAY);

/// How long an outcome is kept from its completion: far longer than the status of an undecided
/// operation, so a final outcome never turns into `expired`.
pub const RETENTION: Duration = Duration::from_secs(60 * DAY);

/// How long the tombstone of a DELETE is kept, from the time of its operation id. No operation
/// older than [`EXPIRES_AFTER`] is carried out, so once the tombstone is removed, no older
/// operation can bring the resource back.
pub const TOMBSTONE_KEPT_FOR: Duration = Duration::from_secs(33 * DAY);

/// The final outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was carried out: a PUT was written, or a DELETE left no resource.
    Succeeded(Method),
    /// A newer operation won; nothing was written.
    Superseded,
    /// It was refused; nothing was written.
    Failed {
        /// The problem document.
        problem: String,
    },
    /// A client cancelled it; nothing was written.
    Cancelled,
}

impl Outcome {
    /// The outcome of an operation refused with this problem.
    #[must_use]
    pub fn failed(problem: &Problem) -> Self {
        Self::Failed { problem: problem.to_json() }
    }

    /// Its text in the table and in the status document.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded(_) => "succeeded",
            Self::Superseded => "superseded",
            Self::Failed { .. } => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// The record of an operation. Times are since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The operation is decided; this never changes.
    Decided(Decision),
    /// The operation could not be carried out so far, and its message is parked for an operator. It
    /// may still be decided.
    Stalled {
        /// The problem document.
        problem: String,
        /// When it was parked.
        since: Duration,
    },
}

/// The final outcome of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The outcome.
    pub outcome: Outcome,
    /// The time of completion, since the Unix epoch.
    pub completed_at: Duration,
}

/// Whether an operation is too old at `now` to be carried out.
#[must_use]
pub fn is_too_old(id: OperationId, now: Duration) -> bool {
    age(id, now) > MAX_AGE
}

/// The time from which the tombstone of the DELETE `id` may be removed, in s since the Unix epoch.
/// It is counted from the time in the id, not from the write.
#[must_use]
pub fn tombstone_expires_at(id: OperationId) -> u64 {
    (id.tick().to_unix() + TOMBSTONE_KEPT_FOR).as_secs() + 1
}

/// The age of the operation at `now` (since the Unix epoch), counted from its arrival.
#[must_use]
pub fn age(id: OperationId, now: Duration) -> Duration {
    now.saturating_sub(id.tick().to_unix())
}
