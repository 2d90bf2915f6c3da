//! `PUT` of a resource, now or later, in the same steps for every mode. The first step that
//! decides gives the answer:
//!
//! | | claim | update | attempt | queue |
//! |---|---|---|---|---|
//! | now | | yes | yes | |
//! | later | | | | yes |
//! | `wait=N` | | within N s | within N s | if still open |
//! | with an `Idempotency-Key` | yes | as above | as above | as above |
//!
//! Each step is in the file of its name, after `prepare` and before `answer`.

mod answer;
mod attempt;
mod claim;
mod outcome;
mod prepare;
mod queue;
mod report;
#[cfg(test)]
mod tests;
mod update;

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt, Response};
use lambda_shell::target::request_id;
use lambda_shell::{invocation, reply};
use rules::request::accept::Mode;
use rules::work::attempt::Attempt;
use rules::{Problem, ReceiptKey, Resource};
use world::{Claims, Host, Outbox, Outcomes, Resources};

use crate::answer::{Answer, Ending};
use crate::prepare::PutRequest;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(29);

/// Which clock dates the arrival of a PUT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalClock {
    /// The gateway's.
    Gateway,
    /// That of the host that runs the function, for requests whose time is fixed or given in
    /// seconds, as by `sam local` and `cargo lambda`, and for fronts that give none.
    Host,
}

/// The function: its world and settings.
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
    /// The queue of deferred PUTs.
    pub updates: Q,
    /// Signs receipts.
    pub receipts: ReceiptKey,
    /// What a PUT without `Prefer` does.
    pub default_mode: Mode,
    /// Which clock dates the arrival of a PUT.
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
    /// Answers a PUT before the deadline of its invocation, and reports the answer.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request_id(&request);
        let invocation = invocation(request.lambda_context_ref(), self.host.now(), TIMEOUT);
        let problem = match self.prepare(request, invocation) {
            Ok((request, mut attempt)) => {
                let ending = self.carry_out(&request, &mut attempt).await;
                self.report(&request, attempt.operation(), &ending);
                match ending.answer {
                    Ok(answer) => return self.respond(request, attempt.into_operation(), answer),
                    Err(problem) => self.with_status(&request, &attempt, problem),
                }
            }
            Err(problem) => problem,
        };
        reply::problem(&problem.request_id(request_id))
    }

    async fn carry_out(&self, request: &PutRequest, attempt: &mut Attempt) -> Ending {
        let (is_replay, answer) = match self.claim(request, attempt).await {
            Ok(Some(decision)) => (true, self.outcome(request, attempt, decision).await),
            Ok(None) => (false, self.decide(request, attempt).await),
            Err(problem) => (false, Err(problem)),
        };
        Ending { answer, is_replay }
    }

    /// The steps after the claim.
    async fn decide(&self, request: &PutRequest, attempt: &mut Attempt) -> Result<Answer, Problem> {
        if let Some(until) = request.attempt_until(self.host.now()) {
            match self.attempt(request, attempt, until).await? {
                Ok(answer) => return Ok(answer),
                Err(open) if request.mode == Mode::Inline => {
                    return Err(self.open(request, attempt, &open));
                }
                Err(_) => {}
            }
        }
        self.queue(request, attempt).await
    }
}
