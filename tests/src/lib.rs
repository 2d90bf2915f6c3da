//! What the tests share: a real DynamoDB engine inside the test, and clients for it.

pub mod engine;
