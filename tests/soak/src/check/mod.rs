//! The account of one resource.

mod account;
mod linearizable;
#[cfg(test)]
mod tests;

pub use account::account;
pub use linearizable::{Verdict, linearizable};

/// What is wrong, under the word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// `LOST`, `DOUBLED`, `STALE`, `LIE`, `NOT LINEARIZABLE` or `CRASHED`
    pub word: &'static str,
    pub text: String,
}
