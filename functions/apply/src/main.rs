//! Starts `apply`: reads the configuration, creates the clients, runs the function.

use std::time::Duration;

use apply::Apply;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambda_shell::environment::{aws, http_client, required};
use lambda_shell::{LambdaHost, invocation};
use queues::Sqs;
use resource::Served;
use tables::DynamoDb;
use world::Host;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let host = LambdaHost::start()?;
    let http = http_client();
    let dynamo_db = DynamoDb::new(aws("DYNAMODB", &http)?);
    let (resources, operations) = (required("RESOURCES_TABLE")?, required("OPERATIONS_TABLE")?);
    let sqs = aws("SQS", &http)?;
    let apply = Apply {
        host,
        resource: Served::from_environment()?,
        resources: dynamo_db.resources(resources, operations.clone()),
        operations: dynamo_db.operations(operations),
        updates: Sqs::new(sqs.clone(), required("UPDATES_QUEUE_URL")?),
        dead_letters: Sqs::new(sqs, required("DEAD_LETTERS_QUEUE_URL")?),
    };
    run(service_fn(async |event: LambdaEvent<_>| {
        let invocation = invocation(Some(&event.context), apply.host.now(), TIMEOUT);
        apply.handle(event.payload, &invocation).await
    }))
    .await
}
