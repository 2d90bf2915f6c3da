//! The `Idempotency-Key` request header (draft-ietf-httpapi-idempotency-key-header-07): the same
//! request with the same key is the same operation.

use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;

use http::HeaderMap;
use sfv::visitor::{Ignored, ItemVisitor, ParameterVisitor, parameter_visitor_with};
use sfv::{BareItemFromInput, Parser};
use sha2::{Digest, Sha256};

use crate::{Operation, OperationId, Precondition, Problem, ProblemType};

/// How long a key is kept from its first use, by the clock of the host that claims it.
///
/// A client may repeat a request for 24 h, less the 5 min that it may be delayed on its way
/// ([`MAX_BEHIND`](crate::order::arrival::MAX_BEHIND)). The extra minute allows for the clock of
/// the first attempt's host, which may be behind by
/// [`MAX_AHEAD`](crate::order::arrival::MAX_AHEAD).
pub const VALID_FOR: Duration = Duration::from_secs(24 * 60 * 60 + 60);

const FIELD: &str = "Idempotency-Key";

/// The key of a request: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    const MAX_CHARS: usize = 255;

    /// Reads the key of a request, if it has one.
    ///
    /// # Errors
    /// [`ProblemType::MalformedHeader`] unless it is a structured-field string (RFC 9651 section
    /// 3.3.3), with or without parameters, or a bare word as many clients send it: letters, digits,
    /// `-`, `_`, `.` and `:`.
    pub fn parse(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(malformed("it occurs twice; send it once"));
        }
        let is_bare = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:".contains(b);
        let bare = value.to_str().ok().filter(|text| text.as_bytes().iter().all(is_bare));
        let bare = bare.filter(|text| !text.is_empty()).map(str::to_owned);
        let quoted = || Parser::new(value.as_bytes()).parse_item_with_visitor(Text).ok().flatten();
        match bare.or_else(quoted) {
            None => Err(malformed("it must be a quoted string, as in \"8e03978e-40d5-43dd\"")),
            Some(key) if key.is_empty() => Err(malformed("it is empty; send a unique string")),
            Some(key) if key.len() > Self::MAX_CHARS => {
                Err(malformed("it has more than 255 characters; send a shorter one"))
            }
            Some(key) => Ok(Some(Self(key))),
        }
    }
}

/// Reads the text of an item that is a string.
struct Text;

impl<'a> ItemVisitor<'a> for Text {
    type Out = Option<String>;
    type Error = Infallible;

    fn bare_item(
        self,
        item: BareItemFromInput<'a>,
    ) -> Result<impl ParameterVisitor<'a, Out = Self::Out>, Infallible> {
        let text = match item {
            BareItemFromInput::String(text) => Some(text.as_str().to_owned()),
            _ => None,
        };
        Ok(parameter_visitor_with(Ignored, |_| Ok(text)))
    }
}

/// A claim: it binds a key to the operation of its first use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The id of the claim: a hash of caller, resource and key. So the table contains none of them,
    /// and a key means nothing to another caller.
    pub id: String,
    /// A hash of method, path, precondition and body: every request with the key must have the
    /// same.
    pub fingerprint: String,
    /// The operation of the key. It never changes.
    pub operation: OperationId,
}

impl Claim {
    /// The claim of `key` that `caller` makes for `operation`.
    #[must_use]
    pub fn new(caller: &str, key: &IdempotencyKey, operation: &Operation) -> Self {
        let (IdempotencyKey(key), resource) = (key, operation.resource.as_str());
        Self {
            id: format!("key#{}", hash(&[caller, resource, key])),
            fingerprint: fingerprint(operation),
            operation: operation.id,
        }
    }
}

fn fingerprint(operation: &Operation) -> String {
    let precondition = match &operation.precondition {
        Precondition::None => String::new(),
        Precondition::Exists => "exists".to_owned(),
        Precondition::Absent => "absent".to_owned(),
        // Different from `None`, and from every list with tags.
        Precondition::OneOf(tags) if tags.is_empty() => ",".to_owned(),
        Precondition::OneOf(tags) => tags.iter().map(|tag| format!("{tag},")).collect(),
    };
    let (method, body) = (operation.method().as_str(), operation.body().unwrap_or_default());
    hash(&[method, operation.resource.as_str(), &precondition, body])
}

