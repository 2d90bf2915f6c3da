//! What the client gets.

pub mod receipt;
pub mod status;
