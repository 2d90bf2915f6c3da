//! The SQS queues of deferred PUTs: the form of a message, and the calls on a queue.

mod message;
mod queue;

pub use message::{Message, Unreadable};
pub use queue::Queue;
