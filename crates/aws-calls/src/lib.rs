//! How this project calls AWS: the settings of every client, their HTTP client, and the effect of a
//! failed call.

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
