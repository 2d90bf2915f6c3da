//! With an Idempotency-Key: the same request again is the same operation.

use std::time::Duration;

use aws_calls::CallError;
use lambda_shell::host;
use rules::accept::{Accepted, MAX_WAIT, Mode};
use rules::idempotency::{IdempotencyKey, claim_id, fingerprint};
use rules::inline::{InlineWrite, Next};
use rules::status::{Outcome, OutcomeRecord};
use rules::{OperationId, Problem, ProblemType, Tick, backoff};
use tokio::time::{Instant, sleep};
use users_table::Claim;

use crate::inline::{not_written, outcome_unknown, precondition_failed};
use crate::{Answer, Put};

/// Most calls of one kind.
const MAX_CALLS: u32 = 3;

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
        // Nothing but the claim can have been written so far.
        let claim = retried(accepted, || self.tables.claim(&own, host::now())).await;
        let claim = claim.ok_or_else(not_written)?;
        if claim.fingerprint != own.fingerprint {
            let detail = "This key was used for a request with another body or precondition; use a new key for a new request.";
            return Err(
                Problem::new(ProblemType::IdempotencyKeyReused, detail).field("Idempotency-Key")
            );
        }
        let is_first = claim.operation == own.operation;
        if !is_first {
            let outcome = retried(accepted, || self.tables.outcome(claim.operation, host::now()));
            match outcome.await.ok_or_else(outcome_unknown)? {
                Some(record) if !record.is_provisional => {
                    return self.replay(accepted, claim.operation, record).await;
                }
                _ => {}
            }
        }
        match mode {
            Mode::Inline => self.write_claimed(accepted, claim, is_first, None).await,
            Mode::Waiting(wait) => {
                self.write_claimed(accepted, claim, is_first, Some((wait, trace))).await
            }
            Mode::Deferred => {
                let precondition = &accepted.precondition;
                self.send_as(claim.operation, precondition, accepted, trace, !is_first).await
            }
        }
    }

    /// Writes under the claimed id, whichever request claimed it; with a `wait` it is
    /// queued where that is not enough.
    async fn write_claimed(
        &self,
        accepted: &Accepted<'_>,
        mut claim: Claim,
        is_first: bool,
        wait: Option<(Duration, Option<&str>)>,
    ) -> Result<Answer, Problem> {
        let deadline = Instant::now() + wait.map_or(MAX_WAIT, |(wait, _)| wait);
        loop {
            let id = claim.operation;
            let mut write = InlineWrite::fixed(id, accepted.precondition.clone(), !is_first);
            match self.transact(accepted, &mut write, deadline).await {
                Next::Done { created } => return Ok(self.done(&accepted.user, id, created).await),
                Next::PreconditionFailed => return Err(precondition_failed()),
                // The stored id is of a clock ahead of this host's, since it was there
                // before the request came.
                Next::Superseded { by } if is_first => {
                    claim.operation = self.move_claim(accepted, &claim, by).await?;
                }
                Next::Superseded { .. } => return Err(self.supersede(accepted, id).await),
                Next::Call { .. } | Next::NotWritten | Next::OutcomeUnknown => {
                    let may_have_landed = write.may_have_landed();
                    let Some((_, trace)) = wait else {
                        return Err(if may_have_landed {
                            outcome_unknown()
                        } else {
                            not_written()
                        });
                    };
                    let precondition = &accepted.precondition;
                    return self.send_as(id, precondition, accepted, trace, may_have_landed).await;
                }
            }
        }
    }

    /// Makes the claim stand for an id that is newer than the stored one.
    async fn move_claim(
        &self,
        accepted: &Accepted<'_>,
        claim: &Claim,
        stored: OperationId,
    ) -> Result<OperationId, Problem> {
        let to = self.mint_after(Tick::from_unix(host::now()), stored);
        match retried(accepted, || self.tables.move_claim(claim, to)).await {
            Some(true) => Ok(to),
            // The same request is being carried out elsewhere.
            Some(false) | None => Err(outcome_unknown()),
        }
    }

    async fn supersede(&self, accepted: &Accepted<'_>, id: OperationId) -> Problem {
        let record = OutcomeRecord {
            outcome: Outcome::Superseded,
            completed_at: host::now(),
            problem: None,
            is_provisional: false,
        };
        let recorded =
            retried(accepted, || self.tables.record_outcome(&accepted.user, id, &record));
        if recorded.await.is_some() { superseded() } else { not_written() }
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
                Err(problem.unwrap_or_else(precondition_failed))
            }
        }
    }
}

/// Makes a call that is safe to repeat; `None` where it fails all the same.
async fn retried<T, F>(accepted: &Accepted<'_>, call: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, CallError>>,
{
    for calls in 1..=MAX_CALLS {
        match call().await {
            Ok(value) => return Some(value),
            Err(error) => {
                tracing::warn!(user = %accepted.user, failure = ?error.failure, %error, "a call failed");
                if !error.failure.is_retryable() {
                    break;
                }
                sleep(backoff::between_calls(calls, host::random())).await;
            }
        }
    }
    None
}

fn superseded() -> Problem {
    let detail = "A newer PUT was stored before this operation could be; nothing was written. Read the user, and send a new PUT under a new key.";
    Problem::new(ProblemType::Superseded, detail)
}
