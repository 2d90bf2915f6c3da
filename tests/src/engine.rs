//! A DynamoDB engine, called with the real SDK over HTTP: one inside the test (dynoxide), or the
//! one at `DYNAMODB_ENDPOINT`, such as AWS's own DynamoDB Local.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_calls::{Account, config, http_client};
use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType,
    ScalarAttributeType,
};
use aws_types::SdkConfig;
use tables::DynamoDb;
use tokio::net::TcpListener;

/// Name of the resources table.
pub const RESOURCES: &str = "resources";
/// Name of the operations table.
pub const OPERATIONS: &str = "operations";

/// A running engine with both tables, empty.
#[derive(Clone, Debug)]
pub struct Engine {
    /// A plain client, to look at the tables without the code under test.
    pub client: Client,
    /// The code under test: the table of resources.
    pub resources: tables::Resources,
    /// The code under test: the table of outcomes and claims.
    pub operations: tables::Operations,
}

impl Engine {
    /// Starts an engine on a free port of 127.0.0.1, which ends with the runtime. Or connects to
    /// the engine that the environment names.
    pub async fn start() -> Self {
        let config = match std::env::var("DYNAMODB_ENDPOINT") {
            Ok(endpoint) => config_for(&endpoint),
            Err(_) => {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("a bound address");
                let database = dynoxide::Database::memory().expect("a database in memory");
                tokio::spawn(dynoxide::server::serve_on(listener, database));
                config_for(&format!("http://{address}"))
            }
        };
        let client = Client::new(&config);
        for table in [RESOURCES, OPERATIONS] {
            create_table(&client, table).await;
        }
        let db = DynamoDb::new(config);
        let resources = db.resources(RESOURCES.to_owned(), OPERATIONS.to_owned());
        Self { client, resources, operations: db.operations(OPERATIONS.to_owned()) }
    }

    /// Stores an item of string attributes. The value `true` becomes a boolean, and a value that
    /// begins with `#` a number.
    pub async fn put(&self, table: &str, attributes: &[(&str, &str)]) {
        let value = |text: &str| match text {
            "true" => AttributeValue::Bool(true),
            text => match text.strip_prefix('#') {
                Some(number) => AttributeValue::N(number.to_owned()),
                None => AttributeValue::S(text.to_owned()),
            },
        };
        let item =
            attributes.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect();
        let put = self.client.put_item().table_name(table).set_item(Some(item));
        put.send().await.expect("the item is stored");
    }

    /// Reads an item.
    pub async fn get(&self, table: &str, id: &str) -> Option<HashMap<String, AttributeValue>> {
        let key = AttributeValue::S(id.to_owned());
        let get = self.client.get_item().table_name(table).key("id", key).consistent_read(true);
        get.send().await.expect("the table is read").item
    }
}

/// Settings for clients of a local endpoint. DynamoDB Local keeps separate tables for each set of
/// credentials, and so for each test.
pub fn config_for(endpoint: &str) -> SdkConfig {
    static SO_FAR: AtomicUsize = AtomicUsize::new(0);
    let number = SO_FAR.fetch_add(1, Ordering::Relaxed);
    let key_id = format!("test{}x{number}", std::process::id());
    let account = Account {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new(key_id, "test", None, None, "test"),
        endpoint_url: Some(endpoint.to_owned()),
    };
    config(account, http_client())
}

async fn create_table(client: &Client, name: &str) {
    let key = KeySchemaElement::builder().attribute_name("id").key_type(KeyType::Hash);
    let attribute =
        AttributeDefinition::builder().attribute_name("id").attribute_type(ScalarAttributeType::S);
    let create = client
        .create_table()
        .table_name(name)
        .key_schema(key.build().expect("complete"))
        .attribute_definitions(attribute.build().expect("complete"))
        .billing_mode(BillingMode::PayPerRequest);
    create.send().await.expect("the table is created");
}
