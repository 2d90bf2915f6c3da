//! The parts that the functions share: their environment, Lambda's host, the log, HTTP requests and
//! replies, access, and batches of messages.

mod access;
mod caller;
pub mod environment;
mod event;
pub mod gateway;
mod host;
pub mod log;
pub mod reply;
pub mod sqs_event;
pub mod target;

pub use access::Access;
pub use caller::caller;
pub use event::GatewayEvent;
pub use host::{LambdaHost, invocation};

#[cfg(test)]
mod process_tests;
