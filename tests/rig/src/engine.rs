//! A DynamoDB engine (dynoxide) behind HTTP, as the functions call it.

use bytes::Bytes;
use dynoxide::Database;
use http::header::{CONTENT_LENGTH, HOST};
use http::request::Parts;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::environment::{OPERATIONS, RESOURCES};

/// A running engine with both tables.
#[derive(Clone)]
pub struct Engine {
    database: Database,
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// What is stored of a resource: the resource, or the tombstone that a DELETE leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The operation that wrote or deleted it.
    pub operation: String,
    /// `None` for a tombstone.
    pub body: Option<String>,
    pub created_by: Option<String>,
    /// Whether the table will remove it at some time.
    pub expires: bool,
}

/// What a call writes to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    pub resource: String,
    pub operation: String,
    /// The new body; `None` deletes the resource.
    pub body: Option<String>,
}

impl Engine {
    /// Starts one with empty tables. It ends with the runtime.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("a bound address"));
        let database = Database::memory().expect("a database in memory");
        for table in [RESOURCES, OPERATIONS] {
            let create = json!({
                "TableName": table,
                "BillingMode": "PAY_PER_REQUEST",
                "KeySchema": [{ "AttributeName": "id", "KeyType": "HASH" }],
                "AttributeDefinitions": [{ "AttributeName": "id", "AttributeType": "S" }],
            });
            let create = serde_json::from_value(create).expect("a request");
            database.create_table(create).expect("the table is created");
        }
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { database, client, url }
    }

    /// Makes a call in the form in which a function made it; returns the status and the body of the
    /// reply.
    pub async fn call(&self, parts: &Parts, body: Bytes) -> (u16, Bytes) {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().expect("a URL");
        request.headers_mut().clone_from(&parts.headers);
        for of_the_connection in [HOST, CONTENT_LENGTH] {
            request.headers_mut().remove(of_the_connection);
        }
        let reply = self.client.request(request).await.expect("the engine answers");
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.expect("the engine answers");
        (status, body.to_bytes())
    }

    /// What is stored of a resource.
    pub fn resource(&self, resource: &str) -> Option<Stored> {
        let get = json!({ "TableName": RESOURCES, "Key": { "id": { "S": resource } } });
        let get = serde_json::from_value(get).expect("a request");
        let reply = self.database.get_item(get).expect("the table is read");
        let item = serde_json::to_value(reply.item?).expect("an item");
        let text = |name: &str| item[name]["S"].as_str().map(str::to_owned);
        Some(Stored {
            operation: text("op")?,
            body: text("body"),
            created_by: text("created_by"),
            expires: !item["expires_at"].is_null(),
        })
    }
}

/// What a call writes to resources, if it lands.
pub fn writes(target: &str, call: &Value) -> Vec<Write> {
    let updates: Vec<_> = match target {
        "UpdateItem" => vec![call],
        "TransactWriteItems" => {
            let items = call["TransactItems"].as_array();
            items.into_iter().flatten().map(|item| &item["Update"]).collect()
        }
        _ => vec![],
    };
    let resources = updates.into_iter().filter(|update| update["TableName"] == RESOURCES);
    resources.filter_map(written).collect()
}

fn written(update: &Value) -> Option<Write> {
    let expression = update["UpdateExpression"].as_str()?.strip_prefix("SET ")?;
    let set = expression.split(" REMOVE ").next()?;
    let value = |attribute: &str| {
        let name = set.split(',').find_map(|assignment| {
            let (name, value) = assignment.split_once('=')?;
            (name.trim() == attribute).then_some(value.trim())
        })?;
        Some(update["ExpressionAttributeValues"][name]["S"].as_str()?.to_owned())
    };
    let resource = update["Key"]["id"]["S"].as_str()?.to_owned();
    Some(Write { resource, operation: value("op")?, body: value("body") })
}
