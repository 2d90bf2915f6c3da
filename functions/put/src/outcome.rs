//! Outcome: how an operation ended, or why it is still open, and the answer in each case.

use std::time::Duration;

use rules::order::verdict::Refusal;
use rules::outcome::{Decision, Outcome, Recorded};
use rules::work::attempt::{Attempt, Identity};
use rules::{Method, Problem, ProblemType};
use world::{Host, Outcomes, Resources, repeated};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::WriteRequest;

/// Why an operation is open: not known to have landed, and not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// The table did not accept or confirm the write.
    Table,
    /// The operation met more newer operations than it may step over.
    Overtaken,
    /// The update must be tried again later, for this reason.
    Update(String),
    /// The queue did not accept or confirm the message.
    Queue,
}

impl<H: Host, R, S, O: Outcomes, Q> Put<H, R, S, O, Q> {
    /// The decision on the operation, if there is one.
    ///
    /// # Errors
    /// 503
    pub(crate) async fn decision(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
    ) -> Result<Option<Decision>, Problem> {
        let id = attempt.operation().id;
        let about = (&attempt.operation().resource, Some(id));
        let read = || self.operations.recorded(id, self.host.now());
        let recorded = repeated(&self.host, &request.invocation, about, read).await;
        match recorded.map_err(|_| self.open(request, attempt, &Open::Table))? {
            Some(Recorded::Decided(decision)) => Ok(Some(decision)),
            Some(Recorded::Stalled { .. }) | None => Ok(None),
        }
    }

    /// The 503 for an operation that is open.
    pub(crate) fn open(&self, request: &WriteRequest, attempt: &Attempt, why: &Open) -> Problem {
        let (not_done, unknown, next) = match why {
            Open::Table => (
                "The table could not accept the write".to_owned(),
                "The table did not confirm the write, which may have taken place",
                "send the request again, or with Prefer: respond-async",
            ),
            Open::Overtaken => (
                "The resource is being written too often".to_owned(),
                "The resource is being written too often, and the write may have taken place",
                "send the request again later, or with Prefer: respond-async",
            ),
            Open::Update(reason) => (
                format!("The update cannot be carried out now: {reason}"),
                "The update cannot be carried out now",
                "send the request again, or with Prefer: respond-async",
            ),
            Open::Queue => (
                "The queue could not accept the operation".to_owned(),
                "The queue did not confirm the operation, which may still be carried out",
                "send the request again, or without Prefer: respond-async",
            ),
        };
        if request.key.is_some() {
            return unknown_under_key(&not_done);
        }
        if attempt.may_have_landed() {
            let detail = format!("{unknown}; read the resource, or send the request again.");
            return Problem::new(ProblemType::OutcomeUnknown, detail);
        }
        let detail = format!("{not_done}, so nothing was written; {next}.");
        Problem::new(ProblemType::NotWritten, detail)
    }

    /// Adds the status URL to the problem if the operation is open and will leave an outcome.
    pub(crate) fn with_status(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
        problem: Problem,
    ) -> Problem {
        let is_open = problem.problem_type() == ProblemType::OutcomeUnknown;
        let has_its_id = attempt.identity() != Identity::Unclaimed;
        if is_open && has_its_id && request.leaves_outcome() {
            problem.operation(self.location(request, attempt.operation()))
        } else {
            problem
        }
    }
}

impl<H: Host, R, S: Resources, O: Outcomes, Q> Put<H, R, S, O, Q> {
    /// Refuses the operation with this problem and outcome. If the request has a key, records the
    /// outcome first, since another request may be carrying out the operation. After that, no call
    /// of the operation can land. If the operation is already decided, that decision is the answer.
    ///
    /// # Errors
    /// The problem, and 503 if the record is not confirmed.
    pub(crate) async fn refuse(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
        problem: Problem,
        outcome: Outcome,
    ) -> Result<Answer, Problem> {
        if request.key.is_none() {
            return Err(problem);
        }
        let (resource, id) = (&attempt.operation().resource, attempt.operation().id);
        let own = Decision { outcome, completed_at: self.host.now() };
        let recorded = Recorded::Decided(own.clone());
        let record = || self.operations.record(resource, id, &recorded);
        let stands = repeated(&self.host, &request.invocation, (resource, Some(id)), record).await;
        let stands = stands.map_err(|_| self.open(request, attempt, &Open::Table))?;
        self.outcome(request, attempt, stands.unwrap_or(own)).await
    }

    /// The answer to an operation that is decided.
    ///
    /// # Errors
    /// The problem of an operation that was not written.
    pub(crate) async fn outcome(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
        decision: Decision,
    ) -> Result<Answer, Problem> {
        let problem = match decision.outcome {
            Outcome::Succeeded(_) => {
                return Ok(self.written(request, attempt, decision.completed_at).await);
            }
            Outcome::Superseded => Refusal::Superseded.problem(&attempt.operation().precondition),
            Outcome::Failed { problem } => Problem::read(&problem)
                .unwrap_or_else(|| Problem::new(ProblemType::Refused, "The request was refused."))
                .final_or_refused(),
            Outcome::Cancelled => {
                let detail =
                    "The operation was cancelled at its status URL, so nothing was written.";
                Problem::new(ProblemType::Cancelled, detail)
            }
        };
        let next = "The Idempotency-Key belongs to this request; use a new key for a new request.";
        Err(problem.and(next))
    }

    /// The answer to a write that landed together with its outcome. `completed_at` is since the
    /// Unix epoch. If the resource cannot be read or was deleted since then, it is not known
    /// whether a PUT created it, and the answer is the status.
    pub(crate) async fn written(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
        completed_at: Duration,
    ) -> Answer {
        let operation = attempt.operation();
        if operation.method() == Method::Delete {
            return Answer::Written { created: false };
        }
        let (resource, id) = (&operation.resource, operation.id);
        let read = || self.resources.version(resource);
        let stored = repeated(&self.host, &request.invocation, (resource, Some(id)), read).await;
        match stored.ok().flatten().and_then(|stored| stored.created_by) {
            Some(created_by) if created_by <= id => Answer::Written { created: created_by == id },
            // The resource was deleted since then, or could not be read.
            _ => Answer::Succeeded { completed_at },
        }
    }
}

/// The problem of a request that cannot be ordered: its time of arrival is missing or too far from
/// the host's clock.
pub(crate) fn clock_skew(has_key: bool) -> Problem {
    let reason =
        "The gateway gave no time of arrival, or one that is too far from this host's clock";
    if has_key {
        return unknown_under_key(reason);
    }
    let detail = format!("{reason}, so nothing was written; send the request again.");
    Problem::new(ProblemType::ClockSkew, detail)
}

/// If the request has a key, a 503 never says that nothing was written: another attempt may have
/// written the resource.
fn unknown_under_key(reason: &str) -> Problem {
    let detail = format!(
        "{reason}, but another attempt at this request may have been carried out; send the same request again with the same Idempotency-Key."
    );
    Problem::new(ProblemType::OutcomeUnknown, detail)
}
