//! Starts `park`: reads the configuration, creates the clients, runs the function.

use std::time::Duration;

use lambda_runtime::{Error, LambdaEvent, run, service_fn};
use lambda_shell::environment::{aws, http_client, required};
use lambda_shell::{LambdaHost, invocation};
use park::Park;
use queues::Sqs;
use tables::DynamoDb;
use world::Host;

/// The function's timeout in `template.yaml`.
const TIMEOUT: Duration = Duration::from_secs(30);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let host = LambdaHost::start()?;
    let http = http_client();
    let dynamo_db = DynamoDb::new(aws("DYNAMODB", &http)?);
    let park = Park {
        host,
        operations: dynamo_db.operations(required("OPERATIONS_TABLE")?),
        parked: Sqs::new(aws("SQS", &http)?, required("PARKED_QUEUE_URL")?),
    };
    run(service_fn(async |event: LambdaEvent<_>| {
        let invocation = invocation(Some(&event.context), park.host.now(), TIMEOUT);
        park.handle(event.payload, &invocation).await
    }))
    .await
}
