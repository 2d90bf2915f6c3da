//! Stub: replaced by the real function.
use lambda_http::{Error, Request, run, service_fn};
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |request: Request| {
        Ok::<_, Error>(format!("{} {}", env!("CARGO_PKG_NAME"), request.uri()))
    }))
    .await
}
