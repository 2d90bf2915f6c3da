//! Requests as the gateway hands them to the functions, and what their responses say.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;

use http::header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER};
use http::{HeaderValue, Method, StatusCode};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Context, Request, RequestExt, Response};
use rules::resource::path_of;
use rules::{
    Change, Method as WriteMethod, OperationId, Precondition, ProblemType, ReceiptKey, ReceiptKeys,
    ResourceId,
};
use serde::Deserialize;
use tests::thing::Thing;

use crate::clients::{Mode, PutRequest};
use crate::scheduler::SECOND;

/// What signs the receipts of every schedule.
pub static RECEIPTS: LazyLock<ReceiptKey> =
    LazyLock::new(|| ReceiptKey::new(&[7; 32]).expect("32 bytes are enough"));

/// The keys of the functions.
pub fn receipts() -> ReceiptKeys {
    ReceiptKeys { current: RECEIPTS.clone(), other: None }
}

/// What a client is told of a PUT or DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 201 or 200.
    Written { id: OperationId, created: bool },
    /// 204 to a DELETE.
    Deleted,
    /// 202, and the status says already that it was written.
    Succeeded { id: OperationId },
    /// 202
    Queued { id: OperationId },
    /// A problem.
    Refused(ProblemType),
}

impl Answer {
    /// The operation that it names.
    pub fn id(self) -> Option<OperationId> {
        match self {
            Self::Written { id, .. } | Self::Succeeded { id } | Self::Queued { id } => Some(id),
            Self::Deleted | Self::Refused(_) => None,
        }
    }

    /// The answer with another id.
    pub fn map_id(self, to: impl Fn(OperationId) -> OperationId) -> Self {
        match self {
            Self::Written { id, created } => Self::Written { id: to(id), created },
            Self::Succeeded { id } => Self::Succeeded { id: to(id) },
            Self::Queued { id } => Self::Queued { id: to(id) },
            Self::Deleted | Self::Refused(_) => self,
        }
    }

    /// Whether it says neither that the operation was accepted nor that it was refused.
    pub fn is_unknown(self) -> bool {
        self == Self::Refused(ProblemType::OutcomeUnknown)
    }
}

/// What a status URL shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    Pending,
    Stalled,
    /// With an entity tag or, of a DELETE, without.
    Succeeded(WriteMethod),
    Superseded,
    /// With the problem's type.
    Failed(Option<ProblemType>),
    Cancelled,
    Expired,
    Gone,
}

/// A PUT or DELETE that arrived at `gateway_ms` by the gateway's clock, if that tells the time, for the invocation that the
/// `context` is of.
pub fn put_request(
    put: &PutRequest,
    mode: Mode,
    gateway_ms: Option<u64>,
    context: Context,
) -> Request {
    let path = path_of::<Thing>(&put.resource);
    let (method, body) = match &put.change {
        Change::Put(body) => (Method::PUT, Body::Text(body.clone())),
        Change::Delete => (Method::DELETE, Body::Empty),
    };
    let is_put = method == Method::PUT;
    let mut request = Request::new(body);
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().expect("a path");
    let fields = request.headers_mut();
    if is_put {
        fields.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    }
    let mut set = |name: &'static str, value: String| {
        fields.insert(name, value.try_into().expect("ASCII"));
    };
    match &put.precondition {
        Precondition::None => {}
        Precondition::Exists => set("if-match", "*".to_owned()),
        Precondition::Absent => set("if-none-match", "*".to_owned()),
        Precondition::OneOf(tags) => {
            // A tag that is no operation id is nobody's.
            let nobody = tags.is_empty().then(|| "\"nobody\"".to_owned());
            let list: Vec<_> =
                nobody.into_iter().chain(tags.iter().map(|tag| tag.etag())).collect();
            set("if-match", list.join(", "));
        }
    }
    match mode {
        Mode::Inline => {}
        Mode::Deferred => set("prefer", "respond-async".to_owned()),
        Mode::Wait(time) => set("prefer", format!("respond-async, wait={}", time / SECOND)),
    }
    if let Some(key) = put.key {
        set("idempotency-key", format!("\"k{key}\""));
    }
    let mut gateway = ApiGatewayV2httpRequestContext::default();
    gateway.time_epoch = gateway_ms.unwrap_or_default() as i64;
    let parameters = HashMap::from([("id".to_owned(), vec![put.resource.to_string()])]);
    request
        .with_raw_http_path(path)
        .with_path_parameters(parameters)
        .with_request_context(RequestContext::ApiGatewayV2(gateway))
        .with_lambda_context(context)
}

