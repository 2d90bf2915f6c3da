//! Runs an HTTP function behind API Gateway.

use std::fmt::Debug;

use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Error, IntoResponse, Request};
use lambda_runtime::tower::ServiceBuilder;
use lambda_runtime::{Diagnostic, LambdaEvent, Service};

/// Runs `handler` for every request, from an HTTP API (payload 2.0) or a REST API (1.0).
///
/// # Errors
/// If the Runtime API is out of reach.
pub async fn run<'a, S, R, E>(handler: S) -> Result<(), Error>
where
    S: Service<Request, Response = R, Error = E>,
    S::Future: Send + 'a,
    R: IntoResponse,
    E: Debug + Into<Diagnostic>,
{
    let service = ServiceBuilder::new().map_request(keep_repeated_fields);
    lambda_runtime::run(service.service(Adapter::from(handler))).await
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
