//! The request: its path, header fields and mode.

pub mod accept;
pub mod conditional;
pub mod key;
pub mod prefer;
