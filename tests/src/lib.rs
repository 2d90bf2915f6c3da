//! The common part of the tests: resources, a real DynamoDB engine inside the test with its
//! clients, and a world with faults around one function.

pub mod capture;
pub mod engine;
pub mod request;
pub mod thing;
pub mod world;
