//! The bodies that the tests send.

use std::fmt::Display;

const SAMPLE: &str = include_str!("../bodies/sample.json");

/// A body that the service takes, which differs from those with another value.
#[must_use]
pub fn sample(value: impl Display) -> String {
    SAMPLE.replace("VALUE", &value.to_string())
}
