//! Requests as an HTTP API hands them over, and the answers to them.

use std::time::Duration;

use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::Context;
use serde_json::{Value, json};

/// A request to `path`, which is `/things/{id}` or that of a status.
#[derive(Clone, Debug)]
pub struct Sent {
    method: &'static str,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: String,
    arrived_ms: u64,
    deadline: Option<Duration>,
}

impl Sent {
    /// A PUT of this JSON body that arrived then, in ms since the Unix epoch.
    #[must_use]
    pub fn put(id: &str, body: &str, arrived_ms: u64) -> Self {
        let sent = Self::get(&format!("/things/{id}"));
        let sent = Self { method: "PUT", body: body.to_owned(), arrived_ms, ..sent };
        sent.with("content-type", "application/json")
    }

    /// A DELETE of this path that arrived then, in ms since the Unix epoch.
    #[must_use]
    pub fn delete(path: &str, arrived_ms: u64) -> Self {
        Self { method: "DELETE", arrived_ms, ..Self::get(path) }
    }

    /// A GET of this path.
    #[must_use]
    pub fn get(path: &str) -> Self {
        let (path, headers, body) = (path.to_owned(), Vec::new(), String::new());
        Self { method: "GET", path, headers, body, arrived_ms: 1, deadline: None }
    }

    /// Adds a header field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Gives it this body.
    #[must_use]
    pub fn of_body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    /// Gives the invocation this deadline, since the Unix epoch.
    #[must_use]
    pub fn until(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The request.
    ///
    /// # Panics
    /// If it is no request.
    #[must_use]
    pub fn request(&self) -> Request {
        let segments: Vec<_> = self.path.trim_start_matches('/').split('/').collect();
        let mut parameters = json!({ "id": segments[1] });
        if let Some(receipt) = segments.get(3) {
            parameters["receipt"] = json!(receipt);
        }
        let headers: serde_json::Map<String, Value> =
            self.headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let event = json!({
            "version": "2.0", "routeKey": "$default", "rawPath": self.path, "rawQueryString": "",
            "headers": headers, "body": self.body, "isBase64Encoded": false,
            "pathParameters": parameters,
            "requestContext": {
                "stage": "$default", "timeEpoch": self.arrived_ms,
                "http": { "method": self.method, "path": self.path, "protocol": "HTTP/1.1",
                          "sourceIp": "127.0.0.1", "userAgent": "" },
            },
        });
        let request = lambda_http::request::from_str(&event.to_string()).expect("an event");
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        if let Some(deadline) = self.deadline {
            context.deadline = deadline.as_millis() as u64;
        }
        request.with_lambda_context(context)
    }
}

/// An answer, taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The body as JSON, null if it is empty.
    pub body: Value,
    headers: http::HeaderMap,
}

impl Answered {
    /// Takes an answer apart.
    ///
    /// # Panics
    /// If its body is no JSON.
    #[must_use]
    pub fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = match &*body {
            [] => Value::Null,
            text => serde_json::from_slice(text).expect("a JSON body"),
        };
        Self { status: parts.status.as_u16(), body, headers: parts.headers }
    }

    /// A header field, empty if it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Its status, with the last part of its problem type if it is a problem.
    #[must_use]
    pub fn brief(&self) -> String {
        let problem_type = self.body["type"].as_str().and_then(|uri| uri.rsplit(':').next());
        match problem_type {
            Some(problem_type) => format!("{} {problem_type}", self.status),
            None => self.status.to_string(),
        }
    }
}
