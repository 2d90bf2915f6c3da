//! What the tests share: resources, a real DynamoDB engine inside the test, clients for it, and a
//! world with faults around one function.

pub mod capture;
pub mod engine;
pub mod request;
pub mod thing;
pub mod world;
