//! The check of a PUT or DELETE, before anything is sent. It is the same in every mode.

use std::borrow::Cow;
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE};

use crate::request::conditional::conditions;
use crate::request::key::IdempotencyKey;
use crate::request::prefer::Preferences;
use crate::{Method, Precondition, Problem, ProblemType, Resource, ResourceId, body as json};

/// An accepted PUT or DELETE, apart from its body.
#[derive(Debug)]
pub struct Accepted {
    /// The resource to replace or delete.
    pub resource: ResourceId,
    /// The preferences of the client.
    pub preferences: Preferences,
    /// The precondition on the stored resource.
    pub precondition: Precondition,
    /// The idempotency key: the same request with the same key is the same operation.
    pub key: Option<IdempotencyKey>,
}

/// Longest attempt of a request with `wait` before it is queued. Together with the calls that queue
/// it, it must fit into the timeouts of `put` (29 s) and of the gateway (30 s).
pub const MAX_WAIT: Duration = Duration::from_secs(15);

/// Whether the write is awaited or queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The write is awaited.
    Inline,
    /// The write is queued.
    Deferred,
    /// The write is awaited for this long, then queued.
    Waiting(Duration),
}

impl Accepted {
    /// The mode of the request; `default` applies without a preference.
    #[must_use]
    pub fn mode(&self, default: Mode) -> Mode {
        let mode = if self.preferences.respond_async { Mode::Deferred } else { default };
        match (mode, self.preferences.wait) {
            (Mode::Deferred, Some(seconds)) if seconds > 0 => {
                Mode::Waiting(Duration::from_secs(seconds.into()).min(MAX_WAIT))
            }
            _ => mode,
        }
    }
}

/// Checks a PUT or DELETE of a resource with these path parameters.
///
/// # Errors The first of: 400 for the id or a header field, a problem with the body (a DELETE must
/// not have one), and 412 for a precondition that no version can ever meet.
pub fn accept<'a, R: Resource>(
    method: Method,
    parameter: impl Fn(&str) -> Cow<'a, str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Accepted, Problem> {
    let id = ResourceId::of_request::<R>(parameter)?;
    if method == Method::Put && headers.contains_key(CONTENT_RANGE) {
        let detail = "Content-Range was refused: a PUT replaces the whole resource; send all of it, without Content-Range.";
        return Err(Problem::new(ProblemType::PartialPut, detail).field("Content-Range"));
    }
    let conditions = conditions(method, headers)?;
    let key = IdempotencyKey::parse(headers)?;
    match method {
        Method::Put => check_body::<R>(headers, body)?,
        Method::Delete => without_body(body)?,
    }
    let precondition = conditions.satisfiable()?;
    let fields = headers.get_all("prefer").iter().filter_map(|value| value.to_str().ok());
    Ok(Accepted { resource: id, preferences: Preferences::parse(fields), precondition, key })
}

/// Checks that a DELETE has no body.
///
/// # Errors
/// [`ProblemType::MalformedRequest`]
pub fn without_body(body: &[u8]) -> Result<(), Problem> {
    if body.is_empty() {
        return Ok(());
    }
    let detail =
        "The body was refused: a DELETE must not have one; send the request without a body.";
    Err(Problem::new(ProblemType::MalformedRequest, detail).field("body"))
}

/// Checks the body of a PUT: 415, and the problems of [`body::check`](json::check) and
/// [`Resource::check`].
fn check_body<R: Resource>(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    if !is_unencoded(headers) {
        let detail =
            "Content-Encoding was refused: the body is stored as it is sent; send it unencoded.";
        return Err(
            Problem::new(ProblemType::UnsupportedContentCoding, detail).field("Content-Encoding")
        );
    }
    check_content_type(headers)?;
    check_length(headers, body)?;
    R::check(json::check(body)?)
}

/// Whether the body has no content coding. `identity` is not a coding (RFC 9110 section 12.5.3),
/// and empty elements of a list do not count (section 5.6.1).
fn is_unencoded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(CONTENT_ENCODING).iter();
    let mut codings = codings.flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    codings.all(|coding| matches!(&coding.trim_ascii().to_ascii_lowercase()[..], b"" | b"identity"))
}

