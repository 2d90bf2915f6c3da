//! `GET /users/{id}` and `GET /users/{id}/operations/{receipt}`.

use std::convert::Infallible;
use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, ETAG, LAST_MODIFIED, RETRY_AFTER};
use http::{Method, StatusCode};
use lambda_http::{Body, Request, Response};
use lambda_shell::environment::{self, Invalid};
use lambda_shell::retry::retried;
use lambda_shell::target::{Paths, parameter};
use lambda_shell::{host, reply};
use rules::status::{self, State, StatusDocument};
use rules::{Problem, ProblemType, ReceiptKey, UserId, precondition};
use users_table::Tables;

/// The function's clients and settings.
#[derive(Debug)]
pub struct Read {
    tables: Tables,
    receipts: ReceiptKey,
}

impl Read {
    /// The function as its environment describes it.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn from_environment() -> Result<Self, Invalid> {
        let users = environment::required("USERS_TABLE")?;
        let operations = environment::required("OPERATIONS_TABLE")?;
        Ok(Self {
            tables: Tables::new(&environment::aws("DYNAMODB")?, users, operations),
            receipts: environment::receipt_key()?,
        })
    }

    /// Answers a GET or HEAD, and 405 to what neither this function nor `put` answers.
    ///
    /// # Errors
    /// None: what goes wrong is told in the response.
    pub async fn handle(&self, request: &Request) -> Result<Response<Body>, Infallible> {
        let receipt = parameter(request, "receipt");
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let allow = if receipt.is_empty() { "GET, HEAD, PUT" } else { "GET, HEAD" };
            return Ok(method_not_allowed(allow));
        }
        let read = async {
            let user = UserId::from_path_segment(parameter(request, "id"))?;
            if receipt.is_empty() {
                self.user(request, &user).await
            } else {
                self.operation(request, &user, receipt).await
            }
        };
        let mut response = read.await.unwrap_or_else(|problem| reply::problem(&problem));
        if is_head {
            *response.body_mut() = Body::Empty;
        }
        Ok(response)
    }

    async fn user(&self, request: &Request, user: &UserId) -> Result<Response<Body>, Problem> {
        let stored = retried(user, || self.tables.user(user)).await.ok_or_else(not_read)?;
        let stored = stored.ok_or_else(|| {
            let detail = "No user is stored under this id; a deferred PUT may be on its way, which its status URL tells.";
            Problem::new(ProblemType::UserNotFound, detail)
        })?;
        let mut response = if precondition::wants_representation(request.headers(), stored.id)? {
            reply::json(StatusCode::OK, stored.body)
        } else {
            reply::empty(StatusCode::NOT_MODIFIED)
        };
        let written_at = stored.id.tick().to_unix().min(host::now());
        reply::set(&mut response, ETAG, &precondition::etag(stored.id));
        reply::set(&mut response, LAST_MODIFIED, &http_date(written_at));
        reply::set(&mut response, CACHE_CONTROL, "private, no-cache");
        Ok(response)
    }

    async fn operation(
        &self,
        request: &Request,
        user: &UserId,
        receipt: &str,
    ) -> Result<Response<Body>, Problem> {
        let id = self.receipts.verify(user, receipt).ok_or_else(|| {
            let detail = "No operation of this user has this receipt; take the URL from the Location of a 202.";
            Problem::new(ProblemType::OperationNotFound, detail).field("path.receipt")
        })?;
        let now = host::now();
        let outcome = retried(user, || self.tables.outcome(id, now)).await.ok_or_else(not_read)?;
        let state = State::derive(id, outcome, now);
        let paths = Paths::of(request, user, 4);
        let document =
            StatusDocument::new(id, user, paths.user(), &state, now).ok_or_else(|| {
                let detail =
                    "The operation is so old that its outcome is no longer kept; read the user.";
                Problem::new(ProblemType::OperationGone, detail)
            })?;
        let body = serde_json::to_string(&document).unwrap_or_default();
        let mut response = reply::json(StatusCode::OK, body);
        reply::set(&mut response, CACHE_CONTROL, "no-store");
        if state == State::Pending {
            let seconds = status::retry_after(id, now).to_string();
            reply::set(&mut response, RETRY_AFTER, &seconds);
        }
        Ok(response)
    }
}

fn method_not_allowed(allow: &'static str) -> Response<Body> {
    let detail = format!("This resource takes only {allow}.");
    let mut response = reply::problem(&Problem::new(ProblemType::MethodNotAllowed, detail));
    reply::set(&mut response, ALLOW, allow);
    response
}

fn not_read() -> Problem {
    let detail = "The table could not be read; send the request again.";
    Problem::new(ProblemType::NotRead, detail).retry_after(1)
}

/// The instant as an HTTP date (RFC 9110 section 5.6.7).
fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch)
}
