//! The deferred update: configuration, clients, run.

use apply::Apply;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambda_shell::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start("apply");
    let apply = Apply::from_environment()?;
    run(service_fn(async |event: LambdaEvent<_>| {
        apply.handle(event.payload, event.context.deadline()).await
    }))
    .await
}
