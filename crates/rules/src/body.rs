//! The rules for every body, whatever the resource: a JSON object within limits.
//!
//! A body is stored and returned byte for byte, so the check reads it once and builds nothing from
//! it.

use std::collections::HashSet;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, LinePosition, Peek};
use serde::Deserialize;

use crate::{Problem, ProblemType};

/// The media type of every body.
pub const MEDIA_TYPE: &str = "application/json";

/// Largest body, in bytes. A DynamoDB item may have up to 400 KB, and the Lambda event with a batch
/// of ten messages up to 6 MB.
pub const MAX_BYTES: usize = 256 * 1024;

/// Maximum depth of nested objects and arrays; common parsers allow more.
pub const MAX_DEPTH: usize = 100;

/// Accepts a JSON object (RFC 8259) in UTF-8 of at most [`MAX_BYTES`] and [`MAX_DEPTH`]. No object
/// in it may have two members of the same name.
///
/// # Errors
/// [`BodyTooLarge`](ProblemType::BodyTooLarge),
/// [`MalformedJson`](ProblemType::MalformedJson),
/// [`InvalidBody`](ProblemType::InvalidBody),
/// [`DuplicateMember`](ProblemType::DuplicateMember),
/// [`TooDeep`](ProblemType::TooDeep),
/// [`ForbiddenCharacter`](ProblemType::ForbiddenCharacter)
pub fn check(body: &[u8]) -> Result<&str, Problem> {
    if body.len() > MAX_BYTES {
        let detail = format!("The body has {} bytes; send at most {MAX_BYTES}.", body.len());
        return Err(Problem::new(ProblemType::BodyTooLarge, detail).field("body"));
    }
    if body.starts_with(b"\xEF\xBB\xBF") {
        let reason = "it begins with a byte order mark; leave that out";
        return Err(refused(body, 0, ProblemType::MalformedJson, reason));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        let reason = "it is not UTF-8 here; send JSON in UTF-8";
        refused(body, error.valid_up_to(), ProblemType::MalformedJson, reason)
    })?;
    walk(&mut Jiter::new(body), body)?;
    if let Some(at) = text.find(['\u{FFFE}', '\u{FFFF}']) {
        let reason = "U+FFFE and U+FFFF cannot be queued; write them as \\ufffe and \\uffff";
        return Err(refused(body, at, ProblemType::ForbiddenCharacter, reason));
    }
    Ok(text)
}

/// Reads a checked body into a type, for [`Resource::check`](crate::Resource::check) and
/// [`Resource::update`](crate::Resource::update).
///
/// # Errors
/// [`InvalidBody`](ProblemType::InvalidBody) with the member in `field`, such as
/// `body.lines[1].quantity`, and its line and column.
pub fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Problem> {
    let json = &mut serde_json::Deserializer::from_str(body);
    serde_path_to_error::deserialize(json).map_err(|error| {
        let (path, error) = (error.path().to_string(), error.into_inner());
        // "REASON at line L column C"
        let reason = error.to_string();
        let reason = reason.rsplit_once(" at line ").map_or(reason.as_str(), |(reason, _)| reason);
        let missing =
            reason.strip_prefix("missing field `").and_then(|name| name.strip_suffix('`'));
        let members = [Some(path.as_str()).filter(|path| *path != "."), missing];
        let field: String = members
            .into_iter()
            .flatten()
            .fold("body".to_owned(), |field, member| format!("{field}.{member}"));
        let detail = format!("The body was refused at {field}: {reason}; correct that member.");
        let problem = Problem::new(ProblemType::InvalidBody, detail);
        problem.field(field).at(error.line(), error.column())
    })
}

/// An array or object that is not closed yet.
enum Open {
    Array,
    Object { names: HashSet<String> },
}

