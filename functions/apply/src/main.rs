//! The deferred update: configuration, clients, run.

use std::time::{Duration, SystemTime};

use apply::Apply;
use lambda_runtime::{Context, Error, LambdaEvent, run, service_fn};
use lambda_shell::log;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    log::start("apply");
    let apply = Apply::from_environment()?;
    run(service_fn(async |event: LambdaEvent<_>| {
        apply.handle(event.payload, deadline(&event.context)).await
    }))
    .await
}

/// When the invocation ends. A deadline that has passed at its start is none:
/// `cargo lambda watch` gives every invocation one in January 1970.
fn deadline(context: &Context) -> SystemTime {
    let now = SystemTime::now();
    Some(context.deadline()).filter(|deadline| *deadline > now).unwrap_or(now + TIMEOUT)
}
