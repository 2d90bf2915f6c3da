//! A batch of messages written the plain way: one UpdateItem for each, and no outcome. With
//! `BARE=partial-batch` there is a task for every record, as in the runtime's partial-batch
//! example. With `BARE=one-at-a-time` the records run one after another.
//! <https://github.com/aws/aws-lambda-rust-runtime/tree/main/examples/advanced-sqs-partial-batch-failures>

use std::sync::Arc;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use bare::Calls;
use futures_util::future::join_all;
use lambda_runtime::{Error, LambdaEvent, run, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let calls = Arc::new(Calls::from_environment()?);
    let is_parallel = match std::env::var("BARE")?.as_str() {
        "partial-batch" => true,
        "one-at-a-time" => false,
        other => return Err(format!("BARE is {other}").into()),
    };
    run(service_fn(async |event: LambdaEvent<SqsEvent>| {
        let records = event.payload.records;
        Ok::<_, Error>(if is_parallel {
            in_parallel(&calls, records).await
        } else {
            one_at_a_time(&calls, records).await
        })
    }))
    .await
}

async fn in_parallel(calls: &Arc<Calls>, records: Vec<SqsMessage>) -> SqsBatchResponse {
    let (ids, tasks): (Vec<_>, Vec<_>) = records
        .into_iter()
        .map(|record| {
            let (id, calls) = (record.message_id.clone(), Arc::clone(calls));
            (id, tokio::spawn(async move { update(&calls, &record).await }))
        })
        .unzip();
    let done = join_all(tasks).await;
    let mut response = SqsBatchResponse::default();
    for (id, done) in ids.into_iter().zip(done) {
        if !matches!(done, Ok(Ok(()))) {
            response.add_failure(id.unwrap_or_default());
        }
    }
    response
}

async fn one_at_a_time(calls: &Calls, records: Vec<SqsMessage>) -> SqsBatchResponse {
    let mut response = SqsBatchResponse::default();
    for record in records {
        if update(calls, &record).await.is_err() {
            response.add_failure(record.message_id.unwrap_or_default());
        }
    }
    response
}

async fn update(calls: &Calls, record: &SqsMessage) -> Result<(), Error> {
    let resource = record.message_attributes.get("resource");
    let resource =
        resource.and_then(|resource| resource.string_value.as_deref()).ok_or("no resource")?;
    calls.update_item(resource, record.body.as_deref().ok_or("no body")?).await
}
