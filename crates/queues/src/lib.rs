//! The SQS queues: the form of a message, and the calls on a queue.

pub mod message;
mod sqs;
mod trace;

pub use sqs::Sqs;

#[cfg(test)]
mod tests;
