//! The seam between the functions and the world around them, as narrow traits. A function
//! names those that it is granted, and no other:
//!
//! | trait | what it reaches | functions |
//! |---|---|---|
//! | [`Host`] | time, chance, the log | all |
//! | [`Resources`] | the table of resources | `put`, `read`, `apply` |
//! | [`Outcomes`] | what is recorded of operations | all |
//! | [`Claims`] | idempotency keys | `put` |
//! | [`Outbox`] | a queue to send to | `put`, `apply`, `park` |
//! | [`Inbox`] | the queue that messages come from | `apply` |
//!
//! Each has two implementations. One is AWS: the crates `lambda-shell`, `tables` and
//! `queues`. The other is the simulated world of `tests/simulation`, which so runs the
//! functions themselves, and can hold back any call between two of their steps.

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
