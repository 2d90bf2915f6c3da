//! Outcomes of operations, and the status document that tells of them.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::{OperationId, UserId, precondition};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Age of an operation from which no undecided message of it can exist any more: SQS
/// keeps a message 14 days, and one that was parked has the outcome `failed`.
pub const LONGEST_PENDING: Duration = Duration::from_secs(16 * DAY.as_secs());

/// How long an outcome is kept.
pub const OUTCOME_KEPT: Duration = Duration::from_secs(45 * DAY.as_secs());

/// What became of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was written.
    Succeeded,
    /// A newer PUT won; nothing was written.
    Superseded,
    /// It was refused; nothing was written.
    Failed,
}

impl Outcome {
    /// The text it is stored and shown as.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Superseded => "superseded",
            Self::Failed => "failed",
        }
    }

    /// The outcome stored as `text`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Succeeded, Self::Superseded, Self::Failed]
            .into_iter()
            .find(|outcome| outcome.as_str() == text)
    }
}

/// An outcome as it is stored. Times are since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutcomeRecord {
    /// What became of the operation.
    pub outcome: Outcome,
    /// When it did.
    pub completed_at: Duration,
    /// The problem document of [`Outcome::Failed`].
    pub problem: Option<String>,
    /// Whether it may still change: the message is parked, and an operator may have it
    /// carried out after all.
    pub is_provisional: bool,
}

/// The state of an operation with a genuine receipt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Accepted; not decided yet.
    Pending,
    /// Decided.
    Completed(OutcomeRecord),
    /// Never decided, and no message of it can exist any more.
    Expired,
    /// Too old: what became of it is no longer known.
    Forgotten,
}

impl State {
    /// Derives the state from the stored outcome: accepting writes nothing, so the
    /// absence of one means pending for as long as a message may exist.
    #[must_use]
    pub fn derive(id: OperationId, outcome: Option<OutcomeRecord>, now: Duration) -> Self {
        let age = now.saturating_sub(id.tick().to_unix());
        match outcome {
            Some(outcome) => Self::Completed(outcome),
            None if age <= LONGEST_PENDING => Self::Pending,
            None if age <= OUTCOME_KEPT => Self::Expired,
            None => Self::Forgotten,
        }
    }
}

/// Seconds until a pending operation is worth asking for again: a quarter of its
/// age, between 1 s and 60 s.
#[must_use]
pub fn retry_after(id: OperationId, now: Duration) -> u64 {
    (now.saturating_sub(id.tick().to_unix()).as_secs() / 4).clamp(1, 60)
}

/// The representation of an operation.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StatusDocument<'a> {
    id: String,
    user_id: &'a str,
    status: &'static str,
    accepted_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    completed_at: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    provisional: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    resource: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a RawValue>,
}

impl<'a> StatusDocument<'a> {
    /// The document for the operation `id` of `user`, whose URL path is `resource`;
    /// `None` if it is [`State::Forgotten`].
    #[must_use]
    pub fn new(
        id: OperationId,
        user: &'a UserId,
        resource: &'a str,
        state: &'a State,
        now: Duration,
    ) -> Option<Self> {
        let (status, completed) = match state {
            State::Pending => ("pending", None),
            State::Completed(record) => (record.outcome.as_str(), Some(record)),
            State::Expired => ("expired", None),
            State::Forgotten => return None,
        };
        let is_succeeded = completed.is_some_and(|record| record.outcome == Outcome::Succeeded);
        let problem = completed.and_then(|record| record.problem.as_deref());
        Some(Self {
            id: id.to_string(),
            user_id: user.as_str(),
            status,
            accepted_at: rfc_3339(id.tick().to_unix().min(now)),
            completed_at: completed.map(|record| rfc_3339(record.completed_at)),
            provisional: completed.is_some_and(|record| record.is_provisional),
            etag: is_succeeded.then(|| precondition::etag(id)),
            resource,
            error: problem.and_then(|problem| serde_json::from_str(problem).ok()),
        })
    }
}

const RFC_3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The instant in RFC 3339 form, to the millisecond.
fn rfc_3339(since_epoch: Duration) -> String {
    let millis = i128::try_from(since_epoch.as_millis()).unwrap_or(i128::MAX);
    OffsetDateTime::from_unix_timestamp_nanos(millis.saturating_mul(1_000_000))
        .ok()
        .and_then(|instant| instant.format(&RFC_3339).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    const ACCEPTED: Duration = Duration::from_millis(1_700_000_000_123);

    fn document(outcome: Option<OutcomeRecord>, age: Duration) -> Option<serde_json::Value> {
        let id = OperationId::new(Tick::from_unix(ACCEPTED), 0);
        let state = State::derive(id, outcome, ACCEPTED + age);
        let user = UserId::new("42").unwrap();
        let document = StatusDocument::new(id, &user, "/users/42", &state, ACCEPTED + age)?;
        Some(serde_json::to_value(document).unwrap())
    }

    #[test]
    fn pending_is_derived_and_ends() {
        let status = |age| {
            document(None, age).map(|document| document["status"].as_str().unwrap().to_owned())
        };
        assert_eq!(status(LONGEST_PENDING).as_deref(), Some("pending"));
        assert_eq!(status(LONGEST_PENDING + Duration::from_secs(1)).as_deref(), Some("expired"));
        assert_eq!(status(OUTCOME_KEPT + Duration::from_secs(1)), None);
    }

    #[test]
    fn the_document_shows_what_is_known() {
        let record = |outcome, problem: Option<&str>| OutcomeRecord {
            outcome,
            completed_at: ACCEPTED + Duration::from_secs(2),
            problem: problem.map(str::to_owned),
            is_provisional: outcome == Outcome::Failed,
        };
        let succeeded = document(Some(record(Outcome::Succeeded, None)), DAY).unwrap();
        let expected = serde_json::json!({
            "id": "018bcfe5-687b-7000-8000-000000000000",
            "userId": "42",
            "status": "succeeded",
            "acceptedAt": "2023-11-14T22:13:20.123Z",
            "completedAt": "2023-11-14T22:13:22.123Z",
            "etag": "\"018bcfe5-687b-7000-8000-000000000000\"",
            "resource": "/users/42",
        });
        assert_eq!(succeeded, expected);
        assert_eq!(rfc_3339(Duration::from_millis(1_700_000_000_100)), "2023-11-14T22:13:20.100Z");
        let failed =
            document(Some(record(Outcome::Failed, Some(r#"{"status":412}"#))), DAY).unwrap();
        assert_eq!(
            (&failed["status"], &failed["error"]["status"]),
            (&"failed".into(), &412.into())
        );
        assert!(failed.get("etag").is_none());
        assert_eq!(failed["provisional"], true);
    }

    #[test]
    fn polling_slows_down_with_age() {
        let id = OperationId::new(Tick::from_unix(ACCEPTED), 0);
        let after = |seconds| retry_after(id, ACCEPTED + Duration::from_secs(seconds));
        assert_eq!([after(0), after(7), after(8), after(100), after(9999)], [1, 1, 2, 25, 60]);
    }
}
