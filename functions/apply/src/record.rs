//! One record: the transaction, and the outcome that the rules make of its result.

use std::time::{Duration, SystemTime};

use aws_calls::CallError;
use lambda_shell::host;
use rules::status::{Outcome, OutcomeRecord};
use rules::verdict::{Verdict, judge};
use rules::{Problem, ProblemType, backoff};
use updates_queue::Message;
use users_table::Applied;

use crate::{Apply, update};

/// Most times that a record is tried in one invocation.
const MAX_TRIES: u32 = 3;

/// What must be left of the invocation to start a try: two calls and the answer.
const TIME_FOR_A_TRY: Duration = Duration::from_secs(8);

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Its outcome is stored.
    Decided,
    /// It must be delivered again.
    HandedBack,
}

impl Apply {
    pub(crate) async fn apply_record(&self, message: &Message, deadline: SystemTime) -> Fate {
        let mut attempt = 0;
        while attempt < MAX_TRIES && has_time_for_a_try(deadline) {
            attempt += 1;
            match self.decide(message).await {
                Ok(true) => return Fate::Decided,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(user = %message.user, operation = %message.id, attempt, failure = ?error.failure, %error, "a call failed");
                    if !error.failure.is_retryable() {
                        break;
                    }
                }
            }
            tokio::time::sleep(backoff::between_calls(attempt, host::random())).await;
        }
        tracing::warn!(user = %message.user, operation = %message.id, attempt, "handed back an update");
        Fate::HandedBack
    }

    /// Tries once: whether the operation now has an outcome.
    async fn decide(&self, message: &Message) -> Result<bool, CallError> {
        let Message { id, user, precondition, body } = message;
        if let Err(problem) = update::before_write(message).await {
            return self.record(message, Outcome::Failed, Some(&problem)).await;
        }
        let succeeded = outcome(Outcome::Succeeded, None);
        let applied = self.tables.apply(user, *id, body, precondition, &succeeded).await?;
        let Applied::Refused { has_final_outcome, stored } = applied else {
            return Ok(true);
        };
        match judge(*id, precondition, has_final_outcome, stored, host::now()) {
            Verdict::Done => Ok(true),
            Verdict::Succeeded => self.record(message, Outcome::Succeeded, None).await,
            Verdict::Superseded => self.record(message, Outcome::Superseded, None).await,
            Verdict::PreconditionFailed => {
                let detail = "The stored user was not what the precondition asks for when the PUT was carried out; read the user and decide anew.";
                let problem = Problem::new(ProblemType::PreconditionFailed, detail);
                self.record(message, Outcome::Failed, Some(&problem)).await
            }
            Verdict::ClockSkew => {
                tracing::error!(%user, operation = %id, ?stored, "the stored user is ahead of the clock");
                let detail = "The stored user was written under a clock far ahead, so the order is not known; send the PUT again without Prefer: respond-async.";
                let problem = Problem::new(ProblemType::ClockSkew, detail);
                self.record(message, Outcome::Failed, Some(&problem)).await
            }
            // The user changed since the transaction was refused.
            Verdict::Write => Ok(false),
        }
    }

    async fn record(
        &self,
        message: &Message,
        what: Outcome,
        problem: Option<&Problem>,
    ) -> Result<bool, CallError> {
        self.tables.record_outcome(&message.user, message.id, &outcome(what, problem)).await?;
        Ok(true)
    }
}

/// Whether a try may be started. A deadline that has passed cannot be Lambda's own,
/// which ends the process there; `cargo lambda watch` sends one in 1970.
fn has_time_for_a_try(deadline: SystemTime) -> bool {
    deadline.duration_since(SystemTime::now()).is_ok_and(|left| left >= TIME_FOR_A_TRY)
        || deadline <= SystemTime::now()
}

fn outcome(outcome: Outcome, problem: Option<&Problem>) -> OutcomeRecord {
    let problem = problem.and_then(|problem| serde_json::to_string(problem).ok());
    OutcomeRecord { outcome, completed_at: host::now(), problem }
}
