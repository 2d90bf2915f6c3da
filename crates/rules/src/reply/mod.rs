//! The reply to the client.

pub mod receipt;
pub mod status;
