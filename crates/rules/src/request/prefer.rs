//! The `Prefer` request header (RFC 7240).

/// The preferences that a PUT honours. Others are ignored, as RFC 7240 section 2 says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Preferences {
    /// `respond-async` (section 4.1).
    pub respond_async: bool,
    /// `wait`, in seconds (section 4.3); a number that does not fit becomes the largest.
    pub wait: Option<u32>,
    /// `return` (section 4.2).
    pub representation: Option<Return>,
}

/// The values of `return` (RFC 7240 section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// `return=minimal`
    Minimal,
    /// `return=representation`
    Representation,
}

impl Preferences {
    /// Reads the values of all `Prefer` fields of a request, in their order.
    ///
    /// Of several preferences with the same name the first counts. A malformed preference is
    /// ignored up to the next comma, since preferences are never binding.
    ///
    /// ```
    /// use rules::request::prefer::Preferences;
    ///
    /// let asked = Preferences::parse(["respond-async, wait=5", "wait=9, colour=blue"]);
    /// assert!(asked.respond_async);
    /// assert_eq!(asked.wait, Some(5));
    /// ```
    #[must_use]
    pub fn parse<'a>(fields: impl IntoIterator<Item = &'a str>) -> Self {
        let mut found = Self::default();
        let (mut seen_wait, mut seen_return) = (false, false);
        for preference in fields.into_iter().flat_map(|field| split_outside_quotes(field, b',')) {
            // Parameters follow the first semicolon; the preferences used here have none.
            let Some((name, value)) =
                split_outside_quotes(preference, b';').next().and_then(name_and_value)
            else {
                continue;
            };
            if name.eq_ignore_ascii_case("respond-async") && value.is_empty() {
                found.respond_async = true;
            } else if name.eq_ignore_ascii_case("wait") && !std::mem::replace(&mut seen_wait, true)
            {
                let is_digits = value.bytes().all(|b| b.is_ascii_digit());
                let is_number = is_digits && !value.is_empty();
                found.wait = is_number.then(|| value.parse().unwrap_or(u32::MAX));
            } else if name.eq_ignore_ascii_case("return")
                && !std::mem::replace(&mut seen_return, true)
            {
                found.representation = match value.as_str() {
                    "minimal" => Some(Return::Minimal),
                    "representation" => Some(Return::Representation),
                    _ => None,
                };
            }
        }
        found
    }
}

/// Splits at `separator`, but not inside a quoted-string (RFC 9110 section 5.6.4).
fn split_outside_quotes(text: &str, separator: u8) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c: char| {
        let is_separator = !quoted && c == char::from(separator);
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        is_separator
    })
}

/// `token [ BWS "=" BWS word ]`; an absent value and an empty one are the same (section 2).
/// A name that is not a token matches no known preference, so it is not checked.
fn name_and_value(preference: &str) -> Option<(&str, String)> {
    let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
    let (name, value) = (trim(name), trim(value));
    let value = match value.strip_prefix('"') {
        Some(rest) => unquote(rest)?,
        None if value.bytes().all(is_token_byte) => value.to_owned(),
        None => return None,
    };
    Some((name, value))
}

fn unquote(after_opening: &str) -> Option<String> {
    let mut text = String::new();
    let mut chars = after_opening.chars();
    loop {
        match chars.next()? {
            '"' => return chars.as_str().is_empty().then_some(text),
            '\\' => text.push(chars.next()?),
            c => text.push(c),
        }
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

fn is_token_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(fields: &[&str]) -> (bool, Option<u32>, Option<Return>) {
        let p = Preferences::parse(fields.iter().copied());
        (p.respond_async, p.wait, p.representation)
    }

    #[test]
    fn rfc_7240_forms() {
        use Return::*;
        for (fields, expected) in [
            (&["respond-async"][..], (true, None, None)),
            (&["Respond-Async , WAIT = 10"], (true, Some(10), None)),
            (&["wait=10", "respond-async"], (true, Some(10), None)),
            (&["return=minimal;x=\"a,b;c\", respond-async"], (true, None, Some(Minimal))),
            (&["return=\"representation\""], (false, None, Some(Representation))),
            (&["return=minimal, return=representation"], (false, None, Some(Minimal))),
            (&["return=other, return=minimal"], (false, None, None)),
            (&["wait=5, wait=9"], (false, Some(5), None)),
            (&["wait=-1"], (false, None, None)),
            (&["wait=99999999999"], (false, Some(u32::MAX), None)),
            (&["wait="], (false, None, None)),
            (&["wait=\"1\\0\""], (false, Some(10), None)),
            (&["foo=\", respond-async, \""], (false, None, None)),
            (&["foo=\"\\\", respond-async\", wait=1"], (false, Some(1), None)),
            (&["foo=\\\", respond-async, x\""], (false, None, None)),
            (&["wait=1 0, wait=5"], (false, Some(5), None)),
            (&["respond-async=\"\"; a"], (true, None, None)),
            (&["respond-async=yes"], (false, None, None)),
            (&["respond async"], (false, None, None)),
            (&[",, ;x, respond-async"], (true, None, None)),
            (&["x-respond-async"], (false, None, None)),
            (&[], (false, None, None)),
        ] {
            assert_eq!(parse(fields), expected, "{fields:?}");
        }
    }

    proptest! {
        #[test]
        fn one_field_of_a_list_is_the_same_as_many_fields(
            names in prop::collection::vec("(respond-async|wait|return|foo)( ?= ?(\"[a-z,; ]{0,6}\"|[a-z0-9]{1,4}|minimal))?(; ?p=\"[,;]?\")?", 0..6)
        ) {
            let many: Vec<_> = names.iter().map(String::as_str).collect();
            let joined = names.join(" , ");
            prop_assert_eq!(parse(&many), parse(&[&joined]));
        }

        #[test]
        fn any_text_is_read_without_a_panic(text in ".{0,40}") {
            parse(&[&text]);
        }
    }
}
