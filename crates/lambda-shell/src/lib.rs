//! What the functions share around the rules: their environment, Lambda's host, the log,
//! HTTP requests and replies, who may send them, and batches of messages.

mod access;
pub mod batch;
mod caller;
pub mod environment;
pub mod gateway;
mod host;
pub mod log;
#[cfg(test)]
mod process_tests;
pub mod reply;
pub mod target;

pub use access::Access;
pub use caller::caller;
pub use host::{LambdaHost, invocation};
