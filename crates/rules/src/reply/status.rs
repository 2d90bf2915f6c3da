//! Outcomes of operations, and the status document that tells of them.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::request::precondition;
use crate::{OperationId, Problem};

const DAY: u64 = 24 * 60 * 60;

/// Age up to which an operation is carried out. SQS keeps a message 14 days from each
/// time it is sent or moved by a task, so that without this bound a late redrive could take
/// `expired` back.
pub const CARRIED_OUT_FOR: Duration = Duration::from_secs(32 * DAY);

/// Age from which an undecided operation is `expired`. The hour is for a call that began
/// within [`CARRIED_OUT_FOR`], and for the clocks of two hosts.
pub const PENDING_FOR: Duration = Duration::from_secs(32 * DAY + 60 * 60);

/// Age from which nothing is told of an operation without a final outcome.
pub const TOLD_FOR: Duration = Duration::from_secs(44 * DAY);

/// How long an outcome is kept from its completion: far longer than an undecided
/// operation is told of, so that a final outcome is never followed by `expired`.
pub const OUTCOME_KEPT: Duration = Duration::from_secs(60 * DAY);

/// What became of an operation, for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Succeeded,
    /// A newer PUT won; nothing was written.
    Superseded,
    /// It was refused; nothing was written.
    Failed {
        /// The problem document.
        problem: String,
    },
}

impl Outcome {
    /// The outcome of an operation that was refused with this problem.
    #[must_use]
    pub fn failed(problem: &Problem) -> Self {
        Self::Failed { problem: document(problem) }
    }

    /// The text it is stored and shown as.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Superseded => "superseded",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The problem document as JSON text.
#[must_use]
pub fn document(problem: &Problem) -> String {
    // A map of strings and numbers always serializes.
    serde_json::to_string(problem).unwrap_or_default()
}

/// What is recorded of an operation. Times are since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// It is decided, and that never changes.
    Decided(Decision),
    /// It could not be carried out so far, and its message is parked for an operator. It
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
    /// What became of it.
    pub outcome: Outcome,
    /// When, since the Unix epoch.
    pub completed_at: Duration,
}

/// The state of an operation with a genuine receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted; not decided yet.
    Pending,
    /// Parked for an operator; not decided yet.
    Stalled {
        /// The problem document.
        problem: String,
    },
    /// Decided.
    Decided(Decision),
    /// Never decided, and never will be.
    Expired,
    /// Too old: what became of it is no longer told.
    Gone,
}

impl State {
    /// Derives the state at `now` since the Unix epoch from what is recorded: accepting
    /// writes nothing, so that no record means pending for as long as the operation may
    /// still be carried out.
    #[must_use]
    pub fn derive(id: OperationId, record: Option<Record>, now: Duration) -> Self {
        let age = age(id, now);
        match record {
            Some(Record::Decided(decision)) => Self::Decided(decision),
            _ if age > TOLD_FOR => Self::Gone,
            _ if age > PENDING_FOR => Self::Expired,
            Some(Record::Stalled { problem, .. }) => Self::Stalled { problem },
            None => Self::Pending,
        }
    }

    /// Seconds until the state is worth asking for again, while it may change: for a
    /// pending operation a quarter of its age, between 1 s and 60 s.
    #[must_use]
    pub fn retry_after_seconds(&self, id: OperationId, now: Duration) -> Option<u64> {
        match self {
            Self::Pending => Some((age(id, now).as_secs() / 4).clamp(1, 60)),
            Self::Stalled { .. } => Some(60),
            Self::Decided(_) | Self::Expired | Self::Gone => None,
        }
    }
}

/// Whether an operation is too old at `now` to be carried out.
#[must_use]
pub fn is_too_old(id: OperationId, now: Duration) -> bool {
    age(id, now) > CARRIED_OUT_FOR
}

fn age(id: OperationId, now: Duration) -> Duration {
    now.saturating_sub(id.tick().to_unix())
}

/// The representation of an operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument<'a> {
    id: String,
    #[serde(rename = "self")]
    location: &'a str,
    receipt: &'a str,
    status: &'static str,
    accepted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

impl<'a> StatusDocument<'a> {
    /// The document, to be found at the URL path `location`, for the operation `id` of
    /// `resource`, whose own URL path is `resource`; `None` if it is [`State::Gone`].
    #[must_use]
    pub fn new(
        id: OperationId,
        (location, resource): (&'a str, &'a str),
        state: &'a State,
        now: Duration,
    ) -> Option<Self> {
        let (status, decision, problem) = match state {
            State::Pending => ("pending", None, None),
            State::Stalled { problem } => ("stalled", None, Some(problem)),
            State::Expired => ("expired", None, None),
            State::Gone => return None,
            State::Decided(decision) => match &decision.outcome {
                Outcome::Failed { problem } => ("failed", Some(decision), Some(problem)),
                outcome => (outcome.as_str(), Some(decision), None),
            },
        };
        let has_succeeded = decision.is_some_and(|decision| decision.outcome == Outcome::Succeeded);
        Some(Self {
            id: id.to_string(),
            location,
            receipt: location.rsplit('/').next().unwrap_or_default(),
            status,
            accepted_at: rfc_3339(id.tick().to_unix().min(now)),
            completed_at: decision.map(|decision| rfc_3339(decision.completed_at)),
            etag: has_succeeded.then(|| precondition::etag(id)),
            resource,
            error: problem.and_then(|problem| serde_json::from_str(problem).ok()),
        })
    }
}

