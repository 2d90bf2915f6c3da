//! The meaning of the service's replies.

use rig::gateway::{Answer as Reply, problem_type};

use crate::record::{Fate, Method, Said};

fn said(text: impl Into<String>, fate: Fate, operation: Option<String>) -> Said {
    Said { text: text.into(), fate, operation, created: None }
}

fn unexpected(reply: &Reply) -> Said {
    said(format!("{} {}", reply.status, reply.body), Fate::Unexpected, None)
}

/// The answer to a PUT of this body, or to a DELETE.
pub fn answer(reply: &Reply, body: Option<&str>) -> Said {
    let (etag, problem) = (reply.etag(), reply.problem());
    let fate = match (reply.status, problem.as_str()) {
        (200 | 201, _) if Some(reply.body.as_str()) == body && etag.is_some() => {
            let created = Some(reply.status == 201);
            return Said { created, ..said(reply.brief(), Fate::Written, etag) };
        }
        (204, _) if body.is_none() && etag.is_none() => Fate::Written,
        (202, _) => {
            let document = reply.json();
            let operation = document["id"].as_str().map(str::to_owned);
            return match document["status"].as_str() {
                Some("pending") => said("202", Fate::Open, operation),
                // A DELETE is known to be written.
                Some("succeeded") if body.is_some() => {
                    said("202 succeeded", Fate::Written, operation)
                }
                _ => unexpected(reply),
            };
        }
        (412, _) => Fate::PreconditionFailed,
        (409, "cancelled") => Fate::Cancelled,
        (409, "superseded") | (503, "not-written" | "clock-skew") => Fate::Never,
        (503, "outcome-unknown") => Fate::Open,
        (500, _) if !reply.is_functions_own => Fate::Open,
        _ => return unexpected(reply),
    };
    said(reply.brief(), fate, None)
}

/// The status of a PUT or DELETE in a status document, or in the answer to its cancellation. `None`
/// if the answer need not contain it.
pub fn status(reply: &Reply, method: Method, is_cancel: bool) -> Option<Said> {
    if reply.status == 503 || !reply.is_functions_own {
        return None;
    }
    if is_cancel && reply.brief() == "409 already-decided" {
        return Some(said("already-decided", Fate::Open, None));
    }
    let document = reply.json();
    let etag = document["etag"].as_str().map(|etag| etag.trim_matches('"').to_owned());
    let problem = problem_type(&document["error"]);
    let fate = match document["status"].as_str() {
        Some("cancelled") => Fate::Cancelled,
        _ if is_cancel => return Some(unexpected(reply)),
        Some("pending" | "stalled") => Fate::Open,
        // A DELETE leaves no version.
        Some("succeeded") if etag.is_some() == (method == Method::Put) => Fate::Written,
        Some("superseded") => Fate::Never,
        // All clocks are right here, so a failure has no other cause.
        Some("failed") if problem == "precondition-failed" => Fate::PreconditionFailed,
        _ => return Some(unexpected(reply)),
    };
    Some(said(document["status"].as_str().unwrap_or_default(), fate, etag))
}
