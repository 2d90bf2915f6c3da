//! DynamoDB and SQS as fast as can be: every call succeeds with a canned reply, after the
//! latency that is set.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use soak::rig::http::{HangUp, Reply, json, serve};
use soak::rig::names;
use tokio::net::TcpListener;

/// The body of the one stored resource.
pub const STORED: &str = r#"{"name": "Ada", "languages": ["en", "fr"]}"#;

/// The services, at one address.
#[derive(Debug)]
pub struct Endpoints {
    /// Where they are.
    pub urls: names::Endpoints,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    latency_us: AtomicU64,
}

impl Endpoints {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("a bound address"));
        let serving = Arc::clone(&state);
        tokio::spawn(async move {
            let never = serve(listener, move |request| {
                let state = Arc::clone(&serving);
                async move { state.answer(&request).await }
            });
            match never.await {}
        });
        Self { urls: names::Endpoints { dynamodb: url.clone(), sqs: url }, state }
    }

    /// How long every call takes from now on.
    pub fn set_latency(&self, latency: Duration) {
        let us = u64::try_from(latency.as_micros()).expect("a short time");
        self.state.latency_us.store(us, Ordering::Relaxed);
    }
}

impl State {
    async fn answer(&self, request: &Request<Bytes>) -> Result<Reply, HangUp> {
        let latency = Duration::from_micros(self.latency_us.load(Ordering::Relaxed));
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        Ok(json(200, reply(call_of(request), request.body())))
    }
}

/// Which call it is, such as `UpdateItem`.
pub fn call_of(request: &Request<Bytes>) -> &str {
    let target = request.headers().get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

/// A reply that says that the call succeeded.
pub fn reply(call: &str, body: &[u8]) -> Bytes {
    let is_resources = || body.windows(7).any(|word| word == br#""resources""#);
    match call {
        "GetItem" if is_resources() => {
            let id = "01a1f866-10e8-75a3-9f2e-3d4c5b6a7988";
            let text = |text: &str| serde_json::json!({ "S": text });
            let item = serde_json::json!({
                "Item": { "id": text("42"), "body": text(STORED), "op": text(id), "created_by": text(id) },
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
