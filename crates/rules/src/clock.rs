//! Whether a host's clock may order deferred operations.
//!
//! Accepting a deferred PUT touches no shared state, so its place in the order is
//! its host's time. The assumption: the clocks of two hosts differ by less than
//! the time between one answer and that client's next request.

use std::time::Duration;

use crate::OperationId;

/// How far a host's clock may be ahead of the gateway's time of the request, or a
/// stored id ahead of the clock of the host that meets it.
pub const MAX_LEAD: Duration = Duration::from_secs(1);

/// How far a host's clock may be behind the gateway's time of the request.
pub const MAX_LAG: Duration = Duration::from_secs(30);

/// A host's clock differs too much from the gateway's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// The host is ahead by this much. A request that was held up on its way looks the same.
    Leads(Duration),
    /// The host is behind by this much.
    Lags(Duration),
}

/// Compares the time of a host with the time that the gateway gave a request, both
/// since the Unix epoch.
///
/// # Errors
/// [`Skew`] past [`MAX_LEAD`] or [`MAX_LAG`].
pub fn check(now: Duration, gateway: Duration) -> Result<(), Skew> {
    let lead = now.saturating_sub(gateway);
    let lag = gateway.saturating_sub(now);
    if lead > MAX_LEAD {
        Err(Skew::Leads(lead))
    } else if lag > MAX_LAG {
        Err(Skew::Lags(lag))
    } else {
        Ok(())
    }
}

/// Whether `id` lies so far ahead of `now` that its host's clock was wrong.
#[must_use]
pub fn is_far_ahead(id: OperationId, now: Duration) -> bool {
    id.tick().to_unix() > now + MAX_LEAD
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    #[test]
    fn bounds_are_inclusive() {
        let at = Duration::from_millis;
        assert_eq!(check(at(101_000), at(100_000)), Ok(()));
        assert_eq!(check(at(101_001), at(100_000)), Err(Skew::Leads(at(1001))));
        assert_eq!(check(at(100_000), at(130_000)), Ok(()));
        assert_eq!(check(at(100_000), at(130_001)), Err(Skew::Lags(at(30_001))));
        let id = |ms| OperationId::new(Tick::from_unix(at(ms)), 0);
        assert!(!is_far_ahead(id(101_000), at(100_000)));
        assert!(is_far_ahead(id(101_001), at(100_000)));
    }
}
