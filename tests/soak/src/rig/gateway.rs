//! An API Gateway HTTP API: events of payload 2.0 to the functions, and their answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use tokio::time::sleep;

use crate::rig::function::Function;
use crate::served;

/// The routes.
#[derive(Debug)]
pub struct Gateway {
    pub(crate) put: Arc<Function>,
    pub(crate) read: Arc<Function>,
}

/// A request.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `PUT`, `DELETE` or `GET`.
    pub method: &'static str,
    /// The gateway's id of it.
    pub id: String,
    /// The path.
    pub path: String,
    /// Header fields, with lower-case names.
    pub headers: Vec<(&'static str, String)>,
    /// The body of a PUT.
    pub body: Option<String>,
    /// When it arrived, in ms since the Unix epoch.
    pub arrival_ms: u64,
    /// How long it is held up before a function has it.
    pub held_up: Duration,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code; 500 with the gateway's own body where a function gave none.
    pub status: u16,
    /// Whether it is the function's.
    pub is_ours: bool,
    headers: Map<String, Value>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A header field.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }

    /// The body as JSON, null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The last part of the type of a problem document.
    #[must_use]
    pub fn problem(&self) -> String {
        problem_type(&self.json())
    }
}

/// The last part of a problem document's type.
#[must_use]
pub fn problem_type(problem: &Value) -> String {
    let uri = problem["type"].as_str().unwrap_or_default();
    uri.rsplit(':').next().unwrap_or_default().to_owned()
}

impl Gateway {
    /// Answers a request.
    pub async fn send(&self, request: &Request) -> Answer {
        let function = if request.method == "GET" { &self.read } else { &self.put };
        if !request.held_up.is_zero() {
            sleep(request.held_up).await;
        }
        let event = Bytes::from(event(request).to_string());
        match function.invoke(event).await {
            Ok(answer) => read(&answer),
            Err(_) => Answer {
                status: 500,
                is_ours: false,
                headers: Map::new(),
                body: r#"{"message":"Internal Server Error"}"#.to_owned(),
            },
        }
    }
}

fn event(request: &Request) -> Value {
    let Request { method, id, path, headers, body, arrival_ms, .. } = request;
    let (route, parameters) = served::route(path);
    let mut fields: Map<_, _> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    fields.insert("host".to_owned(), json!("soak.invalid"));
    if let Some(body) = body {
        fields.insert("content-length".to_owned(), json!(body.len().to_string()));
        fields.insert("content-type".to_owned(), json!("application/json"));
    }
    json!({
        "version": "2.0",
        "routeKey": format!("{method} {route}"),
        "rawPath": path,
        "rawQueryString": "",
        "headers": fields,
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "soak",
            "domainName": "soak.invalid",
            "domainPrefix": "soak",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
                "userAgent": "soak",
            },
            "requestId": id,
            "routeKey": format!("{method} {route}"),
            "stage": "$default",
            "time": "01/Jan/2026:00:00:00 +0000",
            "timeEpoch": arrival_ms,
        },
        "pathParameters": parameters,
        "body": body,
        "isBase64Encoded": false,
    })
}

fn read(answer: &[u8]) -> Answer {
    let mut answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let headers = std::mem::take(&mut answer["headers"]);
    let headers = headers.as_object().into_iter().flatten();
    Answer {
        status: answer["statusCode"].as_u64().unwrap_or_default() as u16,
        is_ours: true,
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect(),
        body: answer["body"].as_str().unwrap_or_default().to_owned(),
    }
}
