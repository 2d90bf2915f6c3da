//! The idle connections.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_smithy_types::body::SdkBody;
use http::uri::{Authority, Scheme};
use hyper::client::conn::http1::SendRequest;
use tokio::time::Instant;

/// How long a connection may be idle: the longer, the more likely it is dead.
pub(crate) const IDLE_TIMEOUT: Duration = Duration::from_secs(50);

/// Maximum number of idle connections, to all hosts together: as many as `apply` uses at a time,
/// since a new connection takes three times the CPU of a call.
pub(crate) const MAX_IDLE: usize = 100;

/// The origin that a connection leads to.
pub(crate) type Origin = (Scheme, Authority);

/// An open connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) origin: Origin,
    pub(crate) sender: SendRequest<SdkBody>,
    /// Whether it must not be used for another call.
    pub(crate) is_unfit: Arc<AtomicBool>,
}

/// The idle connections, each with the time at which it became idle.
#[derive(Debug, Default)]
pub(crate) struct Pool(Mutex<Vec<(Instant, Connection)>>);

impl Pool {
    /// The connection to `origin` that has been idle for the shortest time, if there is one.
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

    /// Keeps a connection for the next call. If there are enough, it replaces the one that has been
    /// idle longest.
    pub(crate) fn keep(&self, connection: Connection) {
        let mut idle = self.idle();
        if idle.len() == MAX_IDLE {
            idle.remove(0);
        }
        idle.push((Instant::now(), connection));
    }

    /// Closes the idle connections to `origin`.
    pub(crate) fn close(&self, origin: &Origin) {
        self.idle().retain(|(_, connection)| connection.origin != *origin);
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Instant, Connection)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
