//! The host that Lambda runs a function on.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use world::{Host, Metric};

use crate::log;

/// The host that Lambda runs a function on.
#[derive(Clone, Copy, Debug)]
pub struct LambdaHost;

impl Host for LambdaHost {
    fn now(&self) -> Duration {
        SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
    }

    fn random(&self) -> u64 {
        // Without random bits two hosts could make the same operation id.
        #[expect(clippy::expect_used, reason = "no Linux that Lambda runs on lacks getrandom(2)")]
        getrandom::u64().expect("the operating system has random numbers")
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    fn measure(&self, metric: Metric, value: i64) {
        log::measure(metric, value, self.now());
    }
}

/// What of an invocation is left for the answer to reach Lambda.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// When the work of an invocation must end, since the Unix epoch, as seen at its start
/// `now`: its own deadline, less the time to answer. A deadline that has passed at the
/// start is none, as `cargo lambda watch` gives every invocation one in January 1970; then
/// the function's `timeout` in `template.yaml` counts. No invocation lasts longer than that,
/// whatever the clock says that gave the deadline.
#[must_use]
pub fn deadline(context: Option<&Context>, now: Duration, timeout: Duration) -> Duration {
    let own = context.map(|context| Duration::from_millis(context.deadline));
    let latest = now + timeout;
    own.filter(|own| *own > now).unwrap_or(latest).min(latest).saturating_sub(ANSWER_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_invocation_ends_in_time_to_answer() {
        let (now, timeout) = (Duration::from_secs(1000), Duration::from_secs(29));
        let at = |ms| {
            let mut context = Context::default();
            context.deadline = ms;
            deadline(Some(&context), now, timeout)
        };
        assert_eq!(at(1_015_000), Duration::from_secs(1014));
        assert_eq!(at(7), Duration::from_secs(1028));
        assert_eq!(at(1_060_000), Duration::from_secs(1028));
        assert_eq!(deadline(None, now, timeout), Duration::from_secs(1028));
    }
}
