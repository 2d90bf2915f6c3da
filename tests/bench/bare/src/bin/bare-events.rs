//! The smallest function for an SQS queue: it reports every batch as done.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: LambdaEvent<SqsEvent>| Ok::<_, Error>(SqsBatchResponse::default())))
        .await
}
