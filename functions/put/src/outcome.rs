//! Outcome: how an operation ended, or why it is still open, and the answer for each.

use std::time::Duration;

use rules::order::verdict::Refusal;
use rules::outcome::{Decision, Outcome, Recorded};
use rules::work::attempt::{Attempt, Identity};
use rules::{Method, Problem, ProblemType};
use world::{Host, Outcomes, Resources, repeated};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::WriteRequest;

/// Why an operation is open: it is not known to have landed, and not refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Open {
    /// The table did not carry it out.
    Table,
    /// Newer operations were stored as often as it may step over one.
    Overtaken,
    /// Its update is to be tried later, for this reason.
    Update(String),
    /// The queue did not take it.
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

    /// The answer of 503 to an operation that is open.
    pub(crate) fn open(&self, request: &WriteRequest, attempt: &Attempt, why: &Open) -> Problem {
        let (not_done, unknown, next) = match why {
            Open::Table => (
                "The table could not take the write".to_owned(),
                "The table did not confirm the write, which may have taken place",
                "send the request again, or with Prefer: respond-async",
            ),
            Open::Overtaken => (
                "The resource is being written too often".to_owned(),
                "The resource is being written too often, and the write may have taken place",
                "send the request again later, or with Prefer: respond-async",
            ),
            Open::Update(reason) => (
                format!("The update could not be carried out now: {reason}"),
                "The update could not be carried out now",
                "send the request again, or with Prefer: respond-async",
            ),
            Open::Queue => (
                "The queue could not take the update".to_owned(),
                "The queue did not confirm the update, which may be carried out",
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
        let detail = format!("{not_done}, and nothing was written; {next}.");
        Problem::new(ProblemType::NotWritten, detail)
    }

    /// The problem, with the status URL of an operation that is open and will leave an
    /// outcome.
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
    /// Refuses the operation, with this problem and outcome. Under a key the outcome is
    /// recorded first, since another sending may be carrying the operation out: after that
    /// none can land any more. A decision that stands already is the answer.
    ///
    /// # Errors
    /// The problem, and 503 where the record is not confirmed.
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

    /// The answer for a decision on the operation.
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
        let next = "The Idempotency-Key stands for this request permanently; take a new key for a new one.";
        Err(problem.and(next))
    }

    /// The answer to a write that landed with its outcome, completed then since the Unix
    /// epoch. Where it is no longer known whether a PUT made a new resource, or that cannot be
    /// read, the answer is the status, which is known.
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
            // Deleted since then, or not read.
            _ => Answer::Succeeded { completed_at },
        }
    }
}

/// The clocks cannot order a request.
pub(crate) fn clock_skew(has_key: bool) -> Problem {
    let reason = "The gateway's clock is missing, or too far from this host's, to order a request";
    if has_key {
        return unknown_under_key(reason);
    }
    let detail = format!("{reason}, so nothing was written; send the request again.");
    Problem::new(ProblemType::ClockSkew, detail)
}

/// Under a key no 503 says that nothing was written: another sending of the request may have
/// written it.
fn unknown_under_key(reason: &str) -> Problem {
    let detail = format!(
        "{reason}, and another sending may have written it; send the same request again with the same Idempotency-Key."
    );
    Problem::new(ProblemType::OutcomeUnknown, detail)
}
