//! The two DynamoDB tables: `users` with the one conditional write, and `operations`
//! with the outcomes of deferred PUTs.
//!
//! | table | attribute | what it is |
//! |---|---|---|
//! | users | `id` (S, key) | user id |
//! | | `body` (S) | the body, byte for byte |
//! | | `op` (S) | id of the operation that wrote the body |
//! | | `created_by` (S) | id of the operation that created the user |
//! | operations | `id` (S, key) | operation id |
//! | | `user` (S) | user id |
//! | | `outcome` (S) | `succeeded`, `superseded` or `failed` |
//! | | `completed_at` (N) | ms since the Unix epoch |
//! | | `problem` (S) | the problem document of a `failed` operation |
//! | | `provisional` (BOOL) | `failed` by dead-lettering; may still change |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |
//! | operations | `id` (S, key) | `key#` and a hash: the claim of an idempotency key |
//! | | `op` (S) | the operation that it stands for |
//! | | `fingerprint` (S) | hash of the request |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |

mod claims;
mod condition;
mod item;
mod operations;
mod users;

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
pub use claims::Claim;
pub use users::{Applied, User};

/// The tables of one deployment.
#[derive(Clone, Debug)]
pub struct Tables {
    client: Client,
    users: String,
    operations: String,
}

impl Tables {
    /// The tables named `users` and `operations`.
    #[must_use]
    pub fn new(config: &SdkConfig, users: String, operations: String) -> Self {
        Self { client: Client::new(config), users, operations }
    }
}