fn walk(json: &mut Jiter<'_>, body: &[u8]) -> Result<(), Problem> {
    let malformed = |error: JiterError| {
        let too_deep = JiterErrorType::JsonError(JsonErrorType::RecursionLimitExceeded);
        if error.error_type == too_deep {
            return refused_as_too_deep(body, error.index);
        }
        let lone_surrogate = JsonErrorType::LoneLeadingSurrogateInHexEscape;
        let reason = if error.error_type == JiterErrorType::JsonError(lone_surrogate) {
            "half of a surrogate pair; send the pair, or the character itself".to_owned()
        } else {
            format!("{}; correct the JSON", error.error_type)
        };
        refused(body, error.index, ProblemType::MalformedJson, &reason)
    };
    let mut next = Some(json.peek().map_err(malformed)?);
    if next != Some(Peek::Object) {
        let start = json.current_index();
        json.next_skip().and_then(|()| json.finish()).map_err(malformed)?;
        return Err(refused(
            body,
            start,
            ProblemType::InvalidBody,
            "it is not a JSON object; send one, as in {\"member\": 1}",
        ));
    }
    let mut open: Vec<Open> = Vec::new();
    loop {
        next = match next {
            Some(Peek::Object | Peek::Array) if open.len() == MAX_DEPTH => {
                return Err(refused_as_too_deep(body, json.current_index()));
            }
            Some(Peek::Array) => {
                open.push(Open::Array);
                json.known_array().map_err(malformed)?
            }
            Some(Peek::Object) => {
                let first = json.known_object().map_err(malformed)?.map(str::to_owned);
                let is_empty = first.is_none();
                open.push(Open::Object { names: first.into_iter().collect() });
                if is_empty { None } else { Some(json.peek().map_err(malformed)?) }
            }
            scalar_or_end => {
                match scalar_or_end {
                    Some(scalar) => json.known_skip(scalar).map_err(malformed)?,
                    None => drop(open.pop()),
                }
                match open.last_mut() {
                    None => return json.finish().map_err(malformed),
                    Some(Open::Array) => json.array_step().map_err(malformed)?,
                    Some(Open::Object { names }) => match json.next_key().map_err(malformed)? {
                        None => None,
                        Some(name) if names.contains(name) => {
                            let reason = format!(
                                "the member {name:?} just before this place occurs twice in its object; send it once"
                            );
                            return Err(refused(
                                body,
                                json.current_index(),
                                ProblemType::DuplicateMember,
                                &reason,
                            ));
                        }
                        Some(name) => {
                            names.insert(name.to_owned());
                            Some(json.peek().map_err(malformed)?)
                        }
                    },
                }
            }
        };
    }
}

fn refused_as_too_deep(body: &[u8], at: usize) -> Problem {
    let reason = format!("it is nested more than {MAX_DEPTH} levels deep here; flatten it");
    refused(body, at, ProblemType::TooDeep, &reason)
}

