//! Whether and when to try again. `random` is a full-range random number.

use std::time::Duration;

use crate::Failure;

/// Maximum number of failed calls for one task in one invocation.
pub const MAX_FAILED_CALLS: u32 = 3;

const RETRY_BASE: Duration = Duration::from_millis(50);
const VISIBILITY_BASE: Duration = Duration::from_secs(1);
const VISIBILITY_MAX: Duration = Duration::from_secs(15 * 60);

/// Counts the failed calls for one task.
#[derive(Clone, Debug, Default)]
pub struct Retries {
    failed_calls: u32,
}

impl Retries {
    /// The pause before the next call: 50 ms, doubling, half of it jitter. `None` if a retry cannot
    /// help, or none is left. Zero after a failure on a reused connection: the service may be fine,
    /// the next call uses another connection, and during a pause another writer could get ahead.
    pub fn after(
        &mut self,
        failure: Failure,
        is_by_reused_connection: bool,
        random: u64,
    ) -> Option<Duration> {
        self.failed_calls += 1;
        let is_worth_it = failure.is_retryable() && self.failed_calls < MAX_FAILED_CALLS;
        if is_by_reused_connection {
            return is_worth_it.then_some(Duration::ZERO);
        }
        let doubled = RETRY_BASE * 2u32.pow(self.failed_calls.min(MAX_FAILED_CALLS) - 1);
        is_worth_it.then(|| jittered(doubled, random))
    }
}

/// The visibility timeout of a message that failed at its `receive`th receive (from 1): 1 s,
/// doubling up to 15 min, half of it jitter, in whole seconds and at least one.
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

    #[test]
    fn three_calls_are_made_unless_one_never_lands() {
        let ms = Duration::from_millis;
        let mut retries = Retries::default();
        assert_eq!(retries.after(Failure::NotLanded, false, 0), Some(ms(25)));
        assert_eq!(retries.after(Failure::MayHaveLanded, false, 0), Some(ms(50)));
        assert_eq!(retries.after(Failure::NotLanded, false, 0), None);
        assert_eq!(retries.after(Failure::NotLanded, true, 0), None);
        assert_eq!(Retries::default().after(Failure::NeverLands, true, 0), None);
        let mut retries = Retries::default();
        assert_eq!(retries.after(Failure::MayHaveLanded, true, 7), Some(ms(0)));
        assert_eq!(retries.after(Failure::NotLanded, false, 0), Some(ms(50)));
    }

    proptest! {
        #[test]
        fn waits_grow_and_are_bounded(n in 1..400u32, random: u64) {
            let wait = visibility(n, random);
            let full = Duration::from_secs(1 << (n - 1).min(20)).min(Duration::from_secs(900));
            prop_assert!(wait >= Duration::from_secs(1) && wait <= full && wait + Duration::from_secs(1) > full / 2);
        }
    }
}
