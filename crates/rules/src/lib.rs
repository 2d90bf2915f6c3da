//! The rules of async-put, as pure functions: which requests are valid, how operations are ordered,
//! and how each one ends.
//!
//! Nothing here performs I/O, reads a clock or the environment, or draws random numbers. The caller
//! passes these in and acts on the result. So the same rules run in production and in the
//! simulation.
//!
//! The root has the types that all modules share. Each of the four modules below uses only the root
//! and the modules before it:
//!
//! | module | content |
//! |---|---|
//! | [`request`] | the request: header fields, path, mode |
//! | [`order`] | the place of an operation in the order, and whether it may be written |
//! | [`work`] | how an operation is carried out: attempts, groups, pauses |
//! | [`reply`] | the reply to the client: statuses, receipts |

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
