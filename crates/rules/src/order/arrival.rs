//! The arrival of a request, which is its place in the order.
//!
//! The time is the gateway's, so a slow cold start, an authorizer or a frozen host delays a request
//! without changing its place. The assumption: the clocks of any two hosts of the gateway differ by
//! less than the time between an answer and that client's next request.

use std::time::Duration;

use crate::{OperationId, Tick};

/// How far an arrival may be ahead of the clock of the host that receives the request.
pub const MAX_AHEAD: Duration = Duration::from_secs(30);

/// How far an arrival may be behind the clock of the host that receives the request. Slow uploads,
/// authorizers and cold starts are not errors.
pub const MAX_BEHIND: Duration = Duration::from_secs(5 * 60);

/// A request may take an id newer than a stored version, or newer than a single entity tag, only if
/// that version or tag is at most this long after the request's arrival. A client may have given up
/// a request that was delayed longer; that request must not overwrite the client's next one. Both
/// times are from the gateway's clock.
pub const WINDOW: Duration = Duration::from_secs(1);

/// The time of a request's arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(Tick);

/// The gateway's clock and the host's differ too much. Times are in ms since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Skew {
    /// The arrival by the gateway's clock, if the gateway gave a time.
    pub gateway_ms: Option<u64>,
    /// The time by the host's clock.
    pub host_ms: u64,
}

impl Arrival {
    /// The arrival `ms` by the gateway's clock, checked against `now` by the host's clock. Both are
    /// since the Unix epoch.
    ///
    /// The 12 bits of an id below the millisecond stay zero: random bits could put two requests of
    /// the same millisecond in the wrong order, and the gateway gives no finer time.
    ///
    /// # Errors
    /// [`Skew`] without a time, and beyond [`MAX_AHEAD`] or [`MAX_BEHIND`].
    pub fn at_gateway(ms: Option<u64>, now: Duration) -> Result<Self, Skew> {
        let is_sane = |ms: &u64| {
            let arrived = Duration::from_millis(*ms);
            arrived <= now + MAX_AHEAD && now <= arrived.saturating_add(MAX_BEHIND)
        };
        let host_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let sane = ms.filter(is_sane).ok_or(Skew { gateway_ms: ms, host_ms })?;
        Ok(Self(Tick::from_unix_ms(sane)))
    }

    /// The arrival at a host without a gateway. `now` is the host's time since the Unix epoch.
    #[must_use]
    pub fn at_host(now: Duration) -> Self {
        Self(Tick::from_unix(now))
    }

    /// The time of the arrival, as in an operation id.
    #[must_use]
    pub fn tick(self) -> Tick {
        self.0
    }

    /// Whether `id` is at most [`WINDOW`] after this arrival.
    #[must_use]
    pub fn is_followed_by(self, id: OperationId) -> bool {
        let latest = Tick::from_unix(self.0.to_unix().saturating_add(WINDOW));
        id.tick() <= latest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_inclusive() {
        let at = Duration::from_millis;
        let skew = |gateway_ms, host_ms| Err(Skew { gateway_ms, host_ms });
        let at_gateway = |ms, now| Arrival::at_gateway(Some(ms), now);
        assert_eq!(Arrival::at_gateway(None, at(100_000)), skew(None, 100_000));
        let arrival = |ms| Ok(Arrival(Tick::from_unix_ms(ms)));
        assert_eq!(at_gateway(130_000, at(100_000)), arrival(130_000));
        assert_eq!(at_gateway(130_001, at(100_000)), skew(Some(130_001), 100_000));
        assert_eq!(at_gateway(100_000, at(400_000)), arrival(100_000));
        assert_eq!(at_gateway(100_000, at(400_001)), skew(Some(100_000), 400_001));
        assert!(at_gateway(u64::MAX, at(400_001)).is_err());
        let arrived = Arrival(Tick::from_unix_ms(100_000));
        let latest = OperationId::new(Tick::from_unix_ms(101_000), u64::MAX);
        assert!(arrived.is_followed_by(latest) && !arrived.is_followed_by(latest.successor(0)));
    }

    #[test]
    fn the_gateway_gives_a_millisecond_and_the_host_a_finer_time() {
        let now = Duration::from_micros(100_000_600);
        let at_gateway = Arrival::at_gateway(Some(100_000), now).unwrap();
        assert_eq!(at_gateway.tick().to_unix(), Duration::from_millis(100_000));
        let at_host = Arrival::at_host(now).tick();
        assert!(at_host > at_gateway.tick() && at_host.unix_ms() == 100_000);
    }
}
