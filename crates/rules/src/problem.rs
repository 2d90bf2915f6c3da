//! The only error type that reaches a client: a problem (RFC 9457).

use std::borrow::Cow;

use http::StatusCode;
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize};

use crate::OperationId;

/// The prefix of the `type` of every problem document. It is a tag URI (RFC 4151), since a type is
/// a name and not the address of a page. Replace the reserved domain with one of your own, and the
/// year with a date on which you owned it.
const TYPES: &str = "tag:async-put.example,2026:";

/// The problem types, one variant for each `type` of a problem document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProblemType {
    /// The `{id}` in the path is not a valid resource id.
    InvalidId,
    /// The request cannot be parsed.
    MalformedRequest,
    /// A header field that changes the meaning of the request is malformed.
    MalformedHeader,
    /// `Content-Range` on a PUT (RFC 9110 section 14.5): a partial PUT.
    PartialPut,
    /// The body is not JSON (RFC 8259).
    MalformedJson,
    /// The caller may not read or write this resource.
    Forbidden,
    /// The resource does not exist.
    NotFound,
    /// The resource does not support this method.
    MethodNotAllowed,
    /// The receipt was never issued for this resource.
    OperationNotFound,
    /// The operation is so old that its outcome is no longer kept.
    OperationGone,
    /// `If-Match` or `If-None-Match` is false.
    PreconditionFailed,
    /// A newer operation was stored first.
    Superseded,
    /// The `update` of the resource refused the operation permanently.
    Refused,
    /// A client cancelled the operation.
    Cancelled,
    /// The operation to cancel already has another outcome.
    AlreadyDecided,
    /// The body is larger than [`crate::body::MAX_BYTES`].
    BodyTooLarge,
    /// `Content-Type` is not JSON.
    UnsupportedMediaType,
    /// The body has a content coding.
    UnsupportedContentCoding,
    /// The body is JSON, but not a valid resource.
    InvalidBody,
    /// An object in the body has two members of the same name.
    DuplicateMember,
    /// The body is nested deeper than [`crate::body::MAX_DEPTH`].
    TooDeep,
    /// The body contains a character that SQS refuses.
    ForbiddenCharacter,
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// The gateway's clock and the host's differ too much to order an operation.
    ClockSkew,
    /// Nothing was written or queued; the same request may be sent again.
    NotWritten,
    /// It is not known whether the write took place.
    OutcomeUnknown,
    /// The state could not be read.
    NotRead,
    /// A deferred operation could not be carried out so far.
    NotApplied,
}

impl ProblemType {
    /// Every problem type.
    pub const ALL: [Self; 28] = [
        Self::InvalidId,
        Self::MalformedRequest,
        Self::MalformedHeader,
        Self::PartialPut,
        Self::MalformedJson,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::OperationNotFound,
        Self::OperationGone,
        Self::PreconditionFailed,
        Self::Superseded,
        Self::Refused,
        Self::Cancelled,
        Self::AlreadyDecided,
        Self::BodyTooLarge,
        Self::UnsupportedMediaType,
        Self::UnsupportedContentCoding,
        Self::InvalidBody,
        Self::DuplicateMember,
        Self::TooDeep,
        Self::ForbiddenCharacter,
        Self::IdempotencyKeyReused,
        Self::ClockSkew,
        Self::NotWritten,
        Self::OutcomeUnknown,
        Self::NotRead,
        Self::NotApplied,
    ];

