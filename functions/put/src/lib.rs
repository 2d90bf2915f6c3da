//! `PUT /users/{id}`, now or later: accept the request, mint its operation id, then
//! write the user or send the update.

mod deferred;
mod inline;
mod keyed;
mod waiting;

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use http::StatusCode;
use http::header::{CONTENT_LOCATION, ETAG, LOCATION, RETRY_AFTER};
use lambda_http::{Body, Request, Response};
use lambda_shell::environment::{self, Invalid};
use lambda_shell::target::{Paths, caller, gateway_time_ms, parameter};
use lambda_shell::{host, log, reply};
use rules::accept::{Accepted, Mode, accept};
use rules::prefer::Return;
use rules::status::{self, State, StatusDocument};
use rules::{Minter, OperationId, Problem, ProblemType, ReceiptKey, Tick, clock, precondition};
use updates_queue::Queue;
use users_table::Tables;

/// How a PUT went.
#[derive(Clone, Copy, Debug)]
enum Answer {
    /// The user was written with this id.
    Written { id: OperationId, created: bool },
    /// Its status URL tells what becomes of it.
    Accepted { id: OperationId },
}

/// The function's clients and settings.
#[derive(Debug)]
pub struct Put {
    tables: Tables,
    updates: Queue,
    receipts: ReceiptKey,
    default_mode: Mode,
    checks_clock: bool,
    minter: Mutex<Minter>,
}

impl Put {
    /// The function as its environment describes it.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn from_environment() -> Result<Self, Invalid> {
        let users = environment::required("USERS_TABLE")?;
        let operations = environment::required("OPERATIONS_TABLE")?;
        let queue_url = environment::required("UPDATES_QUEUE_URL")?;
        let modes = [("inline", Mode::Inline), ("deferred", Mode::Deferred)];
        Ok(Self {
            tables: Tables::new(&environment::aws("DYNAMODB")?, users, operations),
            updates: Queue::new(&environment::aws("SQS")?, queue_url),
            receipts: environment::receipt_key()?,
            default_mode: environment::one_of("DEFAULT_MODE", &modes)?,
            checks_clock: environment::one_of("CLOCK_CHECK", &[("on", true), ("off", false)])?,
            minter: Mutex::default(),
        })
    }

    /// Answers a PUT.
    ///
    /// # Errors
    /// None: what goes wrong is told in the response.
    pub async fn handle(&self, request: &Request) -> Result<Response<Body>, Infallible> {
        Ok(self.put(request).await.unwrap_or_else(|problem| reply::problem(&problem)))
    }

    async fn put(&self, request: &Request) -> Result<Response<Body>, Problem> {
        let accepted = accept(parameter(request, "id"), request.headers(), request.body())?;
        if self.checks_clock {
            check_clock(request)?;
        }
        let trace = trace(request);
        let answer = match (&accepted.key, accepted.mode(self.default_mode)) {
            (Some(key), mode) => {
                self.put_once(&accepted, key, &caller(request), mode, trace).await?
            }
            (None, Mode::Inline) => self.write(&accepted).await?,
            (None, Mode::Deferred) => self.send(&accepted, trace).await?,
            (None, Mode::Waiting(wait)) => self.write_or_send(&accepted, wait, trace).await?,
        };
        Ok(match answer {
            Answer::Written { id, created } => written(&accepted, id, created),
            Answer::Accepted { id } => {
                self.accepted(&accepted, id, &Paths::of(request, &accepted.user, 2))
            }
        })
    }

    /// Mints an id that is newer than every version the request names. A tag of the
    /// future does not count: it may be made up, and then the user would be out of reach
    /// of others. If such a version is stored after all, it is stepped over.
    fn mint(&self, precondition: &rules::Precondition) -> OperationId {
        let now = host::now();
        let newest_tag = precondition.clone().without_future_tags(now).newest_tag();
        let mut minter = self.minter.lock().unwrap_or_else(PoisonError::into_inner);
        match newest_tag {
            Some(tag) => minter.mint_after(Tick::from_unix(now), tag, host::random()),
            None => minter.mint(Tick::from_unix(now), host::random()),
        }
    }

    /// Mints an id that is newer than `stored`.
    fn mint_after(&self, now: Tick, stored: OperationId) -> OperationId {
        let mut minter = self.minter.lock().unwrap_or_else(PoisonError::into_inner);
        minter.mint_after(now, stored, host::random())
    }

    /// 202 with the status document, and where to find it from now on.
    fn accepted(&self, accepted: &Accepted<'_>, id: OperationId, paths: &Paths) -> Response<Body> {
        let now = host::now();
        let state = State::Pending;
        let document = StatusDocument::new(id, &accepted.user, paths.user(), &state, now);
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = reply::json(StatusCode::ACCEPTED, body);
        let location = paths.operation(&self.receipts.sign(&accepted.user, id));
        reply::set(&mut response, LOCATION, &location);
        reply::set(&mut response, CONTENT_LOCATION, &location);
        reply::set(&mut response, RETRY_AFTER, &status::retry_after(id, now).to_string());
        if accepted.preferences.respond_async {
            preference_applied(&mut response, "respond-async");
        }
        response
    }
}

/// 201 or 200 with the body as stored, or without it if the client prefers so.
fn written(accepted: &Accepted<'_>, id: OperationId, created: bool) -> Response<Body> {
    let representation = accepted.preferences.representation;
    let is_minimal = representation == Some(Return::Minimal);
    let mut response = match (created, is_minimal) {
        (true, true) => reply::empty(StatusCode::CREATED),
        (false, true) => reply::empty(StatusCode::NO_CONTENT),
        (true, false) => reply::json(StatusCode::CREATED, accepted.body.to_owned()),
        (false, false) => reply::json(StatusCode::OK, accepted.body.to_owned()),
    };
    reply::set(&mut response, ETAG, &precondition::etag(id));
    match representation {
        Some(Return::Minimal) => preference_applied(&mut response, "return=minimal"),
        Some(Return::Representation) => preference_applied(&mut response, "return=representation"),
        None => {}
    }
    response
}

fn preference_applied(response: &mut Response<Body>, preference: &'static str) {
    let name = http::HeaderName::from_static("preference-applied");
    reply::set(response, name, preference);
}

fn trace(request: &Request) -> Option<&str> {
    request.headers().get("x-amzn-trace-id")?.to_str().ok()
}

/// Refuses to mint an id on a host whose clock is not the gateway's.
fn check_clock(request: &Request) -> Result<(), Problem> {
    let Some(gateway) = gateway_time_ms(request).map(Duration::from_millis) else {
        return Ok(());
    };
    clock::check(host::now(), gateway).map_err(|skew| {
        tracing::error!(?skew, "refused to order a request by this host's clock");
        log::count("ClockRefusals");
        let detail = "This host's clock differs too much from the gateway's, so nothing was written; send the request again.";
        Problem::new(ProblemType::ClockSkew, detail).retry_after(1)
    })
}
