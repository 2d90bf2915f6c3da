//! `PUT` and `DELETE` of a resource, now or later. Every mode runs the same steps, and the first
//! step that decides gives the answer:
//!
//! | | claim | update | attempt | queue |
//! |---|---|---|---|---|
//! | now | | yes | yes | |
//! | later | | | | yes |
//! | `wait=N` | | within N s | within N s | if still open |
//! | with an `Idempotency-Key` | yes | as above | as above | as above |
//!
//! Each step has a file with its name. `prepare` comes before the steps and `answer` after them.
//! `cancel` handles the `DELETE` of a status URL.

mod answer;
mod attempt;
mod cancel;
mod claim;
mod outcome;
mod prepare;
mod queue;
mod report;
mod update;

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt, Response};
use lambda_shell::target::{parameter, request_id};
use lambda_shell::{invocation, reply};
use rules::request::accept::Mode;
use rules::work::attempt::Attempt;
use rules::{Problem, ReceiptKeys, Resource};
use world::{Claims, Host, Invocation, Outbox, Outcomes, Resources};

use crate::answer::{Answer, Ending};
use crate::attempt::AttemptError;
use crate::prepare::WriteRequest;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(29);

/// The clock that dates the arrival of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalClock {
    /// The gateway's.
    Gateway,
    /// The clock of the function's host. It is for requests with a fixed time or a time in whole
    /// seconds, such as those from `sam local` and `cargo lambda`, and for front ends that give no
    /// time.
    Host,
}

/// The function, its dependencies and its settings.
#[derive(Debug)]
pub struct Put<H, R, S, O, Q> {
    /// The host that it runs on.
    pub host: H,
    /// The kind of resource.
    pub resource: R,
    /// The table of resources.
    pub resources: S,
    /// The table of outcomes and claims.
    pub operations: O,
    /// The queue of deferred operations.
    pub updates: Q,
    /// Signs and verifies receipts.
    pub receipts: ReceiptKeys,
    /// The mode of a request without `Prefer`.
    pub default_mode: Mode,
    /// The clock that dates the arrival of a request.
    pub arrival_clock: ArrivalClock,
}

impl<H, R, S, O, Q> Put<H, R, S, O, Q>
where
    H: Host,
    R: Resource,
    S: Resources,
    O: Outcomes + Claims,
    Q: Outbox,
{
    /// Answers a PUT or DELETE of a resource, or a DELETE of a status URL, before the deadline of
    /// the invocation. Reports the answer.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request_id(&request);
        let invocation = invocation(request.lambda_context_ref(), self.host.now(), TIMEOUT);
        let receipt = parameter(&request, "receipt").into_owned();
        let answer = if receipt.is_empty() {
            self.change(request, invocation).await
        } else {
            self.cancel(&request, &receipt, &invocation).await
        };
        answer.unwrap_or_else(|problem| reply::problem(&problem.request_id(request_id)))
    }

    async fn change(
        &self,
        request: Request,
        invocation: Invocation,
    ) -> Result<Response<Body>, Problem> {
        let (request, mut attempt) = self.prepare(request, invocation)?;
        let ending = self.carry_out(&request, &mut attempt).await;
        self.report(&request, attempt.operation(), &ending);
        match ending.answer {
            Ok(answer) => Ok(self.respond(request, attempt.into_operation(), answer)),
            Err(problem) => Err(self.with_status(&request, &attempt, problem)),
        }
    }

    async fn carry_out(&self, request: &WriteRequest, attempt: &mut Attempt) -> Ending {
        let (is_replay, answer) = match self.claim(request, attempt).await {
            Ok(Some(decision)) => (true, self.outcome(request, attempt, decision).await),
            Ok(None) => (false, self.decide(request, attempt).await),
            Err(problem) => (false, Err(problem)),
        };
        Ending { answer, is_replay }
    }

    /// Runs the steps after the claim.
    async fn decide(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
    ) -> Result<Answer, Problem> {
        if let Some(until) = request.attempt_until(self.host.now()) {
            match self.attempt(request, attempt, until).await {
                Ok(answer) => return Ok(answer),
                Err(AttemptError::Problem(problem)) => return Err(problem),
                Err(AttemptError::Open(open)) if request.mode == Mode::Inline => {
                    return Err(self.open(request, attempt, &open));
                }
                Err(AttemptError::Open(_)) => {}
            }
        }
        self.queue(request, attempt).await
    }
}

#[cfg(test)]
mod cancel_tests;
#[cfg(test)]
mod key_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod update_tests;
