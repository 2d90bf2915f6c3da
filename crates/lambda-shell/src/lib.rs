//! What the functions share around the rules: their environment, the host's clock and
//! random numbers, the log, HTTP requests and
//! replies, and batches of messages.

pub mod batch;
pub mod environment;
pub mod gateway;
pub mod host;
pub mod log;
pub mod reply;
pub mod retry;
pub mod target;