    const fn about(self) -> (&'static str, StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::InvalidId => ("invalid-id", S::BAD_REQUEST, "The resource id is not valid"),
            Self::MalformedRequest => {
                ("malformed-request", S::BAD_REQUEST, "The request is malformed")
            }
            Self::MalformedHeader => {
                ("malformed-header", S::BAD_REQUEST, "A header field is malformed")
            }
            Self::PartialPut => {
                ("partial-put", S::BAD_REQUEST, "A PUT replaces the whole resource")
            }
            Self::MalformedJson => ("malformed-json", S::BAD_REQUEST, "The body is not valid JSON"),
            Self::Forbidden => ("forbidden", S::FORBIDDEN, "The caller may not do this"),
            Self::NotFound => ("not-found", S::NOT_FOUND, "There is no such resource"),
            Self::OperationNotFound => {
                ("operation-not-found", S::NOT_FOUND, "There is no such operation")
            }
            Self::MethodNotAllowed => (
                "method-not-allowed",
                S::METHOD_NOT_ALLOWED,
                "The resource does not support this method",
            ),
            Self::OperationGone => ("operation-gone", S::GONE, "The operation is no longer known"),
            Self::PreconditionFailed => {
                ("precondition-failed", S::PRECONDITION_FAILED, "The precondition is false")
            }
            Self::Superseded => ("superseded", S::CONFLICT, "A newer operation won"),
            Self::Refused => ("refused", S::CONFLICT, "The request was refused"),
            Self::Cancelled => ("cancelled", S::CONFLICT, "The operation was cancelled"),
            Self::AlreadyDecided => {
                ("already-decided", S::CONFLICT, "The operation is already decided")
            }
            Self::BodyTooLarge => ("body-too-large", S::PAYLOAD_TOO_LARGE, "The body is too large"),
            Self::UnsupportedMediaType => (
                "unsupported-media-type",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body must be application/json",
            ),
            Self::UnsupportedContentCoding => (
                "unsupported-content-coding",
                S::UNSUPPORTED_MEDIA_TYPE,
                "The body must not be encoded",
            ),
            Self::InvalidBody => {
                ("invalid-body", S::UNPROCESSABLE_ENTITY, "The resource is not valid")
            }
            Self::DuplicateMember => (
                "duplicate-member",
                S::UNPROCESSABLE_ENTITY,
                "A member name occurs twice in an object",
            ),
            Self::TooDeep => ("too-deep", S::UNPROCESSABLE_ENTITY, "The body is nested too deeply"),
            Self::ForbiddenCharacter => (
                "forbidden-character",
                S::UNPROCESSABLE_ENTITY,
                "The body contains a forbidden character",
            ),
            Self::IdempotencyKeyReused => (
                "idempotency-key-reused",
                S::UNPROCESSABLE_ENTITY,
                "The idempotency key was used for another request",
            ),
            Self::ClockSkew => {
                ("clock-skew", S::SERVICE_UNAVAILABLE, "The clocks cannot be trusted")
            }
            Self::NotWritten => ("not-written", S::SERVICE_UNAVAILABLE, "Nothing was written"),
            Self::OutcomeUnknown => {
                ("outcome-unknown", S::SERVICE_UNAVAILABLE, "The outcome of the write is not known")
            }
            Self::NotRead => ("not-read", S::SERVICE_UNAVAILABLE, "The state could not be read"),
            Self::NotApplied => {
                ("not-applied", S::SERVICE_UNAVAILABLE, "The operation could not be carried out")
            }
        }
    }

    /// The last part of the type's URI.
    #[must_use]
    pub const fn slug(self) -> &'static str {
        self.about().0
    }

    /// The `status` of the problem document and of the response it comes in.
    #[must_use]
    pub const fn status(self) -> StatusCode {
        self.about().1
    }

    /// The `title` of the problem document.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.about().2
    }

    /// Seconds to wait before sending the same request again (RFC 9110 section 10.2.3), if that may
    /// help.
    #[must_use]
    pub fn retry_after_seconds(self) -> Option<u32> {
        (self.status() == StatusCode::SERVICE_UNAVAILABLE).then_some(1)
    }

    /// The `type` of the problem document (RFC 9457 section 3.1.1).
    #[must_use]
    pub fn uri(self) -> String {
        format!("{TYPES}{}", self.slug())
    }
}

/// A problem: its type, the reason, and the next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    problem_type: ProblemType,
    detail: String,
    field: Option<Cow<'static, str>>,
    position: Option<Box<(usize, usize)>>,
    etag: Option<Box<str>>,
    operation: Option<Box<str>>,
    request_id: Option<Box<str>>,
}

impl Problem {
    /// A problem of this type. `detail` gives the reason and the next step.
    #[must_use]
    pub fn new(problem_type: ProblemType, detail: impl Into<String>) -> Self {
        let (field, position, etag, operation, request_id) = (None, None, None, None, None);
        Self { problem_type, detail: detail.into(), field, position, etag, operation, request_id }
    }

