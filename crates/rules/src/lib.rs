//! The rules of async-put, pure: what a PUT must look like, in which order
//! operations stand, and what becomes of each.
//!
//! Nothing here performs I/O, reads a clock or the environment, or draws random
//! numbers: the caller passes all of it in and acts on what comes back. That is
//! what lets the same rules run in production and under a simulated schedule.

pub mod accept;
pub mod apply;
pub mod backoff;
pub mod batch;
pub mod clock;
pub mod failure;
pub mod idempotency;
pub mod inline;
pub mod operation_id;
pub mod precondition;
pub mod prefer;
pub mod problem;
pub mod receipt;
pub mod status;
pub mod user;
pub mod user_id;
pub mod verdict;

pub use failure::Failure;
pub use operation_id::{Minter, OperationId, Tick};
pub use precondition::Precondition;
pub use problem::{Problem, ProblemType};
pub use receipt::ReceiptKey;
pub use user_id::UserId;
