//! The least that a function of an SQS queue can be: it takes every batch for done.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    run(service_fn(async |_: LambdaEvent<SqsEvent>| Ok::<_, Error>(SqsBatchResponse::default())))
        .await
}
