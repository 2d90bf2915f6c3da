//! Responses. Only this module turns a problem into HTTP.

use std::time::Duration;

use http::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderName, HeaderValue, StatusCode};
use lambda_http::{Body, Response};
use rules::reply::status::{State, StatusDocument};
use rules::{OperationId, Problem, ProblemType, body};

/// A response without a body.
#[must_use]
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// A JSON response with this text as its body.
#[must_use]
pub fn json(status: StatusCode, body: String) -> Response<Body> {
    typed(status, body::MEDIA_TYPE, body)
}

/// The problem document of `problem` (RFC 9457), with the header fields for its type.
#[must_use]
pub fn problem(problem: &Problem) -> Response<Body> {
    let problem_type = problem.problem_type();
    let body = problem.to_json();
    let mut response = typed(problem_type.status(), "application/problem+json", body);
    set(&mut response, CACHE_CONTROL, "no-store");
    if let Some(seconds) = problem_type.retry_after_seconds() {
        set(&mut response, RETRY_AFTER, &seconds.to_string());
    }
    // The accepted value (RFC 9110 section 15.5.16).
    match problem_type {
        ProblemType::UnsupportedMediaType => set(&mut response, ACCEPT, body::MEDIA_TYPE),
        ProblemType::UnsupportedContentCoding => set(&mut response, ACCEPT_ENCODING, "identity"),
        _ => {}
    }
    response
}

/// A response with the status document of an operation. `location` is the document's URL path;
/// `resource` is the URL path of the operation's resource. `Retry-After` says when to ask again.
///
/// # Errors
/// [`ProblemType::OperationGone`]
pub fn status(
    code: StatusCode,
    id: OperationId,
    (location, resource): (&str, &str),
    state: &State,
    now: Duration,
) -> Result<Response<Body>, Problem> {
    let document = StatusDocument::new(id, (location, resource), state).ok_or_else(|| {
        let detail =
            "The operation is so old that its outcome is no longer kept; read the resource.";
        Problem::new(ProblemType::OperationGone, detail)
    })?;
    let mut response = json(code, serde_json::to_string(&document).unwrap_or_default());
    if let Some(seconds) = state.retry_after_seconds(id, now) {
        set(&mut response, RETRY_AFTER, &seconds.to_string());
    }
    Ok(response)
}

/// The answer to a HEAD: the answer to a GET, without its body.
#[must_use]
pub fn without_body(mut response: Response<Body>) -> Response<Body> {
    *response.body_mut() = Body::Empty;
    response
}

/// Sets a header field. The value must be visible ASCII.
pub fn set(response: &mut Response<Body>, name: HeaderName, value: &str) {
    #[expect(clippy::expect_used, reason = "callers pass numbers, ids, paths and constants")]
    let value = HeaderValue::from_str(value).expect("a header value is visible ASCII");
    response.headers_mut().insert(name, value);
}

fn typed(status: StatusCode, media_type: &'static str, body: String) -> Response<Body> {
    let mut response = Response::new(Body::Text(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
