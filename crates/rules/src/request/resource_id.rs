//! The id of a resource, as it stands in `/users/{id}`.

use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::{Problem, ProblemType};

/// Everything but RFC 3986 `unreserved` and the `sub-delims`, `:` and `@` that a
/// path segment may hold as they are.
const ENCODED_IN_SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

/// 1 to 128 characters of what an SQS `MessageGroupId` allows (ASCII letters,
/// digits and punctuation), without `/` and `%`, and neither `.` nor `..`.
///
/// `/` cannot stand in a path segment. `%` is left out because an HTTP API hands
/// over `%25` undecoded and a REST API every escape, so that an id with a `%`
/// would name different resources through different gateways. `.` and `..` are
/// removed from a path by clients (RFC 3986 section 5.2.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    /// Longest id, in characters.
    pub const MAX_CHARS: usize = 128;

    /// The id in the text of a path segment, percent-encoded or already decoded.
    ///
    /// # Errors
    /// [`ProblemType::InvalidId`]
    pub fn from_path_segment(segment: &str) -> Result<Self, Problem> {
        let decoded = percent_decode_str(segment).decode_utf8().map_err(|_| {
            invalid(
                "it is not UTF-8 once percent-decoded; use ASCII letters, digits and punctuation",
            )
        })?;
        Self::new(&decoded)
    }

    /// The id in plain text.
    ///
    /// # Errors
    /// [`ProblemType::InvalidId`]
    pub fn new(id: &str) -> Result<Self, Problem> {
        if id.is_empty() {
            return Err(invalid("it is empty; put 1 to 128 characters after /users/"));
        }
        if let Some(bad) = id.chars().find(|c| !c.is_ascii_graphic() || matches!(c, '/' | '%')) {
            return Err(invalid(&format!(
                "it holds {bad:?}; use ASCII letters, digits and punctuation other than / and %"
            )));
        }
        if id.len() > Self::MAX_CHARS {
            return Err(invalid(&format!("it has {} characters; use at most 128", id.len())));
        }
        if matches!(id, "." | "..") {
            return Err(invalid(
                "\".\" and \"..\" are removed from paths by clients; use another id",
            ));
        }
        Ok(Self(id.to_owned()))
    }

    /// The id in plain text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id as one segment of a path (RFC 3986 section 3.3).
    #[must_use]
    pub fn path_segment(&self) -> String {
        utf8_percent_encode(&self.0, ENCODED_IN_SEGMENT).to_string()
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn invalid(reason: &str) -> Problem {
    Problem::new(
        ProblemType::InvalidId,
        format!("The resource id in the path was refused: {reason}."),
    )
    .field("path.id")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_is_no_id() {
        let long = "x".repeat(129);
        assert!(ResourceId::new(&long[1..]).is_ok());
        for (segment, reason) in [
            ("", "empty"),
            ("a b", "' '"),
            ("a%20b", "' '"),
            ("a%2Fb", "'/'"),
            ("a%25b", "'%'"),
            ("a%zz", "'%'"),
            ("caf%C3%A9", "'é'"),
            ("%FF", "UTF-8"),
            ("a%0Ab", "'\\n'"),
            ("..", "removed"),
            (&long, "129"),
        ] {
            let problem = ResourceId::from_path_segment(segment).unwrap_err();
            assert!(problem.detail().contains(reason), "{segment}: {}", problem.detail());
            assert_eq!(problem.problem_type(), ProblemType::InvalidId);
        }
    }

    proptest! {
        #[test]
        fn any_allowed_id_survives_the_path(id in "[!-~&&[^/%]]{1,128}") {
            prop_assume!(id != "." && id != "..");
            let resource = ResourceId::new(&id).unwrap();
            let segment = resource.path_segment();
            prop_assert!(!segment.contains(['/', '?', '#', '"', '<']));
            prop_assert_eq!(ResourceId::from_path_segment(&segment).unwrap(), resource);
        }
    }
}