const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The instant in RFC 3339 form, to the millisecond; empty after the year 9999.
#[must_use]
pub fn rfc_3339(since_epoch: Duration) -> String {
    let millis = i128::try_from(since_epoch.as_millis()).unwrap_or(i128::MAX);
    OffsetDateTime::from_unix_timestamp_nanos(millis.saturating_mul(1_000_000))
        .ok()
        .and_then(|instant| instant.format(&RFC_3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProblemType, Tick};
    use proptest::prelude::*;

    const ACCEPTED: Duration = Duration::from_millis(1_700_000_000_123);
    const SECOND: Duration = Duration::from_secs(1);

    fn id() -> OperationId {
        OperationId::new(Tick::from_unix(ACCEPTED), 0)
    }

    fn document(record: Option<Record>, age: Duration) -> Option<serde_json::Value> {
        let state = State::derive(id(), record, ACCEPTED + age);
        let paths = ("/users/42/operations/r", "/users/42");
        let document = StatusDocument::new(id(), paths, &state, ACCEPTED + age)?;
        Some(serde_json::to_value(document).unwrap())
    }

    fn status(record: Option<Record>, age: Duration) -> String {
        let document = document(record, age);
        document.map_or("gone".to_owned(), |document| document["status"].as_str().unwrap().into())
    }

    fn decided(outcome: Outcome, after: Duration) -> Option<Record> {
        Some(Record::Decided(Decision { outcome, completed_at: ACCEPTED + after }))
    }

    fn stalled() -> Option<Record> {
        let problem = super::document(&Problem::new(ProblemType::NotApplied, "Why."));
        Some(Record::Stalled { problem, since: ACCEPTED })
    }

    #[test]
    fn what_is_undecided_expires_and_is_then_gone() {
        for (record, undecided) in [(None, "pending"), (stalled(), "stalled")] {
            let status = |age| status(record.clone(), age);
            assert_eq!(status(PENDING_FOR), undecided);
            assert_eq!(status(PENDING_FOR + SECOND), "expired");
            assert_eq!(status(TOLD_FOR), "expired");
            assert_eq!(status(TOLD_FOR + SECOND), "gone");
        }
    }

    #[test]
    fn the_times_are_as_documented() {
        let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3600));
        assert_eq!([CARRIED_OUT_FOR, PENDING_FOR], [day * 32, day * 32 + hour]);
        assert_eq!([TOLD_FOR, OUTCOME_KEPT], [day * 44, day * 60]);
    }

    #[test]
    fn nothing_is_carried_out_near_the_time_when_it_is_called_expired() {
        assert!(!is_too_old(id(), ACCEPTED + CARRIED_OUT_FOR));
        assert!(is_too_old(id(), ACCEPTED + CARRIED_OUT_FOR + SECOND));
        assert!(CARRIED_OUT_FOR + Duration::from_secs(3600) <= PENDING_FOR);
    }

    #[test]
    fn the_document_shows_what_is_known() {
        let succeeded = document(decided(Outcome::Succeeded, SECOND * 2), SECOND * 3).unwrap();
        let expected = serde_json::json!({
            "id": "018bcfe5-687b-7000-8000-000000000000",
            "self": "/users/42/operations/r",
            "receipt": "r",
            "status": "succeeded",
            "acceptedAt": "2023-11-14T22:13:20.123Z",
            "completedAt": "2023-11-14T22:13:22.123Z",
            "etag": "\"018bcfe5-687b-7000-8000-000000000000\"",
            "resource": "/users/42",
        });
        assert_eq!(succeeded, expected);
        assert_eq!(rfc_3339(Duration::from_millis(1_700_000_000_100)), "2023-11-14T22:13:20.100Z");
        let problem = Problem::new(ProblemType::PreconditionFailed, "Why.");
        let failed = document(decided(Outcome::failed(&problem), SECOND), SECOND).unwrap();
        assert_eq!(
            (&failed["status"], &failed["error"]["status"]),
            (&"failed".into(), &412.into())
        );
        assert!(failed.get("etag").is_none());
        let stalled = document(stalled(), SECOND).unwrap();
        assert_eq!(stalled["error"]["status"], 503);
        assert!(stalled.get("completedAt").is_none() && stalled.get("etag").is_none());
    }

    #[test]
    fn polling_slows_down_with_age_and_ends() {
        let after = |seconds| {
            State::Pending.retry_after_seconds(id(), ACCEPTED + Duration::from_secs(seconds))
        };
        assert_eq!([0, 7, 8, 100, 9999].map(after), [1, 1, 2, 25, 60].map(Some));
        let later =
            |record| State::derive(id(), record, ACCEPTED).retry_after_seconds(id(), ACCEPTED);
        assert_eq!(later(stalled()), Some(60));
        assert_eq!(later(decided(Outcome::Succeeded, SECOND)), None);
        assert_eq!(State::Expired.retry_after_seconds(id(), ACCEPTED), None);
    }

    proptest! {
        /// A final outcome is shown for as long as it is kept, and what follows is `gone`:
        /// a status is never taken back.
        #[test]
        fn a_final_status_is_followed_by_nothing_else(decided_after in 0..CARRIED_OUT_FOR.as_secs(), asked_after: u32) {
            let (decided_after, asked_after) = (Duration::from_secs(decided_after), Duration::from_secs(asked_after.into()));
            prop_assume!(asked_after >= decided_after);
            let is_kept = asked_after < decided_after + OUTCOME_KEPT;
            let record = decided(Outcome::Superseded, decided_after).filter(|_| is_kept);
            let expected = if is_kept { "superseded" } else { "gone" };
            prop_assert_eq!(status(record, asked_after), expected);
        }
    }
}
