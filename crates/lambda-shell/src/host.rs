//! The host that Lambda runs a function on.

use std::time::{Duration, SystemTime};

use lambda_runtime::Context;
use world::{Host, Invocation, Report};

use crate::environment::Invalid;
use crate::log::Log;

/// The host that Lambda runs a function on.
#[derive(Clone, Debug)]
pub struct LambdaHost {
    log: Log,
}

impl LambdaHost {
    /// Starts the host. The environment sets the stack name and the level of its log.
    ///
    /// # Errors
    /// [`Invalid`] if a variable of the environment is missing or has no valid value.
    pub fn start() -> Result<Self, Invalid> {
        Ok(Self { log: Log::start()? })
    }
}

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
        sleep(pause).await;
    }

    fn report(&self, report: &Report<'_>) {
        self.log.write(report, self.now());
    }
}

/// Waits for `pause`. With a pause of zero, tokio would wait a millisecond.
async fn sleep(pause: Duration) {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
}

/// Time reserved at the end of an invocation, for the answer to reach Lambda.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// An invocation that starts at `now`. Its deadline is Lambda's, less the time to answer.
/// `timeout`, the function's timeout in `template.yaml`, is the upper limit, since Lambda's
/// deadline comes from another clock. It also replaces a deadline in the past: `cargo lambda watch`
/// gives every invocation one in January 1970.
#[must_use]
pub fn invocation(context: Option<&Context>, now: Duration, timeout: Duration) -> Invocation {
    let own = context.map(|context| Duration::from_millis(context.deadline));
    let latest = now + timeout;
    let deadline = own.filter(|own| *own > now).unwrap_or(latest).min(latest);
    let request_id = context.map(|context| context.request_id.clone()).unwrap_or_default();
    Invocation { request_id, deadline: deadline.saturating_sub(ANSWER_TIME) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::Waker;

    #[test]
    fn no_pause_takes_no_time() {
        let mut context = std::task::Context::from_waker(Waker::noop());
        assert!(pin!(sleep(Duration::ZERO)).poll(&mut context).is_ready());
    }

    #[test]
    fn the_invocation_ends_in_time_to_answer() {
        let (now, timeout) = (Duration::from_secs(1000), Duration::from_secs(29));
        let at = |ms| {
            let mut context = Context::default();
            context.deadline = ms;
            invocation(Some(&context), now, timeout).deadline
        };
        assert_eq!(at(1_015_000), Duration::from_secs(1014));
        assert_eq!(at(7), Duration::from_secs(1028));
        assert_eq!(at(1_060_000), Duration::from_secs(1028));
        assert_eq!(invocation(None, now, timeout).deadline, Duration::from_secs(1028));
    }
}
