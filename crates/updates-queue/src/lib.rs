//! The SQS queue of deferred PUTs: the form of its messages, and the calls on it.

mod message;
mod queue;

pub use message::{Message, Unreadable};
pub use queue::UpdatesQueue;
