//! The status of an operation, and the document that shows it.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use crate::outcome::{Decision, EXPIRES_AFTER, GONE_AFTER, Outcome, Recorded, age};
use crate::{Method, OperationId};

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
    /// Not decided in time, and it never will be.
    Expired,
    /// Too old: its outcome is no longer kept.
    Gone,
}

impl State {
    /// Derives the state from the record. `now` is the time since the Unix epoch. Accepting an
    /// operation writes no record, so an operation without a record is pending while it may still
    /// be carried out.
    #[must_use]
    pub fn derive(id: OperationId, record: Option<Recorded>, now: Duration) -> Self {
        let age = age(id, now);
        match record {
            Some(Recorded::Decided(decision)) => Self::Decided(decision),
            _ if age > GONE_AFTER => Self::Gone,
            _ if age > EXPIRES_AFTER => Self::Expired,
            Some(Recorded::Stalled { problem, .. }) => Self::Stalled { problem },
            None => Self::Pending,
        }
    }

    /// Seconds to wait before asking again, if the state may change: for a pending operation a
    /// quarter of its age, between 1 s and 60 s.
    #[must_use]
    pub fn retry_after_seconds(&self, id: OperationId, now: Duration) -> Option<u64> {
        match self {
            Self::Pending => Some((age(id, now).as_secs() / 4).clamp(1, 60)),
            Self::Stalled { .. } => Some(60),
            Self::Decided(_) | Self::Expired | Self::Gone => None,
        }
    }
}