/// A GET of a resource, or of the status of its operation with this receipt.
pub fn get_request(resource: &ResourceId, receipt: Option<&str>, context: Context) -> Request {
    let mut path = path_of::<Thing>(resource);
    let mut parameters = HashMap::from([("id".to_owned(), vec![resource.to_string()])]);
    if let Some(receipt) = receipt {
        let _ = write!(path, "/operations/{receipt}");
        parameters.insert("receipt".to_owned(), vec![receipt.to_owned()]);
    }
    Request::new(Body::Empty)
        .with_raw_http_path(path)
        .with_path_parameters(parameters)
        .with_lambda_context(context)
}

/// A DELETE of the status of an operation.
pub fn cancel_request(resource: &ResourceId, receipt: &str, context: Context) -> Request {
    let mut request = get_request(resource, Some(receipt), context);
    *request.method_mut() = Method::DELETE;
    request
}

/// Reads the answer to a DELETE of the status of an operation.
///
/// # Errors
/// What is wrong with its form.
pub fn read_cancelled(
    id: OperationId,
    resource: &ResourceId,
    response: &Response<Body>,
) -> Result<Result<(), ProblemType>, String> {
    if let Some(problem) = read_problem(response)? {
        let is_named = named_operation(resource, response) == Some(id);
        return match is_named == (problem == ProblemType::AlreadyDecided) {
            true => Ok(Err(problem)),
            false => Err(format!("operation in {}", text(response))),
        };
    }
    let document = Document::read(text(response))?;
    let is_final = field(response, RETRY_AFTER.as_str()).is_none() && document.etag.is_none();
    let is_it = document.id.parse() == Ok(id) && document.status == "cancelled";
    match is_it && is_final && response.status() == StatusCode::OK {
        true => Ok(Ok(())),
        false => Err(format!("{} with {}", response.status(), text(response))),
    }
}

/// The operation of a resource that a problem names by its status URL.
pub fn named_operation(resource: &ResourceId, response: &Response<Body>) -> Option<OperationId> {
    let document: ProblemDocument = serde_json::from_str(text(response)).ok()?;
    let location = document.operation?;
    let path = format!("{}/operations/", path_of::<Thing>(resource));
    RECEIPTS.verify(resource, location.strip_prefix(&path)?)
}

/// Reads the answer to a PUT or DELETE.
///
/// # Errors
/// What is wrong with its form.
pub fn read_answer(put: &PutRequest, response: &Response<Body>) -> Result<Answer, String> {
    let status = response.status();
    let body = text(response);
    if let Some(problem) = read_problem(response)? {
        return Ok(Answer::Refused(problem));
    }
    match status {
        StatusCode::OK | StatusCode::CREATED => {
            let Change::Put(sent) = &put.change else { return Err(format!("status {status}")) };
            let id =
                field(response, ETAG.as_str()).and_then(|tag| tag.trim_matches('"').parse().ok());
            let id = id.ok_or("no ETag")?;
            if body != sent {
                return Err(format!("another body: {body}"));
            }
            Ok(Answer::Written { id, created: status == StatusCode::CREATED })
        }
        StatusCode::NO_CONTENT if put.change == Change::Delete => {
            match body.is_empty() && field(response, ETAG.as_str()).is_none() {
                true => Ok(Answer::Deleted),
                false => Err(format!("an ETag or a body: {body}")),
            }
        }
        StatusCode::ACCEPTED => {
            let location = field(response, LOCATION.as_str()).ok_or("no Location")?;
            let path = path_of::<Thing>(&put.resource);
            let of_resource = location.strip_prefix(&format!("{path}/operations/"));
            let id = of_resource.and_then(|receipt| RECEIPTS.verify(&put.resource, receipt));
            let id = id.ok_or_else(|| format!("Location {location}"))?;
            let document = Document::read(body)?;
            if document.id.parse() != Ok(id) || document.location != location {
                return Err(format!("another operation: {body}"));
            }
            let is_pending = document.status == "pending";
            if field(response, RETRY_AFTER.as_str()).is_some() != is_pending {
                return Err(format!("Retry-After with {body}"));
            }
            match is_pending {
                true => Ok(Answer::Queued { id }),
                false if document.status == "succeeded" => Ok(Answer::Succeeded { id }),
                false => Err(format!("202 with {body}")),
            }
        }
        _ => Err(format!("status {status}")),
    }
}

