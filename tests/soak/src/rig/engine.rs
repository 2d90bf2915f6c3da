//! A DynamoDB engine (dynoxide) behind HTTP, as the functions call it.

use bytes::Bytes;
use dynoxide::Database;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::rig::names::{OPERATIONS, RESOURCES};

/// A running engine with both tables.
#[derive(Clone)]
pub struct Engine {
    database: Database,
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
}

/// What is stored of a resource: it, or the tombstone that a DELETE leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// The operation that wrote or deleted it.
    pub operation: String,
    /// Its body; none of a tombstone.
    pub body: Option<String>,
    /// The operation that created it.
    pub created_by: Option<String>,
    /// Whether the table is to remove it at some time.
    pub expires: bool,
}

/// What a call writes to a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The resource.
    pub resource: String,
    /// The operation.
    pub operation: String,
    /// The new body; `None` deletes the resource.
    pub body: Option<String>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Engine {
    /// Starts one with empty tables.
    ///
    /// # Panics
    /// If there is no free port.
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

    /// Makes a call as a function made it; returns the status and the body of the reply.
    ///
    /// # Panics
    /// If the engine does not answer.
    pub async fn call(&self, parts: &Parts, body: Bytes) -> (u16, Bytes) {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.url.parse().expect("a URL");
        let kept = ["authorization", "content-type", "x-amz-date", "x-amz-target"];
        let headers: HeaderMap = kept
            .iter()
            .filter_map(|name| Some((name.parse().ok()?, parts.headers.get(*name)?.clone())))
            .collect();
        *request.headers_mut() = headers;
        let reply = self.client.request(request).await.expect("the engine answers");
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.expect("the engine answers").to_bytes();
        (status, body)
    }

    /// What is stored of a resource.
    ///
    /// # Panics
    /// If the engine does not answer.
    #[must_use]
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
#[must_use]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_is_read_from_its_call() {
        let claim = json!({ "TableName": "operations" });
        for (expression, body) in [
            (
                "SET body = :body, op = :o, created_by = if_not_exists(created_by, :o) REMOVE expires_at",
                Some("{}".to_owned()),
            ),
            ("SET op = :o, expires_at = :expires REMOVE body, created_by", None),
        ] {
            let update = json!({
                "TableName": "resources",
                "Key": { "id": { "S": "u" } },
                "UpdateExpression": expression,
                "ExpressionAttributeValues": { ":o": { "S": "7" }, ":body": { "S": "{}" } },
            });
            let (resource, operation) = ("u".to_owned(), "7".to_owned());
            let expected = vec![Write { resource, operation, body }];
            assert_eq!(writes("UpdateItem", &update), expected);
            let transaction = json!({ "TransactItems": [{ "Update": update }, { "Put": claim }] });
            assert_eq!(writes("TransactWriteItems", &transaction), expected);
        }
        assert!(writes("PutItem", &claim).is_empty());
    }
}
