//! `PUT /users/{id}`: configuration, clients, run.

use lambda_http::{Error, service_fn};
use lambda_shell::gateway::run;
use lambda_shell::log;
use put::Put;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start("put");
    let put = Put::from_environment()?;
    run(service_fn(async |request| put.handle(&request).await)).await
}
