//! Claim: the same request with the same Idempotency-Key is the same operation.

use rules::outcome::Decision;
use rules::request::key::Claim;
use rules::work::attempt::Attempt;
use rules::{Problem, ProblemType};
use world::{Claims, Host, Outcomes, repeated};

use crate::Put;
use crate::outcome::Open;
use crate::prepare::WriteRequest;

impl<H: Host, R, S, O: Outcomes + Claims, Q> Put<H, R, S, O, Q> {
    /// Registers this operation under its key. If the key already has an operation, continues with
    /// that operation and returns its decision, if it has one. Does nothing without a key.
    ///
    /// # Errors
    /// 422 if the key belongs to another request, and 503.
    pub(crate) async fn claim(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
    ) -> Result<Option<Decision>, Problem> {
        let Some((key, caller)) = &request.key else { return Ok(None) };
        let operation = attempt.operation();
        let own = Claim::new(caller, key, operation);
        let about = (&operation.resource, Some(operation.id));
        let claim = || self.operations.claim(&own, self.host.now());
        let holder = repeated(&self.host, &request.invocation, about, claim).await;
        let holder = holder.map_err(|_| self.open(request, attempt, &Open::Table))?;
        if holder.fingerprint != own.fingerprint {
            let detail = "This key was used for a request with another method, body or precondition; use a new key for a new request.";
            let problem = Problem::new(ProblemType::IdempotencyKeyReused, detail);
            return Err(problem.field("Idempotency-Key"));
        }
        attempt.on_claimed(holder.operation);
        if holder.operation == own.operation {
            return Ok(None);
        }
        self.decision(request, attempt).await
    }
}
