//! Claim: the same request under the same Idempotency-Key is the same operation.

use rules::reply::status::{Decision, Record};
use rules::request::key::Claim;
use rules::{Problem, ProblemType};
use world::{Host, Queue, Tables, repeated};

use crate::Put;
use crate::prepare::Prepared;

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Makes the PUT the operation that its key stands for, and returns what became of
    /// that if it is decided. Without a key there is nothing to do.
    ///
    /// # Errors
    /// 422 where the key stands for another request, and 503.
    pub(crate) async fn claim(&self, put: &mut Prepared) -> Result<Option<Decision>, Problem> {
        let Some((key, caller)) = &put.key else { return Ok(None) };
        let own = Claim::new(caller, key, &put.operation);
        let about = (&put.operation.resource, Some(put.operation.id));
        let claim = || self.tables.claim(&own, self.host.now());
        let holder = repeated(&self.host, &put.invocation, about, claim).await;
        let holder = holder.map_err(|_| put.undone_by_table())?;
        if holder.fingerprint != own.fingerprint {
            let detail = "This key was used for a request with another body or precondition; use a new key for a new request.";
            let problem = Problem::new(ProblemType::IdempotencyKeyReused, detail);
            return Err(problem.field("Idempotency-Key"));
        }
        put.is_claimed = true;
        if holder.operation == own.operation {
            return Ok(None);
        }
        put.operation.id = holder.operation;
        self.decision(put).await
    }

    /// What became of the operation, if it is decided.
    ///
    /// # Errors
    /// 503
    pub(crate) async fn decision(&self, put: &Prepared) -> Result<Option<Decision>, Problem> {
        let id = put.operation.id;
        let about = (&put.operation.resource, Some(id));
        let read = || self.tables.record_of(id, self.host.now());
        let record = repeated(&self.host, &put.invocation, about, read).await;
        match record.map_err(|_| put.undone_by_table())? {
            Some(Record::Decided(decision)) => Ok(Some(decision)),
            Some(Record::Stalled { .. }) | None => Ok(None),
        }
    }
}
