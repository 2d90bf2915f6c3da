//! Update: the resource's own async function, before the write.

use std::time::Duration;

use rules::request::accept::Mode;
use rules::work::attempt::{Attempt, Next};
use rules::{Resource, Updated, Version};
use world::{Host, Invocation, Resources, repeated};

use crate::Put;
use crate::outcome::Open;
use crate::prepare::WriteRequest;

/// Time reserved for the write after an update, while the client waits: one call and one retry.
const TIME_TO_WRITE: Duration = Duration::from_secs(4);

impl<H: Host, R: Resource, S: Resources, O, Q> Put<H, R, S, O, Q> {
    /// Reads the stored version before the first call, since an update does not run for an
    /// operation that is already refused. Another client may still write after this read, so it
    /// guarantees nothing. The read must end by the time at which the update must end.
    ///
    /// # Errors
    /// [`Open`] if the table cannot be read.
    pub(crate) async fn look(
        &self,
        request: &WriteRequest,
        attempt: &mut Attempt,
        until: Duration,
    ) -> Result<Next, Open> {
        let deadline = end_of_update(request, until);
        let invocation = Invocation { deadline, ..request.invocation.clone() };
        let operation = attempt.operation();
        let about = (&operation.resource, Some(operation.id));
        let read = || self.resources.version(&operation.resource);
        let read = repeated(&self.host, &invocation, about, read).await;
        let stored: Option<Version> = read.map_err(|_| Open::Table)?;
        if operation.may_replace(stored) {
            return Ok(Next::Call { after: Duration::ZERO });
        }
        Ok(attempt.on_met(stored, self.host.random()))
    }

    /// Runs the update, which is cut off at [`end_of_update`].
    pub(crate) async fn update(
        &self,
        request: &WriteRequest,
        attempt: &Attempt,
        until: Duration,
    ) -> Updated {
        let until = end_of_update(request, until);
        let (host, invocation) = (&self.host, &request.invocation);
        world::update(host, &self.resource, attempt.operation(), until, invocation).await
    }
}

/// The time at which an update must end, if the request has time until `until`.
fn end_of_update(request: &WriteRequest, until: Duration) -> Duration {
    match request.mode {
        Mode::Inline => until.saturating_sub(TIME_TO_WRITE),
        // Without time for the write, the operation is queued.
        Mode::Deferred | Mode::Waiting(_) => until,
    }
}