    /// Reads the type, detail, field and entity tag of a recorded problem document; `None` if its
    /// type is unknown. It ignores the prefix of the type, which may have changed since.
    #[must_use]
    pub fn read(document: &str) -> Option<Self> {
        #[derive(Deserialize)]
        struct Document {
            r#type: String,
            detail: String,
            field: Option<String>,
            etag: Option<Box<str>>,
        }
        let Document { r#type, detail, field, etag } = serde_json::from_str(document).ok()?;
        let slug = r#type.rsplit(':').next()?;
        let of_type = ProblemType::ALL.into_iter().find(|known| known.slug() == slug)?;
        Some(Self { field: field.map(Cow::Owned), etag, ..Self::new(of_type, detail) })
    }

    /// Names the part of the request that was refused, such as `path.id`.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Adds the version of the resource.
    #[must_use]
    pub fn etag(mut self, id: OperationId) -> Self {
        self.etag = Some(id.etag().into());
        self
    }

    /// Adds the path of the operation's status document.
    #[must_use]
    pub fn operation(mut self, location: String) -> Self {
        self.operation = Some(location.into());
        self
    }

    /// Adds the gateway's id of the request.
    #[must_use]
    pub fn request_id(mut self, request_id: Option<String>) -> Self {
        self.request_id = request_id.map(Into::into);
        self
    }

    /// Adds the place in the body: line and column, both from 1; the column counts bytes.
    #[must_use]
    pub fn at(mut self, line: usize, column: usize) -> Self {
        self.position = Some(Box::new((line, column)));
        self
    }

    /// The problem itself if it is a client error (4xx); otherwise 409
    /// [`Refused`](ProblemType::Refused) with its detail and field.
    #[must_use]
    pub fn final_or_refused(mut self) -> Self {
        if !self.problem_type.status().is_client_error() {
            self.problem_type = ProblemType::Refused;
        }
        self
    }

    /// Adds a sentence to the detail.
    #[must_use]
    pub fn and(mut self, sentence: &str) -> Self {
        self.detail = format!("{} {sentence}", self.detail);
        self
    }

    /// The problem document.
    #[must_use]
    pub fn to_json(&self) -> String {
        // A map of strings and numbers always serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The problem's type.
    #[must_use]
    pub fn problem_type(&self) -> ProblemType {
        self.problem_type
    }

    /// The reason and the next step.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.detail
    }
}

impl Serialize for Problem {
    /// The problem document (RFC 9457 section 3), with the extension members
    /// `field`, `line`, `column`, `etag`, `self` and `requestId`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", &self.problem_type.uri())?;
        map.serialize_entry("title", self.problem_type.title())?;
        map.serialize_entry("status", &self.problem_type.status().as_u16())?;
        map.serialize_entry("detail", &self.detail)?;
        if let Some(field) = &self.field {
            map.serialize_entry("field", field)?;
        }
        if let Some((line, column)) = self.position.as_deref() {
            map.serialize_entry("line", line)?;
            map.serialize_entry("column", column)?;
        }
        for (name, value) in
            [("etag", &self.etag), ("self", &self.operation), ("requestId", &self.request_id)]
        {
            if let Some(value) = value {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_type_is_listed_once_and_named_once() {
        let slugs: HashSet<_> = ProblemType::ALL.iter().map(|kind| kind.slug()).collect();
        let kinds: HashSet<_> = ProblemType::ALL.iter().collect();
        let last = ProblemType::NotApplied;
        assert_eq!((last as usize + 1, ProblemType::ALL.last()), (kinds.len(), Some(&last)));
        assert_eq!((slugs.len(), kinds.len()), (ProblemType::ALL.len(), ProblemType::ALL.len()));
    }

    #[test]
    fn only_what_a_503_answers_is_worth_sending_again() {
        for problem_type in ProblemType::ALL {
            let is_temporary = problem_type.status().is_server_error();
            let expected = is_temporary.then_some(1);
            assert_eq!(problem_type.retry_after_seconds(), expected, "{problem_type:?}");
        }
    }

    #[test]
    fn a_sentence_is_added_behind_the_detail() {
        let problem = Problem::new(ProblemType::Refused, "Why.").and("And then?");
        assert_eq!(problem.detail(), "Why. And then?");
    }

    #[test]
    fn a_document_is_read_back() {
        let id = OperationId::new(crate::Tick::from_unix_ms(1), 1);
        let problem = Problem::new(ProblemType::PreconditionFailed, "Why.");
        let problem = problem.field("If-Match").etag(id);
        let document = serde_json::to_string(&problem).unwrap();
        assert_eq!(Problem::read(&document), Some(problem.clone()));
        let of_another_name = document.replace(TYPES, "urn:problem-type:async-put:");
        assert_eq!(Problem::read(&of_another_name), Some(problem));
        assert_eq!(Problem::read("{}"), None);
    }

    #[test]
    fn the_document_is_rfc_9457() {
        let problem =
            Problem::new(ProblemType::MalformedJson, "The body ends early.").field("body").at(2, 7);
        let problem = problem.operation("/o".to_owned()).request_id(Some("r".to_owned()));
        assert_eq!(
            serde_json::to_string(&problem).unwrap(),
            concat!(
                r#"{"type":"tag:async-put.example,2026:malformed-json","title":"The body is not valid JSON","#,
                r#""status":400,"detail":"The body ends early.","field":"body","line":2,"column":7,"self":"/o","requestId":"r"}"#
            )
        );
    }
}
