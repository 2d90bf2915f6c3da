//! How this project calls AWS: the settings of every client, and what a failed call
//! leaves behind.

mod config;
mod error;

pub use config::{Account, config};
pub use error::call_error;
