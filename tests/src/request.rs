//! Requests as an HTTP API passes them to a function, and the answers to them.

use std::collections::HashMap;
use std::time::Duration;

use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_runtime::Context;
use serde_json::Value;

/// A request to `path`, which is `/things/{id}` or a status URL.
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
    /// A PUT of this JSON body that arrived at this time, in ms since the Unix epoch.
    pub fn put(id: &str, body: &str, arrived_ms: u64) -> Self {
        let sent = Self::get(&format!("/things/{id}"));
        let sent = Self { method: "PUT", body: body.to_owned(), arrived_ms, ..sent };
        sent.with("content-type", "application/json")
    }

    /// A DELETE of this path that arrived at this time, in ms since the Unix epoch.
    pub fn delete(path: &str, arrived_ms: u64) -> Self {
        Self { method: "DELETE", arrived_ms, ..Self::get(path) }
    }

    /// A GET of this path.
    pub fn get(path: &str) -> Self {
        let (path, headers, body) = (path.to_owned(), Vec::new(), String::new());
        Self { method: "GET", path, headers, body, arrived_ms: 1, deadline: None }
    }

    /// Adds a header field.
    pub fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// Gives it this body.
    pub fn of_body(self, body: &str) -> Self {
        Self { body: body.to_owned(), ..self }
    }

    /// Gives the invocation this deadline, since the Unix epoch.
    pub fn until(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// The request.
    pub fn request(&self) -> Request {
        let mut segments = self.path.trim_start_matches('/').split('/').skip(1).step_by(2);
        let parameters = ["id", "receipt"].into_iter().zip(&mut segments);
        let parameters: HashMap<_, _> =
            parameters.map(|(name, value)| (name.to_owned(), vec![value.to_owned()])).collect();
        let body = match &*self.body {
            "" => Body::Empty,
            text => Body::Text(text.to_owned()),
        };
        let mut gateway = ApiGatewayV2httpRequestContext::default();
        gateway.time_epoch = self.arrived_ms as i64;
        let mut context = Context::default();
        context.request_id = "r-1".to_owned();
        context.deadline = self.deadline.unwrap_or_default().as_millis() as u64;
        let request = http::Request::builder().method(self.method).uri(&self.path);
        let mut request = request.body(body).expect("a request");
        for (name, value) in &self.headers {
            request.headers_mut().insert(*name, value.parse().expect("a field value"));
        }
        request
            .with_raw_http_path(&self.path)
            .with_path_parameters(parameters)
            .with_request_context(RequestContext::ApiGatewayV2(gateway))
            .with_lambda_context(context)
    }
}

/// An answer in parts.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    /// The status code.
    pub status: u16,
    /// The body as JSON, null if it is empty.
    pub body: Value,
    /// The body as it was sent.
    pub text: String,
    headers: http::HeaderMap,
}

impl Answered {
    /// Takes an answer apart.
    pub fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.to_vec()).expect("text");
        let body = match &*text {
            "" => Value::Null,
            text => serde_json::from_str(text).expect("a JSON body"),
        };
        Self { status: parts.status.as_u16(), body, text, headers: parts.headers }
    }

    /// A header field, empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Its status code; for a problem also the last part of its type.
    pub fn brief(&self) -> String {
        let problem_type = self.body["type"].as_str().and_then(|uri| uri.rsplit(':').next());
        match problem_type {
            Some(problem_type) => format!("{} {problem_type}", self.status),
            None => self.status.to_string(),
        }
    }
}
