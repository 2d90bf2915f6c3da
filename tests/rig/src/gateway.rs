//! An API Gateway HTTP API: events of payload 2.0 to the functions, and their answers.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::function::Function;
use crate::resource;

static SAMPLE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../events/put-inline.json")).expect("it is JSON")
});

#[derive(Debug)]
pub struct Gateway {
    pub(crate) put: Arc<Function>,
    pub(crate) read: Arc<Function>,
}

#[derive(Clone, Debug)]
pub struct Request {
    pub method: &'static str,
    /// The gateway's id of the request.
    pub id: String,
    pub path: String,
    /// Names are in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<String>,
    /// When it arrived, in ms since the Unix epoch.
    pub arrival_ms: u64,
    /// How long it is held up before a function gets it.
    pub held_up: Duration,
}

impl Request {
    /// A request that arrives now.
    pub fn new(method: &'static str, path: String) -> Self {
        let (id, held_up) = ("r".to_owned(), Duration::ZERO);
        Self { method, id, path, headers: vec![], body: None, arrival_ms: unix_ms(), held_up }
    }

    /// The event that a function is invoked with.
    pub fn event(&self) -> Value {
        let mut event = SAMPLE.clone();
        let (route, parameters) = resource::route(&self.path);
        let route_key = json!(format!("{} {route}", self.method));
        event["rawPath"] = json!(self.path);
        event["pathParameters"] = parameters;
        event["body"] = json!(self.body);
        let context = &mut event["requestContext"];
        context["http"]["method"] = json!(self.method);
        context["http"]["path"] = json!(self.path);
        context["requestId"] = json!(self.id);
        context["routeKey"] = route_key.clone();
        context["timeEpoch"] = json!(self.arrival_ms);
        event["routeKey"] = route_key;
        let fields = event["headers"].as_object_mut().expect("the sample has header fields");
        fields.retain(|name, _| self.body.is_some() || name != "content-type");
        let length = self.body.as_ref().map_or(0, String::len);
        fields.insert("content-length".to_owned(), json!(length.to_string()));
        fields.extend(self.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        event
    }
}

#[derive(Clone, Debug)]
pub struct Answer {
    /// 500 with the gateway's own body if the function gave no answer.
    pub status: u16,
    pub is_functions_own: bool,
    headers: Map<String, Value>,
    pub body: String,
}

impl Answer {
    /// Reads the answer from a function's response.
    pub fn read(response: &[u8]) -> Self {
        let mut response: Value = serde_json::from_slice(response).unwrap_or_default();
        let headers = response["headers"].take();
        let headers = headers.as_object().into_iter().flatten();
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        Self {
            status: response["statusCode"].as_u64().unwrap_or_default() as u16,
            is_functions_own: true,
            headers: headers.collect(),
            body: response["body"].as_str().unwrap_or_default().to_owned(),
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(Value::as_str)
    }

    /// The entity tag, without its quotes.
    pub fn etag(&self) -> Option<String> {
        self.header("etag").map(|tag| tag.trim_matches('"').to_owned())
    }

    /// The body as JSON, null if it is not JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The last part of the type of a problem document, empty for other answers.
    pub fn problem(&self) -> String {
        problem_type(&self.json())
    }

    /// The status code, with the problem if there is one.
    pub fn brief(&self) -> String {
        format!("{} {}", self.status, self.problem()).trim_end().to_owned()
    }
}

/// The last part of a problem document's type.
pub fn problem_type(problem: &Value) -> String {
    let uri = problem["type"].as_str().unwrap_or_default();
    uri.rsplit(':').next().unwrap_or_default().to_owned()
}

impl Gateway {
    /// Answers a request.
    pub async fn send(&self, request: &Request) -> Answer {
        let function = if request.method == "GET" { &self.read } else { &self.put };
        if !request.held_up.is_zero() {
            tokio::time::sleep(request.held_up).await;
        }
        match function.invoke(Bytes::from(request.event().to_string())).await {
            Some(response) => Answer::read(&response),
            None => {
                let body = r#"{"message":"Internal Server Error"}"#.to_owned();
                Answer { status: 500, is_functions_own: false, headers: Map::new(), body }
            }
        }
    }
}

/// Milliseconds since the Unix epoch.
pub fn unix_ms() -> u64 {
    UNIX_EPOCH.elapsed().unwrap_or_default().as_millis() as u64
}
