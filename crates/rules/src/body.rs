//! What a resource's body may be. **This is the file to edit for another resource.**
//!
//! A body is stored and given back byte for byte, so the check reads it once and
//! builds nothing from it.

use crate::Problem;
use crate::json;

/// The media type of a resource.
pub const MEDIA_TYPE: &str = "application/json";

/// Largest body, in bytes. An item holds 400 KB, a Lambda batch of ten 6 MB.
pub const MAX_BYTES: usize = 256 * 1024;

/// Most objects and arrays inside one another, within the limits of common parsers.
pub const MAX_DEPTH: usize = 100;

/// Takes any JSON object (RFC 8259) in UTF-8 whose objects have no two members of
/// one name, of at most [`MAX_BYTES`].
///
/// # Errors
/// [`BodyTooLarge`](crate::ProblemType::BodyTooLarge), and what `json::check_object`
/// finds.
pub fn check(body: &[u8]) -> Result<&str, Problem> {
    json::check_size(body, MAX_BYTES)?;
    json::check_object(body, MAX_DEPTH)
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
        for (body, expected, line, column) in [
            (&b"{\"a\":1,\n \"b\": tru}"[..], MalformedJson, 2, 10),
            (b"", MalformedJson, 1, 0),
            (b"{\"a\":1}x", MalformedJson, 1, 8),
            (b"{\"a\":\"\xff\"}", MalformedJson, 1, 7),
            (b"[1]", InvalidBody, 1, 1),
            (b"\n null", InvalidBody, 2, 2),
            (b"[1", MalformedJson, 1, 2),
            (b"{\"a\":1,\n\"\\u0061\":2}", DuplicateMember, 2, 10),
            (b"{\"a\":\"\xef\xbf\xbe\"}", ForbiddenCharacter, 1, 7),
            (br#"{"a":"\ud800"}"#, MalformedJson, 1, 13),
        ] {
            let problem = check(body).unwrap_err();
            let shown = String::from_utf8_lossy(body);
            assert_eq!(problem.problem_type(), expected, "{shown}");
            let document = serde_json::to_value(&problem).unwrap();
            assert_eq!(
                (&document["line"], &document["column"]),
                (&line.into(), &column.into()),
                "{shown} {document}"
            );
        }
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

    /// Agreement with serde_json on what is JSON, but for numbers out of the range
    /// of a double, which serde_json refuses and RFC 8259 does not.
    fn agrees(body: &[u8]) -> Result<(), TestCaseError> {
        let expected = serde_json::from_slice::<Value>(body);
        if expected.as_ref().is_err_and(|error| error.to_string().contains("out of range")) {
            return Ok(());
        }
        let refused = kind(body);
        let shown = String::from_utf8_lossy(body);
        prop_assert_eq!(
            expected.is_err(),
            refused == Some(ProblemType::MalformedJson),
            "{}: {:?}",
            shown,
            refused
        );
        if let Ok(value) = expected {
            prop_assert_eq!(
                !value.is_object(),
                refused == Some(ProblemType::InvalidBody),
                "{}",
                shown
            );
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json_on_valid_json(value in value(), pretty: bool) {
            let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) }.unwrap();
            agrees(&text)?;
        }

        #[test]
        fn agrees_with_serde_json_on_broken_json(value in value(), at: prop::sample::Index, with in any::<u8>()) {
            let mut text = serde_json::to_vec(&value).unwrap();
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
