//! What may happen to a call on its way.

use std::time::Duration;

use fastrand::Rng;

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It takes longer.
    Slow(Duration),
    /// It is refused for now.
    Throttled,
    /// It is refused with a server error.
    Broken,
    /// It lands, and the answer is a server error.
    BrokenAfter,
    /// It lands, and the answer is lost.
    ReplyLost,
    /// The caller is cut off, and it lands so much later.
    Late(Duration),
    /// It lands after the caller's patience is over, who hears nothing until then.
    Hung,
    /// The caller dies before it lands.
    KilledBefore,
    /// The caller dies after it landed.
    KilledAfter,
}

impl Fault {
    /// Its name in the account.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::None | Self::Slow(_) => return None,
            Self::Throttled => "throttled",
            Self::Broken => "500, not landed",
            Self::BrokenAfter => "500, landed",
            Self::ReplyLost => "reply lost",
            Self::Late(_) => "landed late",
            Self::Hung => "hung over 3 s",
            Self::KilledBefore => "caller killed before it landed",
            Self::KilledAfter => "caller killed after it landed",
        })
    }
}

/// How connections die that wait for a call, unnoticed by their process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Death {
    /// The next call is answered by a reset.
    Reset,
    /// The next call is answered by nothing.
    Silence,
    /// The host is sick: every call is answered by a server error.
    Sickness,
}

impl Death {
    /// Its name in the account.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reset => "reset on reuse",
            Self::Silence => "silent on reuse",
            Self::Sickness => "500 on each reuse",
        }
    }
}

/// How likely each fault is, in hundred-thousandths of the calls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weather {
    /// [`Fault::Slow`]
    pub slow: u32,
    /// [`Fault::Throttled`]
    pub throttled: u32,
    /// [`Fault::Broken`], and as often [`Fault::BrokenAfter`]
    pub broken: u32,
    /// [`Fault::ReplyLost`]
    pub lost: u32,
    /// [`Fault::Late`]
    pub late: u32,
    /// [`Fault::Hung`]
    pub hung: u32,
    /// [`Fault::KilledBefore`], and as often [`Fault::KilledAfter`]
    pub killed: u32,
}

/// The longest that a late write is late.
pub const LATEST: Duration = Duration::from_millis(1500);

/// Longer than the functions wait for a call (3 s).
pub const PATIENCE: Duration = Duration::from_millis(3100);

impl Weather {
    /// No fault at all.
    pub const FAIR: Self =
        Self { slow: 0, throttled: 0, broken: 0, lost: 0, late: 0, hung: 0, killed: 0 };
    /// What every call must reckon with.
    pub const MILD: Self = Self {
        slow: 2_000,
        throttled: 500,
        broken: 100,
        lost: 300,
        late: 100,
        hung: 1,
        killed: 10,
    };
    /// A table or queue at its limit.
    pub const THROTTLED: Self = Self { throttled: 20_000, ..Self::MILD };
    /// A network that loses.
    pub const LOSSY: Self = Self {
        slow: 10_000,
        throttled: 2_000,
        broken: 1_500,
        lost: 5_000,
        late: 3_000,
        hung: 10,
        killed: 300,
    };

    /// What happens to the next call.
    #[must_use]
    pub fn next(&self, rng: &mut Rng) -> Fault {
        let late = |rng: &mut Rng| {
            // Mostly by as much as a repeated call needs.
            let most = if rng.u8(..4) == 0 { LATEST.as_millis() as u64 } else { 60 };
            Fault::Late(Duration::from_millis(rng.u64(1..=most)))
        };
        let mut left = rng.u32(..100_000);
        for (share, fault) in [
            (self.throttled, Fault::Throttled),
            (self.broken, Fault::Broken),
            (self.broken, Fault::BrokenAfter),
            (self.lost, Fault::ReplyLost),
            (self.hung, Fault::Hung),
            (self.killed, Fault::KilledBefore),
            (self.killed, Fault::KilledAfter),
            (self.slow, Fault::Slow(Duration::from_millis(rng.u64(1..=30)))),
            (self.late, late(rng)),
        ] {
            if left < share {
                return fault;
            }
            left -= share;
        }
        Fault::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_they_should() {
        let mut rng = Rng::with_seed(1);
        let faults: Vec<_> = (0..100_000).map(|_| Weather::THROTTLED.next(&mut rng)).collect();
        let throttled = faults.iter().filter(|fault| **fault == Fault::Throttled).count();
        assert!((19_000..21_000).contains(&throttled), "{throttled}");
        assert!(faults.iter().any(|fault| matches!(fault, Fault::Late(_))));
        assert_eq!(Weather::FAIR.next(&mut rng), Fault::None);
    }
}
