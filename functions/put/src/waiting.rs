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
    /// Writes the user within `wait`, or sends the update under the same id.
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
        match self.transact(accepted, &mut write, deadline).await {
            Next::Done { created } => Ok(self.done(&accepted.user, write.id(), created).await),
            Next::PreconditionFailed => Err(precondition_failed()),
            Next::Call { .. }
            | Next::Superseded { .. }
            | Next::Decided
            | Next::NotWritten
            | Next::OutcomeUnknown => {
                let may_have_landed = write.may_have_landed();
                let precondition = write.precondition();
                self.send_as(write.id(), precondition, accepted, trace, may_have_landed).await
            }
        }
    }

    /// Writes the user in a transaction that leaves an outcome as that of `apply` does:
    /// only then can it land after the message was applied, or the message arrive after
    /// it landed, without effect. Ends with [`Next::Call`] at the `deadline`.
    pub(crate) async fn transact(
        &self,
        accepted: &Accepted<'_>,
        write: &mut InlineWrite,
        deadline: Instant,
    ) -> Next {
        loop {
            let reply = timeout_at(deadline, self.transact_once(accepted, write)).await;
            let reply = reply.unwrap_or(Reply::Failed(Failure::MayHaveLanded));
            match self.next(write, reply) {
                Next::Call { after } if Instant::now() + after < deadline => sleep(after).await,
                next => return next,
            }
        }
    }

    async fn transact_once(&self, accepted: &Accepted<'_>, write: &InlineWrite) -> Reply {
        let (user, id, body) = (&accepted.user, write.id(), accepted.body);
        let apply = self.tables.apply(user, id, body, write.precondition(), &[], host::now());
        match apply.await {
            Ok(Applied::Written) => Reply::Written { created: None },
            Ok(Applied::Refused { decided, .. }) if decided.contains(&id) => Reply::Decided,
            Ok(Applied::Refused { user, .. }) => Reply::Refused { stored: user.flatten() },
            Err(error) => {
                tracing::warn!(%user, operation = %id, failure = ?error.failure, %error, "a write failed");
                Reply::Failed(error.failure)
            }
        }
    }

    /// The answer to a write that landed. Where it cannot be read whether it made a new
    /// user, the status URL still tells the truth.
    pub(crate) async fn done(
        &self,
        user: &UserId,
        id: OperationId,
        created: Option<bool>,
    ) -> Answer {
        let created = match created {
            Some(created) => Some(created),
            None => self.is_creator(user, id).await,
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
}
