//! Conditional PUTs (RFC 9110 section 13).

use http::HeaderMap;
use http::header::{IF_MATCH, IF_NONE_MATCH, IF_UNMODIFIED_SINCE};

use crate::{OperationId, Problem, ProblemType};

/// What must be true of the stored resource for a PUT to replace it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Nothing.
    #[default]
    None,
    /// `If-Match: *`: there is a resource.
    Exists,
    /// `If-Match` with a list: the resource is at one of these ids. Tags that are no
    /// operation ids match nothing and are left out.
    OneOf(Vec<OperationId>),
    /// `If-None-Match: *`: there is no resource.
    Absent,
}

impl Precondition {
    /// Most tags in an `If-Match`: DynamoDB's `IN` takes 100 operands.
    pub const MAX_TAGS: usize = 100;

    /// Reads the conditional fields of a PUT.
    ///
    /// # Errors
    /// [`ProblemType::MalformedHeader`]
    pub fn parse(headers: &HeaderMap) -> Result<Self, Problem> {
        // A time has whole seconds, so that a second PUT within one would be missed. Beside
        // If-Match it is ignored (RFC 9110 section 13.1.4).
        if headers.contains_key(IF_UNMODIFIED_SINCE) && !headers.contains_key(IF_MATCH) {
            let reason = "it would miss a PUT within the same second; use If-Match with the ETag";
            return Err(malformed("If-Unmodified-Since", reason));
        }
        let if_match = tags(headers, &IF_MATCH, "If-Match")?;
        let if_none_match = tags(headers, &IF_NONE_MATCH, "If-None-Match")?;
        match (if_match, if_none_match) {
            (None, None) => Ok(Self::None),
            (Some(Tags::Any), None) => Ok(Self::Exists),
            (Some(Tags::List(tags)), None) => Ok(Self::OneOf(strong(&tags).collect())),
            (None, Some(Tags::Any)) => Ok(Self::Absent),
            (Some(_), Some(Tags::Any)) => Ok(Self::OneOf(Vec::new())),
            (_, Some(Tags::List(_))) => Err(malformed(
                "If-None-Match",
                "a PUT takes only * here; to replace a known version send If-Match with its ETag",
            )),
        }
    }

    /// Whether it is true of a resource at `stored`, or of no resource.
    #[must_use]
    pub fn holds(&self, stored: Option<OperationId>) -> bool {
        match self {
            Self::None => true,
            Self::Exists => stored.is_some(),
            Self::OneOf(tags) => stored.is_some_and(|stored| tags.contains(&stored)),
            Self::Absent => stored.is_none(),
        }
    }

    /// Whether it is true of a resource at `stored`, or of no resource, or may become so: a resource
    /// only ever moves up, and is never deleted.
    #[must_use]
    pub fn may_come_true(&self, stored: Option<OperationId>) -> bool {
        match self {
            Self::None | Self::Exists => true,
            Self::OneOf(tags) => tags.iter().any(|tag| Some(*tag) >= stored),
            Self::Absent => stored.is_none(),
        }
    }

    /// What the client is told where it is false of a resource at `stored`; `None` if there is
    /// no resource, or it was not looked at.
    #[must_use]
    pub fn is_false(&self, stored: Option<OperationId>) -> Problem {
        let (field, reason) = match (self, stored) {
            (Self::Absent, _) => ("If-None-Match", "it is *, and there is such a resource"),
            (Self::Exists, _) => ("If-Match", "it is *, and there is no such resource"),
            (_, Some(_)) => ("If-Match", "the resource is at another version"),
            (_, None) => ("If-Match", "it names no version that the resource is at"),
        };
        let detail = format!(
            "{field} is false: {reason}, so nothing was written; read the resource and decide anew."
        );
        let problem = Problem::new(ProblemType::PreconditionFailed, detail).field(field);
        match stored {
            Some(stored) => problem.etag(stored),
            None => problem,
        }
    }

    /// Whether it can be true of no resource at all.
    #[must_use]
    pub fn is_never_true(&self) -> bool {
        matches!(self, Self::OneOf(tags) if tags.is_empty())
    }
}

/// A strong entity tag for the version that `id` wrote (RFC 9110 section 8.8.3).
#[must_use]
pub fn etag(id: OperationId) -> String {
    format!("\"{id}\"")
}

