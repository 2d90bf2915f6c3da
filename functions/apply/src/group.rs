//! One group of operations of a user: makes the calls that the rules ask for.

use std::time::Duration;

use rules::order::verdict::Refusal;
use rules::reply::status::{Decision, Record};
use rules::work::group::{Call, Group, Reason};
use rules::{Operation, OperationId};
use world::{CallError, Host, Metric, Queue, Tables, Transaction, within};

use crate::{Apply, Work, Worked};

/// What must be left of the invocation to make a call: its timeout, and the answer.
const TIME_FOR_A_CALL: Duration = Duration::from_secs(5);

impl<H: Host, T: Tables, Q: Queue, W: Work> Apply<H, T, Q, W> {
    /// Decides a group of operations of one user, sorted; returns those that are still
    /// without an outcome.
    pub(crate) async fn apply_group(
        &self,
        operations: Vec<&Operation>,
        deadline: Duration,
    ) -> Vec<OperationId> {
        let user = operations.first().map(|operation| operation.user.as_str().to_owned());
        let mut group = Group::new(operations);
        loop {
            for id in group.drop_expired(self.host.now()) {
                tracing::error!(user, operation = %id, "dropped an operation that is too old to be carried out");
                self.host.measure(Metric::Expired, 1);
            }
            let Some(call) = group.next_call().filter(|_| self.has_time_for_a_call(deadline))
            else {
                return group.undecided().collect();
            };
            let pause = match self.make(call, &mut group, deadline).await {
                Ok(pause) => pause,
                Err(error) => {
                    let undecided: Vec<_> = group.undecided().collect();
                    tracing::warn!(user, operations = ?undecided, failure = ?error.failure, %error, "a call failed");
                    group.on_failed(error.failure, self.host.random())
                }
            };
            self.host.sleep(pause).await;
        }
    }

    /// Makes a call and tells the group of its reply; returns the pause that is due.
    async fn make(
        &self,
        call: Call<'_>,
        group: &mut Group<'_>,
        deadline: Duration,
    ) -> Result<Duration, CallError> {
        match call {
            Call::Write { operation, superseded } => {
                match self.work(operation, deadline).await {
                    Worked::Done => {}
                    Worked::Refused(problem) => {
                        group.on_refused_by_work(problem);
                        return Ok(Duration::ZERO);
                    }
                    Worked::TryLater(reason) => {
                        tracing::warn!(user = %operation.user, operation = %operation.id, reason, "the work before the write is to be tried later");
                        group.on_try_later();
                        return Ok(Duration::ZERO);
                    }
                }
                let call = self.tables.transact(operation, &superseded, self.host.now());
                match within(&self.host, deadline, call).await? {
                    Transaction::Written => group.on_written(),
                    Transaction::Refused { user, decided } => {
                        let at = user.map(|stored| stored.map(|stored| stored.written_by));
                        // The time of the reply: a user written while the call was under way
                        // is not ahead of the clock.
                        let (now, random) = (self.host.now(), self.host.random());
                        return Ok(group.on_refused(at, &decided, now, random));
                    }
                }
            }
            Call::Record { operation, reason } => {
                within(&self.host, deadline, self.record(operation, &reason)).await?;
                group.on_recorded();
            }
        }
        Ok(Duration::ZERO)
    }

    /// Does the work before the write, with what is left of the time for it.
    async fn work(&self, operation: &Operation, deadline: Duration) -> Worked {
        let until = deadline.saturating_sub(TIME_FOR_A_CALL);
        let time_left = until.saturating_sub(self.host.now());
        let work = async { Ok(self.work.before_write(operation, time_left).await) };
        let worked = within(&self.host, until, work).await;
        worked.unwrap_or_else(|error: CallError| Worked::TryLater(error.to_string()))
    }

    async fn record(&self, operation: &Operation, reason: &Reason) -> Result<(), CallError> {
        let Operation { user, id, .. } = operation;
        if *reason == Reason::Refused(Refusal::OrderUnknown) {
            tracing::error!(%user, operation = %id, "the stored user is ahead of the clock");
            self.host.measure(Metric::ClockSkews, 1);
        }
        let (outcome, completed_at) = (reason.outcome(operation), self.host.now());
        let record = Record::Decided(Decision { outcome, completed_at });
        self.tables.record(user, *id, &record).await.map(drop)
    }

    fn has_time_for_a_call(&self, deadline: Duration) -> bool {
        deadline.saturating_sub(self.host.now()) >= TIME_FOR_A_CALL
    }
}
