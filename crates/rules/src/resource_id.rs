//! The id of a resource: the parameters of its path.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::resource::{self, Resource};
use crate::{Problem, ProblemType};

/// Everything except the unreserved characters of RFC 3986. A path segment may contain others
/// unencoded, but common signers of AWS requests encode them, and then the signatures would not
/// match.
const ENCODED_IN_SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The parameters of a resource's path, joined by `/` if there are several.
///
/// Each parameter has only characters that an SQS `MessageGroupId` allows (ASCII letters, digits
/// and punctuation), without `/`, `%` and `?`, and is not `.` or `..`. Together they have 1 to 128
/// characters.
///
/// Gateways differ in how they decode, cut or merge a path at `/`, `%` and `?`, so an id with one
/// of these would name different resources through different gateways. Clients remove `.` and `..`
/// from a path (RFC 3986 section 5.2.4).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(String);

impl ResourceId {
    /// Longest id, in characters: as for an SQS `MessageGroupId`.
    pub const MAX_CHARS: usize = 128;

    /// The id in the parameters of a request's path, in plain text.
    ///
    /// # Errors
    /// [`ProblemType::InvalidId`]
    pub fn of_request<'a, R: Resource>(
        parameter: impl Fn(&str) -> Cow<'a, str>,
    ) -> Result<Self, Problem> {
        let mut id = String::new();
        for name in resource::parameters::<R>() {
            let value = parameter(name);
            Self::check_parameter(&value).map_err(|reason| invalid(name, &reason))?;
            R::check_id(name, &value).map_err(|reason| invalid(name, &reason))?;
            if !id.is_empty() {
                id.push('/');
            }
            id.push_str(&value);
            if id.len() > Self::MAX_CHARS {
                let reason = format!(
                    "the parameters up to here have over {} characters in total; use shorter ones",
                    Self::MAX_CHARS
                );
                return Err(invalid(name, &reason));
            }
        }
        Ok(Self(id))
    }

    /// Reads an id in plain text, as it is stored; `None` if it is not valid.
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let is_valid = id.len() <= Self::MAX_CHARS
            && id.split('/').all(|part| Self::check_parameter(part).is_ok());
        is_valid.then(|| Self(id.to_owned()))
    }

    /// The id in plain text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The values of the path's parameters, in plain text.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The general rule for one parameter of a path.
    ///
    /// # Errors
    /// The reason and the next step.
    pub fn check_parameter(value: &str) -> Result<(), String> {
        if value.is_empty() {
            return Err("it is empty; use 1 to 128 characters".to_owned());
        }
        let is_bad = |c: &char| !c.is_ascii_graphic() || matches!(c, '/' | '%' | '?');
        if let Some(bad) = value.chars().find(is_bad) {
            return Err(format!(
                "it contains {bad:?}; use ASCII letters, digits and punctuation other than /, % and ?"
            ));
        }
        if value.len() > Self::MAX_CHARS {
            return Err(format!("it has {} characters; use at most 128", value.len()));
        }
        if matches!(value, "." | "..") {
            return Err("clients remove \".\" and \"..\" from paths; use another id".to_owned());
        }
        Ok(())
    }

    /// A parameter as one segment of a path (RFC 3986 section 3.3).
    pub(crate) fn encoded(parameter: &str) -> impl Iterator<Item = &str> {
        utf8_percent_encode(parameter, ENCODED_IN_SEGMENT)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn invalid(parameter: &str, reason: &str) -> Problem {
    let detail = format!("The {parameter} in the path was refused: {reason}.");
    Problem::new(ProblemType::InvalidId, detail).field(format!("path.{parameter}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::{Example, parameters, path_of, segments};
    use proptest::prelude::*;

    struct Nested;

    impl Resource for Nested {
        const PATH: &'static str = "/tenants/{tenant}/devices/{id}";
        const OWNER: &'static str = "tenant";
        const EXAMPLE: Example = Example { parameters: &["acme", "7"], body: "{}" };

        fn check_id(parameter: &str, value: &str) -> Result<(), String> {
            let is_number = value.parse::<u32>().is_ok();
            if parameter == "id" && !is_number && value != "any" {
                return Err("it is not a number; send digits".to_owned());
            }
            Ok(())
        }
    }

    #[test]
    fn a_path_has_its_parameters_in_order() {
        let id = ResourceId::new("ac\"me/7").unwrap();
        assert_eq!(path_of::<Nested>(&id), "/tenants/ac%22me/devices/7");
        assert_eq!(parameters::<Nested>().collect::<Vec<_>>(), ["tenant", "id"]);
        assert_eq!(segments::<Nested>(), 4);
    }

    fn id_of(tenant: &str, id: &str) -> Result<ResourceId, Problem> {
        ResourceId::of_request::<Nested>(|name| (if name == "tenant" { tenant } else { id }).into())
    }

    #[test]
    fn refuses_what_is_no_id() {
        let long = "x".repeat(129);
        for (segment, reason) in [
            ("", "empty"),
            ("a b", "' '"),
            ("a/b", "'/'"),
            ("%72oot", "'%'"),
            ("ada?v2", "'?'"),
            ("café", "'é'"),
            ("a\nb", "'\\n'"),
            ("..", "remove"),
            (&long, "129"),
            (&long[2..], "over 128"),
        ] {
            let problem = id_of(segment, "7").unwrap_err();
            assert!(problem.detail().contains(reason), "{segment}: {}", problem.detail());
            assert_eq!(problem.problem_type(), ProblemType::InvalidId);
            let shown = serde_json::to_value(&problem).unwrap();
            let field = if reason == "over 128" { "path.id" } else { "path.tenant" };
            assert_eq!(shown["field"], field);
        }
        assert_eq!(id_of(&long[3..], "7").unwrap().to_string().len(), 128);
        assert!(ResourceId::new(&long[1..]).is_some());
        let problem = id_of("acme", "x").unwrap_err();
        let told = "The id in the path was refused: it is not a number; send digits.";
        assert_eq!((problem.problem_type(), problem.detail()), (ProblemType::InvalidId, told));
        for stored in ["", "/", "a/", "/a", "a//b", "a/..", "a b", &long] {
            assert_eq!(ResourceId::new(stored), None, "{stored}");
        }
    }

    proptest! {
        #[test]
        fn any_allowed_id_survives_the_path(tenant in "[!-~&&[^/%?]]{1,60}") {
            prop_assume!(tenant != "." && tenant != "..");
            let resource = ResourceId::new(&format!("{tenant}/any")).unwrap();
            let path = path_of::<Nested>(&resource);
            let segments: Vec<_> = path.split('/').collect();
            prop_assert_eq!(segments.len(), 5);
            let is_unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~%/".contains(&b);
            prop_assert!(path.bytes().all(is_unreserved), "{}", path);
            let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().unwrap();
            prop_assert_eq!(id_of(&decoded, segments[4]).unwrap(), resource);
        }
    }
}
