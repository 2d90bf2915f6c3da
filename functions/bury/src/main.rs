//! What becomes of dead letters: configuration, clients, run.

use bury::Bury;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambda_shell::log;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start("bury");
    let bury = Bury::from_environment()?;
    run(service_fn(async |event: LambdaEvent<_>| bury.handle(event.payload).await)).await
}
