//! The seam between the functions and the world around them: time, chance, the two
//! tables and the three queues, as three narrow traits.
//!
//! Each has two implementations. One is AWS: `lambda_shell::LambdaHost`,
//! `tables::DynamoDb` and `queues::Sqs`. The other is the simulated world of
//! `tests/simulation`, which so runs the functions themselves, and can hold back any call
//! between two of their steps.

#![expect(
    async_fn_in_trait,
    reason = "a function's main knows the concrete types, and with them that the futures are Send"
)]

mod error;
mod host;
mod queue;
mod report;
mod tables;

pub use error::CallError;
pub use host::{Host, Invocation, repeated, within};
pub use queue::Queue;
pub use report::{Level, Metric, Report};
pub use tables::{StoredResource, Tables, Transaction, Write};
