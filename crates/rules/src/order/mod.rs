//! The operation, its place in the order, and the one rule.

pub mod arrival;
pub mod id;
pub mod operation;
pub mod verdict;
