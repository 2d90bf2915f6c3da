//! What the tests share: a real DynamoDB engine inside the test, and clients for it.

#![allow(clippy::expect_used, reason = "a test that cannot be set up fails")]

pub mod engine;
