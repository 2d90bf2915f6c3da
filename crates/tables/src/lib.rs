//! The two DynamoDB tables: `resources` with the one conditional write, and `operations`
//! with the outcomes of operations and the claims of idempotency keys.
//!
//! | table | attribute | what it is |
//! |---|---|---|
//! | resources | `id` (S, key) | resource id |
//! | | `body` (S) | the body, byte for byte; a tombstone has none |
//! | | `op` (S) | id of the operation that wrote the body, or deleted it |
//! | | `created_by` (S) | id of the operation that created the resource; a tombstone has none |
//! | | `expires_at` (N) | of a tombstone only: time to live, s since the Unix epoch |
//! | operations | `id` (S, key) | operation id |
//! | | `resource` (S) | resource id |
//! | | `outcome` (S) | `succeeded`, `superseded`, `failed`, `cancelled`; `stalled` is not final |
//! | | `method` (S) | `DELETE` for a DELETE that succeeded; otherwise absent |
//! | | `completed_at` (N) | ms since the Unix epoch |
//! | | `problem` (S) | the problem document of a `failed` or `stalled` operation, else empty |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |
//! | operations | `id` (S, key) | `key#` and a hash: the claim of an idempotency key |
//! | | `op` (S) | the operation of the key |
//! | | `fingerprint` (S) | hash of the request |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |

mod claims;
mod condition;
mod item;
mod outcomes;
mod resources;

use std::sync::{Arc, OnceLock};

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;

const GET_ITEM: &str = "dynamodb:GetItem";
const PUT_ITEM: &str = "dynamodb:PutItem";

/// A client of DynamoDB, created lazily: building one parses every partition's endpoints, which
/// takes a quarter of start-up, and many requests to `put` do not need it.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    config: SdkConfig,
    client: Arc<OnceLock<Client>>,
}

/// The table of resources.
#[derive(Clone, Debug)]
pub struct Resources {
    dynamo_db: DynamoDb,
    name: String,
    operations: String,
}

/// The table of outcomes and claims.
#[derive(Clone, Debug)]
pub struct Operations {
    dynamo_db: DynamoDb,
    name: String,
}

impl DynamoDb {
    /// A client with these settings.
    #[must_use]
    pub fn new(config: SdkConfig) -> Self {
        Self { config, client: Arc::default() }
    }

    /// The table of resources called `name`, with the operations table called `operations`.
    #[must_use]
    pub fn resources(&self, name: String, operations: String) -> Resources {
        Resources { dynamo_db: self.clone(), name, operations }
    }

    /// The operations table called `name`.
    #[must_use]
    pub fn operations(&self, name: String) -> Operations {
        Operations { dynamo_db: self.clone(), name }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.config))
    }
}

impl Resources {
    fn client(&self) -> &Client {
        self.dynamo_db.client()
    }
}

impl Operations {
    fn client(&self) -> &Client {
        self.dynamo_db.client()
    }
}

#[cfg(test)]
mod tests;
