//! The rules of async-put, pure: what a request must look like, in which order operations stand,
//! and how each ends.
//!
//! Nothing here performs I/O, reads a clock or the environment, or draws random
//! numbers: the caller passes all of it in and acts on what comes back. That is
//! what lets the same rules run in production and under a simulated schedule.
//!
//! At the root are the words that all share. The four rooms use these, and each room only
//! those before it:
//!
//! | room | what is in it |
//! |---|---|
//! | [`request`] | what a request asks for: header fields, path, mode |
//! | [`order`] | the place of an operation in the order, and the one rule |
//! | [`work`] | carrying an operation out: attempts, groups, pauses |
//! | [`reply`] | what the client gets: statuses, receipts |

pub mod body;
mod operation;
mod operation_id;
pub mod order;
pub mod outcome;
mod precondition;
mod problem;
pub mod reply;
pub mod request;
pub mod resource;
mod resource_id;
pub mod work;

pub use operation::{Change, Method, Operation, Version};
pub use operation_id::{OperationId, Tick};
pub use order::arrival::Arrival;
pub use precondition::Precondition;
pub use problem::{Problem, ProblemType};
pub use reply::receipt::{ReceiptKey, ReceiptKeys};
pub use resource::{Resource, Updated};
pub use resource_id::ResourceId;
pub use work::failure::Failure;
