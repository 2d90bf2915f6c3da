//! The place of an operation in the order, and the rule that decides whether it may be written.

pub mod arrival;
pub mod place;
pub mod verdict;
