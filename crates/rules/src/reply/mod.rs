//! What the client is told.

pub mod problem;
pub mod receipt;
pub mod status;