/// Evaluates the conditional fields of a GET or HEAD of a resource at `stored`: whether its
/// representation is to be sent, or else 304.
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
    if tags(headers, &IF_MATCH, "If-Match")?.is_some_and(|tags| !matches(&tags, false)) {
        let detail =
            "If-Match is false: the resource is at another version; read it without If-Match.";
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

/// An entity tag; one that is no operation id is nobody's.
struct Tag {
    id: Option<OperationId>,
    is_weak: bool,
}

/// If-Match compares strongly (RFC 9110 section 13.1.1): a weak tag matches nothing.
fn strong(tags: &[Tag]) -> impl Iterator<Item = OperationId> {
    tags.iter().filter(|tag| !tag.is_weak).filter_map(|tag| tag.id)
}

/// The entity tags of a field, `None` where it is absent.
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
                return Err(malformed(shown, "entity tags must be parted by commas"));
            }
        }
    }
    match (stars, listed.len()) {
        (1, 0) => Ok(Some(Tags::Any)),
        (1.., _) => Err(malformed(shown, "* must stand alone")),
        (0, 0) => Err(malformed(shown, "it is empty")),
        (0, count) if count > Precondition::MAX_TAGS => Err(malformed(
            shown,
            "it names more than 100 entity tags; name those you have seen last",
        )),
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

    fn parse(fields: &[(&'static str, &str)]) -> Result<Precondition, ProblemType> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        Precondition::parse(&headers).map_err(|problem| problem.problem_type())
    }

    #[test]
    fn reads_the_conditional_fields() {
        let (a, b) = (id(1), id(2));
        let list = format!("\"{a}\" ,, W/\"{b}\", \"other\"");
        let quoted = format!("\"{b}\"");
        assert_eq!(parse(&[]), Ok(Precondition::None));
        assert_eq!(parse(&[("if-match", " * ")]), Ok(Precondition::Exists));
        assert_eq!(parse(&[("if-none-match", "*")]), Ok(Precondition::Absent));
        assert_eq!(parse(&[("if-match", &list)]), Ok(Precondition::OneOf(vec![a])));
        assert_eq!(
            parse(&[("if-match", &list), ("if-match", &quoted)]),
            Ok(Precondition::OneOf(vec![a, b]))
        );
        assert_eq!(parse(&[("if-match", "\"x\"")]), Ok(Precondition::OneOf(vec![])));
        assert_eq!(
            parse(&[("if-match", &quoted), ("if-none-match", "*")]),
            Ok(Precondition::OneOf(vec![]))
        );
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let most = vec!["\"x\""; 100].join(",");
        assert_eq!(parse(&[("if-match", &most)]), Ok(Precondition::OneOf(vec![])));
        let many = vec!["\"x\""; 101].join(",");
        for value in
            ["", "x", "\"x", "\"a\" \"b\"", "*, \"a\"", "*, *", "w/\"a\"", "**", "\"a b\"", &many]
        {
            assert_eq!(parse(&[("if-match", value)]), Err(ProblemType::MalformedHeader), "{value}");
        }
        assert_eq!(parse(&[("if-none-match", "\"a\"")]), Err(ProblemType::MalformedHeader));
        let twice = [("if-none-match", "*"), ("if-none-match", "*")];
        assert_eq!(parse(&twice), Err(ProblemType::MalformedHeader));
    }

    #[test]
    fn reads_are_conditional_too() {
        let (stored, other) = (id(1), id(2));
        let wants = |name: &'static str, value: String| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                value.parse().unwrap(),
            )]);
            wants_representation(&headers, stored).map_err(|problem| problem.problem_type())
        };
        assert_eq!(wants("accept", String::new()), Ok(true));
        assert_eq!(wants("if-none-match", format!("\"{other}\", W/\"{stored}\"")), Ok(false));
        assert_eq!(wants("if-none-match", format!("\"{other}\"")), Ok(true));
        assert_eq!(wants("if-none-match", "*".to_owned()), Ok(false));
        assert_eq!(wants("if-none-match", "x".to_owned()), Err(ProblemType::MalformedHeader));
        assert_eq!(wants("if-match", format!("\"{stored}\"")), Ok(true));
        assert_eq!(
            wants("if-match", format!("W/\"{stored}\"")),
            Err(ProblemType::PreconditionFailed)
        );
    }

    #[test]
    fn a_time_is_refused_with_the_field_and_the_way_out() {
        let mut headers = HeaderMap::new();
        headers.insert(IF_UNMODIFIED_SINCE, "Tue, 24 Nov 2026 01:00:00 GMT".parse().unwrap());
        let problem = Precondition::parse(&headers).unwrap_err();
        assert_eq!(problem.problem_type(), ProblemType::MalformedHeader);
        let document = serde_json::to_value(&problem).unwrap();
        assert_eq!(document["field"], "If-Unmodified-Since");
        assert!(problem.detail().contains("use If-Match"), "{}", problem.detail());
        headers.insert(IF_MATCH, "*".parse().unwrap());
        assert_eq!(Precondition::parse(&headers).unwrap(), Precondition::Exists);
    }

    #[test]
    fn what_is_false_is_told_with_its_field_and_the_version_met() {
        let tag = format!("\"{}\"", id(2));
        let one_of = Precondition::OneOf(vec![id(1)]);
        for (precondition, stored, field) in [
            (&one_of, Some(id(2)), "If-Match"),
            (&one_of, None, "If-Match"),
            (&Precondition::Exists, None, "If-Match"),
            (&Precondition::Absent, Some(id(2)), "If-None-Match"),
        ] {
            let document = serde_json::to_value(precondition.is_false(stored)).unwrap();
            assert_eq!(document["field"], field, "{document}");
            let etag = stored.map(|_| tag.as_str());
            assert_eq!(document.get("etag").and_then(|etag| etag.as_str()), etag, "{document}");
        }
    }

    #[test]
    fn only_what_names_no_operation_is_never_true() {
        assert!(Precondition::OneOf(Vec::new()).is_never_true());
        for precondition in [
            Precondition::None,
            Precondition::Exists,
            Precondition::Absent,
            Precondition::OneOf(vec![id(1)]),
        ] {
            assert!(!precondition.is_never_true(), "{precondition:?}");
        }
    }

    #[test]
    fn a_resource_only_moves_up_which_some_preconditions_cannot_follow() {
        let at = |ms| Some(id(ms));
        let one_of = |ms: &[u64]| Precondition::OneOf(ms.iter().map(|ms| id(*ms)).collect());
        assert!(one_of(&[1, 5]).may_come_true(at(5)));
        assert!(one_of(&[1, 5]).may_come_true(None));
        assert!(!one_of(&[1, 4]).may_come_true(at(5)));
        assert!(Precondition::Absent.may_come_true(None));
        assert!(!Precondition::Absent.may_come_true(at(1)));
        assert!(Precondition::Exists.may_come_true(None) && Precondition::None.may_come_true(None));
    }
}
