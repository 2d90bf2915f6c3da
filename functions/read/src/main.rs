//! `GET /users/{id}` and its operations: configuration, clients, run.

use lambda_http::{Error, service_fn};
use lambda_shell::gateway::run;
use lambda_shell::log;
use read::Read;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start("read");
    let read = Read::from_environment()?;
    run(service_fn(async |request| read.handle(&request).await)).await
}
