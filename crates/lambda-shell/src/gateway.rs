//! Runs an HTTP function behind API Gateway.

use std::future::{Future, ready};
use std::pin::Pin;
use std::time::Duration;

use http::Method;
use lambda_http::{Adapter, Body, Error, IntoResponse, Request, RequestExt, Response, service_fn};
use lambda_runtime::{LambdaEvent, Service};
use rules::{Problem, ProblemType};
use serde::Serialize;
use world::{Host, Invocation, Report};

use crate::event::GatewayEvent;
use crate::target::request_id;
use crate::{Access, LambdaHost, invocation, reply};

/// Runs `handle` for every request that `access` accepts, from an HTTP API (payload 2.0) or a REST
/// API (1.0).
///
/// # Errors
/// If the Runtime API cannot be reached.
pub async fn run<F, A>(host: LambdaHost, access: Access, handle: F) -> Result<(), Error>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response<Body>> + Send,
{
    lambda_runtime::run(service(&host, &access, &handle)).await
}

/// The service that [`run`] runs.
pub fn service<'a, H, F, A>(
    host: &'a H,
    access: &'a Access,
    handle: &'a F,
) -> impl Service<LambdaEvent<GatewayEvent>, Response: Serialize, Error = Error, Future: Send>
where
    H: Host,
    F: Fn(Request) -> A,
    A: Future<Output = Response<Body>> + Send + 'a,
{
    service_fn(move |event: LambdaEvent<GatewayEvent>| {
        let LambdaEvent { payload: GatewayEvent { request, problem }, context } = event;
        let answering = service_fn(move |request| {
            let answer = answer(host, access, handle, request, problem.clone());
            async { Ok::<_, Error>(Whole(answer.await)) }
        });
        Adapter::from(answering).call(LambdaEvent::new(request, context))
    })
}

/// The answer to a request. `handle` gets only requests that `access` accepts and that have no
/// problem.
fn answer<H, F, A>(
    host: &H,
    access: &Access,
    handle: F,
    request: Request,
    problem: Option<Problem>,
) -> impl Future<Output = Response<Body>> + use<H, F, A>
where
    H: Host,
    F: Fn(Request) -> A,
    A: Future<Output = Response<Body>>,
{
    let is_head = request.method() == Method::HEAD;
    let checked = access.check(&request).and_then(|()| problem.map_or(Ok(()), Err));
    let checked = checked.map_err(|problem| {
        let invocation = invocation(request.lambda_context_ref(), host.now(), Duration::ZERO);
        host.report(&refused(&invocation, &problem));
        problem.request_id(request_id(&request))
    });
    // The future of a request takes kilobytes; without the box they would be moved repeatedly.
    let handled = checked.map(|()| Box::pin(handle(request)));
    async move {
        match handled {
            Ok(answer) => answer.await,
            Err(problem) if is_head => reply::without_body(reply::problem(&problem)),
            Err(problem) => reply::problem(&problem),
        }
    }
}

/// The report of a request that is refused before `handle`.
fn refused<'a>(invocation: &'a Invocation, problem: &Problem) -> Report<'a> {
    match problem.problem_type() {
        ProblemType::Forbidden => Report::forbidden(invocation, problem),
        problem_type => Report::info(invocation, "refused a request").problem(problem_type),
    }
}

/// A response with a text body. `lambda_http` would treat the body as a stream of bytes in any
/// charset, and link the decoders of all charsets.
struct Whole(Response<Body>);

impl IntoResponse for Whole {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use http::StatusCode;
    use world::Metric;

    use super::*;
    use crate::caller::tests::http_request;

    /// A host that remembers what was measured.
    #[derive(Default)]
    struct TestHost(RefCell<Vec<Metric>>);

    impl Host for TestHost {
        fn now(&self) -> Duration {
            Duration::ZERO
        }

        fn random(&self) -> u64 {
            0
        }

        async fn sleep(&self, _: Duration) {}

        fn report(&self, report: &Report<'_>) {
            self.0.borrow_mut().extend(report.metrics.iter().map(|(metric, _)| *metric));
        }
    }

    #[tokio::test]
    async fn who_may_not_send_a_request_is_told_nothing_else() {
        for method in ["PUT", "GET", "HEAD", "DELETE"] {
            let (host, handled) = (TestHost::default(), Cell::new(0));
            let handle = async |_| {
                handled.set(handled.get() + 1);
                reply::json(StatusCode::OK, "{}".to_owned())
            };
            let refused =
                answer(&host, &Access::Iam, handle, http_request(method, "null"), None).await;
            assert_eq!((refused.status().as_u16(), handled.get()), (403, 0), "{method}");
            assert_eq!(refused.headers()["cache-control"], "no-store");
            assert_eq!(refused.body().is_empty(), method == "HEAD");
            let answered =
                answer(&host, &Access::Everyone, handle, http_request(method, "null"), None).await;
            assert_eq!((answered.status().as_u16(), handled.get()), (200, 1), "{method}");
            assert_eq!(*host.0.borrow(), [Metric::Forbidden]);
        }
    }
}
