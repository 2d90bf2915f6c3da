//! Repeating calls that are safe to repeat.

use aws_calls::CallError;
use rules::{UserId, backoff};
use tokio::time::sleep;

use crate::host;

/// Most calls.
const MAX_CALLS: u32 = 3;

/// Makes a call about `user`, and again where that may help; `None` where it fails all
/// the same.
pub async fn retried<T, F>(user: &UserId, call: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, CallError>>,
{
    let mut calls = 0;
    loop {
        calls += 1;
        let error = match call().await {
            Ok(value) => return Some(value),
            Err(error) => error,
        };
        tracing::warn!(%user, failure = ?error.failure, %error, "a call failed");
        if calls == MAX_CALLS || !error.failure.is_retryable() {
            return None;
        }
        sleep(backoff::between_calls(calls, host::random())).await;
    }
}
