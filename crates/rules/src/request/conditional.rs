//! The header fields of conditional requests (RFC 9110 section 13).

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use crate::{Method, OperationId, Precondition, Problem, ProblemType};

/// Maximum number of tags in an `If-Match`: DynamoDB's `IN` accepts 100 operands.
const MAX_TAGS: usize = 100;

/// The conditional fields of a PUT or DELETE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The precondition that they state.
    precondition: Precondition,
    /// Whether `If-Match` contains weak tags, which match nothing.
    has_weak_tags: bool,
}

impl Conditions {
    /// The precondition, if some version can meet it.
    ///
    /// # Errors
    /// [`ProblemType::PreconditionFailed`]
    pub fn satisfiable(self) -> Result<Precondition, Problem> {
        match self.precondition {
            precondition if !precondition.is_never_true() => Ok(precondition),
            _ if self.has_weak_tags => Err(weakened()),
            precondition => Err(precondition.problem_at(None)),
        }
    }
}

/// Reads the conditional fields of a PUT or DELETE.
///
/// # Errors
/// [`ProblemType::MalformedHeader`]
pub fn conditions(method: Method, headers: &HeaderMap) -> Result<Conditions, Problem> {
    // An HTTP date has whole seconds, so it would miss a second write in the same second. With
    // If-Match the field is ignored (RFC 9110 section 13.1.4).
    if headers.contains_key(IF_UNMODIFIED_SINCE) && !headers.contains_key(IF_MATCH) {
        let reason = "it misses a write within the same second; use If-Match with the ETag";
        return Err(malformed("If-Unmodified-Since", reason));
    }
    if method == Method::Delete && headers.contains_key(IF_NONE_MATCH) {
        let reason =
            "a DELETE does not support it; to delete a known version, send If-Match with its ETag";
        return Err(malformed("If-None-Match", reason));
    }
    let if_match = tags(headers, &IF_MATCH, "If-Match")?;
    // A list without a tag is true.
    let if_none_match = tags(headers, &IF_NONE_MATCH, "If-None-Match")?;
    let if_none_match = if_none_match.filter(|tags| !tags.is_empty());
    let has_weak_tags = if_match.as_ref().is_some_and(Tags::has_weak);
    let precondition = match (if_match, if_none_match) {
        (None, None) => Precondition::None,
        (Some(Tags::Any), None) => Precondition::Exists,
        (Some(Tags::List(tags)), None) => Precondition::OneOf(strong(&tags).collect()),
        (None, Some(Tags::Any)) => Precondition::Absent,
        (Some(_), Some(Tags::Any)) => Precondition::OneOf(Vec::new()),
        (_, Some(Tags::List(_))) => {
            return Err(malformed(
                "If-None-Match",
                "a PUT supports only * here; to replace a known version, send If-Match with its ETag",
            ));
        }
    };
    Ok(Conditions { precondition, has_weak_tags })
}

/// The problem of weak tags. This service sends none, so a proxy has changed the tag.
fn weakened() -> Problem {
    let detail = "If-Match is false: its entity tags are weak (W/\"...\"), and If-Match uses strong comparison (RFC 9110 section 13.1.1), so nothing was written; a proxy weakened the tags, for example when it compressed a response. Send the tag without W/, or read the resource with Accept-Encoding: identity.";
    Problem::new(ProblemType::PreconditionFailed, detail).field("If-Match")
}

/// Evaluates the conditional fields of a GET or HEAD. `stored` is the version of the resource.
/// Returns whether to send the representation; otherwise the answer is 304.
///
/// # Errors
/// [`ProblemType::MalformedHeader`], [`ProblemType::PreconditionFailed`]
pub fn wants_representation(headers: &HeaderMap, stored: OperationId) -> Result<bool, Problem> {
    let matches = |tags: &Tags, is_weak_allowed: bool| match tags {
        Tags::Any => true,
        Tags::List(tags) => {
            tags.iter().any(|tag| tag.id == Some(stored) && (is_weak_allowed || !tag.is_weak))
        }
    };
    let if_match = tags(headers, &IF_MATCH, "If-Match")?;
    if let Some(tags) = if_match.filter(|tags| !matches(tags, false)) {
        if tags.has_weak() {
            return Err(weakened().etag(stored));
        }
        let detail = "If-Match is false: it does not name the resource's current version; read the resource without If-Match.";
        let problem = Problem::new(ProblemType::PreconditionFailed, detail);
        return Err(problem.field("If-Match").etag(stored));
    }
    let if_none_match = tags(headers, &IF_NONE_MATCH, "If-None-Match")?;
    Ok(!if_none_match.is_some_and(|tags| matches(&tags, true)))
}

