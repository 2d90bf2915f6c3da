//! The slow work of an update. **This is the file to edit for work that a PUT should
//! not wait for**, such as a call to another service.

use rules::Problem;
use updates_queue::Message;

/// Runs before the user is written. It may run more than once for one operation, so it
/// must be idempotent; [`Message::id`] is the key to make it so.
///
/// # Errors
/// A refusal for good: nothing is written, and the operation ends as `failed` with this
/// problem.
#[expect(clippy::unused_async, reason = "the work that belongs here awaits")]
pub(crate) async fn before_write(_update: &Message) -> Result<(), Problem> {
    #[cfg(test)]
    crate::tests::before_write(_update)?;
    Ok(())
}
