//! Prepare: what is asked for, and the operation that it makes, before anything is sent.

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt};
use lambda_shell::caller;
use lambda_shell::target::{Paths, gateway_time_ms, parameter};
use rules::order::arrival::Skew;
use rules::request::accept::{Mode, accept};
use rules::request::key::IdempotencyKey;
use rules::request::prefer::Preferences;
use rules::{Arrival, Operation, Problem, ProblemType};
use world::{Host, Invocation, Metric, Queue, Report, Tables};

use crate::{ArrivalClock, Put};

/// What is left of the time for a request when an attempt ends that may be followed by a
/// message: enough for one call and its repetition.
const TIME_TO_QUEUE: Duration = Duration::from_secs(4);

/// A PUT that may be carried out, and what is known of it so far.
#[derive(Debug)]
pub(crate) struct Prepared {
    /// The operation. Its id changes only while nobody else knows it.
    pub operation: Operation,
    /// When it arrived.
    pub arrival: Arrival,
    /// What makes another sending of the request the same operation, and who sends it.
    pub key: Option<(IdempotencyKey, String)>,
    /// Whether the key is known to stand for this operation.
    pub is_claimed: bool,
    /// What the client prefers.
    pub preferences: Preferences,
    /// Whether it is awaited or queued.
    pub mode: Mode,
    /// Where the client finds the resource.
    pub paths: Paths,
    /// The invocation's X-Ray trace header.
    pub trace: Option<String>,
    /// The run of the function, at whose deadline the request must be answered.
    pub invocation: Invocation,
    /// Whether a call so far may have written or queued it, now or later.
    pub may_have_landed: bool,
    /// Whether an earlier sending decided it.
    pub is_replay: bool,
}

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Checks a request and makes its operation. What it refuses, it reports.
    ///
    /// # Errors
    /// What the client did wrong, and 503 where the clocks cannot be trusted.
    pub(crate) fn prepare(
        &self,
        request: Request,
        invocation: Invocation,
    ) -> Result<Prepared, Problem> {
        let now = self.host.now();
        let asked = accept(parameter(&request, "id"), request.headers(), request.body());
        let asked = asked.inspect_err(|problem| {
            // Not the detail, which may name a member of the body.
            let report = Report::info(&invocation, "refused a request");
            self.host.report(&report.problem(problem.problem_type()));
        })?;
        let arrival = self.arrival(&request, now).map_err(|skew| {
            let problem = clock_skew(asked.key.is_some());
            let report = Report::error(&invocation, "refused a PUT that the clocks cannot order");
            let report = report.resource(&asked.resource).problem(problem.problem_type());
            self.host.report(&report.because(format!("{skew:?}")).count(Metric::ClockRefusals));
            problem
        })?;
        let trace = request.lambda_context_ref().and_then(|context| context.xray_trace_id.clone());
        let mode = asked.mode(self.default_mode);
        let key = asked.key.map(|key| (key, caller(&request)));
        let paths = Paths::of(&request, &asked.resource, 2);
        let body = text(request.into_body());
        let random = self.host.random();
        let operation = Operation::new(arrival, random, asked.resource, asked.precondition, body);
        Ok(Prepared {
            operation,
            arrival,
            key,
            is_claimed: false,
            preferences: asked.preferences,
            mode,
            paths,
            trace,
            invocation,
            may_have_landed: false,
            is_replay: false,
        })
    }

    fn arrival(&self, request: &Request, now: Duration) -> Result<Arrival, Skew> {
        let gateway_ms = match self.arrival_clock {
            ArrivalClock::Gateway => gateway_time_ms(request),
            ArrivalClock::Host => None,
        };
        match gateway_ms {
            Some(gateway_ms) => Arrival::at_gateway(gateway_ms, now),
            None => Ok(Arrival::at_host(now)),
        }
    }
}

impl Prepared {
    /// Until when the write is attempted before the PUT is answered or queued; `None` if
    /// it is not attempted.
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

    /// Whether the write leaves an outcome, since others may carry the operation out too.
    pub(crate) fn leaves_outcome(&self) -> bool {
        self.key.is_some() || self.mode != Mode::Inline
    }

    /// Whether its id is the one that it stands under for good.
    pub(crate) fn has_its_id(&self) -> bool {
        self.key.is_none() || self.is_claimed
    }

    /// What the client is told where the table did not carry the PUT out.
    pub(crate) fn undone_by_table(&self) -> Problem {
        let not_done = "The table could not take the write";
        let unknown = "The table did not confirm the write, which may have taken place";
        self.undone(not_done, unknown, "with Prefer: respond-async")
    }

    /// What the client is told where the queue did not take the PUT.
    pub(crate) fn undone_by_queue(&self) -> Problem {
        let not_done = "The queue could not take the update";
        let unknown = "The queue did not confirm the update, which may be carried out";
        self.undone(not_done, unknown, "without Prefer: respond-async")
    }

    fn undone(&self, not_done: &str, unknown: &str, other_way: &str) -> Problem {
        if self.key.is_some() {
            return outcome_unknown_with_key(not_done);
        }
        if self.may_have_landed {
            let detail = format!("{unknown}; read the resource, or send the request again.");
            return Problem::new(ProblemType::OutcomeUnknown, detail);
        }
        let detail =
            format!("{not_done}, and nothing was written; send the request again, or {other_way}.");
        Problem::new(ProblemType::NotWritten, detail)
    }
}

fn clock_skew(has_key: bool) -> Problem {
    let reason = "The gateway's clock and this host's differ too much to order a PUT";
    if has_key {
        return outcome_unknown_with_key(reason);
    }
    let detail = format!("{reason}, so nothing was written; send the request again.");
    Problem::new(ProblemType::ClockSkew, detail)
}

/// Under a key nothing is ever said to be not written by a 503: another sending of the
/// request may have written it.
fn outcome_unknown_with_key(reason: &str) -> Problem {
    let detail = format!(
        "{reason}, and another sending may have written it; send the same request again with the same Idempotency-Key."
    );
    Problem::new(ProblemType::OutcomeUnknown, detail)
}

/// The body, which was found to be UTF-8.
fn text(body: Body) -> String {
    match body {
        Body::Text(text) => text,
        Body::Binary(bytes) => String::from_utf8(bytes).unwrap_or_default(),
        _ => String::new(),
    }
}
