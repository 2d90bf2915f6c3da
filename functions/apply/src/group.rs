//! Makes the calls for one group of operations on a resource, as the rules decide.

use std::time::Duration;

use rules::order::verdict::Refusal;
use rules::outcome::{Decision, Recorded};
use rules::work::group::{Call, Group, Unwritten};
use rules::{Method, Operation, OperationId, Resource, ResourceId, Updated};
use world::{
    CallError, Host, Invocation, Metric, Outcomes, Report, Resources, Transaction, within,
};

use crate::{Apply, unix_ms};

/// Time that must be left to make a call: for its timeout and for the answer.
const TIME_FOR_A_CALL: Duration = Duration::from_secs(5);

impl<H: Host, R: Resource, S: Resources, O: Outcomes, I, Q> Apply<H, R, S, O, I, Q> {
    /// Decides a sorted group of operations on one resource. Returns those that still have no
    /// outcome.
    pub(crate) async fn apply_group(
        &self,
        operations: Vec<&Operation>,
        invocation: &Invocation,
    ) -> Vec<OperationId> {
        let Some(Operation { resource, .. }) = operations.first().copied() else {
            return Vec::new();
        };
        let (mut group, mut updated) = (Group::new(operations), None);
        loop {
            for id in group.drop_expired(self.host.now()) {
                let report = Report::error(invocation, "dropped an operation that is too old");
                self.host.report(&report.resource(resource).operation(id).count(Metric::Expired));
            }
            let next = group.next_call().filter(|_| self.has_time_for_a_call(invocation));
            let Some(call) = next else { return group.undecided().collect() };
            let id = call.operation().id;
            let pause = match self.make(call, &mut group, &mut updated, invocation).await {
                Ok(pause) => pause,
                Err(error) => {
                    let is_by_reused = error.is_by_reused_connection;
                    let pause = group.on_failed(error.failure, is_by_reused, self.host.random());
                    let report = Report::warn(invocation, "a call failed").failed(&error);
                    let report = report.resource(resource).operation(id);
                    self.host.report(&report.retried(group.next_call().is_some()));
                    pause
                }
            };
            self.host.sleep(pause).await;
        }
    }

    /// Makes a call and passes its reply to the group. Returns the pause before the next call.
    /// `updated` is the last operation for which the update has run.
    async fn make(
        &self,
        call: Call<'_>,
        group: &mut Group<'_>,
        updated: &mut Option<OperationId>,
        invocation: &Invocation,
    ) -> Result<Duration, CallError> {
        match call {
            Call::Write { operation, superseded } => {
                if R::HAS_UPDATE && *updated != Some(operation.id) {
                    if !self.is_worth_an_update(operation, group, invocation).await? {
                        return Ok(Duration::ZERO);
                    }
                    match self.update(operation, invocation).await {
                        Updated::Done => *updated = Some(operation.id),
                        Updated::Refused(problem) => {
                            group.on_refused_by_update(problem.final_or_refused());
                            return Ok(Duration::ZERO);
                        }
                        Updated::TryLater(_) => {
                            group.on_try_later();
                            return Ok(Duration::ZERO);
                        }
                    }
                }
                let call = self.resources.transact(operation, &superseded, self.host.now());
                match within(&self.host, invocation.deadline, call).await? {
                    Transaction::Written => {
                        group.on_written();
                        self.report_applied(operation, invocation);
                        for id in superseded {
                            let report = Report::info(
                                invocation,
                                "superseded by a newer operation in the same transaction",
                            );
                            let report = report.resource(&operation.resource).operation(id);
                            let report = report.count(Metric::Superseded);
                            self.host.report(&report.count(Metric::Coalesced));
                        }
                    }
                    Transaction::Cancelled { resource, decided } => {
                        for id in &decided {
                            self.report_decided(&operation.resource, *id, invocation);
                        }
                        return Ok(group.on_met(resource, &decided, self.host.random()));
                    }
                }
            }
            Call::Record { operation, reason } => {
                let (outcome, completed_at) = (reason.outcome(operation), self.host.now());
                let recorded = Recorded::Decided(Decision { outcome, completed_at });
                let (resource, id) = (&operation.resource, operation.id);
                let call = self.operations.record(resource, id, &recorded);
                match within(&self.host, invocation.deadline, call).await? {
                    None => self.report_recorded(operation, &reason, invocation),
                    Some(_) => self.report_decided(resource, id, invocation),
                }
                group.on_recorded();
            }
        }
        Ok(Duration::ZERO)
    }

    /// Checks with one read whether the operation is still open. This saves needless updates but
    /// guarantees nothing, since another client may still write after the read.
    async fn is_worth_an_update(
        &self,
        operation: &Operation,
        group: &mut Group<'_>,
        invocation: &Invocation,
    ) -> Result<bool, CallError> {
        let look = self.resources.look(operation, self.host.now());
        let (stored, recorded) = within(&self.host, end_of_update(invocation), look).await?;
        if matches!(recorded, Some(Recorded::Decided(_))) {
            self.report_decided(&operation.resource, operation.id, invocation);
            group.on_met(None, &[operation.id], self.host.random());
            return Ok(false);
        }
        let may_replace = operation.may_replace(stored);
        if !may_replace {
            group.on_met(Some(stored), &[], self.host.random());
        }
        Ok(may_replace)
    }

    /// Runs the update, within the time that is left for it.
    async fn update(&self, operation: &Operation, invocation: &Invocation) -> Updated {
        let until = end_of_update(invocation);
        world::update(&self.host, &self.resource, operation, until, invocation).await
    }

    fn report_applied(&self, operation: &Operation, invocation: &Invocation) {
        let arrived = operation.id.tick().to_unix();
        let took = unix_ms(self.host.now().saturating_sub(arrived));
        let report = Report::info(invocation, "applied an operation").count(Metric::Applied);
        let report = report.value(Metric::AcceptToApply, took);
        let report = match operation.method() {
            Method::Put => report,
            Method::Delete => report.count(Metric::Deleted),
        };
        self.host.report(&report.resource(&operation.resource).operation(operation.id));
    }

    fn report_recorded(&self, operation: &Operation, reason: &Unwritten, invocation: &Invocation) {
        let report = match reason {
            Unwritten::Landed => return self.report_applied(operation, invocation),
            Unwritten::Refused(Refusal::Superseded) => {
                Report::info(invocation, "superseded by a newer operation")
                    .count(Metric::Superseded)
            }
            Unwritten::Refused(Refusal::PreconditionFailed { .. }) => {
                Report::info(invocation, "refused an operation: its precondition is false")
                    .count(Metric::Failed)
            }
            Unwritten::RefusedByUpdate(problem) => {
                let report = Report::info(invocation, "the update refused an operation");
                report.problem(problem.problem_type()).count(Metric::Failed)
            }
        };
        self.host.report(&report.resource(&operation.resource).operation(operation.id));
    }

    /// Reports that the operation was already decided: its message is a redelivery, the reply to an
    /// earlier call was lost, or the client cancelled it.
    fn report_decided(&self, resource: &ResourceId, id: OperationId, invocation: &Invocation) {
        let report = Report::info(invocation, "the operation was already decided");
        self.host.report(&report.resource(resource).operation(id));
    }

    fn has_time_for_a_call(&self, invocation: &Invocation) -> bool {
        invocation.deadline.saturating_sub(self.host.now()) >= TIME_FOR_A_CALL
    }
}

/// The time by which an update, and the read before it, must end.
fn end_of_update(invocation: &Invocation) -> Duration {
    invocation.deadline.saturating_sub(TIME_FOR_A_CALL)
}
