//! Operation ids. One value is the operation's identity, its place in the order, its version and
//! its idempotency token.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use uuid::{Uuid, Variant};

/// A point in time in units of 1/4096 ms since the Unix epoch: the resolution of
/// an operation id (RFC 9562 section 6.2, method 3, in the 12 bits of `rand_a`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(u64);

impl Tick {
    /// Ticks in a millisecond.
    pub const PER_MS: u64 = 4096;
    const MAX: u64 = (1 << 60) - 1;

    /// The tick that contains the instant `since_epoch` after the Unix epoch.
    #[must_use]
    pub fn from_unix(since_epoch: Duration) -> Self {
        let nanos = since_epoch.as_nanos();
        let ticks = nanos.saturating_mul(u128::from(Self::PER_MS)) / 1_000_000;
        Self(u64::try_from(ticks).map_or(Self::MAX, |ticks| ticks.min(Self::MAX)))
    }

    /// Time since the Unix epoch, rounded down to the microsecond.
    #[must_use]
    pub fn to_unix(self) -> Duration {
        Duration::from_micros(
            self.0 / Self::PER_MS * 1000 + self.0 % Self::PER_MS * 1000 / Self::PER_MS,
        )
    }

    /// Whole milliseconds since the Unix epoch.
    #[must_use]
    pub fn unix_ms(self) -> u64 {
        self.0 / Self::PER_MS
    }

    /// The first tick of the millisecond `ms` since the Unix epoch.
    #[must_use]
    pub fn from_unix_ms(ms: u64) -> Self {
        Self(ms.saturating_mul(Self::PER_MS).min(Self::MAX))
    }

    fn next(self) -> Self {
        Self((self.0 + 1).min(Self::MAX))
    }
}

/// The id of an operation: a UUIDv7 (RFC 9562 section 5.7). The order of the ids is the order of
/// the operations.
///
/// Its text is the canonical lower-case form, which has the same order. So DynamoDB compares ids as
/// `rules` does.
///
/// ```
/// use rules::{OperationId, Tick};
///
/// let early = OperationId::new(Tick::from_unix_ms(1_764_072_000_000), 7);
/// let late = OperationId::new(Tick::from_unix_ms(1_764_072_000_001), 3);
/// assert!(early < early.successor(5) && early.successor(5) < late);
/// assert_eq!(early.to_string(), "019abae2-8a00-7000-8000-000000000007");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationId(u128);

impl OperationId {
    /// Random bits in an id.
    pub const RANDOM_BITS: u32 = 62;

    /// The id at `tick` with the low 62 bits of `random`.
    #[must_use]
    pub fn new(tick: Tick, random: u64) -> Self {
        let ms = u128::from(tick.0 / Tick::PER_MS);
        let fraction = u128::from(tick.0 % Tick::PER_MS);
        let random = u128::from(random & ((1 << Self::RANDOM_BITS) - 1));
        Self(ms << 80 | 0x7 << 76 | fraction << 64 | 0b10 << 62 | random)
    }

    /// The strong entity tag of the version that this operation wrote (RFC 9110 section 8.8.3).
    #[must_use]
    pub fn etag(self) -> String {
        format!("\"{self}\"")
    }

    /// The time in the id.
    #[must_use]
    pub fn tick(self) -> Tick {
        let ms = (self.0 >> 80) as u64;
        let fraction = (self.0 >> 64) as u64 & (Tick::PER_MS - 1);
        Tick(ms * Tick::PER_MS + fraction)
    }

    /// An id that is newer than `self`: its time plus one tick, with new random bits. Two hosts
    /// that step over the same id must not make the same successor.
    #[must_use]
    pub fn successor(self, random: u64) -> Self {
        Self::new(self.tick().next(), random)
    }

    /// The 16 bytes of the UUID.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The id in `bytes`; `None` if they are not a UUIDv7.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Option<Self> {
        let uuid = Uuid::from_bytes(bytes);
        let is_v7 = uuid.get_version_num() == 7 && uuid.get_variant() == Variant::RFC4122;
        is_v7.then(|| Self(uuid.as_u128()))
    }
}

impl fmt::Display for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for OperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not the canonical lower-case form of a UUIDv7.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnOperationId;

impl fmt::Display for NotAnOperationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a UUIDv7 in canonical lower-case form")
    }
}

impl std::error::Error for NotAnOperationId {}

impl FromStr for OperationId {
    type Err = NotAnOperationId;

    /// Accepts the canonical form only: with another spelling of a UUID, text order and id order
    /// would differ.
    fn from_str(text: &str) -> Result<Self, NotAnOperationId> {
        let is_canonical = text.len() == 36 && !text.bytes().any(|b| b.is_ascii_uppercase());
        let uuid = Uuid::try_parse(text).map_err(|_| NotAnOperationId)?;
        Self::from_bytes(uuid.into_bytes()).filter(|_| is_canonical).ok_or(NotAnOperationId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tick() -> impl Strategy<Value = Tick> {
        (0..Tick::MAX).prop_map(Tick)
    }

    #[test]
    fn layout_is_rfc_9562_version_7() {
        let id = OperationId::new(
            Tick::from_unix(Duration::from_nanos(1_645_557_742_000_500_000)),
            u64::MAX,
        );
        assert_eq!(id.to_string(), "017f22e2-79b0-7800-bfff-ffffffffffff");
        let uuid = Uuid::parse_str(&id.to_string()).unwrap();
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (7, Variant::RFC4122));
        assert_eq!(id.tick().to_unix(), Duration::from_micros(1_645_557_742_000_500));
    }

    #[test]
    fn time_ends_with_the_last_id() {
        let last = OperationId::new(Tick::from_unix(Duration::MAX), 0);
        assert_eq!(last.to_string(), "ffffffff-ffff-7fff-8000-000000000000");
        assert_eq!((last.tick(), last), (Tick::from_unix_ms(u64::MAX), last.successor(0)));
    }

    #[test]
    fn other_spellings_and_versions_are_refused() {
        for text in [
            "017F22E2-79B0-7800-BFFF-FFFFFFFFFFFF",
            "017f22e279b07800bfffffffffffffff",
            "{017f22e2-79b0-7800-bfff-ffffffffffff}",
            "017f22e2-79b0-4800-bfff-ffffffffffff",
            "017f22e2-79b0-7800-3fff-ffffffffffff",
            "",
        ] {
            assert_eq!(text.parse::<OperationId>(), Err(NotAnOperationId), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_and_bytes_round_trip(tick in tick(), random: u64) {
            let id = OperationId::new(tick, random);
            prop_assert_eq!(id.to_string().parse::<OperationId>(), Ok(id));
            prop_assert_eq!(OperationId::from_bytes(id.to_bytes()), Some(id));
            prop_assert_eq!(id.tick(), tick);
        }

        #[test]
        fn text_order_is_id_order(a in tick(), b in tick(), near in 0..3u64, r: u64, s: u64) {
            for b in [b, Tick((a.0 + near).min(Tick::MAX))] {
                let (a, b) = (OperationId::new(a, r), OperationId::new(b, s));
                prop_assert_eq!(a.cmp(&b), a.to_string().cmp(&b.to_string()));
                prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
            }
        }

        #[test]
        fn successor_is_newer_and_not_shared(tick in tick(), random: u64, r: u64, s: u64) {
            let id = OperationId::new(tick, random);
            prop_assert!(id.successor(r) > id);
            let mask = (1 << OperationId::RANDOM_BITS) - 1;
            prop_assert_eq!(id.successor(r) == id.successor(s), r & mask == s & mask);
        }
    }
}