/// A gateway passes a body on as text, with U+FFFD in place of bytes that are not UTF-8. The length
/// then differs from the client's `Content-Length`, unless each U+FFFD replaced three bytes.
fn check_length(headers: &HeaderMap, body: &[u8]) -> Result<(), Problem> {
    let Some(field) = headers.get(CONTENT_LENGTH) else { return Ok(()) };
    let digits = field.to_str().ok().map(str::trim);
    let digits = digits.filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let length = digits.and_then(|text| text.parse::<usize>().ok());
    let Some(length) = length else {
        let detail = "Content-Length was refused: it is not a number; send the body's length in bytes, or leave the field out.";
        return Err(Problem::new(ProblemType::MalformedHeader, detail).field("Content-Length"));
    };
    if length == body.len() {
        return Ok(());
    }
    let detail = format!(
        "The body was refused: Content-Length says {length} bytes but {} arrived, so the body is not UTF-8 or not complete; send all of it, in UTF-8.",
        body.len()
    );
    Err(Problem::new(ProblemType::MalformedJson, detail).field("body"))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |found: &str| {
        let detail =
            format!("Content-Type was refused: {found}; send Content-Type: {}.", json::MEDIA_TYPE);
        Problem::new(ProblemType::UnsupportedMediaType, detail).field("Content-Type")
    };
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Err(refused("it is missing"));
    };
    let text = value.to_str().map_err(|_| refused("it is not ASCII"))?;
    let mut parts = text.split(';').map(str::trim);
    if !parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(json::MEDIA_TYPE)) {
        return Err(refused(&format!("it is {text:?}")));
    }
    for parameter in parts {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = value.trim_matches('"').to_ascii_lowercase();
        let is_utf_8 = matches!(charset.as_str(), "utf-8" | "utf8" | "us-ascii");
        // It has no meaning (RFC 8259 section 11), but another charset says that this is not JSON.
        if name.eq_ignore_ascii_case("charset") && !is_utf_8 {
            return Err(refused(&format!("its charset is {value:?}, but JSON is UTF-8")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Example;
    use ProblemType::*;

    struct Thing;

    impl Resource for Thing {
        const PATH: &'static str = "/things/{id}";
        const OWNER: &'static str = "id";
        const EXAMPLE: Example = Example { parameters: &["42"], body: SAMPLE };

        fn check(body: &str) -> Result<(), Problem> {
            let is_known = body.contains("\"name\"");
            if is_known { Ok(()) } else { Err(Problem::new(InvalidBody, "No name.")) }
        }
    }

    const SAMPLE: &str = r#"{"name":"VALUE"}"#;

    fn accept_with(id: &str, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, Problem> {
        accept::<Thing>(Method::Put, |_| id.into(), headers, body)
    }

    fn refusal(id: &str, fields: &[(&'static str, &str)], body: &[u8]) -> Option<ProblemType> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        accept_with(id, &headers, body).err().map(|problem| problem.problem_type())
    }

    #[test]
    fn refusals_come_in_their_order() {
        let json = ("content-type", "application/json");
        let gzip = ("content-encoding", "gzip");
        let range = ("content-range", "bytes 0-1/2");
        let bad_match = ("if-match", "x");
        assert_eq!(refusal("", &[range], b""), Some(InvalidId));
        assert_eq!(refusal("1", &[range, bad_match], b""), Some(PartialPut));
        assert_eq!(refusal("1", &[bad_match, gzip], b""), Some(MalformedHeader));
        assert_eq!(refusal("1", &[gzip], b""), Some(UnsupportedContentCoding));
        assert_eq!(refusal("1", &[], b""), Some(UnsupportedMediaType));
        assert_eq!(refusal("1", &[json, ("content-length", "x")], b""), Some(MalformedHeader));
        assert_eq!(refusal("1", &[json], b""), Some(MalformedJson));
        let never = ("if-match", "\"x\"");
        assert_eq!(refusal("1", &[json, never], b"{}"), Some(InvalidBody));
        assert_eq!(refusal("1", &[json, never], SAMPLE.as_bytes()), Some(PreconditionFailed));
        assert_eq!(refusal("1", &[json], SAMPLE.as_bytes()), None);
    }

    #[test]
    fn a_delete_has_no_body_and_needs_no_content_type() {
        let delete = |headers: &HeaderMap, body: &[u8]| {
            let accepted = accept::<Thing>(Method::Delete, |_| "1".into(), headers, body);
            accepted.map(|accepted| accepted.precondition).map_err(|problem| {
                let document = serde_json::to_value(&problem).unwrap();
                (problem.problem_type(), document["field"].as_str().map(str::to_owned))
            })
        };
        let none = HeaderMap::new();
        assert_eq!(delete(&none, b""), Ok(Precondition::None));
        assert_eq!(delete(&none, b"{}"), Err((MalformedRequest, Some("body".to_owned()))));
        let range = HeaderMap::from_iter([(CONTENT_RANGE, "bytes 0-1/2".parse().unwrap())]);
        assert_eq!(delete(&range, b""), Ok(Precondition::None));
        let never = HeaderMap::from_iter([(http::header::IF_MATCH, "\"x\"".parse().unwrap())]);
        assert_eq!(delete(&never, b""), Err((PreconditionFailed, Some("If-Match".to_owned()))));
    }

    #[test]
    fn a_body_that_was_not_utf_8_is_found_by_its_length() {
        let json = ("content-type", "application/json");
        let with = |length: String, body: &str| {
            refusal("1", &[json, ("content-length", &length)], body.as_bytes())
        };
        let body = SAMPLE.replace("VALUE", "Ren\u{e9}");
        let length = body.len();
        // One byte that is not UTF-8 takes three as U+FFFD, in which the gateway hands it over.
        let mended = body.replace('\u{e9}', "\u{FFFD}");
        assert_eq!(with((length - 1).to_string(), &mended), Some(MalformedJson));
        assert_eq!(with((length + 1).to_string(), &mended), None);
        assert_eq!(with(format!(" {length} "), &body), None);
        assert_eq!(with(format!("-{length}"), &body), Some(MalformedHeader));
        assert_eq!(with(format!("+{length}"), &body), Some(MalformedHeader));
        let headers = HeaderMap::from_iter([
            (CONTENT_TYPE, "application/json".parse().unwrap()),
            (CONTENT_LENGTH, "3".parse().unwrap()),
        ]);
        let problem = accept_with("1", &headers, b"{}").unwrap_err();
        assert!(problem.detail().contains("not UTF-8"), "{}", problem.detail());
    }

    #[test]
    fn only_the_identity_coding_is_taken() {
        let json = ("content-type", "application/json");
        let coded = |values: &[&str]| {
            let fields = values.iter().map(|value| ("content-encoding", *value));
            refusal("1", &fields.chain([json]).collect::<Vec<_>>(), SAMPLE.as_bytes())
        };
        for values in [
            &["identity"][..],
            &["Identity , identity"],
            &["identity", "identity"],
            &["identity,"],
            &[""],
            &[", ,"],
        ] {
            assert_eq!(coded(values), None, "{values:?}");
        }
        for values in [&["gzip"][..], &["identity, gzip"], &["identity", "br"], &[",gzip"]] {
            assert_eq!(coded(values), Some(UnsupportedContentCoding), "{values:?}");
        }
    }

    #[test]
    fn content_types() {
        for (value, is_taken) in [
            ("application/json", true),
            ("Application/JSON; charset=UTF-8", true),
            ("application/json;charset=\"utf-8\"; x=y", true),
            ("application/json; charset=utf8", true),
            ("application/json; charset=US-ASCII", true),
            ("application/json; charset=latin1", false),
            ("application/json; charset=", false),
            ("application/x-www-form-urlencoded", false),
            ("application/jsonp", false),
            ("text/json", false),
            ("", false),
        ] {
            let expected = (!is_taken).then_some(UnsupportedMediaType);
            assert_eq!(
                refusal("1", &[("content-type", value)], SAMPLE.as_bytes()),
                expected,
                "{value}"
            );
        }
    }

    #[test]
    fn preferences_choose_the_mode() {
        use Mode::*;
        let mode = |prefer: &str, default| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, "application/json".parse().unwrap());
            headers.insert("prefer", prefer.parse().unwrap());
            accept_with("1", &headers, SAMPLE.as_bytes()).unwrap().mode(default)
        };
        for (prefer, by_default_inline, by_default_deferred) in [
            ("", Inline, Deferred),
            ("respond-async", Deferred, Deferred),
            ("wait=5", Inline, Waiting(Duration::from_secs(5))),
            (
                "respond-async, wait=5",
                Waiting(Duration::from_secs(5)),
                Waiting(Duration::from_secs(5)),
            ),
            ("respond-async, wait=0", Deferred, Deferred),
            ("respond-async, wait=999", Waiting(MAX_WAIT), Waiting(MAX_WAIT)),
            ("respond-async, wait=9999999999", Waiting(MAX_WAIT), Waiting(MAX_WAIT)),
        ] {
            assert_eq!(mode(prefer, Inline), by_default_inline, "{prefer}");
            assert_eq!(mode(prefer, Deferred), by_default_deferred, "{prefer}");
        }
    }
}