/// SHA-256 of the parts, each after its length, so no two lists give the same input.
fn hash(parts: &[&str]) -> String {
    let mut sha = Sha256::new();
    for part in parts {
        sha.update((part.len() as u64).to_be_bytes());
        sha.update(part);
    }
    sha.finalize().iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn malformed(reason: &str) -> Problem {
    Problem::new(ProblemType::MalformedHeader, format!("{FIELD} was refused: {reason}."))
        .field(FIELD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, ResourceId, Tick};
    use proptest::prelude::*;

    fn parse(values: &[&str]) -> Result<Option<String>, ProblemType> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", value.parse().unwrap());
        }
        let key = IdempotencyKey::parse(&headers).map_err(|problem| problem.problem_type())?;
        Ok(key.map(|IdempotencyKey(key)| key))
    }

    #[test]
    fn reads_a_structured_field_string() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[" \"a b\" "]), Ok(Some("a b".to_owned())));
        assert_eq!(parse(&[r#""a\"b\\""#]), Ok(Some(r#"a"b\"#.to_owned())));
        let uuid = "8e03978e-40d5-43dd-bc93-6894a57f9324";
        for bare in [uuid, "7", "a_b.c:d"] {
            assert_eq!(parse(&[bare]), Ok(Some(bare.to_owned())));
            assert_eq!(parse(&[&format!("\"{bare}\"")]), Ok(Some(bare.to_owned())));
        }
        assert_eq!(parse(&[&"k".repeat(256)]), Err(ProblemType::MalformedHeader));
        let longest = "k".repeat(255);
        assert_eq!(parse(&[&format!("\"{longest}\"")]), Ok(Some(longest)));
        let long = format!("\"{}\"", "k".repeat(256));
        assert_eq!(parse(&["\"a\";x=1; y;z=\"\\\"\""]), Ok(Some("a".to_owned())));
        for bad in [
            "",
            "?1",
            "a b",
            "a;x=1",
            ":YQ==:",
            "\"",
            "\"\"",
            "\"a",
            "\"a\"b\"",
            r#""a\n""#,
            "\"a\";",
            "\"a\";X=1",
            "\"a\", \"b\"",
            "\"é\"",
            &long,
        ] {
            assert_eq!(parse(&[bad]), Err(ProblemType::MalformedHeader), "{bad}");
        }
        assert_eq!(parse(&["\"a\"", "\"a\""]), Err(ProblemType::MalformedHeader));
    }

    /// A claim lasts longer than a deployment, so the hash of a request must never change.
    #[test]
    fn a_claim_is_what_earlier_versions_made_of_the_request() {
        let tag = OperationId::new(Tick::from_unix_ms(1_700_000_000_000), 7);
        let precondition = Precondition::OneOf(vec![tag]);
        let (resource, body) = (ResourceId::new("42").unwrap(), "{}".to_owned());
        let operation = Operation::put(tag, resource, precondition, body);
        let claim = Claim::new("me", &IdempotencyKey("k".to_owned()), &operation);
        assert_eq!(
            claim.id,
            "key#5070c76f02c4fdb790592607641d3c531cbfd531d4e76cf921413192598b73fb"
        );
        assert_eq!(
            claim.fingerprint,
            "b2ba3a895417eae549e571ba0b9ef8148cff8adb2f31cf450d55b5e53b80a823"
        );
        let conditional_on = |precondition| {
            let operation = Operation { precondition, ..operation.clone() };
            Claim::new("me", &IdempotencyKey("k".to_owned()), &operation).fingerprint
        };
        let nothing = Precondition::OneOf(Vec::new());
        assert_ne!(conditional_on(nothing), conditional_on(Precondition::None));
    }

    #[test]
    fn a_key_is_remembered_for_a_day_and_a_minute() {
        assert_eq!(VALID_FOR, Duration::from_secs(86_460));
    }

    proptest! {
        #[test]
        fn different_requests_differ(
            a in ("[a-c]{1,3}", "[a-c]{0,3}", 0..5usize, any::<bool>()),
            b in ("[a-c]{1,3}", "[a-c]{0,3}", 0..5usize, any::<bool>()),
        ) {
            let tags = |count| Precondition::OneOf(vec![OperationId::new(Tick::from_unix_ms(1), 1); count]);
            let kinds = [Precondition::None, Precondition::Exists, Precondition::Absent, tags(0), tags(1)];
            let change = |is_put, text| if is_put { Change::Put(text) } else { Change::Delete };
            let claim = |(resource, text, precondition, is_put): &(String, String, usize, bool), ms| {
                let id = OperationId::new(Tick::from_unix_ms(ms), ms);
                let resource = ResourceId::new(resource).unwrap();
                let precondition = kinds[*precondition].clone();
                let operation = Operation::new(id, resource, precondition, change(*is_put, text.clone()));
                Claim::new(text, &IdempotencyKey("k".to_owned()), &operation)
            };
            let (first, second) = (claim(&a, 1), claim(&b, 2));
            // A DELETE has no body.
            let is_same = a == b || (!a.3 && !b.3 && (&a.0, a.2) == (&b.0, b.2));
            prop_assert_eq!(is_same, first.fingerprint == second.fingerprint);
            prop_assert_eq!((&a.0, &a.1) == (&b.0, &b.1), first.id == second.id);
        }
    }
}
