//! Runs an HTTP function behind API Gateway.

use std::future::{Future, ready};
use std::pin::Pin;

use http::Method;
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Body, Error, IntoResponse, Request, Response, service_fn};
use lambda_runtime::LambdaEvent;
use lambda_runtime::tower::ServiceBuilder;

use crate::target::request_id;
use crate::{Access, reply};

/// Runs `handle` for every request that `access` lets pass, from an HTTP API (payload 2.0)
/// or a REST API (1.0).
///
/// # Errors
/// If the Runtime API is out of reach.
pub async fn run<F, A>(access: Access, handle: F) -> Result<(), Error>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response<Body>> + Send,
{
    let answering = service_fn(|request| {
        let answer = answer(&access, &handle, request);
        async { Ok::<_, Error>(Whole(answer.await)) }
    });
    let service = ServiceBuilder::new().map_request(keep_repeated_fields);
    lambda_runtime::run(service.service(Adapter::from(answering))).await
}

/// The answer of `handle`, which sees no request of a caller who may not send it.
fn answer<F, A>(
    access: &Access,
    handle: F,
    request: Request,
) -> impl Future<Output = Response<Body>> + use<F, A>
where
    F: Fn(Request) -> A,
    A: Future<Output = Response<Body>>,
{
    let is_head = request.method() == Method::HEAD;
    let checked = access.check(&request);
    let checked = checked.map_err(|problem| problem.request_id(request_id(&request)));
    let handled = checked.map(|()| handle(request));
    async move {
        match handled {
            Ok(answer) => answer.await,
            Err(problem) if is_head => reply::without_body(reply::problem(&problem)),
            Err(problem) => reply::problem(&problem),
        }
    }
}

/// A response whose body is text already. `lambda_http` would take it for a stream of bytes
/// in any charset, and bring the decoders of all of them.
struct Whole(Response<Body>);

impl IntoResponse for Whole {
    fn into_response(self) -> Pin<Box<dyn Future<Output = Response<Body>> + Send>> {
        Box::pin(ready(self.0))
    }
}

/// A REST API gives every header field twice, once with all its values and once with
/// the last. `lambda_http` would let the last one win.
fn keep_repeated_fields(mut event: LambdaEvent<LambdaRequest>) -> LambdaEvent<LambdaRequest> {
    if let LambdaRequest::ApiGatewayV1(request) = &mut event.payload
        && !request.multi_value_headers.is_empty()
    {
        request.headers.clear();
    }
    event
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use http::StatusCode;

    use super::*;
    use crate::caller::tests::http_request;

    #[tokio::test]
    async fn who_may_not_send_a_request_is_told_nothing_else() {
        for method in ["PUT", "GET", "HEAD", "DELETE"] {
            let handled = Cell::new(0);
            let handle = async |_| {
                handled.set(handled.get() + 1);
                reply::json(StatusCode::OK, "{}".to_owned())
            };
            let refused = answer(&Access::Iam, handle, http_request(method, "null")).await;
            assert_eq!((refused.status().as_u16(), handled.get()), (403, 0), "{method}");
            assert_eq!(refused.headers()["cache-control"], "no-store");
            assert_eq!(refused.body().is_empty(), method == "HEAD");
            let answered = answer(&Access::None, handle, http_request(method, "null")).await;
            assert_eq!((answered.status().as_u16(), handled.get()), (200, 1), "{method}");
        }
    }
}
