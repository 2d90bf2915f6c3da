//! How long to wait before trying again. `random` is a full-range random number.

use std::time::Duration;

const RETRY_BASE: Duration = Duration::from_millis(50);
const VISIBILITY_BASE: Duration = Duration::from_secs(1);
const VISIBILITY_MAX: Duration = Duration::from_secs(15 * 60);

/// The pause after the `attempt`th failed call (from 1) within one invocation: 50 ms
/// doubling, half of it jitter.
#[must_use]
pub fn between_calls(attempt: u32, random: u64) -> Duration {
    jittered(RETRY_BASE * 2u32.saturating_pow(attempt.saturating_sub(1).min(10)), random)
}

/// The visibility timeout of a message that failed at its `receive`th receive (from
/// 1): 1 s doubling to 15 min, half of it jitter, in whole seconds and at least one.
#[must_use]
pub fn visibility(receive: u32, random: u64) -> Duration {
    let doubled = VISIBILITY_BASE * 2u32.saturating_pow(receive.saturating_sub(1).min(20));
    Duration::from_secs(jittered(doubled.min(VISIBILITY_MAX), random).as_secs().max(1))
}

/// Between half of `full` and all of it.
fn jittered(full: Duration, random: u64) -> Duration {
    let share = (random >> 11) as f64 / (1u64 << 53) as f64;
    full.mul_f64(0.5 + share / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_and_are_bounded(n in 1..400u32, random: u64) {
            let wait = visibility(n, random);
            let full = Duration::from_secs(1 << (n - 1).min(20)).min(VISIBILITY_MAX);
            prop_assert!(wait >= Duration::from_secs(1) && wait <= full && wait + Duration::from_secs(1) > full / 2);
            prop_assert!(between_calls(n, random) <= Duration::from_secs(52));
            prop_assert!(between_calls(n, random) >= Duration::from_millis(25));
        }
    }
}
