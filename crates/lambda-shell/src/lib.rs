//! What the functions share around the rules: their environment, the host's clock and
//! random numbers, the log, and HTTP requests and replies.

pub mod environment;
pub mod host;
pub mod log;
pub mod reply;
pub mod target;
