//! The seam between the functions and the world around them: narrow traits. Each function names
//! only the traits that it may use:
//!
//! | trait | what it reaches | functions |
//! |---|---|---|
//! | [`Host`] | time, random numbers, the log | all |
//! | [`Resources`] | the table of resources | `put`, `read`, `apply` |
//! | [`Outcomes`] | the outcomes of operations | all |
//! | [`Claims`] | idempotency keys | `put` |
//! | [`Outbox`] | a queue to send to | `put`, `apply`, `park` |
//! | [`Inbox`] | the queue that delivers messages | `apply` |
//!
//! Each trait has two implementations. One is AWS: the crates `lambda-shell`, `tables` and
//! `queues`. The other is the simulated world of `tests/simulation`, which runs the functions
//! themselves and can delay any call between two of their steps.

#![expect(
    async_fn_in_trait,
    reason = "a function's main knows the concrete types, and with them that the futures are Send"
)]

mod claims;
mod error;
mod host;
mod inbox;
mod outbox;
mod outcomes;
mod report;
mod resources;
mod update;

pub use claims::Claims;
pub use error::CallError;
pub use host::{Host, Invocation, repeated, within};
pub use inbox::Inbox;
pub use outbox::Outbox;
pub use outcomes::Outcomes;
pub use report::{Level, Metric, Report};
pub use resources::{Resources, Stored, Transaction, Write};
pub use update::update;
