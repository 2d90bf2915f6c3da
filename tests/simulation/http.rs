//! Requests as the gateway hands them to the functions, and the meaning of their responses.

use std::sync::LazyLock;
use std::time::Duration;

use lambda_http::{Body, Request, Response};
use rules::resource::path_of;
use rules::{
    Change, Method, OperationId, Precondition, ProblemType, ReceiptKey, ReceiptKeys, ResourceId,
};
use tests::request::{Answered, Sent};
use tests::thing::Thing;

use crate::clients::{Mode, PutRequest};
use crate::history::Kind;
use crate::scheduler::SECOND;

/// The key that signs the receipts of every schedule.
static RECEIPTS: LazyLock<ReceiptKey> =
    LazyLock::new(|| ReceiptKey::new(&[7; 32]).expect("32 bytes are enough"));

/// The keys of the functions.
pub fn receipts() -> ReceiptKeys {
    ReceiptKeys { current: RECEIPTS.clone(), other: None }
}

/// The answer that a client gets to a PUT or DELETE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// 201 or 200.
    Written { id: OperationId, created: bool },
    /// 204 to a DELETE.
    Deleted,
    /// 202 with a status that already says that it was written.
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
    Decided(Kind),
    Expired,
    Gone,
}

/// A PUT or DELETE that arrived at `gateway_ms` by the gateway's clock, if the gateway gives the
/// time.
pub fn put_request(
    put: &PutRequest,
    mode: Mode,
    gateway_ms: Option<u64>,
    deadline: Duration,
) -> Request {
    let arrived_ms = gateway_ms.unwrap_or_default();
    let sent = match &put.change {
        Change::Put(body) => Sent::put(put.resource.as_str(), body, arrived_ms),
        Change::Delete => Sent::delete(&path_of::<Thing>(&put.resource), arrived_ms),
    };
    let sent = match &put.precondition {
        Precondition::None => sent,
        Precondition::Exists => sent.with("if-match", "*"),
        Precondition::Absent => sent.with("if-none-match", "*"),
        // A tag that is not an operation id matches nothing.
        Precondition::OneOf(tags) if tags.is_empty() => sent.with("if-match", "\"none\""),
        Precondition::OneOf(tags) => {
            let tags: Vec<_> = tags.iter().map(|tag| tag.etag()).collect();
            sent.with("if-match", &tags.join(", "))
        }
    };
    let sent = match mode {
        Mode::Inline => sent,
        Mode::Deferred => sent.with("prefer", "respond-async"),
        Mode::Wait(time) => sent.with("prefer", &format!("respond-async, wait={}", time / SECOND)),
    };
    let sent = match put.key {
        Some(key) => sent.with("idempotency-key", &format!("\"k{key}\"")),
        None => sent,
    };
    sent.until(deadline).request()
}

/// The path of a resource, or of the status of its operation.
pub fn path(resource: &ResourceId, id: Option<OperationId>) -> String {
    let path = path_of::<Thing>(resource);
    match id {
        Some(id) => format!("{path}/operations/{}", RECEIPTS.sign(resource, id)),
        None => path,
    }
}

/// A response, with its problem if it is one.
type Read = (Answered, Option<ProblemType>);

/// Reads any response.
///
/// # Errors
/// What is wrong with its form.
fn read(response: Response<Body>) -> Result<Read, String> {
    let answered = Answered::of(response);
    let problem = answered.body["type"].as_str().and_then(problem_type);
    let is_problem = answered.header("content-type") == "application/problem+json";
    let has_its_status = problem.is_none_or(|problem| problem.status() == answered.status);
    let state = answered.body["status"].as_str().unwrap_or_default();
    let may_change = answered.status == 503 || ["pending", "stalled"].contains(&state);
    let is_well_formed = is_problem == (answered.status >= 400)
        && problem.is_some() == is_problem
        && has_its_status
        && answered.header("retry-after").is_empty() != may_change;
    if is_well_formed { Ok((answered, problem)) } else { Err(format!("{answered:?}")) }
}

/// The operation of a resource that a status URL in an answer names.
fn named(resource: &ResourceId, url: &str) -> Option<OperationId> {
    let path = format!("{}/operations/", path_of::<Thing>(resource));
    RECEIPTS.verify(resource, url.strip_prefix(&path)?)
}

