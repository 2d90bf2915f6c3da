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
/// # Errors
/// The first of: 400 for the id or a header field, a problem with the body (a DELETE must not have
/// one), or 412 for a precondition that no version can ever meet.
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

    fn accept_with(
        method: Method,
        id: &str,
        fields: &[(&'static str, &str)],
        body: &str,
    ) -> Result<Accepted, Problem> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        accept::<Thing>(method, |_| id.into(), &headers, body.as_bytes())
    }

    fn refusal(
        method: Method,
        id: &str,
        fields: &[(&'static str, &str)],
        body: &str,
    ) -> Option<ProblemType> {
        accept_with(method, id, fields, body).err().map(|problem| problem.problem_type())
    }

    const JSON: (&str, &str) = ("content-type", "application/json");

    #[test]
    fn refusals_come_in_their_order() {
        let gzip = ("content-encoding", "gzip");
        let range = ("content-range", "bytes 0-1/2");
        let (bad_match, never) = (("if-match", "x"), ("if-match", "\"x\""));
        for (id, fields, body, expected) in [
            ("", &[range][..], "", Some(InvalidId)),
            ("1", &[range, bad_match], "", Some(PartialPut)),
            ("1", &[bad_match, gzip], "", Some(MalformedHeader)),
            ("1", &[gzip], "", Some(UnsupportedContentCoding)),
            ("1", &[], "", Some(UnsupportedMediaType)),
            ("1", &[JSON, ("content-length", "x")], "", Some(MalformedHeader)),
            ("1", &[JSON], "", Some(MalformedJson)),
            ("1", &[JSON, never], "{}", Some(InvalidBody)),
            ("1", &[JSON, never], SAMPLE, Some(PreconditionFailed)),
            ("1", &[JSON], SAMPLE, None),
        ] {
            assert_eq!(refusal(Method::Put, id, fields, body), expected, "{fields:?} {body}");
        }
        // A DELETE has no body, and needs no content type.
        for (fields, body, expected) in [
            (&[][..], "", None),
            (&[range], "", None),
            (&[], "{}", Some(MalformedRequest)),
            (&[never], "", Some(PreconditionFailed)),
        ] {
            assert_eq!(refusal(Method::Delete, "1", fields, body), expected, "{fields:?} {body}");
        }
        let problem = without_body(b"{}").unwrap_err();
        assert_eq!(serde_json::to_value(problem).unwrap()["field"], "body");
    }

    #[test]
    fn a_body_that_was_not_utf_8_is_found_by_its_length() {
        let body = SAMPLE.replace("VALUE", "Ren\u{e9}");
        // One byte that is not UTF-8 arrives as U+FFFD, which has three bytes.
        let replaced = body.replace('\u{e9}', "\u{FFFD}");
        let length = body.len();
        for (given, body, expected) in [
            (format!(" {length} "), &body, None),
            ((length + 1).to_string(), &replaced, None),
            ((length - 1).to_string(), &replaced, Some(MalformedJson)),
            (format!("-{length}"), &body, Some(MalformedHeader)),
            (format!("+{length}"), &body, Some(MalformedHeader)),
        ] {
            let fields = [JSON, ("content-length", &given)];
            assert_eq!(refusal(Method::Put, "1", &fields, body), expected, "{given}");
        }
    }

    #[test]
    fn codings_and_content_types() {
        for (name, values, is_taken) in [
            ("content-encoding", &["identity"][..], true),
            ("content-encoding", &["Identity , identity"], true),
            ("content-encoding", &["identity", "identity,"], true),
            ("content-encoding", &[", ,"], true),
            ("content-encoding", &["identity, gzip"], false),
            ("content-encoding", &["identity", "br"], false),
            ("content-encoding", &[",gzip"], false),
            ("content-type", &["Application/JSON; charset=UTF-8"], true),
            ("content-type", &["application/json;charset=\"utf-8\"; x=y"], true),
            ("content-type", &["application/json; charset=utf8"], true),
            ("content-type", &["application/json; charset=US-ASCII"], true),
            ("content-type", &["application/json; charset=latin1"], false),
            ("content-type", &["application/json; charset="], false),
            ("content-type", &["application/jsonp"], false),
            ("content-type", &["text/json"], false),
            ("content-type", &[""], false),
        ] {
            let mut fields: Vec<_> = values.iter().map(|value| (name, *value)).collect();
            let refused = match name {
                "content-type" => UnsupportedMediaType,
                _ => UnsupportedContentCoding,
            };
            fields.extend([JSON]);
            let expected = (!is_taken).then_some(refused);
            assert_eq!(refusal(Method::Put, "1", &fields, SAMPLE), expected, "{values:?}");
        }
    }

    #[test]
    fn preferences_choose_the_mode() {
        use Mode::*;
        let waiting = |seconds| Waiting(Duration::from_secs(seconds));
        for (prefer, by_default_inline, by_default_deferred) in [
            ("", Inline, Deferred),
            ("respond-async", Deferred, Deferred),
            ("wait=5", Inline, waiting(5)),
            ("respond-async, wait=5", waiting(5), waiting(5)),
            ("respond-async, wait=0", Deferred, Deferred),
            ("respond-async, wait=999", Waiting(MAX_WAIT), Waiting(MAX_WAIT)),
        ] {
            let accepted = accept_with(Method::Put, "1", &[JSON, ("prefer", prefer)], SAMPLE);
            let accepted = accepted.unwrap();
            assert_eq!(accepted.mode(Inline), by_default_inline, "{prefer}");
            assert_eq!(accepted.mode(Deferred), by_default_deferred, "{prefer}");
        }
    }
}
