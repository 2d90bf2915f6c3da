//! What the calls ask of DynamoDB, word for word, where no emulator would show a mistake:
//! reads that are not strongly consistent look the same there.

use std::time::Duration;

use aws_calls::{Account, config};
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::test_util::capture_request;
use rules::reply::status::{Decision, OUTCOME_KEPT, Outcome, Record};
use rules::request::key::{Claim, VALID_FOR};
use rules::{Operation, OperationId, Precondition, ResourceId, Tick};
use serde_json::{Value, json};
use world::Tables;

use crate::DynamoDb;

const NOW: Duration = Duration::from_millis(1_800_000_000_123);

fn operation() -> Operation {
    Operation {
        id: OperationId::new(Tick::from_unix_ms(1_800_000_000_000), 1),
        resource: ResourceId::new("42").unwrap(),
        precondition: Precondition::None,
        body: "{}".to_owned(),
    }
}

/// The action and the parameters of the one request that a call makes.
async fn request_of<F: Future>(call: impl FnOnce(DynamoDb) -> F) -> (String, Value) {
    let (client, captured) = capture_request(None);
    let account = Account {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new("test", "test", None, None, "test"),
        endpoint_url: Some("http://127.0.0.1:1".to_owned()),
    };
    let config = config(account, SharedHttpClient::new(client));
    call(DynamoDb::new(config, "resources".to_owned(), "operations".to_owned())).await;
    let request = captured.expect_request();
    let action = request.headers().get("x-amz-target").unwrap().rsplit('.').next().unwrap();
    let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
    (action.to_owned(), body)
}

fn number(value: &Value) -> Duration {
    Duration::from_secs(value["N"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn every_read_is_strongly_consistent() {
    let resource = ResourceId::new("42").unwrap();
    let reads = [
        request_of(async |tables: DynamoDb| drop(tables.resource(&resource).await)).await,
        request_of(async |tables: DynamoDb| drop(tables.creator(&resource).await)).await,
        request_of(async |tables: DynamoDb| drop(tables.record_of(operation().id, NOW).await))
            .await,
    ];
    for (action, parameters) in reads {
        assert_eq!((action.as_str(), &parameters["ConsistentRead"]), ("GetItem", &json!(true)));
    }
}

#[tokio::test]
async fn what_is_recorded_lives_for_its_whole_time() {
    let kept = |expires_at: &Value, from: Duration, for_: Duration| {
        let expires_at = number(expires_at);
        assert!(expires_at >= from + for_ && expires_at <= from + for_ + Duration::from_secs(2));
    };
    let (resource, id) = (operation().resource, operation().id);
    let outcome = Outcome::Superseded;
    let decided = Record::Decided(Decision { outcome, completed_at: NOW });
    let stalled = Record::Stalled { problem: "{}".to_owned(), since: NOW };
    for (record, provisional) in [(decided, Value::Null), (stalled, json!({ "BOOL": true }))] {
        let call = async |tables: DynamoDb| drop(tables.record(&resource, id, &record).await);
        let (action, put) = request_of(call).await;
        assert_eq!((action.as_str(), &put["Item"]["provisional"]), ("PutItem", &provisional));
        assert_eq!(put["ConditionExpression"], crate::operations::UNDECIDED);
        kept(&put["Item"]["expires_at"], NOW, OUTCOME_KEPT);
    }
    let call =
        async |tables: DynamoDb| drop(tables.transact(&operation(), &[id.successor(1)], NOW).await);
    let (action, transaction) = request_of(call).await;
    assert_eq!(action, "TransactWriteItems");
    let puts = transaction["TransactItems"].as_array().unwrap().iter().skip(1);
    let outcomes: Vec<_> = puts
        .map(|item| {
            let put = &item["Put"];
            kept(&put["Item"]["expires_at"], NOW, OUTCOME_KEPT);
            assert_eq!(put["ConditionExpression"], crate::operations::UNDECIDED);
            put["Item"]["outcome"]["S"].as_str().unwrap()
        })
        .collect();
    assert_eq!(outcomes, ["succeeded", "superseded"]);
    let claim = Claim { id: "key#1".to_owned(), fingerprint: "f".to_owned(), operation: id };
    let (_, put) = request_of(async |tables: DynamoDb| drop(tables.claim(&claim, NOW).await)).await;
    let expires_at = number(&put["Item"]["expires_at"]);
    assert_eq!(expires_at, Duration::from_secs((NOW + VALID_FOR).as_secs()));
}
