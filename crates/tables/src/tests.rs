//! What the calls ask of DynamoDB, word for word, where an emulator would not reveal a mistake: it
//! answers reads that are not strongly consistent in the same way.

use std::time::Duration;

use rules::outcome::{Decision, Outcome, RETENTION, Recorded};
use rules::request::key::{Claim, VALID_FOR};
use rules::{Change, Method, Operation, OperationId, Precondition, ResourceId, Tick};
use serde_json::{Value, json};
use tests::capture;
use world::{Claims, Outcomes, Resources as _};

use crate::{DynamoDb, Operations, Resources};

const NOW: Duration = Duration::from_millis(1_800_000_000_123);

fn operation() -> Operation {
    let id = OperationId::new(Tick::from_unix_ms(1_800_000_000_000), 1);
    let (resource, body) = (ResourceId::new("42").unwrap(), "{}".to_owned());
    Operation::put(id, resource, Precondition::None, body)
}

/// The action and the parameters of the one request that a call makes.
async fn request_of<F: Future>(call: impl FnOnce(Resources, Operations) -> F) -> (String, Value) {
    let both = |config| {
        let db = DynamoDb::new(config);
        let resources = db.resources("resources".to_owned(), "operations".to_owned());
        call(resources, db.operations("operations".to_owned()))
    };
    capture::request_of(both).await
}

fn number(value: &Value) -> Duration {
    Duration::from_secs(value["N"].as_str().unwrap().parse().unwrap())
}

#[tokio::test]
async fn every_read_is_strongly_consistent() {
    let operation = &operation();
    let reads = [
        request_of(async |table, _| drop(table.read(&operation.resource).await)).await,
        request_of(async |table, _| drop(table.version(&operation.resource).await)).await,
        request_of(async |_, table| drop(table.recorded(operation.id, NOW).await)).await,
    ];
    for (action, parameters) in reads {
        assert_eq!((action.as_str(), &parameters["ConsistentRead"]), ("GetItem", &json!(true)));
    }
    let (action, parameters) =
        request_of(async |table, _| drop(table.look(operation, NOW).await)).await;
    assert_eq!(action, "BatchGetItem");
    for table in ["resources", "operations"] {
        assert_eq!(parameters["RequestItems"][table]["ConsistentRead"], true, "{parameters}");
    }
}

#[tokio::test]
async fn what_is_recorded_lives_for_its_whole_time() {
    let kept = |expires_at: &Value, from: Duration, for_: Duration| {
        let expires_at = number(expires_at);
        assert!(expires_at >= from + for_ && expires_at <= from + for_ + Duration::from_secs(2));
    };
    let (operation, resource) = (&operation(), &operation().resource);
    let id = operation.id;
    let outcome = Outcome::Superseded;
    let decided = Recorded::Decided(Decision { outcome, completed_at: NOW });
    let outcome = Outcome::Succeeded(Method::Delete);
    let deleted = Recorded::Decided(Decision { outcome, completed_at: NOW });
    let stalled = Recorded::Stalled { problem: "{}".to_owned(), since: NOW };
    let of_each =
        [(decided, "superseded", ""), (deleted, "succeeded", ""), (stalled, "stalled", "{}")];
    for (recorded, outcome, problem) in of_each {
        let call = async |_, table: Operations| drop(table.record(resource, id, &recorded).await);
        let (action, put) = request_of(call).await;
        assert_eq!((action.as_str(), &put["Item"]["outcome"]["S"]), ("PutItem", &json!(outcome)));
        assert_eq!(put["ConditionExpression"], crate::outcomes::UNDECIDED);
        assert_eq!(put["Item"]["resource"]["S"], "42");
        assert_eq!(put["Item"]["problem"]["S"], problem);
        kept(&put["Item"]["expires_at"], NOW, RETENTION);
    }
    let older = [id.successor(1)];
    let call = async |table: Resources, _| drop(table.transact(operation, &older, NOW).await);
    let (action, transaction) = request_of(call).await;
    assert_eq!(action, "TransactWriteItems");
    let puts = transaction["TransactItems"].as_array().unwrap().iter().skip(1);
    let outcomes: Vec<_> = puts
        .map(|item| {
            let put = &item["Put"];
            kept(&put["Item"]["expires_at"], NOW, RETENTION);
            assert_eq!(put["ConditionExpression"], crate::outcomes::UNDECIDED);
            assert_eq!(put["Item"]["resource"]["S"], "42");
            put["Item"]["outcome"]["S"].as_str().unwrap()
        })
        .collect();
    assert_eq!(outcomes, ["succeeded", "superseded"]);
    let claim = Claim { id: "key#1".to_owned(), fingerprint: "f".to_owned(), operation: id };
    let (_, put) = request_of(async |_, table| drop(table.claim(&claim, NOW).await)).await;
    let expires_at = number(&put["Item"]["expires_at"]);
    assert_eq!(expires_at, Duration::from_secs((NOW + VALID_FOR).as_secs()));
}

/// It counts from the id, so a late write does not prolong it: nothing older than 32 days and an
/// hour is ever carried out.
#[tokio::test]
async fn a_tombstone_is_kept_for_33_days_from_its_id() {
    let operation = Operation { change: Change::Delete, ..operation() };
    let (_, update) = request_of(async |table, _| drop(table.write(&operation).await)).await;
    let expected = operation.id.tick().to_unix() + Duration::from_secs(33 * 86_400 + 1);
    assert_eq!(number(&update["ExpressionAttributeValues"][":expires"]), expected);
}
