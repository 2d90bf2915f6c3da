//! Later: one SQS message, and nothing else.

use lambda_shell::host;
use rules::accept::Accepted;
use rules::{OperationId, Precondition, Problem, ProblemType, backoff};
use updates_queue::Message;

use crate::inline::precondition_failed;
use crate::{Answer, Put};

/// Most calls for one message.
const MAX_CALLS: u32 = 3;

impl Put {
    /// Sends the update.
    pub(crate) async fn send(
        &self,
        accepted: &Accepted<'_>,
        trace: Option<&str>,
    ) -> Result<Answer, Problem> {
        let precondition = accepted.precondition.clone().without_future_tags(host::now());
        if precondition.is_never_true() {
            return Err(precondition_failed());
        }
        self.send_as(self.mint(&precondition), &precondition, accepted, trace, false).await
    }

    /// Sends the update as the operation `id`, of which a write may have landed. A
    /// message that is sent twice is one operation.
    pub(crate) async fn send_as(
        &self,
        id: OperationId,
        precondition: &Precondition,
        accepted: &Accepted<'_>,
        trace: Option<&str>,
        mut may_have_landed: bool,
    ) -> Result<Answer, Problem> {
        let (user, body) = (accepted.user.clone(), accepted.body.to_owned());
        let message = Message { id, user, precondition: precondition.clone(), body };
        let mut calls = 0;
        loop {
            calls += 1;
            let Err(error) = self.updates.send(&message, trace).await else {
                return Ok(Answer::Accepted { id });
            };
            tracing::warn!(user = %message.user, operation = %id, failure = ?error.failure, %error, "a send failed");
            may_have_landed |= error.failure.may_have_landed();
            if calls == MAX_CALLS || !error.failure.is_retryable() {
                return Err(not_queued(may_have_landed));
            }
            tokio::time::sleep(backoff::between_calls(calls, host::random())).await;
        }
    }
}

fn not_queued(may_have_landed: bool) -> Problem {
    let (kind, detail) = if may_have_landed {
        let detail = "The queue did not confirm the update, which may be carried out; read the user, or send the request again.";
        (ProblemType::OutcomeUnknown, detail)
    } else {
        let detail = "The queue could not take the update, and nothing will be written; send the request again, or without Prefer: respond-async.";
        (ProblemType::NotWritten, detail)
    };
    Problem::new(kind, detail).retry_after(1)
}
