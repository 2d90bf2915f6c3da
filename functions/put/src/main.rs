//! Starts `put`: reads the configuration, creates the clients, runs the function.

use lambda_http::Error;
use lambda_shell::LambdaHost;
use lambda_shell::environment::{access, aws, http_client, one_of, receipt_keys, required};
use lambda_shell::gateway::run;
use put::{ArrivalClock, Put};
use queues::Sqs;
use resource::Served;
use rules::request::accept::Mode;
use tables::DynamoDb;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let host = LambdaHost::start()?;
    let http = http_client();
    let dynamo_db = DynamoDb::new(aws("DYNAMODB", &http)?);
    let (resources, operations) = (required("RESOURCES_TABLE")?, required("OPERATIONS_TABLE")?);
    let modes = [("inline", Mode::Inline), ("deferred", Mode::Deferred)];
    let clocks = [("gateway", ArrivalClock::Gateway), ("host", ArrivalClock::Host)];
    let put = Put {
        host,
        resource: Served::from_environment()?,
        resources: dynamo_db.resources(resources, operations.clone()),
        operations: dynamo_db.operations(operations),
        updates: Sqs::new(aws("SQS", &http)?, required("UPDATES_QUEUE_URL")?),
        receipts: receipt_keys()?,
        default_mode: one_of("DEFAULT_MODE", &modes)?,
        arrival_clock: one_of("ARRIVAL_CLOCK", &clocks)?,
    };
    run(put.host.clone(), access::<Served>()?, |request| put.handle(request)).await
}
