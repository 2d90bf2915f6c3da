//! One group of operations of a user: the transaction, and the outcomes that the rules
//! make of its result.

use std::time::{Duration, SystemTime};

use aws_calls::CallError;
use lambda_shell::host;
use rules::inline::Stored;
use rules::status::{Outcome, OutcomeRecord};
use rules::verdict::{Verdict, judge};
use rules::{OperationId, Problem, ProblemType, backoff};
use updates_queue::Message;
use users_table::Applied;

use crate::{Apply, update};

/// Most tries of one invocation that decide nothing.
const MAX_FAILED_TRIES: u32 = 3;

/// What must be left of the invocation to start a try: two calls and the answer.
const TIME_FOR_A_TRY: Duration = Duration::from_secs(8);

impl Apply {
    /// Writes the newest of the messages, which are of one user and sorted, and
    /// supersedes the others; returns the operations that are still without an outcome.
    pub(crate) async fn apply_group(
        &self,
        mut open: Vec<&Message>,
        deadline: SystemTime,
    ) -> Vec<OperationId> {
        let mut failed_tries = 0;
        while !open.is_empty() && failed_tries < MAX_FAILED_TRIES && has_time_for_a_try(deadline) {
            let before = open.len();
            let tried = self.decide(&mut open).await;
            let ids: Vec<_> = open.iter().map(|message| message.id).collect();
            if let Err(error) = &tried {
                let user = open.first().map(|message| &message.user);
                tracing::warn!(?user, operations = ?ids, failure = ?error.failure, %error, "a call failed");
                if !error.failure.is_retryable() {
                    break;
                }
            }
            if open.len() == before {
                failed_tries += 1;
                tokio::time::sleep(backoff::between_calls(failed_tries, host::random())).await;
            }
        }
        open.into_iter().map(|message| message.id).collect()
    }

    /// Tries once; what is decided leaves `open`.
    async fn decide(&self, open: &mut Vec<&Message>) -> Result<(), CallError> {
        let Some((newest, older)) = open.split_last() else { return Ok(()) };
        if let Err(problem) = update::before_write(newest).await {
            self.record(newest, Outcome::Failed, Some(&problem)).await?;
            open.pop();
            return Ok(());
        }
        let Message { id, user, precondition, body } = newest;
        let older: Vec<_> = older.iter().map(|message| message.id).collect();
        let now = host::now();
        match self.tables.apply(user, *id, body, precondition, &older, now).await? {
            Applied::Written => open.clear(),
            Applied::Refused { user: refused, decided } => {
                open.retain(|message| !decided.contains(&message.id));
                let Some(stored) = refused else { return Ok(()) };
                while let Some(message) = open.first() {
                    self.settle(message, stored, now).await?;
                    open.remove(0);
                }
            }
        }
        Ok(())
    }

    /// Records the outcome of an operation whose user was at `stored` when the write of
    /// it, or of a newer one, was refused.
    async fn settle(
        &self,
        message: &Message,
        stored: Option<Stored>,
        now: Duration,
    ) -> Result<(), CallError> {
        let Message { id, user, precondition, .. } = message;
        let stored = stored.map(|stored| stored.id);
        match judge(*id, precondition, false, stored, now) {
            Verdict::Done => Ok(()),
            Verdict::Succeeded => self.record(message, Outcome::Succeeded, None).await,
            // A stored id that refuses the newest of a group is newer than all of it.
            Verdict::Superseded | Verdict::Write => {
                self.record(message, Outcome::Superseded, None).await
            }
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
        }
    }

    async fn record(
        &self,
        message: &Message,
        outcome: Outcome,
        problem: Option<&Problem>,
    ) -> Result<(), CallError> {
        let problem = problem.and_then(|problem| serde_json::to_string(problem).ok());
        let record = OutcomeRecord { outcome, completed_at: host::now(), problem };
        self.tables.record_outcome(&message.user, message.id, &record).await
    }
}

/// Whether a try may be started. A deadline that has passed cannot be Lambda's own,
/// which ends the process there; `cargo lambda watch` sends one in 1970.
fn has_time_for_a_try(deadline: SystemTime) -> bool {
    let left = deadline.duration_since(SystemTime::now());
    left.is_err() || left.is_ok_and(|left| left >= TIME_FOR_A_TRY)
}