/// The status document of an operation.
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
    /// The status document of the operation `id`; `None` for [`State::Gone`]. `location` is the
    /// document's URL path; `resource` is the URL path of the operation's resource.
    #[must_use]
    pub fn new(
        id: OperationId,
        (location, resource): (&'a str, &'a str),
        state: &'a State,
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
        let arrived = id.tick().to_unix();
        let is_version = |decision: &Decision| decision.outcome == Outcome::Succeeded(Method::Put);
        Some(Self {
            id: id.to_string(),
            location,
            receipt: location.rsplit('/').next().unwrap_or_default(),
            status,
            accepted_at: rfc_3339(arrived),
            // This is the host's time, which may be behind the gateway's.
            completed_at: decision.map(|decision| rfc_3339(decision.completed_at.max(arrived))),
            etag: decision.is_some_and(is_version).then(|| id.etag()),
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
    use crate::outcome::{MAX_AGE, RETENTION, TOMBSTONE_KEPT_FOR, is_too_old};
    use crate::{Problem, ProblemType, Tick};
    use proptest::prelude::*;

    const ACCEPTED: Duration = Duration::from_millis(1_700_000_000_123);
    const SECOND: Duration = Duration::from_secs(1);

    fn id() -> OperationId {
        OperationId::new(Tick::from_unix(ACCEPTED), 0)
    }

    fn document(record: Option<Recorded>, age: Duration) -> Option<serde_json::Value> {
        let state = State::derive(id(), record, ACCEPTED + age);
        let paths = ("/users/42/operations/r", "/users/42");
        let document = StatusDocument::new(id(), paths, &state)?;
        Some(serde_json::to_value(document).unwrap())
    }

    fn status(record: Option<Recorded>, age: Duration) -> String {
        let document = document(record, age);
        document.map_or("gone".to_owned(), |document| document["status"].as_str().unwrap().into())
    }

    fn decided(outcome: Outcome, after: Duration) -> Option<Recorded> {
        Some(Recorded::Decided(Decision { outcome, completed_at: ACCEPTED + after }))
    }

    fn stalled() -> Option<Recorded> {
        let problem = Problem::new(ProblemType::NotApplied, "Why.").to_json();
        Some(Recorded::Stalled { problem, since: ACCEPTED })
    }

    #[test]
    fn what_is_undecided_expires_and_is_then_gone() {
        for (record, undecided) in [(None, "pending"), (stalled(), "stalled")] {
            let status = |age| status(record.clone(), age);
            assert_eq!(status(EXPIRES_AFTER), undecided);
            assert_eq!(status(EXPIRES_AFTER + SECOND), "expired");
            assert_eq!(status(GONE_AFTER), "expired");
            assert_eq!(status(GONE_AFTER + SECOND), "gone");
        }
    }

    #[test]
    fn the_times_are_as_documented() {
        let (day, hour) = (Duration::from_secs(86_400), Duration::from_secs(3600));
        assert_eq!([MAX_AGE, EXPIRES_AFTER], [day * 32, day * 32 + hour]);
        assert_eq!([GONE_AFTER, RETENTION], [day * 44, day * 60]);
    }

    #[test]
    fn nothing_is_carried_out_near_the_time_when_it_is_called_expired() {
        assert!(!is_too_old(id(), ACCEPTED + MAX_AGE));
        assert!(is_too_old(id(), ACCEPTED + MAX_AGE + SECOND));
        assert!(MAX_AGE + Duration::from_secs(3600) <= EXPIRES_AFTER);
        // The tombstone of a newer DELETE is removed even later.
        assert!(EXPIRES_AFTER < TOMBSTONE_KEPT_FOR);
    }

    #[test]
    fn the_document_shows_what_is_known() {
        let of_a_second = |outcome| document(decided(outcome, SECOND), SECOND).unwrap();
        let mut expected = serde_json::json!({
            "id": "018bcfe5-687b-7000-8000-000000000000",
            "self": "/users/42/operations/r",
            "receipt": "r",
            "status": "succeeded",
            "acceptedAt": "2023-11-14T22:13:20.123Z",
            "completedAt": "2023-11-14T22:13:21.123Z",
            "etag": "\"018bcfe5-687b-7000-8000-000000000000\"",
            "resource": "/users/42",
        });
        assert_eq!(of_a_second(Outcome::Succeeded(Method::Put)), expected);
        expected.as_object_mut().unwrap().remove("etag");
        assert_eq!(of_a_second(Outcome::Succeeded(Method::Delete)), expected);
        expected["status"] = "cancelled".into();
        assert_eq!(of_a_second(Outcome::Cancelled), expected);
        let problem = Problem::new(ProblemType::PreconditionFailed, "Why.");
        expected["status"] = "failed".into();
        expected["error"] = serde_json::to_value(&problem).unwrap();
        assert_eq!(of_a_second(Outcome::failed(&problem)), expected);
        let stalled = document(stalled(), SECOND).unwrap();
        assert_eq!(stalled["error"]["status"], 503);
        assert!(stalled.get("completedAt").is_none() && stalled.get("etag").is_none());
        // The clock of the host that completed it is behind.
        let completed_at = ACCEPTED - SECOND;
        let behind = Recorded::Decided(Decision { outcome: Outcome::Superseded, completed_at });
        let behind = document(Some(behind), SECOND).unwrap();
        assert_eq!(behind["completedAt"], behind["acceptedAt"]);
        assert_eq!(rfc_3339(Duration::from_millis(1_700_000_000_100)), "2023-11-14T22:13:20.100Z");
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
        assert_eq!(later(decided(Outcome::Succeeded(Method::Put), SECOND)), None);
        assert_eq!(State::Expired.retry_after_seconds(id(), ACCEPTED), None);
    }

    proptest! {
        /// A final outcome is shown while it is kept, and after that `gone`: the service never
        /// takes a status back.
        #[test]
        fn a_final_status_is_followed_by_nothing_else(decided_after in 0..MAX_AGE.as_secs(), asked_after: u32) {
            let (decided_after, asked_after) = (Duration::from_secs(decided_after), Duration::from_secs(asked_after.into()));
            prop_assume!(asked_after >= decided_after);
            let is_kept = asked_after < decided_after + RETENTION;
            let record = decided(Outcome::Superseded, decided_after).filter(|_| is_kept);
            let expected = if is_kept { "superseded" } else { "gone" };
            prop_assert_eq!(status(record, asked_after), expected);
        }
    }
}