/// The body and the operation of a resource that was read.
///
/// # Errors
/// What is wrong with the form of the response, or the problem that it is.
pub fn read_resource(response: &Response<Body>) -> Result<Option<(String, OperationId)>, String> {
    if let Some(problem) = read_problem(response)? {
        return match problem {
            ProblemType::NotFound => Ok(None),
            other => Err(other.slug().to_owned()),
        };
    }
    let tag = field(response, ETAG.as_str()).and_then(|tag| tag.trim_matches('"').parse().ok());
    Ok(Some((text(response).to_owned(), tag.ok_or("no ETag")?)))
}

/// What a status URL showed; `None` if it could not be read.
///
/// # Errors
/// What is wrong with the form of the response.
pub fn read_status(response: &Response<Body>) -> Result<Option<Shown>, String> {
    match read_problem(response)? {
        Some(ProblemType::OperationGone) => return Ok(Some(Shown::Gone)),
        Some(ProblemType::NotRead) => return Ok(None),
        Some(other) => return Err(other.slug().to_owned()),
        None => {}
    }
    let body = text(response);
    let document = Document::read(body)?;
    if document.completed_at.is_some_and(|completed_at| completed_at < document.accepted_at) {
        return Err(format!("completed before it was accepted: {body}"));
    }
    let problem = document.error.as_ref().and_then(|error| problem_type(&error.problem_type));
    let shown = match document.status {
        "pending" => Shown::Pending,
        "stalled" if problem == Some(ProblemType::NotApplied) => Shown::Stalled,
        "succeeded" => Shown::Succeeded(match document.etag {
            Some(_) => WriteMethod::Put,
            None => WriteMethod::Delete,
        }),
        "superseded" => Shown::Superseded,
        "failed" => Shown::Failed(problem),
        "cancelled" => Shown::Cancelled,
        "expired" => Shown::Expired,
        _ => return Err(body.to_owned()),
    };
    let may_change = matches!(shown, Shown::Pending | Shown::Stalled);
    if field(response, RETRY_AFTER.as_str()).is_some() != may_change {
        return Err(format!("Retry-After with {body}"));
    }
    let tag = document.etag.as_deref().map(|etag| etag.trim_matches('"'));
    if tag.is_some_and(|tag| tag != document.id || !matches!(shown, Shown::Succeeded(_))) {
        return Err(format!("etag in {body}"));
    }
    Ok(Some(shown))
}

/// The problem that a response is.
fn read_problem(response: &Response<Body>) -> Result<Option<ProblemType>, String> {
    let media_type = field(response, CONTENT_TYPE.as_str()).unwrap_or_default();
    if media_type != "application/problem+json" {
        return if response.status().is_success() {
            Ok(None)
        } else {
            Err("no problem".to_owned())
        };
    }
    let document = text(response);
    let read: ProblemDocument =
        serde_json::from_str(document).map_err(|error| error.to_string())?;
    let problem = problem_type(&read.problem_type).ok_or_else(|| format!("problem {document}"))?;
    let status = response.status();
    if problem.status() != status || read.status != status.as_u16() {
        return Err(format!("{status} with {document}"));
    }
    let is_to_repeat = status == StatusCode::SERVICE_UNAVAILABLE;
    if field(response, RETRY_AFTER.as_str()).is_some() != is_to_repeat {
        return Err(format!("Retry-After with {document}"));
    }
    Ok(Some(problem))
}

/// A status document, as far as it is checked.
#[derive(Deserialize)]
struct Document<'a> {
    id: &'a str,
    #[serde(rename = "self")]
    location: &'a str,
    status: &'a str,
    #[serde(rename = "acceptedAt")]
    accepted_at: &'a str,
    #[serde(rename = "completedAt")]
    completed_at: Option<&'a str>,
    #[serde(borrow)]
    etag: Option<Cow<'a, str>>,
    #[serde(borrow)]
    error: Option<ProblemDocument<'a>>,
}

impl<'a> Document<'a> {
    fn read(text: &'a str) -> Result<Self, String> {
        serde_json::from_str(text).map_err(|error| format!("{error} in {text}"))
    }
}

/// A problem document, as far as it is checked.
#[derive(Deserialize)]
struct ProblemDocument<'a> {
    #[serde(rename = "type")]
    problem_type: Cow<'a, str>,
    status: u16,
    #[serde(borrow, rename = "self")]
    operation: Option<Cow<'a, str>>,
}

pub fn problem_type(uri: &str) -> Option<ProblemType> {
    let slug = uri.rsplit(':').next()?;
    ProblemType::ALL.into_iter().find(|problem| problem.slug() == slug)
}

fn field<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn text(response: &Response<Body>) -> &str {
    match response.body() {
        Body::Text(text) => text,
        _ => "",
    }
}
