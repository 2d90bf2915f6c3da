//! Now: the one conditional write, awaited.

use std::sync::PoisonError;

use lambda_shell::host;
use rules::accept::Accepted;
use rules::inline::{InlineWrite, Next, Reply};
use rules::{Problem, ProblemType, Tick};

use crate::{Answer, Put};

impl Put {
    /// Writes the user.
    pub(crate) async fn write(&self, accepted: &Accepted<'_>) -> Result<Answer, Problem> {
        if accepted.precondition.is_never_true() {
            return Err(precondition_failed());
        }
        let id = self.mint(&accepted.precondition);
        let mut write = InlineWrite::new(id, accepted.precondition.clone());
        loop {
            let reply = self.call(accepted, &write).await;
            match self.next(&mut write, reply) {
                Next::Call { after } => tokio::time::sleep(after).await,
                Next::Done { created } => {
                    let created = created == Some(true);
                    return Ok(Answer::Written { id: write.id(), created });
                }
                Next::PreconditionFailed => return Err(precondition_failed()),
                Next::NotWritten => return Err(not_written()),
                // The first two are of writes that others know.
                Next::Superseded { .. } | Next::Decided | Next::OutcomeUnknown => {
                    return Err(outcome_unknown());
                }
            }
        }
    }

    async fn call(&self, accepted: &Accepted<'_>, write: &InlineWrite) -> Reply {
        let (user, body) = (&accepted.user, accepted.body);
        let sent = self.tables.write_user(user, write.id(), body, write.precondition()).await;
        sent.unwrap_or_else(|error| {
            tracing::warn!(%user, operation = %write.id(), failure = ?error.failure, %error, "a write failed");
            Reply::Failed(error.failure)
        })
    }

    pub(crate) fn next(&self, write: &mut InlineWrite, reply: Reply) -> Next {
        let mut minter = self.minter.lock().unwrap_or_else(PoisonError::into_inner);
        write.on_reply(reply, &mut minter, Tick::from_unix(host::now()), host::random())
    }
}

pub(crate) fn precondition_failed() -> Problem {
    let detail = "The stored user is not what If-Match or If-None-Match asks for, so nothing was written; read the user and decide anew.";
    Problem::new(ProblemType::PreconditionFailed, detail)
}

pub(crate) fn not_written() -> Problem {
    let detail = "The table could not take the write, and nothing was written; send the request again, or with Prefer: respond-async.";
    Problem::new(ProblemType::NotWritten, detail).retry_after(1)
}

pub(crate) fn outcome_unknown() -> Problem {
    let detail = "The table did not confirm the write, which may have taken place; read the user, or send the request again.";
    Problem::new(ProblemType::OutcomeUnknown, detail).retry_after(1)
}
