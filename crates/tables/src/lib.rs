//! The two DynamoDB tables: `users` with the one conditional write, and `operations`
//! with what became of operations and with the claims of idempotency keys.
//!
//! | table | attribute | what it is |
//! |---|---|---|
//! | resources | `id` (S, key) | resource id |
//! | | `body` (S) | the body, byte for byte |
//! | | `op` (S) | id of the operation that wrote the body |
//! | | `created_by` (S) | id of the operation that created the resource |
//! | operations | `id` (S, key) | operation id |
//! | | `resource` (S) | resource id |
//! | | `outcome` (S) | `succeeded`, `superseded` or `failed` |
//! | | `completed_at` (N) | ms since the Unix epoch |
//! | | `problem` (S) | the problem document of a `failed` operation |
//! | | `provisional` (BOOL) | not decided but stalled: `failed` so far, may still change |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |
//! | operations | `id` (S, key) | `key#` and a hash: the claim of an idempotency key |
//! | | `op` (S) | the operation that it stands for |
//! | | `fingerprint` (S) | hash of the request |
//! | | `expires_at` (N) | time to live, s since the Unix epoch |

mod claims;
mod condition;
mod item;
mod operations;
mod resources;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_types::SdkConfig;
use rules::reply::status::{Decision, Record};
use rules::request::key::Claim;
use rules::{Operation, OperationId, ResourceId};
use world::{CallError, StoredResource, Tables, Transaction, Write};

const GET_ITEM: &str = "dynamodb:GetItem";
const PUT_ITEM: &str = "dynamodb:PutItem";

/// The tables of one deployment, in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    config: SdkConfig,
    client: OnceLock<Client>,
    resources: String,
    operations: String,
}

impl DynamoDb {
    /// The tables named `users` and `operations`.
    #[must_use]
    pub fn new(config: SdkConfig, resources: String, operations: String) -> Self {
        Self { config, client: OnceLock::new(), resources, operations }
    }

    /// Made for the first call: it reads the endpoints of all AWS partitions, which is a
    /// quarter of a start-up, and a request of `put` needs one service only.
    fn client(&self) -> &Client {
        self.client.get_or_init(|| Client::new(&self.config))
    }
}

impl Tables for DynamoDb {
    async fn resource(&self, resource: &ResourceId) -> Result<Option<StoredResource>, CallError> {
        self.get_resource(resource).await
    }

    async fn creator(&self, resource: &ResourceId) -> Result<Option<OperationId>, CallError> {
        self.get_creator(resource).await
    }

    async fn write_resource(&self, operation: &Operation) -> Result<Write, CallError> {
        self.update_resource(operation).await
    }

    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        self.write_in_transaction(operation, superseded, now).await
    }

    async fn record_of(&self, id: OperationId, now: Duration) -> Result<Option<Record>, CallError> {
        self.get_record(id, now).await
    }

    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        record: &Record,
    ) -> Result<Option<Decision>, CallError> {
        self.put_record(resource, id, record).await
    }

    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError> {
        self.put_claim(claim, now).await
    }
}
