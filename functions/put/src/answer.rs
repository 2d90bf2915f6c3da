//! Answer: the response to a request that was carried out or queued.

use std::time::Duration;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_LOCATION, ETAG, HeaderName, LOCATION};
use lambda_http::{Body, Response};
use lambda_shell::reply;
use rules::outcome::{Decision, Outcome};
use rules::reply::status::State;
use rules::request::prefer::Return;
use rules::{Change, Operation, Problem};
use world::Host;

use crate::Put;
use crate::prepare::WriteRequest;

/// How a request ended for its client.
#[derive(Debug)]
pub(crate) struct Ending {
    /// The answer.
    pub answer: Result<Answer, Problem>,
    /// Whether an earlier request with the same key decided the operation.
    pub is_replay: bool,
}

/// The answer to a request that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The resource was written or deleted.
    Written {
        /// Whether it is new.
        created: bool,
    },
    /// The resource was written, but it is not known whether it was new.
    Succeeded {
        /// The time of completion, since the Unix epoch.
        completed_at: Duration,
    },
    /// The operation is in the queue.
    Queued,
}

impl<H: Host, R, S, O, Q> Put<H, R, S, O, Q> {
    pub(crate) fn respond(
        &self,
        request: WriteRequest,
        operation: Operation,
        answer: Answer,
    ) -> Response<Body> {
        match answer {
            Answer::Written { created } => written(request, operation, created),
            Answer::Succeeded { completed_at } => {
                let outcome = Outcome::Succeeded(operation.method());
                let state = State::Decided(Decision { outcome, completed_at });
                self.accepted(&request, &operation, &state)
            }
            Answer::Queued => {
                let mut response = self.accepted(&request, &operation, &State::Pending);
                if request.preferences.respond_async {
                    preference_applied(&mut response, "respond-async");
                }
                response
            }
        }
    }

    /// The path of the operation's status document.
    pub(crate) fn location(&self, request: &WriteRequest, operation: &Operation) -> String {
        request.paths.operation(&self.receipts.sign(&operation.resource, operation.id))
    }

    /// 202 with the status document and its path.
    fn accepted(
        &self,
        request: &WriteRequest,
        operation: &Operation,
        state: &State,
    ) -> Response<Body> {
        let location = self.location(request, operation);
        let paths = (location.as_str(), request.paths.resource());
        let status =
            reply::status(StatusCode::ACCEPTED, operation.id, paths, state, self.host.now());
        let mut response = status.unwrap_or_else(|problem| reply::problem(&problem));
        reply::set(&mut response, LOCATION, &location);
        reply::set(&mut response, CONTENT_LOCATION, &location);
        response
    }
}

/// A DELETE gets 204. A PUT gets 201 or 200 with the body as stored, or 201 or 204 without a body
/// if the client prefers that.
fn written(request: WriteRequest, operation: Operation, created: bool) -> Response<Body> {
    let Change::Put(body) = operation.change else { return reply::empty(StatusCode::NO_CONTENT) };
    let (id, paths) = (operation.id, request.paths);
    let representation = request.preferences.representation;
    let is_minimal = representation == Some(Return::Minimal);
    let mut response = match (created, is_minimal) {
        (true, true) => reply::empty(StatusCode::CREATED),
        (false, true) => reply::empty(StatusCode::NO_CONTENT),
        (true, false) => reply::json(StatusCode::CREATED, body),
        (false, false) => reply::json(StatusCode::OK, body),
    };
    reply::set(&mut response, ETAG, &id.etag());
    // A proxy that compresses would weaken the entity tag.
    reply::set(&mut response, CACHE_CONTROL, "no-transform");
    if !is_minimal {
        // The body is what a GET of the resource would answer (RFC 9110 section 8.7).
        reply::set(&mut response, CONTENT_LOCATION, paths.resource());
    }
    match representation {
        Some(Return::Minimal) => preference_applied(&mut response, "return=minimal"),
        Some(Return::Representation) => preference_applied(&mut response, "return=representation"),
        None => {}
    }
    response
}

fn preference_applied(response: &mut Response<Body>, preference: &'static str) {
    reply::set(response, HeaderName::from_static("preference-applied"), preference);
}
