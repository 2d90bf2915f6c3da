//! The check of a JSON text, token by token.

use std::collections::HashSet;

use jiter::{Jiter, JiterError, JiterErrorType, JsonErrorType, LinePosition, Peek};

use crate::{Problem, ProblemType};

/// Takes at most `most` bytes.
///
/// # Errors
/// [`ProblemType::BodyTooLarge`]
pub fn check_size(body: &[u8], most: usize) -> Result<(), Problem> {
    if body.len() > most {
        let detail = format!("The body has {} bytes; send at most {most}.", body.len());
        return Err(Problem::new(ProblemType::BodyTooLarge, detail).field("body"));
    }
    Ok(())
}

/// Takes an object (RFC 8259) in UTF-8 whose objects have no two members of one name,
/// and which nests at most `most_depth` objects and arrays inside one another.
///
/// # Errors
/// [`MalformedJson`](ProblemType::MalformedJson),
/// [`InvalidBody`](ProblemType::InvalidBody),
/// [`DuplicateMember`](ProblemType::DuplicateMember),
/// [`TooDeep`](ProblemType::TooDeep),
/// [`ForbiddenCharacter`](ProblemType::ForbiddenCharacter)
pub fn check_object(body: &[u8], most_depth: usize) -> Result<&str, Problem> {
    let text = std::str::from_utf8(body).map_err(|error| {
        let reason = "It is not UTF-8 here; send JSON in UTF-8";
        refused(body, error.valid_up_to(), ProblemType::MalformedJson, reason)
    })?;
    walk(&mut Jiter::new(body), body, most_depth)?;
    if let Some(at) = text.find(['\u{FFFE}', '\u{FFFF}']) {
        let reason = "U+FFFE and U+FFFF cannot be queued; write them as \\ufffe and \\uffff";
        return Err(refused(body, at, ProblemType::ForbiddenCharacter, reason));
    }
    Ok(text)
}

/// A container of the document that is not closed yet.
enum Open {
    Array,
    Object { names: HashSet<String> },
}

fn walk(json: &mut Jiter<'_>, body: &[u8], most_depth: usize) -> Result<(), Problem> {
    let malformed = |error: JiterError| {
        let too_deep = JiterErrorType::JsonError(JsonErrorType::RecursionLimitExceeded);
        if error.error_type == too_deep {
            return refused_as_too_deep(body, error.index, most_depth);
        }
        let reason = format!("{}; correct the JSON", error.error_type);
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
            "Send an object, as in {\"name\": \"Ada\"}",
        ));
    }
    let mut open: Vec<Open> = Vec::new();
    loop {
        next = match next {
            Some(Peek::Object | Peek::Array) if open.len() == most_depth => {
                return Err(refused_as_too_deep(body, json.current_index(), most_depth));
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
                                "The member {name:?} that stands before this occurs twice in its object; send it once"
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

fn refused_as_too_deep(body: &[u8], at: usize, most_depth: usize) -> Problem {
    let reason = format!("It nests deeper than {most_depth} here; flatten it");
    refused(body, at, ProblemType::TooDeep, &reason)
}

fn refused(body: &[u8], at: usize, problem_type: ProblemType, reason: &str) -> Problem {
    let LinePosition { line, column } = LinePosition::find(body, at);
    let detail = format!("The body was refused at line {line}, column {column}: {reason}.");
    Problem::new(problem_type, detail).field("body").at(line, column)
}
