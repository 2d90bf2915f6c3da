//! The PUT as in the public samples, with the defaults of the SDK, of aws-config and of
//! lambda_http: no order, no condition, no status.

use aws_config::BehaviorVersion;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_sqs::types::MessageAttributeValue;
use lambda_http::{Body, Error, Request, RequestExt, Response, run, service_fn, tracing};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = aws_config::load_defaults(BehaviorVersion::latest()).await;
    let dynamodb = aws_sdk_dynamodb::Client::new(&config);
    let sqs = aws_sdk_sqs::Client::new(&config);
    run(service_fn(|request| put(&dynamodb, &sqs, request))).await
}

async fn put(
    dynamodb: &aws_sdk_dynamodb::Client,
    sqs: &aws_sdk_sqs::Client,
    request: Request,
) -> Result<Response<Body>, Error> {
    let parameters = request.path_parameters();
    let user = parameters.first("id").ok_or("no user")?;
    let stored: Value = serde_json::from_slice(request.body())?;
    if request.headers().get("prefer").is_some_and(|value| value == "respond-async") {
        let attribute = MessageAttributeValue::builder().data_type("String").string_value(user);
        sqs.send_message()
            .queue_url(std::env::var("UPDATES_QUEUE_URL")?)
            .message_body(stored.to_string())
            .message_attributes("user", attribute.build()?)
            .send()
            .await?;
        return answer(202, &json!({ "status": "pending" }));
    }
    dynamodb
        .put_item()
        .table_name(std::env::var("USERS_TABLE")?)
        .item("id", AttributeValue::S(user.to_owned()))
        .item("body", AttributeValue::S(stored.to_string()))
        .send()
        .await?;
    answer(200, &stored)
}

fn answer(status: u16, body: &Value) -> Result<Response<Body>, Error> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Body::from(body.to_string()))?)
}
