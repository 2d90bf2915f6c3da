//! What the calls ask of SQS, word for word.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use rules::{Change, Operation, OperationId, Precondition, ResourceId, Tick};
use serde_json::{Value, json};
use tests::capture;
use world::{Inbox, Outbox};

use crate::{Sqs, message};

const BODY: &str = "{ \"a\" : 1 }";
const TRACE: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

fn operation() -> Operation {
    let id = OperationId::new(Tick::from_unix_ms(1_800_000_000_000), 1);
    let (resource, body) = (ResourceId::new("42").unwrap(), BODY.to_owned());
    Operation::put(id, resource, Precondition::Exists, body)
}

/// The parameters of the one request that a call makes.
async fn request_of<F: Future>(call: impl FnOnce(Sqs) -> F) -> Value {
    let url = "http://127.0.0.1:1/1/updates".to_owned();
    capture::request_of(|config| call(Sqs::new(config, url))).await.1
}

#[tokio::test]
async fn a_message_is_the_body_with_all_else_in_its_attributes() {
    let operation = operation();
    let sent = request_of(async |queue: Sqs| drop(queue.send(&operation, Some(TRACE)).await)).await;
    assert_eq!((&sent["MessageBody"], &sent["MessageGroupId"]), (&BODY.into(), &"42".into()));
    let value = |name: &str| sent["MessageAttributes"][name]["StringValue"].clone();
    assert_eq!(value("operation"), operation.id.to_string());
    assert_eq!((value("resource"), value("precondition")), (json!("42"), json!("exists")));
    assert_eq!(sent["MessageSystemAttributes"]["AWSTraceHeader"]["StringValue"], TRACE);
    let delete = Operation { change: Change::Delete, ..operation };
    let sent = request_of(async |queue: Sqs| drop(queue.send(&delete, None).await)).await;
    let version = &sent["MessageAttributes"]["version"]["StringValue"];
    // SQS refuses an empty body, and code that does not know DELETEs must not store this one.
    assert_eq!((&sent["MessageBody"], version), (&json!("-"), &json!("2")));
}

#[tokio::test]
async fn a_malformed_trace_header_is_left_out_of_a_message() {
    for trace in ["", "x", "Root=1-2-3", "Root=\u{1}"] {
        let send = async |queue: Sqs| drop(queue.send(&operation(), Some(trace)).await);
        let forward = async |queue: Sqs| {
            let mut record = SqsMessage::default();
            record.body = Some("{}".to_owned());
            record.attributes.insert("AWSTraceHeader".to_owned(), trace.to_owned());
            drop(queue.forward(&record).await);
        };
        for sent in [request_of(send).await, request_of(forward).await] {
            assert_eq!(sent["MessageSystemAttributes"], Value::Null, "{trace:?}: {sent}");
        }
    }
}

#[tokio::test]
async fn a_forwarded_message_is_unchanged() {
    let operation = operation();
    let mut record = SqsMessage::default();
    record.body = Some(BODY.to_owned());
    for (name, value) in message::attributes(&operation) {
        let mut attribute = SqsMessageAttribute::default();
        (attribute.string_value, attribute.data_type) = (Some(value), Some("String".to_owned()));
        record.message_attributes.insert(name.to_owned(), attribute);
    }
    // An attribute of a later version.
    let binary = json!({ "dataType": "Binary", "binaryValue": "AP8=" });
    let binary = serde_json::from_value(binary).unwrap();
    record.message_attributes.insert("later".to_owned(), binary);
    record.attributes.insert("MessageGroupId".to_owned(), "42".to_owned());
    record.attributes.insert("AWSTraceHeader".to_owned(), TRACE.to_owned());
    let send = async |queue: Sqs| drop(queue.send(&operation, Some(TRACE)).await);
    let forward = async |queue: Sqs| drop(queue.forward(&record).await);
    let mut expected = request_of(send).await;
    expected["MessageAttributes"]["later"] = json!({ "DataType": "Binary", "BinaryValue": "AP8=" });
    assert_eq!(request_of(forward).await, expected);
}

#[tokio::test]
async fn a_received_message_is_deleted_or_hidden_by_its_handle() {
    let url = "http://127.0.0.1:1/1/updates";
    let deleted = request_of(async |queue: Sqs| drop(queue.delete("handle").await)).await;
    assert_eq!(deleted, json!({ "QueueUrl": url, "ReceiptHandle": "handle" }));
    let timeout = Duration::from_millis(2900);
    let hidden = request_of(async |queue: Sqs| drop(queue.hide("handle", timeout).await)).await;
    let expected = json!({ "QueueUrl": url, "ReceiptHandle": "handle", "VisibilityTimeout": 2 });
    assert_eq!(hidden, expected);
}
