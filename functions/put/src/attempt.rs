//! Attempt: the conditional write, awaited.

use std::time::Duration;

use rules::work::attempt::{Attempt, Next};
use rules::{Problem, Version};
use world::{CallError, Host, Queue, Report, Tables, Transaction, Write, repeated, within};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::Prepared;

/// How a call that got a reply ended.
enum Reply {
    /// The resource was written.
    Written { created: bool },
    /// The resource was written with an outcome, completed then since the Unix epoch. Whether
    /// it is new, a transaction does not tell.
    WrittenWithOutcome { completed_at: Duration },
    /// The operation is decided already.
    Decided,
    /// The condition was false of this version.
    Refused { stored: Option<Version> },
}

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Writes the resource, in as many calls as it takes `until` then, since the Unix epoch.
    /// `None` where the operation is still open at the end.
    ///
    /// # Errors
    /// What the client is told of an operation that is refused, and 503.
    pub(crate) async fn attempt(
        &self,
        put: &mut Prepared,
        until: Duration,
    ) -> Result<Option<Answer>, Problem> {
        let mut attempt = match put.key {
            Some(_) => Attempt::claimed(),
            None => Attempt::new(put.arrival),
        };
        loop {
            let next = match within(&self.host, until, self.write(put)).await {
                Ok(Reply::Written { created }) => return Ok(Some(Answer::Written { created })),
                Ok(Reply::WrittenWithOutcome { completed_at }) => {
                    return Ok(Some(self.written(put, completed_at).await));
                }
                Ok(Reply::Decided) => {
                    put.may_have_landed = true;
                    let Some(decision) = self.decision(put).await? else { return Ok(None) };
                    return self.replay(put, decision).await.map(Some);
                }
                Ok(Reply::Refused { stored }) => {
                    let (now, random) = (self.host.now(), self.host.random());
                    attempt.on_refused(&mut put.operation, stored, now, random)
                }
                Err(error) => {
                    let next = attempt.on_failed(error.failure, self.host.random());
                    let is_retried =
                        matches!(next, Next::Call { after } if self.host.now() + after < until);
                    let report = Report::warn(&put.invocation, "a write failed").failed(&error);
                    let report =
                        report.resource(&put.operation.resource).operation(put.operation.id);
                    self.host.report(&report.retried(is_retried));
                    next
                }
            };
            put.may_have_landed |= attempt.may_have_landed();
            match next {
                Next::Call { after } if self.host.now() + after < until => {
                    self.host.sleep(after).await;
                }
                Next::Call { .. } | Next::Open => return Ok(None),
                Next::Landed { created } => return Ok(Some(Answer::Written { created })),
                Next::Refused(refusal) => return self.refuse(put, refusal).await.map(Some),
            }
        }
    }

    /// One call. Where others may carry the operation out too, it is the transaction of
    /// `apply`, which leaves an outcome: only then can it land after the message was
    /// applied, or the message arrive after it landed, without effect.
    async fn write(&self, put: &Prepared) -> Result<Reply, CallError> {
        let operation = &put.operation;
        if !put.leaves_outcome() {
            return Ok(match self.tables.write_resource(operation).await? {
                Write::Written { created } => Reply::Written { created },
                Write::Refused { stored } => Reply::Refused { stored },
            });
        }
        let completed_at = self.host.now();
        Ok(match self.tables.transact(operation, &[], completed_at).await? {
            Transaction::Written => Reply::WrittenWithOutcome { completed_at },
            Transaction::Refused { decided, .. } if !decided.is_empty() => Reply::Decided,
            Transaction::Refused { resource, .. } => Reply::Refused { stored: resource.flatten() },
        })
    }

    /// The answer to a write that landed with its outcome, completed then since the Unix
    /// epoch. Where it cannot be read whether it made a new resource, the client is told the
    /// status, which is known.
    pub(crate) async fn written(&self, put: &Prepared, completed_at: Duration) -> Answer {
        let (resource, id) = (&put.operation.resource, put.operation.id);
        let read = || self.tables.creator(resource);
        match repeated(&self.host, &put.invocation, (resource, Some(id)), read).await {
            Ok(creator) => Answer::Written { created: creator == Some(id) },
            Err(_) => Answer::Succeeded { completed_at },
        }
    }
}
