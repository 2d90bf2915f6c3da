//! What the client is told.

pub mod receipt;
pub mod status;
