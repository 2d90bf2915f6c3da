//! Queue: one SQS message, for `apply` to carry out.

use rules::Problem;
use world::{Host, Queue, Tables, repeated};

use crate::Put;
use crate::answer::Answer;
use crate::prepare::Prepared;

impl<H: Host, T: Tables, Q: Queue> Put<H, T, Q> {
    /// Queues the operation. A message that is sent twice is still one operation.
    ///
    /// # Errors
    /// 503
    pub(crate) async fn queue(&self, put: &mut Prepared) -> Result<Answer, Problem> {
        let about = (&put.operation.resource, Some(put.operation.id));
        let send = || self.updates.send(&put.operation, put.trace.as_deref());
        let sent = repeated(&self.host, &put.invocation, about, send).await;
        sent.map(|()| Answer::Queued).map_err(|failure| {
            put.may_have_landed |= failure.may_have_landed();
            put.undone_by_queue()
        })
    }
}
