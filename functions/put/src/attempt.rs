//! Attempt: the update and the conditional write, awaited.

use std::time::Duration;

use rules::outcome::Outcome;
use rules::work::attempt::{Attempt, Next};
use rules::{Problem, Resource, Updated, Version};
use world::{CallError, Host, Outcomes, Report, Resources, Transaction, Write, within};

use crate::Put;
use crate::answer::Answer;
use crate::outcome::Open;
use crate::prepare::WriteRequest;

/// Why an attempt ended without a confirmed write.
#[derive(Debug)]
pub(crate) enum AttemptError {
    /// The operation is open.
    Open(Open),
    /// The operation is refused, or its refusal could not be recorded.
    Problem(Problem),
}

impl From<Open> for AttemptError {
    fn from(open: Open) -> Self {
        Self::Open(open)
    }
}

impl From<Problem> for AttemptError {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// The reply to a call.
enum Reply {
    /// The resource was written.
    Written { created: bool },
    /// The resource was written together with an outcome, at `completed_at` (since the Unix epoch).
    /// A transaction does not return whether the resource is new.
    WrittenWithOutcome { completed_at: Duration },
    /// The operation is already decided.
    Decided,
    /// The condition was false for this version.
    Met { stored: Option<Version> },
}

impl<H: Host, R: Resource, S: Resources, O: Outcomes, Q> Put<H, R, S, O, Q> {
    /// Runs the update and writes the resource, in one or more calls. Ends by `until` (since the
    /// Unix epoch).
    ///
    /// # Errors
    /// [`AttemptError`]
    pub(crate) async fn attempt(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
        until: Duration,
    ) -> Result<Answer, AttemptError> {
        let mut next = Next::Call { after: Duration::ZERO };
        if R::HAS_UPDATE {
            next = self.look(request, attempt, until).await?;
        }
        let mut is_updated = !R::HAS_UPDATE;
        loop {
            match next {
                Next::Call { after } if self.host.now() + after < until => {
                    self.host.sleep(after).await;
                }
                Next::Open if attempt.is_out_of_steps() => return Err(Open::Overtaken.into()),
                Next::Call { .. } | Next::Open => return Err(Open::Table.into()),
                Next::Landed { created } => return Ok(Answer::Written { created }),
                Next::Refused(refusal) => {
                    let precondition = &attempt.operation().precondition;
                    let problem = refusal.problem(precondition);
                    let outcome = refusal.outcome(precondition);
                    return Ok(self.refuse(request, attempt, problem, outcome).await?);
                }
            }
            if !is_updated {
                match self.update(request, attempt, until).await {
                    Updated::Done => is_updated = true,
                    Updated::Refused(problem) => {
                        let problem = problem.final_or_refused();
                        let outcome = Outcome::failed(&problem);
                        return Ok(self.refuse(request, attempt, problem, outcome).await?);
                    }
                    Updated::TryLater(reason) => return Err(Open::Update(reason).into()),
                }
            }
            next = match within(&self.host, until, self.write(request, attempt)).await {
                Ok(Reply::Written { created }) => return Ok(Answer::Written { created }),
                Ok(Reply::WrittenWithOutcome { completed_at }) => {
                    return Ok(self.written(request, attempt, completed_at).await);
                }
                Ok(Reply::Decided) => {
                    let Some(decision) = self.decision(request, attempt).await? else {
                        return Err(Open::Table.into());
                    };
                    return Ok(self.outcome(request, attempt, decision).await?);
                }
                Ok(Reply::Met { stored }) => attempt.on_met(stored, self.host.random()),
                Err(error) => self.on_failed(request, attempt, &error, until),
            };
        }
    }

    fn on_failed(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
        error: &CallError,
        until: Duration,
    ) -> Next {
        let is_by_reused = error.is_by_reused_connection;
        let next = attempt.on_failed(error.failure, is_by_reused, self.host.random());
        let is_retried = matches!(next, Next::Call { after } if self.host.now() + after < until);
        let (id, resource) = (attempt.operation().id, &attempt.operation().resource);
        let report = Report::warn(&request.invocation, "a write failed").failed(error);
        let report = report.resource(resource).operation(id);
        self.host.report(&report.retried(is_retried));
        next
    }

    /// Makes one call. If `apply` or another request may carry out the operation too, the call is
    /// the same transaction as in `apply`, with an outcome. Then this call and that of `apply` or
    /// of another request may come in any order: the second one has no effect.
    async fn write(&self, request: &WriteRequest, attempt: &Attempt) -> Result<Reply, CallError> {
        let operation = attempt.operation();
        if !request.leaves_outcome() {
            return Ok(match self.resources.write(operation).await? {
                Write::Written { created } => Reply::Written { created },
                Write::ConditionFalse { stored } => Reply::Met { stored },
            });
        }
        let completed_at = self.host.now();
        Ok(match self.resources.transact(operation, &[], completed_at).await? {
            Transaction::Written => Reply::WrittenWithOutcome { completed_at },
            Transaction::Cancelled { decided, .. } if !decided.is_empty() => Reply::Decided,
            Transaction::Cancelled { resource, .. } => Reply::Met { stored: resource.flatten() },
        })
    }
}
