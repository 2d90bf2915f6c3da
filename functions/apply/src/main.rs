//! The deferred update: configuration, clients, run.

use std::time::Duration;

use apply::{Apply, Update};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambda_shell::environment::{aws, http_client, required};
use lambda_shell::{LambdaHost, invocation};
use queues::Sqs;
use tables::DynamoDb;
use world::Host;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let host = LambdaHost::start()?;
    let http = http_client();
    let (resources, operations) = (required("RESOURCES_TABLE")?, required("OPERATIONS_TABLE")?);
    let sqs = aws("SQS", &http)?;
    let apply = Apply {
        host,
        tables: DynamoDb::new(aws("DYNAMODB", &http)?, resources, operations),
        updates: Sqs::new(sqs.clone(), required("UPDATES_QUEUE_URL")?),
        dead_letters: Sqs::new(sqs, required("DEAD_LETTERS_QUEUE_URL")?),
        work: Update::from_environment()?,
    };
    run(service_fn(async |event: LambdaEvent<_>| {
        let invocation = invocation(Some(&event.context), apply.host.now(), TIMEOUT);
        apply.handle(event.payload, &invocation).await
    }))
    .await
}
