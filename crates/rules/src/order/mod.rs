//! The place of an operation in the order, and the one rule.

pub mod arrival;
pub mod place;
pub mod verdict;
