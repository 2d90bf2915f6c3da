//! The rules of async-put, pure: what a PUT must look like, in which order
//! operations stand, and what becomes of each.
//!
//! Nothing here performs I/O, reads a clock or the environment, or draws random
//! numbers: the caller passes all of it in and acts on what comes back. That is
//! what lets the same rules run in production and under a simulated schedule.
//!
//! | room | what is in it |
//! |---|---|
//! | [`body`] | what a resource's body may be: the file to edit for another resource |
//! | [`request`] | what is asked for: header fields, path, mode |
//! | [`order`] | the operation, its place in the order, and the one rule |
//! | [`work`] | carrying an operation out: attempts, groups, pauses |
//! | [`reply`] | what the client is told: problems, statuses, receipts |

pub mod body;
mod json;
pub mod order;
pub mod reply;
pub mod request;
pub mod work;

pub use order::arrival::Arrival;
pub use order::id::{OperationId, Tick};
pub use order::operation::{Operation, Version};
pub use reply::problem::{Problem, ProblemType};
pub use reply::receipt::ReceiptKey;
pub use request::precondition::Precondition;
pub use request::resource_id::ResourceId;
pub use work::failure::Failure;
