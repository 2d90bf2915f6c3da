//! DynamoDB and SQS as fast as possible: every call succeeds with a canned reply, after a latency
//! that can be set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use rig::environment::Endpoints;
use rig::http::{HangUp, Reply, Server, json};
use rig::{resource, wire};
use serde_json::Value;

/// The services, at one address.
#[derive(Debug)]
pub struct Canned {
    pub endpoints: Endpoints,
    latency_us: Arc<AtomicU64>,
    _server: Server,
}

impl Canned {
    pub async fn start() -> Self {
        let latency_us = Arc::new(AtomicU64::default());
        let latency = Arc::clone(&latency_us);
        let server = Server::start(move |request| {
            answer(Duration::from_micros(latency.load(Ordering::Relaxed)), request)
        });
        let server = server.await;
        Self { endpoints: at(&server), latency_us, _server: server }
    }

    /// Sets the time that every call takes from now on.
    pub fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).expect("a short time");
        self.latency_us.store(us, Ordering::Relaxed);
    }
}

/// Both services at one server.
pub fn at(server: &Server) -> Endpoints {
    Endpoints { dynamodb: server.url(), sqs: server.url() }
}

async fn answer(latency: Duration, request: Request<Bytes>) -> Result<Reply, HangUp> {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (parts, body) = request.into_parts();
    Ok(json(200, reply(wire::target(&parts), &body)))
}

/// A reply for a call that succeeded.
pub fn reply(call: &str, body: &[u8]) -> Bytes {
    let is_resources = || body.windows(7).any(|word| word == br#""resources""#);
    match call {
        "GetItem" if is_resources() => {
            let id = "01a1f866-10e8-75a3-9f2e-3d4c5b6a7988";
            let text = |text: &str| serde_json::json!({ "S": text });
            let body = text(&resource::body(1));
            let item = serde_json::json!({
                "Item": { "id": text("42"), "body": body, "op": text(id), "created_by": text(id) },
            });
            Bytes::from(item.to_string())
        }
        "SendMessage" => {
            let message: Value = serde_json::from_slice(body).unwrap_or_default();
            let sent = message["MessageBody"].as_str().unwrap_or_default();
            let reply = serde_json::json!({
                "MessageId": "b2c3d4e5-0001-4000-8000-000000000001",
                // The SDK of Node.js compares it with what it sent.
                "MD5OfMessageBody": format!("{:x}", md5::compute(sent)),
            });
            Bytes::from(reply.to_string())
        }
        _ => Bytes::from_static(b"{}"),
    }
}
