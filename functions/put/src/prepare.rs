//! Prepare: checks the request and makes its operation, before anything is sent.

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt};
use lambda_shell::caller;
use lambda_shell::target::{Paths, gateway_time_ms, parameter};
use rules::order::arrival::Skew;
use rules::order::place::operation_id;
use rules::request::accept::{Mode, accept};
use rules::request::key::IdempotencyKey;
use rules::request::prefer::Preferences;
use rules::work::attempt::{Attempt, Identity};
use rules::{Arrival, Change, Method, Operation, Problem, Resource};
use world::{Host, Invocation, Metric, Report};

use crate::{ArrivalClock, Put, outcome};

/// Time reserved for queueing after an attempt: one call and one retry.
const TIME_TO_QUEUE: Duration = Duration::from_secs(4);

/// A valid PUT or DELETE, apart from its operation.
#[derive(Debug)]
pub(crate) struct WriteRequest {
    /// The idempotency key and its caller.
    pub key: Option<(IdempotencyKey, String)>,
    /// The preferences of the client.
    pub preferences: Preferences,
    /// Whether the write is awaited or queued.
    pub mode: Mode,
    /// The paths of the resource, for the client.
    pub paths: Paths,
    /// The invocation's X-Ray trace header.
    pub trace: Option<String>,
    /// The invocation. The request must be answered before its deadline.
    pub invocation: Invocation,
}

impl<H: Host, R: Resource, S, O, Q> Put<H, R, S, O, Q> {
    /// Checks a request and makes its operation. Reports a refusal.
    ///
    /// # Errors
    /// 4xx for the client's mistakes, and 503 if the clocks cannot be trusted.
    pub(crate) fn prepare(
        &self,
        request: Request,
        invocation: Invocation,
    ) -> Result<(WriteRequest, Attempt), Problem> {
        let now = self.host.now();
        let parameter = |name: &str| parameter(&request, name);
        let method = match *request.method() {
            http::Method::DELETE => Method::Delete,
            _ => Method::Put,
        };
        let parsed = accept::<R>(method, parameter, request.headers(), request.body());
        let parsed = parsed.inspect_err(|problem| {
            self.report_refused_request(&invocation, problem);
        })?;
        let arrival = self.arrival(&request, now).map_err(|skew| {
            let problem = outcome::clock_skew(parsed.key.is_some());
            let message =
                "refused a request: its arrival is missing or too far from this host's clock";
            let report = Report::error(&invocation, message);
            let report = report.resource(&parsed.resource).problem(problem.problem_type());
            self.host.report(&report.because(format!("{skew:?}")).count(Metric::ClockSkews));
            problem
        })?;
        let trace = request.lambda_context_ref().and_then(|context| context.xray_trace_id.clone());
        let mode = parsed.mode(self.default_mode);
        let key = parsed.key.map(|key| (key, caller(&request)));
        let paths = Paths::of::<R>(&request, &parsed.resource, 0);
        let id = operation_id(arrival, self.host.random(), &parsed.precondition);
        let change = match method {
            Method::Put => Change::Put(text(request.into_body())),
            Method::Delete => Change::Delete,
        };
        let operation = Operation::new(id, parsed.resource, parsed.precondition, change);
        let identity = if key.is_some() { Identity::Unclaimed } else { Identity::Free(arrival) };
        let preferences = parsed.preferences;
        let request = WriteRequest { key, preferences, mode, paths, trace, invocation };
        Ok((request, Attempt::new(operation, identity)))
    }

    fn arrival(&self, request: &Request, now: Duration) -> Result<Arrival, Skew> {
        match self.arrival_clock {
            ArrivalClock::Gateway => Arrival::at_gateway(gateway_time_ms(request), now),
            ArrivalClock::Host => Ok(Arrival::at_host(now)),
        }
    }
}

impl WriteRequest {
    /// The time by which the attempt must end, so that the request can still be answered or queued;
    /// `None` if there is no attempt.
    pub(crate) fn attempt_until(&self, now: Duration) -> Option<Duration> {
        match self.mode {
            Mode::Inline => Some(self.invocation.deadline),
            Mode::Deferred => None,
            Mode::Waiting(wait) => {
                let deadline = self.invocation.deadline;
                Some((now + wait).min(deadline.saturating_sub(TIME_TO_QUEUE)))
            }
        }
    }

    /// Whether the write also records an outcome, because `apply` or another request may make the
    /// same write.
    pub(crate) fn leaves_outcome(&self) -> bool {
        self.key.is_some() || self.mode != Mode::Inline
    }
}

/// The text of the body, which is known to be UTF-8.
fn text(body: Body) -> String {
    match body {
        Body::Text(text) => text,
        Body::Binary(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        _ => String::new(),
    }
}
