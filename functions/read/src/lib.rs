//! `GET` of a resource, and of the status of an operation on it.

use std::time::Duration;

use http::header::{ALLOW, CACHE_CONTROL, ETAG, LAST_MODIFIED};
use http::{Method, StatusCode};
use lambda_http::{Body, Request, RequestExt, Response};
use lambda_shell::target::{Paths, parameter, request_id};
use lambda_shell::{invocation, reply};
use rules::reply::status::State;
use rules::request::conditional::wants_representation;
use rules::{OperationId, Problem, ProblemType, ReceiptKeys, Resource, ResourceId};
use world::{Host, Invocation, Metric, Outcomes, Report, Resources, repeated};

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(15);

/// The function, its dependencies and its settings.
#[derive(Debug)]
pub struct Read<H, S, O> {
    /// The host that it runs on.
    pub host: H,
    /// The table of resources.
    pub resources: S,
    /// The table of outcomes.
    pub operations: O,
    /// Verifies receipts.
    pub receipts: ReceiptKeys,
}

impl<H: Host, S: Resources, O: Outcomes> Read<H, S, O> {
    /// Answers a GET or HEAD. Answers 405 to a method that neither this function nor `put`
    /// supports.
    pub async fn handle<R: Resource>(&self, request: Request) -> Response<Body> {
        let receipt = parameter(&request, "receipt");
        let is_head = request.method() == Method::HEAD;
        if !is_head && request.method() != Method::GET {
            let allow =
                if receipt.is_empty() { "GET, HEAD, PUT, DELETE" } else { "GET, HEAD, DELETE" };
            return method_not_allowed(&request, allow);
        }
        let read = async {
            let parameter = |name: &str| parameter(&request, name);
            let resource = ResourceId::of_request::<R>(parameter)?;
            if receipt.is_empty() {
                self.representation(&request, &resource).await
            } else {
                self.operation::<R>(&request, &resource, &receipt).await
            }
        };
        let response = read
            .await
            .unwrap_or_else(|problem| reply::problem(&problem.request_id(request_id(&request))));
        if is_head { reply::without_body(response) } else { response }
    }

    async fn representation(
        &self,
        request: &Request,
        resource: &ResourceId,
    ) -> Result<Response<Body>, Problem> {
        let (invocation, read) = (self.invocation(request), || self.resources.read(resource));
        let stored = repeated(&self.host, &invocation, (resource, None), read).await;
        let stored = stored.map_err(|_| self.not_read(&invocation, resource, None))?.ok_or_else(|| {
            let detail = "No resource is stored under this id; a deferred operation may still be pending: check its status URL.";
            Problem::new(ProblemType::NotFound, detail)
        })?;
        let id = stored.written_by;
        let mut response = if wants_representation(request.headers(), id)? {
            reply::json(StatusCode::OK, stored.body)
        } else {
            reply::empty(StatusCode::NOT_MODIFIED)
        };
        // Never in the future (RFC 9110 section 8.8.2.1).
        let written_at = id.tick().to_unix().min(self.host.now());
        reply::set(&mut response, ETAG, &id.etag());
        reply::set(&mut response, LAST_MODIFIED, &http_date(written_at));
        reply::set(&mut response, CACHE_CONTROL, "private, no-cache, no-transform");
        Ok(response)
    }

    async fn operation<R: Resource>(
        &self,
        request: &Request,
        resource: &ResourceId,
        receipt: &str,
    ) -> Result<Response<Body>, Problem> {
        let id = self.receipts.verify(resource, receipt)?;
        let invocation = self.invocation(request);
        let read = || self.operations.recorded(id, self.host.now());
        let recorded = repeated(&self.host, &invocation, (resource, Some(id)), read).await;
        let recorded = recorded.map_err(|_| self.not_read(&invocation, resource, Some(id)))?;
        let now = self.host.now();
        let state = State::derive(id, recorded, now);
        let paths = Paths::of::<R>(request, resource, 2);
        let location = paths.operation(receipt);
        let paths = (location.as_str(), paths.resource());
        let mut response = reply::status(StatusCode::OK, id, paths, &state, now)?;
        reply::set(&mut response, CACHE_CONTROL, "no-store");
        Ok(response)
    }

    /// Reports that the table could not be read, and returns the problem.
    fn not_read(
        &self,
        invocation: &Invocation,
        resource: &ResourceId,
        operation: Option<OperationId>,
    ) -> Problem {
        let report = Report::warn(invocation, "could not read a table").resource(resource);
        let report = report.problem(ProblemType::NotRead).count(Metric::NotRead);
        self.host.report(&Report { operation, ..report });
        let detail = "The table could not be read; send the request again.";
        Problem::new(ProblemType::NotRead, detail)
    }

    fn invocation(&self, request: &Request) -> Invocation {
        invocation(request.lambda_context_ref(), self.host.now(), TIMEOUT)
    }
}

fn method_not_allowed(request: &Request, allow: &'static str) -> Response<Body> {
    let detail = format!("This resource supports only {allow}.");
    let problem = Problem::new(ProblemType::MethodNotAllowed, detail);
    let mut response = reply::problem(&problem.request_id(request_id(request)));
    reply::set(&mut response, ALLOW, allow);
    response
}

/// The instant as an HTTP date (RFC 9110 section 5.6.7).
fn http_date(since_epoch: Duration) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + since_epoch)
}

#[cfg(test)]
mod tests;