enum Tags {
    Any,
    List(Vec<Tag>),
}

impl Tags {
    fn is_empty(&self) -> bool {
        matches!(self, Self::List(tags) if tags.is_empty())
    }

    fn has_weak(&self) -> bool {
        matches!(self, Self::List(tags) if tags.iter().any(|tag| tag.is_weak))
    }
}

/// An entity tag. Without an operation id it matches no version.
struct Tag {
    id: Option<OperationId>,
    is_weak: bool,
}

/// If-Match uses strong comparison (RFC 9110 section 13.1.1): a weak tag matches nothing.
fn strong(tags: &[Tag]) -> impl Iterator<Item = OperationId> {
    tags.iter().filter(|tag| !tag.is_weak).filter_map(|tag| tag.id)
}

/// The entity tags of a field; `None` if it is absent.
fn tags(
    headers: &HeaderMap,
    name: &http::HeaderName,
    shown: &'static str,
) -> Result<Option<Tags>, Problem> {
    let mut values = headers.get_all(name).iter().peekable();
    if values.peek().is_none() {
        return Ok(None);
    }
    let (mut stars, mut listed) = (0_usize, Vec::new());
    for value in values {
        let mut rest = value.as_bytes();
        loop {
            rest = rest.trim_ascii_start();
            while let [b',', after @ ..] = rest {
                rest = after.trim_ascii_start();
            }
            if rest.is_empty() {
                break;
            }
            if let [b'*', after @ ..] = rest {
                stars += 1;
                rest = after;
            } else {
                let (tag, is_weak, after) = entity_tag(rest).ok_or_else(|| {
                    malformed(shown, "it must be * or a list of quoted entity tags")
                })?;
                let id = std::str::from_utf8(tag).ok().and_then(|tag| tag.parse().ok());
                listed.push(Tag { id, is_weak });
                rest = after;
            }
            rest = rest.trim_ascii_start();
            if !rest.is_empty() && !rest.starts_with(b",") {
                return Err(malformed(shown, "entity tags must be separated by commas"));
            }
        }
    }
    match (stars, listed.len()) {
        (1, 0) => Ok(Some(Tags::Any)),
        (1.., _) => Err(malformed(shown, "* must be the only element")),
        (0, count) if count > MAX_TAGS => {
            Err(malformed(shown, "it has more than 100 entity tags; send only the latest ones"))
        }
        (0, _) => Ok(Some(Tags::List(listed))),
    }
}

/// `[ "W/" ] DQUOTE *etagc DQUOTE` at the start of `text`: the tag, whether it is weak, the rest.
fn entity_tag(text: &[u8]) -> Option<(&[u8], bool, &[u8])> {
    let (is_weak, quoted) = match text.strip_prefix(b"W/") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let opened = quoted.strip_prefix(b"\"")?;
    let end = opened.iter().position(|b| *b == b'"')?;
    let (tag, rest) = opened.split_at(end);
    let is_etagc = |b: &u8| matches!(b, 0x21 | 0x23..=0x7e | 0x80..);
    tag.iter().all(is_etagc).then_some((tag, is_weak, &rest[1..]))
}

