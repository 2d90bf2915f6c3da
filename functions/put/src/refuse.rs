//! Refuse: nothing was written of the operation, and nothing will be.

use rules::order::verdict::Refusal;
use rules::reply::status::{Decision, Outcome, Record};
use rules::{Problem, ProblemType};
use world::{Host, Queue, Tables, repeated};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::Prepared;

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Refuses the operation. Under a key it is decided so first, in the table, since
    /// another sending may be carrying it out: after that none can land any more. Where
    /// it was decided before, that is the answer.
    ///
    /// # Errors
    /// What the client is told, and 503 where the decision is not confirmed.
    pub(crate) async fn refuse(&self, put: &Prepared, refusal: Refusal) -> Result<Answer, Problem> {
        let (resource, id) = (&put.operation.resource, put.operation.id);
        if put.key.is_none() {
            return Err(refusal.problem(&put.operation.precondition));
        }
        let outcome = refusal.outcome(&put.operation.precondition);
        let own = Decision { outcome, completed_at: self.host.now() };
        let record = Record::Decided(own.clone());
        let call = || self.tables.record(resource, id, &record);
        let stands = repeated(&self.host, &put.invocation, (resource, Some(id)), call).await;
        let stands = stands.map_err(|_| put.undone_by_table())?;
        self.replay(put, stands.unwrap_or(own)).await
    }

    /// Answers with what became of the operation.
    ///
    /// # Errors
    /// What the client is told where it was not written.
    pub(crate) async fn replay(
        &self,
        put: &Prepared,
        decision: Decision,
    ) -> Result<Answer, Problem> {
        let problem = match decision.outcome {
            Outcome::Succeeded => return Ok(self.written(put, decision.completed_at).await),
            Outcome::Superseded => Refusal::Superseded.problem(&put.operation.precondition),
            Outcome::Failed { problem } => final_problem(&problem),
        };
        Err(problem
            .and("The Idempotency-Key stands for this PUT for good; take a new key for a new one."))
    }
}

/// The problem that was recorded, if it is one that says not to send the request again.
fn final_problem(document: &str) -> Problem {
    let problem = Problem::read(document);
    let detail = problem.as_ref().map_or("The PUT was refused.", Problem::detail).to_owned();
    let is_final = |problem: &Problem| problem.problem_type().status().is_client_error();
    problem.filter(is_final).unwrap_or_else(|| Problem::new(ProblemType::Refused, detail))
}
