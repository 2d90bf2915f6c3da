//! The host that runs a function: its clock, random numbers, pauses and log.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use rules::work::backoff::Retries;
use rules::{Failure, OperationId, ResourceId};

use crate::{CallError, Report};

/// One run of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invocation {
    /// Its id, as in Lambda's own log lines.
    pub request_id: String,
    /// The time by which its work must end, since the Unix epoch.
    pub deadline: Duration,
}

/// The host that runs a function.
pub trait Host {
    /// The time since the Unix epoch by the host's clock.
    fn now(&self) -> Duration;

    /// A random number of 64 bits.
    fn random(&self) -> u64;

    /// Waits for `pause`.
    async fn sleep(&self, pause: Duration);

    /// Writes a line of the log, with its metrics.
    fn report(&self, report: &Report<'_>);
}

/// The result of `call`. The call is abandoned at `deadline` (since the Unix epoch).
///
/// # Errors
/// [`CallError`]; an abandoned call may have landed.
pub async fn within<T>(
    host: &impl Host,
    deadline: Duration,
    call: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let left = deadline.saturating_sub(host.now());
    if left.is_zero() {
        return Err(CallError::out_of_time(Failure::NotLanded, "no time is left for a call"));
    }
    match select(pin!(call), pin!(host.sleep(left))).await {
        Either::Left((reply, _)) => reply,
        Either::Right(_) => {
            Err(CallError::out_of_time(Failure::MayHaveLanded, "no reply came in time"))
        }
    }
}

/// Makes a call about `resource` that is safe to repeat. Repeats it as long as that may help and
/// the deadline of the `invocation` allows. Reports every failure.
///
/// # Errors
/// The effect of the calls: [`Failure::MayHaveLanded`] if one of them may have landed.
pub async fn repeated<T, F>(
    host: &impl Host,
    invocation: &Invocation,
    (resource, operation): (&ResourceId, Option<OperationId>),
    call: impl Fn() -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, CallError>>,
{
    let (mut retries, mut may_have_landed) = (Retries::default(), false);
    loop {
        let error = match within(host, invocation.deadline, call()).await {
            Ok(reply) => return Ok(reply),
            Err(error) => error,
        };
        may_have_landed |= error.failure.may_have_landed();
        let pause = retries.after(error.failure, error.is_by_reused_connection, host.random());
        let pause = pause.filter(|pause| host.now() + *pause < invocation.deadline);
        let report = Report::warn(invocation, "a call failed").resource(resource).failed(&error);
        host.report(&Report { operation, ..report }.retried(pause.is_some()));
        match pause {
            Some(pause) => host.sleep(pause).await,
            None if may_have_landed => return Err(Failure::MayHaveLanded),
            None => return Err(error.failure),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metric;
    use std::cell::{Cell, RefCell};

    /// A host with tokio's time, which the tests can stop.
    struct TestHost(tokio::time::Instant, RefCell<Vec<Reported>>);

    type Reported = (Option<OperationId>, Vec<(Metric, i64)>);

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

        fn report(&self, report: &Report<'_>) {
            self.1.borrow_mut().push((report.operation, report.metrics.clone()));
        }
    }

    fn failed<T>(failure: Failure) -> Result<T, CallError> {
        Err(CallError::new("test:Call", failure, "told to"))
    }

    /// The result, the number of calls, and the time in ms. Checks that each failure is reported,
    /// and each repetition counted.
    async fn run(
        deadline_ms: u64,
        call_takes_ms: u64,
        replies: &[Result<u8, Failure>],
    ) -> (Result<u8, Failure>, usize, u128) {
        let host = TestHost(tokio::time::Instant::now(), RefCell::default());
        let (calls, resource) = (Cell::new(0), ResourceId::new("42").unwrap());
        let deadline = Duration::from_millis(deadline_ms);
        let invocation = Invocation { deadline, ..Invocation::default() };
        let result = repeated(&host, &invocation, (&resource, None), || async {
            let reply = replies[calls.replace(calls.get() + 1)];
            host.sleep(Duration::from_millis(call_takes_ms)).await;
            reply.or_else(failed)
        });
        let result = result.await;
        let reported = host.1.borrow();
        let counted = reported.iter().filter(|(_, metrics)| *metrics == [(Metric::Retries, 1)]);
        assert_eq!(counted.count(), calls.get().saturating_sub(1));
        let failures = calls.get() - usize::from(result.is_ok());
        assert_eq!(reported.len(), failures.max(usize::from(calls.get() == 0)));
        (result, calls.get(), host.now().as_millis())
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
