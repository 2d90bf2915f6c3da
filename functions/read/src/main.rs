//! Starts `read`: reads the configuration, creates the clients, runs the function.

use lambda_http::Error;
use lambda_shell::LambdaHost;
use lambda_shell::environment::{access, aws, http_client, receipt_keys, required};
use lambda_shell::gateway::run;
use read::Read;
use resource::Served;
use tables::DynamoDb;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let host = LambdaHost::start()?;
    let http = http_client();
    let dynamo_db = DynamoDb::new(aws("DYNAMODB", &http)?);
    let (resources, operations) = (required("RESOURCES_TABLE")?, required("OPERATIONS_TABLE")?);
    let read = Read {
        host,
        resources: dynamo_db.resources(resources, operations.clone()),
        operations: dynamo_db.operations(operations),
        receipts: receipt_keys()?,
    };
    run(read.host.clone(), access::<Served>()?, |request| read.handle::<Served>(request)).await
}
