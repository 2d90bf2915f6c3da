//! The one rule, and what it makes of a deferred operation.
//!
//! **The users table only ever moves up**: a user is replaced only by a newer
//! operation. The `users-table` crate states the same rule as DynamoDB condition
//! expressions; a contract test holds the two together.

use std::time::Duration;

use crate::{OperationId, Precondition, clock};

/// Whether the operation `id` may replace the user at `stored` (or create it).
///
/// The id of an operation with [`Precondition::OneOf`] is newer than each tag that can
/// be genuine, so there it is the precondition that decides, unless a clock was far ahead.
#[must_use]
pub fn may_write(
    id: OperationId,
    precondition: &Precondition,
    stored: Option<OperationId>,
) -> bool {
    precondition.holds(stored) && stored.is_none_or(|stored| stored < id)
}

/// What becomes of a deferred operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has a final outcome: this is a redelivery.
    Done,
    /// An earlier attempt wrote it: `succeeded`.
    Succeeded,
    /// Its precondition is false: `failed`.
    PreconditionFailed,
    /// The user is at an id from a clock that was far ahead: `failed`, since
    /// nothing is known of the true order.
    ClockSkew,
    /// A newer operation won: `superseded`.
    Superseded,
    /// It may be written.
    Write,
}

/// Judges the operation `id` at the time `now` since the Unix epoch, given whether
/// it has a final outcome and at which operation the user is.
#[must_use]
pub fn judge(
    id: OperationId,
    precondition: &Precondition,
    has_final_outcome: bool,
    stored: Option<OperationId>,
    now: Duration,
) -> Verdict {
    if has_final_outcome {
        Verdict::Done
    } else if stored == Some(id) {
        Verdict::Succeeded
    } else if !precondition.holds(stored) {
        Verdict::PreconditionFailed
    } else if may_write(id, precondition, stored) {
        Verdict::Write
    } else if stored.is_some_and(|stored| clock::is_far_ahead(stored, now)) {
        Verdict::ClockSkew
    } else {
        Verdict::Superseded
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix(Duration::from_millis(ms)), 1)
    }

    #[test]
    fn verdicts_in_their_order() {
        let now = Duration::from_millis(10_000);
        let none = Precondition::None;
        let at_1 = Precondition::OneOf(vec![id(1)]);
        for (precondition, done, stored, expected) in [
            (&none, true, Some(id(5)), Verdict::Done),
            (&none, false, Some(id(5)), Verdict::Succeeded),
            (&at_1, false, Some(id(5)), Verdict::Succeeded),
            (&at_1, false, Some(id(9)), Verdict::PreconditionFailed),
            (&at_1, false, None, Verdict::PreconditionFailed),
            (&at_1, false, Some(id(1)), Verdict::Write),
            (&Precondition::Absent, false, Some(id(1)), Verdict::PreconditionFailed),
            (&Precondition::Absent, false, None, Verdict::Write),
            (&Precondition::Exists, false, None, Verdict::PreconditionFailed),
            (&Precondition::Exists, false, Some(id(9)), Verdict::Superseded),
            (&none, false, Some(id(9)), Verdict::Superseded),
            (&none, false, Some(id(11_000)), Verdict::Superseded),
            (&none, false, Some(id(11_001)), Verdict::ClockSkew),
            (&none, false, Some(id(4)), Verdict::Write),
            (&none, false, None, Verdict::Write),
        ] {
            assert_eq!(
                judge(id(5), precondition, done, stored, now),
                expected,
                "{precondition:?} {stored:?}"
            );
        }
    }
}
