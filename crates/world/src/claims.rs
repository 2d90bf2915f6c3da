//! Claims of idempotency keys.

use std::time::Duration;

use rules::request::key::Claim;

use crate::CallError;

/// The claims of idempotency keys.
pub trait Claims {
    /// Claims a key at `now` (since the Unix epoch), and returns the claim that holds the key: the
    /// given one if the key was free or its last claim has expired.
    ///
    /// # Errors
    /// [`CallError`]; calling again with the same claim is safe.
    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError>;
}