fn refused(body: &[u8], at: usize, problem_type: ProblemType, reason: &str) -> Problem {
    let LinePosition { line, column } = LinePosition::find(body, at);
    let detail = format!("The body was refused at line {line}, column {column}: {reason}.");
    Problem::new(problem_type, detail).field("body").at(line, column)
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::ProblemType;
    use proptest::prelude::*;
    use serde_json::Value;

    fn kind(body: &[u8]) -> Option<ProblemType> {
        check(body).err().map(|problem| problem.problem_type())
    }

    #[test]
    fn takes_any_object() {
        for body in [
            "{}",
            " \t\r\n{ } \n",
            r#"{"a":1e999,"b":-0.0,"c":123456789012345678901234567890,"d":[[],{},[1,{"a":null}]]}"#,
            r#"{"\u0061b":"\ud83d\ude00 😀 \\ \" \/","":false}"#,
            r#"{"a":{"a":{"a":1}},"b":[{"a":1},{"a":2}]}"#,
            "{\"\\ufffe\":\"\u{FFFD}\u{10FFFF}\"}",
        ] {
            assert_eq!(check(body.as_bytes()), Ok(body));
        }
    }

    #[test]
    fn refuses_with_a_position() {
        use ProblemType::*;
        let half = "half of a surrogate pair";
        for (body, expected, line, column, reason) in [
            (&b"{\"a\":1,\n \"b\": tru}"[..], MalformedJson, 2, 10, "correct the JSON"),
            (b"", MalformedJson, 1, 0, "correct the JSON"),
            (b"{\"a\":1}x", MalformedJson, 1, 8, "correct the JSON"),
            (b"{\"a\":\"\xff\"}", MalformedJson, 1, 7, "not UTF-8"),
            (b"[1]", InvalidBody, 1, 1, "JSON object"),
            (b"\n null", InvalidBody, 2, 2, "JSON object"),
            (b"[1", MalformedJson, 1, 2, "correct the JSON"),
            (b"{\"a\":1,\n\"\\u0061\":2}", DuplicateMember, 2, 10, "twice"),
            (b"{\"a\":\"\xef\xbf\xbe\"}", ForbiddenCharacter, 1, 7, "U+FFFE"),
            (br#"{"a":"\ud800"}"#, MalformedJson, 1, 13, "correct the JSON"),
            (br#"{"a":"\ud800\u0041"}"#, MalformedJson, 1, 18, half),
            (br#"{"a":"\udc00"}"#, MalformedJson, 1, 12, half),
            (b"\xEF\xBB\xBF{}", MalformedJson, 1, 1, "byte order mark"),
        ] {
            let problem = check(body).unwrap_err();
            assert_eq!(problem.problem_type(), expected, "{problem:?}");
            let document = serde_json::to_value(&problem).unwrap();
            let position = (&document["line"], &document["column"]);
            assert_eq!(position, (&line.into(), &column.into()), "{document}");
            assert!(problem.detail().contains(reason), "{document}");
        }
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        lines: Vec<Line>,
    }

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only its form matters")]
    struct Line {
        quantity: u32,
    }

    #[test]
    fn a_member_of_the_wrong_form_is_named() {
        for (body, field, reason) in [
            ("{}", "body.lines", "missing field"),
            ("{\"lines\":[{\"quantity\":1},\n{\"quantity\":-1}]}", "body.lines[1].quantity", "u32"),
            ("{\"lines\":[{}]}", "body.lines[0].quantity", "missing field"),
            ("{\"lines\":{}}", "body.lines", "expected a sequence"),
            ("{\"lines\":[],\"x\":1}", "body.x", "unknown field"),
        ] {
            let problem = read::<Order>(body).unwrap_err();
            let document = serde_json::to_value(&problem).unwrap();
            assert_eq!(document["field"], field, "{document}");
            assert!(problem.detail().contains(reason), "{document}");
        }
        assert_eq!(read::<Order>("{\"lines\":[{\"quantity\":3}]}").unwrap().lines.len(), 1);
    }

    #[test]
    fn limits_are_inclusive() {
        let nested =
            |depth: usize| format!("{}1{}", "{\"a\":[".repeat(depth / 2), "]}".repeat(depth / 2));
        assert_eq!(kind(nested(MAX_DEPTH).as_bytes()), None);
        assert_eq!(kind(nested(MAX_DEPTH + 2).as_bytes()), Some(ProblemType::TooDeep));
        let array = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(kind(array(MAX_DEPTH).as_bytes()), Some(ProblemType::InvalidBody));
        assert_eq!(kind(array(1000).as_bytes()), Some(ProblemType::TooDeep));
        let number = |digits: usize| format!("{{\"a\":{}}}", "9".repeat(digits));
        assert_eq!(kind(number(4300).as_bytes()), None);
        assert_eq!(kind(number(4301).as_bytes()), Some(ProblemType::MalformedJson));
        let sized = |bytes: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(bytes - 8));
        assert_eq!(kind(sized(MAX_BYTES).as_bytes()), None);
        assert_eq!(kind(sized(MAX_BYTES + 1).as_bytes()), Some(ProblemType::BodyTooLarge));
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::hash_map(".{0,4}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// Compares the function with serde_json, except for numbers out of the range of a double,
    /// which serde_json refuses and RFC 8259 does not.
    fn agrees(body: &[u8]) -> Result<(), TestCaseError> {
        let expected = serde_json::from_slice::<Value>(body);
        if expected.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            return Ok(());
        }
        let (refused, shown) = (kind(body), String::from_utf8_lossy(body));
        let is_malformed = refused == Some(ProblemType::MalformedJson);
        prop_assert_eq!(expected.is_err(), is_malformed, "{}: {:?}", shown, refused);
        if let Ok(value) = expected {
            let is_no_object = refused == Some(ProblemType::InvalidBody);
            prop_assert_eq!(!value.is_object(), is_no_object, "{}", shown);
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(value in value(), pretty: bool, at: prop::sample::Index, with in any::<u8>()) {
            let mut text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            agrees(&text)?;
            let at = at.index(text.len());
            text[at] = with;
            agrees(&text)?;
            agrees(&text[..at])?;
        }

        #[test]
        fn agrees_with_serde_json_on_json_like_text(text in r#"[\[\]{}:,"\\u0-9a-e.+\-tfnrl \n]{0,24}"#) {
            agrees(text.as_bytes())?;
        }

        #[test]
        fn a_name_twice_is_found_at_any_depth(path in prop::collection::vec(any::<bool>(), 0..8), name in "[a-z]{1,3}") {
            let (mut before, mut after) = (String::new(), String::new());
            for in_object in path {
                before += if in_object { "{\"x\":" } else { "{\"x\":[" };
                after.insert_str(0, if in_object { "}" } else { "]}" });
            }
            let body = format!("{before}{{\"{name}\":1,\"y0\":{{}},\"{name}\":[]}}{after}");
            prop_assert_eq!(kind(body.as_bytes()), Some(ProblemType::DuplicateMember), "{}", body);
        }
    }
}