/// The operation that a problem names.
fn named_by_problem(resource: &ResourceId, answered: &Answered) -> Option<OperationId> {
    named(resource, answered.body["self"].as_str()?)
}

/// Reads the answer to a PUT or DELETE, with the operation that a problem names.
///
/// # Errors
/// What is wrong with its form.
pub fn read_answer(
    put: &PutRequest,
    response: Response<Body>,
) -> Result<(Answer, Option<OperationId>), String> {
    let (answered, problem) = read(response)?;
    if let Some(problem) = problem {
        return Ok((Answer::Refused(problem), named_by_problem(&put.resource, &answered)));
    }
    let state = answered.body["status"].as_str().unwrap_or_default();
    let located = named(&put.resource, answered.header("location"));
    let answer = match (answered.status, &put.change) {
        (status @ (200 | 201), Change::Put(sent)) if answered.text == *sent => {
            tag(&answered).map(|id| Answer::Written { id, created: status == 201 })
        }
        (204, Change::Delete) if answered.text.is_empty() && tag(&answered).is_none() => {
            Some(Answer::Deleted)
        }
        (202, _) => {
            located.filter(|id| answered.body["id"] == id.to_string()).and_then(|id| match state {
                "pending" => Some(Answer::Queued { id }),
                "succeeded" => Some(Answer::Succeeded { id }),
                _ => None,
            })
        }
        _ => None,
    };
    Ok((answer.ok_or_else(|| format!("{answered:?}"))?, None))
}

/// Reads the answer to a DELETE of the status of an operation.
///
/// # Errors
/// What is wrong with its form.
pub fn read_cancelled(
    resource: &ResourceId,
    id: OperationId,
    response: Response<Body>,
) -> Result<Result<(), ProblemType>, String> {
    let (answered, problem) = read(response)?;
    let is_named = named_by_problem(resource, &answered) == Some(id);
    let body = &answered.body;
    match problem {
        Some(problem) if is_named == (problem == ProblemType::AlreadyDecided) => Ok(Err(problem)),
        None if body["id"] == id.to_string() && body["status"] == "cancelled" => Ok(Ok(())),
        _ => Err(format!("{answered:?}")),
    }
}

/// The body and the operation of a resource that was read.
///
/// # Errors
/// What is wrong with the form of the response.
pub fn read_resource(
    response: Response<Body>,
) -> Result<Result<Option<(String, OperationId)>, ProblemType>, String> {
    let (answered, problem) = read(response)?;
    match (problem, tag(&answered)) {
        (Some(ProblemType::NotFound), _) => Ok(Ok(None)),
        (Some(problem), _) => Ok(Err(problem)),
        (None, Some(tag)) => Ok(Ok(Some((answered.text, tag)))),
        (None, None) => Err(format!("{answered:?}")),
    }
}

/// What a status URL showed; `None` if it could not be read.
///
/// # Errors
/// What is wrong with the form of the response.
pub fn read_status(response: Response<Body>) -> Result<Option<Shown>, String> {
    let (answered, problem) = read(response)?;
    let document = &answered.body;
    let error = document["error"]["type"].as_str().and_then(problem_type);
    let shown = match (problem, document["status"].as_str().unwrap_or_default()) {
        (Some(ProblemType::OperationGone), _) => Shown::Gone,
        (Some(ProblemType::NotRead), _) => return Ok(None),
        (None, "pending") => Shown::Pending,
        (None, "stalled") if error == Some(ProblemType::NotApplied) => Shown::Stalled,
        (None, "succeeded") => Shown::Decided(Kind::Succeeded(match document["etag"].as_str() {
            Some(_) => Method::Put,
            None => Method::Delete,
        })),
        (None, "superseded") => Shown::Decided(Kind::Superseded),
        (None, "failed") => Shown::Decided(Kind::Failed(error)),
        (None, "cancelled") => Shown::Decided(Kind::Cancelled),
        (None, "expired") => Shown::Expired,
        _ => return Err(format!("{answered:?}")),
    };
    Ok(Some(shown))
}

/// The operation that an entity tag names.
fn tag(answered: &Answered) -> Option<OperationId> {
    answered.header("etag").trim_matches('"').parse().ok()
}

fn problem_type(uri: &str) -> Option<ProblemType> {
    let slug = uri.rsplit(':').next()?;
    ProblemType::ALL.into_iter().find(|problem| problem.slug() == slug)
}
