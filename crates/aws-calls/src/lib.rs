//! How this project calls AWS: the settings of every client, the HTTP client under them, and what a failed call
//! leaves behind.

mod config;
mod connect;
mod error;
mod http;
mod pool;

pub use config::{Account, config};
pub use error::call_error;
pub use http::http_client;

#[cfg(test)]
mod tests;
