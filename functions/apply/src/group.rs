//! One group of operations of a resource: makes the calls that the rules ask for.

use std::time::Duration;

use rules::order::verdict::Refusal;
use rules::reply::status::{Decision, Record};
use rules::work::group::{Call, Group, Reason};
use rules::{Operation, OperationId, ResourceId};
use world::{CallError, Host, Invocation, Metric, Queue, Report, Tables, Transaction, within};

use crate::{Apply, Work, Worked, unix_ms};

/// What must be left of the invocation to make a call: its timeout, and the answer.
const TIME_FOR_A_CALL: Duration = Duration::from_secs(5);

impl<H: Host, T: Tables, Q: Queue, W: Work> Apply<H, T, Q, W> {
    /// Decides a group of operations of one resource, sorted; returns those that are still
    /// without an outcome.
    pub(crate) async fn apply_group(
        &self,
        operations: Vec<&Operation>,
        invocation: &Invocation,
    ) -> Vec<OperationId> {
        let Some(Operation { resource, .. }) = operations.first().copied() else {
            return Vec::new();
        };
        let mut group = Group::new(operations);
        loop {
            for id in group.drop_expired(self.host.now()) {
                let report = Report::error(invocation, "dropped a PUT that is too old");
                self.host.report(&report.resource(resource).operation(id).count(Metric::Expired));
            }
            let next = group.next_call().filter(|_| self.has_time_for_a_call(invocation));
            let Some(call) = next else { return group.undecided().collect() };
            let id = call.operation().id;
            let pause = match self.make(call, &mut group, invocation).await {
                Ok(pause) => pause,
                Err(error) => {
                    let pause = group.on_failed(error.failure, self.host.random());
                    let report = Report::warn(invocation, "a call failed").failed(&error);
                    let report = report.resource(resource).operation(id);
                    self.host.report(&report.retried(group.next_call().is_some()));
                    pause
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
        invocation: &Invocation,
    ) -> Result<Duration, CallError> {
        match call {
            Call::Write { operation, superseded } => {
                match self.work(operation, invocation).await {
                    Worked::Done => {}
                    Worked::Refused(problem) => {
                        group.on_refused_by_work(problem);
                        return Ok(Duration::ZERO);
                    }
                    Worked::TryLater(reason) => {
                        let report = Report::warn(
                            invocation,
                            "the work before the write is to be tried later",
                        );
                        let report = report.resource(&operation.resource).operation(operation.id);
                        self.host.report(&report.because(reason));
                        group.on_try_later();
                        return Ok(Duration::ZERO);
                    }
                }
                let call = self.tables.transact(operation, &superseded, self.host.now());
                match within(&self.host, invocation.deadline, call).await? {
                    Transaction::Written => {
                        group.on_written();
                        self.report_applied(operation, invocation);
                        for id in superseded {
                            let report = Report::info(invocation, "a newer PUT beside it won");
                            let report = report.resource(&operation.resource).operation(id);
                            let report = report.count(Metric::Superseded);
                            self.host.report(&report.count(Metric::Coalesced));
                        }
                    }
                    Transaction::Refused { resource, decided } => {
                        for id in &decided {
                            self.report_decided(&operation.resource, *id, invocation);
                        }
                        let at = resource.map(|stored| stored.map(|stored| stored.written_by));
                        // The time of the reply: a resource written while the call was under way
                        // is not ahead of the clock.
                        let (now, random) = (self.host.now(), self.host.random());
                        return Ok(group.on_refused(at, &decided, now, random));
                    }
                }
            }
            Call::Record { operation, reason } => {
                let (outcome, completed_at) = (reason.outcome(operation), self.host.now());
                let record = Record::Decided(Decision { outcome, completed_at });
                let call = self.tables.record(&operation.resource, operation.id, &record);
                match within(&self.host, invocation.deadline, call).await? {
                    None => self.report_recorded(operation, &reason, invocation),
                    Some(_) => self.report_decided(&operation.resource, operation.id, invocation),
                }
                group.on_recorded();
            }
        }
        Ok(Duration::ZERO)
    }

    /// Does the work before the write, with what is left of the time for it.
    async fn work(&self, operation: &Operation, invocation: &Invocation) -> Worked {
        let until = invocation.deadline.saturating_sub(TIME_FOR_A_CALL);
        let time_left = until.saturating_sub(self.host.now());
        let work = async { Ok(self.work.before_write(operation, time_left).await) };
        let worked = within(&self.host, until, work).await;
        worked.unwrap_or_else(|error: CallError| Worked::TryLater(error.to_string()))
    }

    fn report_applied(&self, operation: &Operation, invocation: &Invocation) {
        let arrived = operation.id.tick().to_unix();
        let took = unix_ms(self.host.now().saturating_sub(arrived));
        let report = Report::info(invocation, "applied a PUT").count(Metric::Applied);
        let report = report.value(Metric::AcceptToApply, took);
        self.host.report(&report.resource(&operation.resource).operation(operation.id));
    }

    fn report_recorded(&self, operation: &Operation, reason: &Reason, invocation: &Invocation) {
        let report = match reason {
            Reason::Landed => return self.report_applied(operation, invocation),
            Reason::Refused(Refusal::Superseded) => {
                Report::info(invocation, "a newer PUT won").count(Metric::Superseded)
            }
            Reason::Refused(Refusal::PreconditionFailed { .. }) => {
                Report::info(invocation, "its precondition is false").count(Metric::Failed)
            }
            Reason::Refused(Refusal::OrderUnknown) => {
                let report = Report::error(invocation, "the stored resource is ahead of the clock");
                report.count(Metric::Failed).count(Metric::ClockSkews)
            }
            Reason::RefusedByWork(problem) => {
                let report = Report::info(invocation, "the work before the write refused it");
                report.problem(problem.problem_type()).count(Metric::Failed)
            }
        };
        self.host.report(&report.resource(&operation.resource).operation(operation.id));
    }

    /// A redelivery, or an earlier call landed whose reply was lost.
    fn report_decided(&self, resource: &ResourceId, id: OperationId, invocation: &Invocation) {
        let report = Report::info(invocation, "it was decided before");
        self.host.report(&report.resource(resource).operation(id));
    }

    fn has_time_for_a_call(&self, invocation: &Invocation) -> bool {
        invocation.deadline.saturating_sub(self.host.now()) >= TIME_FOR_A_CALL
    }
}
