//! How operations are carried out: what to do next, and when to try again.

pub mod attempt;
pub mod backoff;
pub mod coalesce;
pub mod failure;
pub mod group;
