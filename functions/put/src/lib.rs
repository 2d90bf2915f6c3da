//! `PUT /users/{id}`, now or later, in the same steps for every mode:
//!
//! | | claim | attempt | queue |
//! |---|---|---|---|
//! | now | | yes | |
//! | later | | | yes |
//! | `wait=N` | | for up to N s | if it is still open |
//! | with an `Idempotency-Key` | yes | as above | as above |
//!
//! Each step stands in the file of its name, behind `prepare` and before `answer`.

mod answer;
mod attempt;
mod claim;
mod prepare;
mod queue;
mod refuse;
mod report;
#[cfg(test)]
mod tests;

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt, Response};
use lambda_shell::target::request_id;
use lambda_shell::{invocation, reply};
use rules::order::verdict::Refusal;
use rules::request::accept::Mode;
use rules::{Problem, ProblemType, ReceiptKey};
use world::{Host, Queue, Tables};

use crate::answer::Answer;
use crate::prepare::Prepared;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(29);

/// Whose clock tells when a PUT arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArrivalClock {
    /// The gateway's.
    Gateway,
    /// The host's that runs the function, for requests whose time is canned or given in
    /// seconds, as by `sam local` and `cargo lambda`.
    Host,
}

/// The function: its world and settings.
#[derive(Debug)]
pub struct Put<H, T, Q> {
    /// The host it runs on.
    pub host: H,
    /// Where resources, outcomes and claims are.
    pub tables: T,
    /// Where deferred PUTs go.
    pub updates: Q,
    /// Signs receipts.
    pub receipts: ReceiptKey,
    /// What a PUT without `Prefer` does.
    pub default_mode: Mode,
    /// Whose clock tells when a PUT arrived.
    pub arrival_clock: ArrivalClock,
}

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Answers a PUT, before the deadline of its invocation, and reports what became of it.
    pub async fn handle(&self, request: Request) -> Response<Body> {
        let request_id = request_id(&request);
        let invocation = invocation(request.lambda_context_ref(), self.host.now(), TIMEOUT);
        let told = match self.prepare(request, invocation) {
            Ok(mut put) => {
                let answer = self.carry_out(&mut put).await;
                self.report(&put, &answer);
                match answer {
                    Ok(answer) => return self.respond(put, answer),
                    Err(problem) => self.with_status(&put, problem),
                }
            }
            Err(problem) => problem,
        };
        reply::problem(&told.request_id(request_id))
    }

    /// The problem, with where to ask what becomes of the operation if that is not known
    /// and will leave an outcome.
    fn with_status(&self, put: &Prepared, problem: Problem) -> Problem {
        let is_open = problem.problem_type() == ProblemType::OutcomeUnknown;
        if is_open && put.has_its_id() && put.leaves_outcome() {
            problem.operation(self.location(put))
        } else {
            problem
        }
    }

    /// The steps of a PUT: the first that decides it gives the answer.
    async fn carry_out(&self, put: &mut Prepared) -> Result<Answer, Problem> {
        if let Some(decision) = self.claim(put).await? {
            put.is_replay = true;
            return self.replay(put, decision).await;
        }
        if put.operation.precondition.is_never_true() {
            return self.refuse(put, Refusal::PreconditionFailed { stored: None }).await;
        }
        if let Some(until) = put.attempt_until(self.host.now())
            && let Some(answer) = self.attempt(put, until).await?
        {
            return Ok(answer);
        }
        if put.mode == Mode::Inline {
            return Err(put.undone_by_table());
        }
        self.queue(put).await
    }
}
