//! The connections that wait for the next call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use http::uri::{Authority, Scheme};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

/// How long a connection may wait. The services close theirs after about a minute.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Most connections that wait, of all hosts: as many as `apply` uses at a time, since to
/// open one again for each batch would take more CPU than the batch.
pub(crate) const MAX_IDLE: usize = 100;

/// What a connection leads to.
pub(crate) type Origin = (Scheme, Authority);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) origin: Origin,
    pub(crate) sender: SendRequest<SdkBody>,
    /// Set where it must not be used for another call.
    pub(crate) is_unfit: Arc<AtomicBool>,
}

/// The connections that wait for the next call, each with the time since when.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<(Instant, Connection)>>);

impl Pool {
    /// The connection to `origin` that has waited for the shortest time, if there is one.
    pub(crate) fn take(&self, origin: &Origin) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|(since, connection)| {
            now.duration_since(*since) < IDLE_TIMEOUT
                && !connection.sender.is_closed()
                && !connection.is_unfit.load(Ordering::Relaxed)
        });
        let found = idle.iter().rposition(|(_, connection)| connection.origin == *origin);
        found.map(|index| idle.remove(index).1)
    }

    /// Keeps a connection for the next call, in place of the one that has waited longest if
    /// there are enough.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() == MAX_IDLE {
            idle.remove(0);
        }
        idle.push((Instant::now(), connection));
    }

    /// Closes the connections to `origin`.
    pub(crate) fn close(&self, origin: &Origin) {
        self.idle().retain(|(_, connection)| connection.origin != *origin);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
