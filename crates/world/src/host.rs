//! The host that runs a function: its clock, random numbers, pauses and metrics.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use rules::work::backoff::Retries;
use rules::{Failure, OperationId, UserId};

use crate::CallError;

/// What is measured, beside what AWS measures by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Metric {
    /// How far the clock that gave a message's arrival was ahead of the queue's, in ms.
    ClockLead,
    /// A PUT was refused since the gateway's clock and the host's differ too much.
    ClockRefusals,
    /// An operation failed since the stored user is ahead of the clock.
    ClockSkews,
    /// A message was dropped since its operation is too old to be carried out.
    Expired,
    /// A message was parked for an operator.
    Parked,
}

/// The host that runs a function.
pub trait Host {
    /// Time since the Unix epoch by the host's clock.
    fn now(&self) -> Duration;

    /// A random number of 64 bits.
    fn random(&self) -> u64;

    /// Waits.
    async fn sleep(&self, pause: Duration);

    /// Takes down a value of `metric`.
    fn measure(&self, metric: Metric, value: i64);
}

/// The result of `call`, which is given up at the `deadline` since the Unix epoch.
///
/// # Errors
/// [`CallError`]; a call that is given up may have landed.
pub async fn within<T>(
    host: &impl Host,
    deadline: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let left = deadline.saturating_sub(host.now());
    if left.is_zero() {
        return Err(CallError::new("none", Failure::NotLanded, "there is no time left for a call"));
    }
    match select(pin!(call), pin!(host.sleep(left))).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => {
            Err(CallError::new("a call", Failure::MayHaveLanded, "there is no time left to wait"))
        }
    }
}

/// Makes a call about an operation of `user` that is safe to repeat, and again where that
/// may help before the `deadline` since the Unix epoch. Every failure is logged.
///
/// # Errors
/// What the calls leave behind: [`Failure::MayHaveLanded`] if one of them may have landed.
pub async fn repeated<T, F>(
    host: &impl Host,
    deadline: Duration,
    (user, operation): (&UserId, Option<OperationId>),
    call: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, CallError>>,
{
    let (mut retries, mut may_have_landed) = (Retries::default(), false);
    loop {
        let error = match within(host, deadline, call()).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        let operation = operation.map(tracing::field::display);
        tracing::warn!(%user, operation, failure = ?error.failure, %error, "a call failed");
        may_have_landed |= error.failure.may_have_landed();
        match retries.after(error.failure, host.random()) {
            Some(pause) if host.now() + pause < deadline => host.sleep(pause).await,
            _ if may_have_landed => return Err(Failure::MayHaveLanded),
            _ => return Err(error.failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A host whose time is tokio's, which the tests let stand still.
    struct TestHost(tokio::time::Instant);

    impl Host for TestHost {
        fn now(&self) -> Duration {
            self.0.elapsed()
        }

        fn random(&self) -> u64 {
            0
        }

        async fn sleep(&self, pause: Duration) {
            tokio::time::sleep(pause).await;
        }

        fn measure(&self, _: Metric, _: i64) {}
    }

    fn failed<T>(failure: Failure) -> Result<T, CallError> {
        Err(CallError::new("test:Call", failure, "told to"))
    }

    /// The result, how many calls were made, and after how many ms.
    async fn run(
        deadline_ms: u64,
        call_takes_ms: u64,
        replies: &[Result<u8, Failure>],
    ) -> (Result<u8, Failure>, usize, u128) {
        let host = TestHost(tokio::time::Instant::now());
        let (calls, user) = (Cell::new(0), UserId::new("42").unwrap());
        let result = repeated(&host, Duration::from_millis(deadline_ms), (&user, None), || async {
            let reply = replies[calls.replace(calls.get() + 1)];
            host.sleep(Duration::from_millis(call_takes_ms)).await;
            reply.or_else(failed)
        });
        (result.await, calls.get(), host.now().as_millis())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_repeated_where_that_may_help() {
        use Failure::*;
        assert_eq!(run(9000, 1, &[Err(NotLanded), Ok(7)]).await, (Ok(7), 2, 27));
        assert_eq!(run(9000, 1, &[Err(NeverLands)]).await, (Err(NeverLands), 1, 1));
        assert_eq!(run(9000, 1, &[Err(NotLanded); 3]).await, (Err(NotLanded), 3, 78));
        let mixed = [Err(MayHaveLanded), Err(NotLanded), Err(NotLanded)];
        assert_eq!(run(9000, 1, &mixed).await, (Err(MayHaveLanded), 3, 78));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_goes_on_past_the_deadline() {
        use Failure::*;
        assert_eq!(run(10, 20, &[Ok(7)]).await, (Err(MayHaveLanded), 1, 10));
        assert_eq!(run(30, 20, &[Err(NotLanded), Ok(7)]).await, (Err(NotLanded), 1, 20));
        assert_eq!(run(45, 20, &[Err(NotLanded), Ok(7)]).await, (Err(NotLanded), 1, 20));
        assert_eq!(run(60, 20, &[Err(NotLanded), Ok(7)]).await, (Err(MayHaveLanded), 2, 60));
        assert_eq!(run(0, 20, &[Ok(7)]).await.0, Err(NotLanded));
    }
}
