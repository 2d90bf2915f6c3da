//! What the functions share around the rules: their environment, Lambda's host, the log,
//! HTTP requests and replies, and batches of messages.

pub mod batch;
pub mod environment;
pub mod gateway;
mod host;
pub mod log;
pub mod reply;
pub mod target;

pub use host::{LambdaHost, deadline};
