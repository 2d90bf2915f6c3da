//! Cancel: `DELETE` of the status URL of an operation that is not decided yet.
//!
//! A cancellation records an outcome, as does the refusal of a request with a key. Every later
//! transaction of the operation finds that outcome and writes nothing.

use std::time::Duration;

use http::StatusCode;
use http::header::{CACHE_CONTROL, IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};
use lambda_http::{Body, Request, Response};
use lambda_shell::reply;
use lambda_shell::target::{Paths, parameter};
use rules::outcome::{Decision, Outcome, Recorded, is_too_old};
use rules::reply::status::State;
use rules::request::accept::without_body;
use rules::{Failure, OperationId, Problem, ProblemType, Resource, ResourceId};
use world::{Host, Invocation, Metric, Outcomes, Report, repeated};

use crate::Put;

impl<H: Host, R: Resource, S, O: Outcomes, Q> Put<H, R, S, O, Q> {
    /// Cancels the operation of this receipt: 200 with its status.
    ///
    /// # Errors
    /// 4xx for the client's mistakes, 409 for an operation with another outcome, and 503.
    pub(crate) async fn cancel(
        &self,
        request: &Request,
        receipt: &str,
        invocation: &Invocation,
    ) -> Result<Response<Body>, Problem> {
        let (resource, id) = self.to_cancel(request, receipt).inspect_err(|problem| {
            self.report_refused_request(invocation, problem);
        })?;
        let paths = Paths::of::<R>(request, &resource, 2);
        let location = paths.operation(receipt);
        let now = self.host.now();
        let state = self.decide_to_cancel(&resource, id, now, invocation).await;
        let state =
            state.map_err(|failure| self.not_cancelled(invocation, &resource, id, failure))?;
        let paths = (location.as_str(), paths.resource());
        let mut response = reply::status(StatusCode::OK, id, paths, &state, now)?;
        let report = match &state {
            State::Decided(Decision { outcome: Outcome::Cancelled, completed_at })
                if completed_at.as_millis() == now.as_millis() =>
            {
                Report::info(invocation, "cancelled an operation").count(Metric::Cancelled)
            }
            State::Decided(Decision { outcome: Outcome::Cancelled, .. }) => {
                Report::info(invocation, "repeated an answer")
            }
            _ => return Err(self.too_late(invocation, &resource, id, &state, location)),
        };
        self.host.report(&report.resource(&resource).operation(id));
        reply::set(&mut response, CACHE_CONTROL, "no-store");
        Ok(response)
    }

    /// The operation to cancel.
    fn to_cancel(
        &self,
        request: &Request,
        receipt: &str,
    ) -> Result<(ResourceId, OperationId), Problem> {
        let resource = ResourceId::of_request::<R>(|name| parameter(request, name))?;
        let id = self.receipts.verify(&resource, receipt)?;
        unconditional(request)?;
        without_body(request.body())?;
        Ok((resource, id))
    }

    /// Cancels the operation at `now`, unless it is decided, and returns its state. Does not change
    /// an operation that is too old to be carried out: its status may already be `expired`.
    async fn decide_to_cancel(
        &self,
        resource: &ResourceId,
        id: OperationId,
        now: Duration,
        invocation: &Invocation,
    ) -> Result<State, Failure> {
        let about = (resource, Some(id));
        if is_too_old(id, now) {
            let read = || self.operations.recorded(id, now);
            let recorded = repeated(&self.host, invocation, about, read).await?;
            return Ok(State::derive(id, recorded, now));
        }
        let cancelled = Decision { outcome: Outcome::Cancelled, completed_at: now };
        let recorded = Recorded::Decided(cancelled.clone());
        let record = || self.operations.record(resource, id, &recorded);
        let stands = repeated(&self.host, invocation, about, record).await?;
        Ok(State::Decided(stands.unwrap_or(cancelled)))
    }

    /// 409 for an operation that can no longer be cancelled.
    fn too_late(
        &self,
        invocation: &Invocation,
        resource: &ResourceId,
        id: OperationId,
        state: &State,
        location: String,
    ) -> Problem {
        let reason = match state {
            State::Decided(decision) => format!("its status is {}", decision.outcome.as_str()),
            _ => "it is too old to be carried out".to_owned(),
        };
        let detail = format!("The operation was not cancelled: {reason}; see its status document.");
        let problem = Problem::new(ProblemType::AlreadyDecided, detail).operation(location);
        let report = Report::info(invocation, "did not cancel an operation");
        let report = report.resource(resource).operation(id).problem(problem.problem_type());
        self.host.report(&report.count(Metric::Refused));
        problem
    }

    /// 503 if the table did not confirm the cancellation.
    fn not_cancelled(
        &self,
        invocation: &Invocation,
        resource: &ResourceId,
        id: OperationId,
        failure: Failure,
    ) -> Problem {
        let (problem_type, metric, detail) = if failure.may_have_landed() {
            let detail = "The table did not confirm the cancellation, which may have taken place; send the request again.";
            (ProblemType::OutcomeUnknown, Metric::OutcomeUnknown, detail)
        } else {
            let detail = "The table could not accept the cancellation, so the operation may still be carried out; send the request again.";
            (ProblemType::NotWritten, Metric::NotWritten, detail)
        };
        let report = Report::warn(invocation, "could not cancel an operation").resource(resource);
        self.host.report(&report.operation(id).problem(problem_type).count(metric));
        Problem::new(problem_type, detail)
    }
}

/// Refuses a precondition, since a status has no entity tag.
fn unconditional(request: &Request) -> Result<(), Problem> {
    for (name, shown) in [
        (IF_MATCH, "If-Match"),
        (IF_NONE_MATCH, "If-None-Match"),
        (IF_UNMODIFIED_SINCE, "If-Unmodified-Since"),
    ] {
        if request.headers().contains_key(name) {
            let detail = format!(
                "{shown} was refused: a status has no entity tag; send the request without this field."
            );
            return Err(Problem::new(ProblemType::MalformedHeader, detail).field(shown));
        }
    }
    Ok(())
}
