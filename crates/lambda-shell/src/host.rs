//! The clock and the random numbers of the host.

use std::time::{Duration, SystemTime};

/// Time since the Unix epoch.
#[must_use]
pub fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default()
}

/// A random number from the operating system.
#[must_use]
pub fn random() -> u64 {
    // Without random bits two hosts could make the same operation id.
    #[expect(clippy::expect_used, reason = "no Linux that Lambda runs on lacks getrandom(2)")]
    getrandom::u64().expect("the operating system has random numbers")
}
