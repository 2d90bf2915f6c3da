//! Now if it takes no longer than the client waits, and else later: one operation
//! either way.

use std::time::Duration;

use lambda_shell::host;
use rules::accept::Accepted;
use rules::inline::{InlineWrite, Next, Reply};
use rules::{Failure, OperationId, Problem, UserId};
use tokio::time::{Instant, sleep, timeout_at};
use users_table::Applied;

use crate::inline::precondition_failed;
use crate::{Answer, Put};

impl Put {
    /// Writes the user within `wait`, or sends the update under the same id. The write
    /// leaves an outcome as that of `apply` does: only then can it land after the
    /// message was applied, or the message arrive after it landed, without effect.
    pub(crate) async fn write_or_send(
        &self,
        accepted: &Accepted<'_>,
        wait: Duration,
        trace: Option<&str>,
    ) -> Result<Answer, Problem> {
        let deadline = Instant::now() + wait;
        let precondition = accepted.precondition.clone().without_future_tags(host::now());
        if precondition.is_never_true() {
            return Err(precondition_failed());
        }
        let mut write = InlineWrite::new(self.mint(&precondition), precondition);
        loop {
            let reply = timeout_at(deadline, self.transact(accepted, &write)).await;
            let reply = reply.unwrap_or(Reply::Failed(Failure::MayHaveLanded));
            match self.next(&mut write, reply) {
                Next::Done { created } => {
                    return Ok(self.done(accepted, write.id(), created).await);
                }
                Next::PreconditionFailed => return Err(precondition_failed()),
                Next::Call { after } if Instant::now() + after < deadline => sleep(after).await,
                Next::Call { .. } | Next::NotWritten | Next::OutcomeUnknown => break,
            }
        }
        let may_have_landed = write.may_have_landed();
        self.send_as(write.id(), write.precondition(), accepted, trace, may_have_landed).await
    }

    /// The answer to a write that landed. Where it cannot be read whether it made a new
    /// user, the status URL still tells the truth.
    async fn done(
        &self,
        accepted: &Accepted<'_>,
        id: OperationId,
        created: Option<bool>,
    ) -> Answer {
        let created = match created {
            Some(created) => Some(created),
            None => self.is_creator(&accepted.user, id).await,
        };
        created.map_or(Answer::Accepted { id }, |created| Answer::Written { id, created })
    }

    async fn is_creator(&self, user: &UserId, id: OperationId) -> Option<bool> {
        let creator = self.tables.creator(user).await;
        let creator = creator.inspect_err(|error| {
            tracing::warn!(%user, operation = %id, %error, "a read failed after a write");
        });
        creator.ok().map(|creator| creator == Some(id))
    }

    async fn transact(&self, accepted: &Accepted<'_>, write: &InlineWrite) -> Reply {
        let (user, id, body) = (&accepted.user, write.id(), accepted.body);
        let apply = self.tables.apply(user, id, body, write.precondition(), &[], host::now());
        match apply.await {
            Ok(Applied::Written) => Reply::Written { created: None },
            // Only an earlier call of this write can have left an outcome.
            Ok(Applied::Refused { decided, .. }) if decided.contains(&id) => {
                Reply::Written { created: None }
            }
            Ok(Applied::Refused { user, .. }) => Reply::Refused { stored: user.flatten() },
            Err(error) => {
                tracing::warn!(%user, operation = %id, failure = ?error.failure, %error, "a write failed");
                Reply::Failed(error.failure)
            }
        }
    }
}
