//! What may happen to a call on its way.

use std::time::Duration;

use fastrand::Rng;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It takes longer.
    Slow,
    /// It is refused for now.
    Throttled,
    /// It is refused with a server error.
    Broken,
    /// It lands, and the reply is a server error.
    BrokenAfter,
    /// It lands, and the reply is lost.
    ReplyLost,
    /// The caller is cut off, and it lands later.
    Late,
    /// It lands after the caller's timeout. The caller hears nothing until then.
    Hung,
    /// The caller dies before it lands.
    KilledBefore,
    /// The caller dies after it landed.
    KilledAfter,
}

/// How likely each fault is.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    Fair,
    /// What can happen to every call.
    Mild,
    /// A table or queue at its limit.
    Throttled,
    /// A network that loses.
    Lossy,
}

/// Each fault with its share of the calls, in hundred-thousandths, in mild, throttled and lossy
/// weather.
const FAULTS: [(Fault, [u32; 3]); 9] = [
    (Fault::Slow, [2_000, 2_000, 10_000]),
    (Fault::Throttled, [500, 20_000, 2_000]),
    (Fault::Broken, [100, 100, 1_500]),
    (Fault::BrokenAfter, [100, 100, 1_500]),
    (Fault::ReplyLost, [300, 300, 5_000]),
    (Fault::Late, [100, 100, 3_000]),
    (Fault::Hung, [1, 1, 10]),
    (Fault::KilledBefore, [10, 10, 300]),
    (Fault::KilledAfter, [10, 10, 300]),
];

/// The longest delay of a late write.
pub const LATEST: Duration = Duration::from_millis(1500);

/// Longer than the functions wait for a call (3 s).
pub const PATIENCE: Duration = Duration::from_millis(3100);

impl Fault {
    /// How long it delays its call.
    pub(crate) fn delay(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Slow => Duration::from_millis(rng.u64(1..=30)),
            // Mostly as long as a repeated call needs.
            Self::Late if rng.u8(..4) > 0 => Duration::from_millis(rng.u64(1..=60)),
            Self::Late => Duration::from_millis(rng.u64(1..=LATEST.as_millis() as u64)),
            Self::Hung => PATIENCE,
            _ => Duration::ZERO,
        }
    }
}

impl Weather {
    /// What happens to the next call.
    pub(crate) fn next(self, rng: &mut Rng) -> Option<Fault> {
        let mut left = rng.u32(..100_000);
        let column = (self as usize).checked_sub(Self::Mild as usize)?;
        FAULTS.iter().find_map(|(fault, shares)| {
            let is_meant = left < shares[column];
            left = left.saturating_sub(shares[column]);
            is_meant.then_some(*fault)
        })
    }
}

/// How connections that wait for a call die, unnoticed by their process.
#[derive(Clone, Copy, Debug)]
pub enum Death {
    /// The next call gets a reset.
    Reset,
    /// The next call gets no answer.
    Silence,
    /// The host is sick: every call gets a server error.
    Sickness,
}
