//! The SQS queues: the form of a message, and the calls on a queue.

pub mod message;
mod sqs;
#[cfg(test)]
mod tests;
mod trace;

pub use sqs::Sqs;
