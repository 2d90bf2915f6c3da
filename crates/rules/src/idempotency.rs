//! The `Idempotency-Key` request header (draft-ietf-httpapi-idempotency-key-header-07):
//! the same request under the same key is the same operation.

use std::fmt::Write;
use std::time::Duration;

use http::HeaderMap;
use sha2::{Digest, Sha256};

use crate::problem::{Problem, ProblemType};
use crate::{Precondition, UserId};

/// How long a key is remembered from its first use.
pub const VALID_FOR: Duration = Duration::from_secs(24 * 60 * 60);

const FIELD: &str = "Idempotency-Key";

/// The key of a request: 1 to 255 printable ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    const MAX_CHARS: usize = 255;

    /// Reads the key of a request, if it has one.
    ///
    /// # Errors
    /// [`ProblemType::MalformedHeader`] if it is not one structured-field string
    /// (RFC 9651 section 3.3.3).
    pub fn parse(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all("idempotency-key").iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(malformed("it occurs twice; send it once"));
        }
        let text = value.to_str().ok().and_then(|text| string(text.trim_matches(' ')));
        match text {
            None => Err(malformed("it must be a quoted string, as in \"8e03978e-40d5-43dd\"")),
            Some(key) if key.is_empty() => Err(malformed("it is empty; send a unique string")),
            Some(key) if key.len() > Self::MAX_CHARS => {
                Err(malformed("it has more than 255 characters; send a shorter one"))
            }
            Some(key) => Ok(Some(Self(key))),
        }
    }
}

/// The string of an `sf-string` without parameters.
fn string(field: &str) -> Option<String> {
    let inner = field.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.push(chars.next().filter(|c| matches!(c, '"' | '\\'))?),
            '"' => return None,
            ' '..='~' => text.push(c),
            _ => return None,
        }
    }
    Some(text)
}

/// The name under which `caller` claims `key` for operations on `user`: a hash, so that
/// neither stands in the table and a key says nothing to another caller.
#[must_use]
pub fn claim_id(caller: &str, user: &UserId, key: &IdempotencyKey) -> String {
    let IdempotencyKey(key) = key;
    format!("key#{}", hash(&[caller, user.as_str(), key]))
}

/// What a request with the same key must have in common with the first one: method,
/// path, precondition and body.
#[must_use]
pub fn fingerprint(user: &UserId, precondition: &Precondition, body: &str) -> String {
    let precondition = match precondition {
        Precondition::None => String::new(),
        Precondition::Exists => "exists".to_owned(),
        Precondition::Absent => "absent".to_owned(),
        Precondition::OneOf(tags) => tags.iter().map(|tag| format!("{tag},")).collect(),
    };
    hash(&["PUT", user.as_str(), &precondition, body])
}

/// SHA-256 of the parts, each behind its length so that no two lists feed it the same.
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
    use proptest::prelude::*;

    fn parse(values: &[&str]) -> Result<Option<String>, ProblemType> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("idempotency-key", value.parse().unwrap());
        }
        let key = IdempotencyKey::parse(&headers).map_err(|problem| problem.kind())?;
        Ok(key.map(|IdempotencyKey(key)| key))
    }

    #[test]
    fn reads_a_structured_field_string() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[" \"a b\" "]), Ok(Some("a b".to_owned())));
        assert_eq!(parse(&[r#""a\"b\\""#]), Ok(Some(r#"a"b\"#.to_owned())));
        let long = format!("\"{}\"", "k".repeat(256));
        for bad in
            ["", "a", "\"", "\"\"", "\"a", "\"a\"b\"", r#""a\n""#, "\"a\";x=1", "\"é\"", &long]
        {
            assert_eq!(parse(&[bad]), Err(ProblemType::MalformedHeader), "{bad}");
        }
        assert_eq!(parse(&["\"a\"", "\"a\""]), Err(ProblemType::MalformedHeader));
    }

    proptest! {
        #[test]
        fn different_requests_differ(
            a in ("[a-c]{1,3}", "[a-c]{0,3}", 0..3usize),
            b in ("[a-c]{1,3}", "[a-c]{0,3}", 0..3usize),
        ) {
            let print = |(user, body, precondition): &(String, String, usize)| {
                let kinds = [Precondition::None, Precondition::Exists, Precondition::Absent];
                fingerprint(&UserId::new(user).unwrap(), &kinds[*precondition], body)
            };
            let claim = |(user, caller, _): &(String, String, usize)| {
                claim_id(caller, &UserId::new(user).unwrap(), &IdempotencyKey("k".to_owned()))
            };
            prop_assert_eq!(a == b, print(&a) == print(&b));
            prop_assert_eq!((&a.0, &a.1) == (&b.0, &b.1), claim(&a) == claim(&b));
        }
    }
}
