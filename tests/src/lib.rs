//! What the tests share: bodies, a real DynamoDB engine inside the test, clients for it, and a
//! world with faults around one function.

pub mod body;
pub mod engine;
pub mod request;
pub mod world;
