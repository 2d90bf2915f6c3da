//! Queue: one SQS message, for `apply` to carry out.

use rules::Problem;
use rules::work::attempt::Attempt;
use world::{Host, Outbox, Outcomes, repeated};

use crate::Put;
use crate::answer::Answer;
use crate::outcome::Open;
use crate::prepare::WriteRequest;

impl<H: Host, R, S, O: Outcomes, Q: Outbox> Put<H, R, S, O, Q> {
    /// Queues the operation. A repeated send may queue a second message, but both are the same
    /// operation.
    ///
    /// # Errors
    /// 503
    pub(crate) async fn queue(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
    ) -> Result<Answer, Problem> {
        let operation = attempt.operation();
        let about = (&operation.resource, Some(operation.id));
        let send = || self.updates.send(operation, request.trace.as_deref());
        let sent = repeated(&self.host, &request.invocation, about, send).await;
        sent.map(|()| Answer::Queued).map_err(|failure| {
            attempt.on_failed(failure, false, 0);
            self.open(request, attempt, &Open::Queue)
        })
    }
}
