//! With an Idempotency-Key: the same request again is the same operation.

use std::time::Duration;

use lambda_shell::host;
use lambda_shell::retry::retried;
use rules::accept::{Accepted, MAX_WAIT, Mode};
use rules::idempotency::{IdempotencyKey, claim_id, fingerprint};
use rules::inline::{InlineWrite, Next};
use rules::status::{Outcome, OutcomeRecord};
use rules::{OperationId, Problem, ProblemType, Tick};
use tokio::time::Instant;
use users_table::Claim;

use crate::inline::{not_written, outcome_unknown, precondition_failed};
use crate::{Answer, Put};

/// Most times that the claim is looked at.
const MAX_ROUNDS: u32 = 3;

impl Put {
    /// Carries out the operation that `key` stands for, or tells its outcome.
    pub(crate) async fn put_once(
        &self,
        accepted: &Accepted<'_>,
        key: &IdempotencyKey,
        caller: &str,
        mode: Mode,
        trace: Option<&str>,
    ) -> Result<Answer, Problem> {
        if accepted.precondition.clone().without_future_tags(host::now()).is_never_true() {
            return Err(precondition_failed());
        }
        let own = Claim {
            id: claim_id(caller, &accepted.user, key),
            fingerprint: fingerprint(&accepted.user, &accepted.precondition, accepted.body),
            operation: self.mint(&accepted.precondition),
        };
        for round in 0..MAX_ROUNDS {
            // Nothing but the claim can have been written by this request so far.
            let claim = retried(&accepted.user, || self.tables.claim(&own, host::now())).await;
            let claim = claim.ok_or_else(not_written)?;
            if claim.fingerprint != own.fingerprint {
                let detail = "This key was used for a request with another body or precondition; use a new key for a new request.";
                return Err(Problem::new(ProblemType::IdempotencyKeyReused, detail)
                    .field("Idempotency-Key"));
            }
            let is_first = claim.operation == own.operation;
            let is_fresh = is_first && round == 0;
            if !is_fresh && let Some(record) = self.final_outcome(accepted, &claim).await? {
                return self.replay(accepted, claim.operation, record).await;
            }
            let wait = match mode {
                Mode::Inline => None,
                Mode::Waiting(wait) => Some((wait, trace)),
                Mode::Deferred => {
                    let precondition = &accepted.precondition;
                    return self
                        .send_as(claim.operation, precondition, accepted, trace, !is_first)
                        .await;
                }
            };
            if let Some(answer) = self.write_claimed(accepted, claim, is_first, wait).await? {
                return Ok(answer);
            }
        }
        // The same request is being carried out elsewhere, and its claim keeps moving.
        Err(outcome_unknown())
    }

    async fn final_outcome(
        &self,
        accepted: &Accepted<'_>,
        claim: &Claim,
    ) -> Result<Option<OutcomeRecord>, Problem> {
        let outcome = retried(&accepted.user, || self.tables.outcome(claim.operation, host::now()));
        let outcome = outcome.await.ok_or_else(outcome_unknown)?;
        Ok(outcome.filter(|record| !record.is_provisional))
    }

    /// Writes under the claimed id, whichever request claimed it; with a `wait` it is
    /// queued where that is not enough. `None` where the claim must be looked at again.
    async fn write_claimed(
        &self,
        accepted: &Accepted<'_>,
        mut claim: Claim,
        is_first: bool,
        wait: Option<(Duration, Option<&str>)>,
    ) -> Result<Option<Answer>, Problem> {
        let deadline = Instant::now() + wait.map_or(MAX_WAIT, |(wait, _)| wait);
        let precondition = &accepted.precondition;
        loop {
            let id = claim.operation;
            let mut write = InlineWrite::fixed(id, precondition.clone(), !is_first);
            match self.transact(accepted, &mut write, deadline).await {
                Next::Done { created } => {
                    return Ok(Some(self.done(&accepted.user, id, created).await));
                }
                // The stored id is of a clock ahead of this host's, since it was there
                // before the request came.
                Next::Superseded { by } if is_first && !write.may_have_landed() => {
                    let to = self.mint_after(Tick::from_unix(host::now()), by);
                    match retried(&accepted.user, || self.tables.move_claim(&claim, to)).await {
                        Some(true) => claim.operation = to,
                        Some(false) | None => return Ok(None),
                    }
                }
                // Another attempt of it was decided in the meantime.
                Next::Decided => return Ok(None),
                Next::Superseded { .. } => {
                    return self.refuse(accepted, &claim, Outcome::Superseded, superseded()).await;
                }
                Next::PreconditionFailed => {
                    let problem = precondition_failed();
                    return self.refuse(accepted, &claim, Outcome::Failed, problem).await;
                }
                Next::Call { .. } | Next::NotWritten | Next::OutcomeUnknown => {
                    let may_have_landed = write.may_have_landed();
                    let Some((_, trace)) = wait else {
                        return Err(if may_have_landed {
                            outcome_unknown()
                        } else {
                            not_written()
                        });
                    };
                    let sent = self.send_as(id, precondition, accepted, trace, may_have_landed);
                    return sent.await.map(Some);
                }
            }
        }
    }

    /// Records that the operation was not written, so that no other attempt of it can
    /// land any more, and tells the `problem`. `None`, so that the claim is looked at
    /// again, where the operation has an outcome already or the claim stands for another.
    async fn refuse(
        &self,
        accepted: &Accepted<'_>,
        claim: &Claim,
        outcome: Outcome,
        problem: Problem,
    ) -> Result<Option<Answer>, Problem> {
        let is_failed = outcome == Outcome::Failed;
        let record = OutcomeRecord {
            outcome,
            completed_at: host::now(),
            problem: is_failed.then(|| serde_json::to_string(&problem).ok()).flatten(),
            is_provisional: false,
        };
        let recorded = retried(&accepted.user, || {
            self.tables.record_outcome(&accepted.user, claim.operation, &record)
        });
        let is_recorded = recorded.await.ok_or_else(outcome_unknown)?;
        let stands =
            retried(&accepted.user, || self.tables.move_claim(claim, claim.operation)).await;
        let still_stands = stands.ok_or_else(outcome_unknown)?;
        if is_recorded && still_stands { Err(problem) } else { Ok(None) }
    }

    /// Answers with the outcome that the operation has.
    async fn replay(
        &self,
        accepted: &Accepted<'_>,
        id: OperationId,
        record: OutcomeRecord,
    ) -> Result<Answer, Problem> {
        match record.outcome {
            Outcome::Succeeded => Ok(self.done(&accepted.user, id, None).await),
            Outcome::Superseded => Err(superseded()),
            Outcome::Failed => {
                let problem = record.problem.as_deref().and_then(Problem::read);
                let problem = problem.unwrap_or_else(precondition_failed);
                let is_server_error = problem.kind().status().is_server_error();
                Err(if is_server_error { problem.retry_after(1) } else { problem })
            }
        }
    }
}

fn superseded() -> Problem {
    let detail = "A newer PUT was stored before this operation could be; nothing was written. Read the user, and send a new PUT under a new key.";
    Problem::new(ProblemType::Superseded, detail)
}