fn malformed(field: &'static str, reason: &str) -> Problem {
    Problem::new(ProblemType::MalformedHeader, format!("{field} was refused: {reason}."))
        .field(field)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tick;

    fn id(ms: u64) -> OperationId {
        OperationId::new(Tick::from_unix_ms(ms), 1)
    }

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn conditional_fields_of_a_write() {
        use Precondition::*;
        let (a, b) = (id(1), id(2));
        let list = &*format!("\"{a}\" ,, W/\"{b}\", \"other\"");
        let quoted = &*b.etag();
        let (most, too_many) = (&*["\"x\""; 100].join(","), &*["\"x\""; 101].join(","));
        let of_unknown_tags = Ok(OneOf(vec![]));
        let malformed = Err(ProblemType::MalformedHeader);
        let (yes, no) = ("if-match", "if-none-match");
        for (fields, of_put, of_delete) in [
            (&[][..], Ok(None), Ok(None)),
            (&[(yes, " * ")], Ok(Exists), Ok(Exists)),
            (&[(yes, list)], Ok(OneOf(vec![a])), Ok(OneOf(vec![a]))),
            (&[(yes, list), (yes, quoted)], Ok(OneOf(vec![a, b])), Ok(OneOf(vec![a, b]))),
            (&[(yes, " , ,")], of_unknown_tags.clone(), of_unknown_tags.clone()),
            (&[(yes, most)], of_unknown_tags.clone(), of_unknown_tags.clone()),
            (&[(no, "*")], Ok(Absent), malformed.clone()),
            (&[(no, " , ")], Ok(None), malformed.clone()),
            (&[(yes, quoted), (no, "*")], of_unknown_tags.clone(), malformed.clone()),
        ] {
            for (method, expected) in [(Method::Put, of_put), (Method::Delete, of_delete)] {
                let parsed = conditions(method, &headers(fields));
                let parsed = parsed.map(|parsed| parsed.precondition);
                assert_eq!(
                    parsed.map_err(|it| it.problem_type()),
                    expected,
                    "{method:?} {fields:?}"
                );
            }
        }
        for fields in [
            &[(yes, "x")][..],
            &[(yes, "\"x")],
            &[(yes, "\"a\" \"b\"")],
            &[(yes, "*, \"a\"")],
            &[(yes, "*, *")],
            &[(yes, "w/\"a\"")],
            &[(yes, "**")],
            &[(yes, "\"a b\"")],
            &[(yes, too_many)],
            &[(no, "\"a\"")],
            &[(no, "*"), (no, "*")],
        ] {
            let problem = conditions(Method::Put, &headers(fields)).unwrap_err();
            assert_eq!(problem.problem_type(), ProblemType::MalformedHeader, "{fields:?}");
        }
    }

    #[test]
    fn reads_are_conditional_too() {
        let (stored, other) = (id(1).etag(), id(2).etag());
        let failed = Err(ProblemType::PreconditionFailed);
        for (name, value, expected) in [
            ("accept", "", Ok(true)),
            ("if-none-match", &*format!("{other}, W/{stored}"), Ok(false)),
            ("if-none-match", &*other, Ok(true)),
            ("if-none-match", "*", Ok(false)),
            ("if-none-match", ",", Ok(true)),
            ("if-none-match", "x", Err(ProblemType::MalformedHeader)),
            ("if-match", "", failed),
            ("if-match", &*stored, Ok(true)),
            ("if-match", &*format!("W/{stored}"), failed),
        ] {
            let wants = wants_representation(&headers(&[(name, value)]), id(1));
            assert_eq!(
                wants.map_err(|problem| problem.problem_type()),
                expected,
                "{name}: {value}"
            );
        }
    }

    #[test]
    fn a_time_is_refused_with_the_field_and_the_way_out() {
        let time = ("if-unmodified-since", "Tue, 24 Nov 2026 01:00:00 GMT");
        for method in [Method::Put, Method::Delete] {
            let problem = conditions(method, &headers(&[time])).unwrap_err();
            assert_eq!(problem.problem_type(), ProblemType::MalformedHeader);
            assert_eq!(serde_json::to_value(&problem).unwrap()["field"], "If-Unmodified-Since");
            assert!(problem.detail().contains("use If-Match"), "{}", problem.detail());
        }
        let parsed = conditions(Method::Put, &headers(&[time, ("if-match", "*")])).unwrap();
        assert_eq!(parsed.precondition, Precondition::Exists);
    }

    #[test]
    fn a_weakened_tag_says_what_to_do() {
        let weak = format!("W/\"{}\"", id(1));
        for (value, is_named) in [(weak.as_str(), true), ("\"x\"", false), ("", false)] {
            let headers = headers(&[("if-match", value)]);
            for problem in [
                conditions(Method::Put, &headers).unwrap().satisfiable().unwrap_err(),
                wants_representation(&headers, id(1)).unwrap_err(),
            ] {
                assert_eq!(problem.problem_type(), ProblemType::PreconditionFailed);
                assert_eq!(problem.detail().contains("without W/"), is_named, "{problem:?}");
            }
        }
    }
}
