//! What a client gets for a resource and for an operation, on a real DynamoDB engine.

use std::time::Duration;

use http::Method;
use rules::outcome::{Decision, EXPIRES_AFTER, GONE_AFTER, Outcome, Recorded};
use rules::{
    Change, Failure, Operation, OperationId, Precondition, Problem, ProblemType, ReceiptKey,
    ReceiptKeys, ResourceId, Tick,
};
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::thing::Thing;
use tests::world::{Fate, Faults, FaultyOperations, FaultyResources, TestHost};
use world::{Host, Outcomes, Resources};

use crate::Read;

type TestRead = Read<TestHost, FaultyResources, FaultyOperations>;

const MINUTE: Duration = Duration::from_secs(60);

async fn start() -> TestRead {
    let (engine, faults) = (Engine::start().await, Faults::default());
    Read {
        host: TestHost::default(),
        resources: FaultyResources { table: engine.resources, faults: faults.clone() },
        operations: FaultyOperations { table: engine.operations, faults },
        receipts: ReceiptKeys { current: ReceiptKey::new(&[7; 32]).unwrap(), other: None },
    }
}

fn resource() -> ResourceId {
    ResourceId::new("42").unwrap()
}

/// An operation that was accepted this long ago.
fn accepted(read: &TestRead, age: Duration) -> OperationId {
    OperationId::new(Tick::from_unix(read.host.now() - age), 1)
}

/// Stores a resource with this body; returns the operation.
async fn write(read: &TestRead, id: OperationId, body: &str) -> Operation {
    let operation = Operation::put(id, resource(), Precondition::None, body.to_owned());
    read.resources.table.write(&operation).await.unwrap();
    operation
}

async fn answer(read: &TestRead, method: Method, path: &str) -> Answered {
    let mut request = Sent::get(path).request();
    *request.method_mut() = method;
    Answered::of(read.handle::<Thing>(request).await)
}

async fn get(read: &TestRead, path: &str) -> Answered {
    answer(read, Method::GET, path).await
}

fn status_path(read: &TestRead, id: OperationId) -> String {
    format!("/things/42/operations/{}", read.receipts.sign(&resource(), id))
}

/// The status of an operation, and the seconds after which to ask again.
async fn status(read: &TestRead, id: OperationId) -> (String, String) {
    let path = status_path(read, id);
    let answered = get(read, &path).await;
    let Some(status) = answered.body["status"].as_str().filter(|_| answered.status == 200) else {
        return (answered.brief(), String::new());
    };
    assert_eq!(answered.body["self"], path.as_str());
    assert_eq!(answered.header("cache-control"), "no-store");
    (status.to_owned(), answered.header("retry-after").to_owned())
}

/// An operation without a record, a stalled one, and one that is decided.
#[tokio::test]
async fn the_status_of_an_operation_is_what_is_recorded_of_it_or_its_age() {
    let read = start().await;
    let problem = Problem::new(ProblemType::NotApplied, "Why.").to_json();
    let stalled = Recorded::Stalled { problem, since: read.host.now() };
    let (outcome, completed_at) = (Outcome::Superseded, read.host.now());
    let decided = Recorded::Decided(Decision { outcome, completed_at });
    for (recorded, age, expected, retry_after) in [
        (None, Duration::ZERO, "pending", "1"),
        (None, EXPIRES_AFTER - MINUTE, "pending", "60"),
        (None, EXPIRES_AFTER + MINUTE, "expired", ""),
        (None, GONE_AFTER + MINUTE, "410 operation-gone", ""),
        (Some(&stalled), MINUTE, "stalled", "60"),
        (Some(&decided), MINUTE, "superseded", ""),
    ] {
        let id = accepted(&read, age);
        if let Some(recorded) = recorded {
            read.operations.table.record(&resource(), id, recorded).await.unwrap();
        }
        let expected = (expected.to_owned(), retry_after.to_owned());
        assert_eq!(status(&read, id).await, expected, "{age:?}");
    }
}

#[tokio::test]
async fn a_resource_is_told_with_its_version_and_time() {
    let read = start().await;
    let id = OperationId::new(Tick::from_unix_ms(1_700_000_000_000), 1);
    write(&read, id, "{ \"a\" : 1 }").await;
    let sent = Sent::get("/things/42");
    for (sent, status) in [(sent.clone(), 200), (sent.with("if-none-match", &id.etag()), 304)] {
        let answered = Answered::of(read.handle::<Thing>(sent.request()).await);
        assert_eq!((answered.status, answered.header("etag")), (status, &*id.etag()));
        assert_eq!(answered.header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(answered.header("cache-control"), "private, no-cache, no-transform");
        assert_eq!(answered.body.is_null(), status == 304);
    }
    // RFC 9110 section 8.8.2.1: the gateway's clock may be ahead of this host's.
    write(&read, OperationId::new(Tick::from_unix(read.host.now() + MINUTE), 1), "{}").await;
    let answered = get(&read, "/things/42").await;
    let written = httpdate::parse_http_date(answered.header("last-modified")).unwrap();
    assert!(written <= std::time::SystemTime::now(), "{answered:?}");
}

#[tokio::test]
async fn a_head_is_a_get_without_the_body_and_other_methods_are_refused() {
    let read = start().await;
    let status = status_path(&read, accepted(&read, MINUTE));
    for (path, expected, allow) in
        [(&*status, 200, "GET, HEAD, DELETE"), ("/things/42", 404, "GET, HEAD, PUT, DELETE")]
    {
        let head = answer(&read, Method::HEAD, path).await;
        assert_eq!((head.status, head.body.is_null()), (expected, true), "{path}");
        let get = get(&read, path).await;
        assert_eq!((get.status, get.body.is_null()), (expected, false), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
        let refused = answer(&read, Method::DELETE, path).await;
        assert_eq!((&*refused.brief(), refused.header("allow")), ("405 method-not-allowed", allow));
    }
}

/// The other key has signed until recently, or will soon, while old and new functions run.
#[tokio::test]
async fn a_receipt_is_of_one_resource_and_by_either_key() {
    let mut read = start().await;
    read.receipts.other = ReceiptKey::new(&[8; 32]);
    for (id, key, expected) in [
        ("42", 7, "200"),
        ("42", 8, "200"),
        ("42", 9, "404 operation-not-found"),
        ("43", 7, "404 operation-not-found"),
    ] {
        let key = ReceiptKey::new(&[key; 32]).unwrap();
        let receipt = key.sign(&resource(), accepted(&read, MINUTE));
        let answered = get(&read, &format!("/things/{id}/operations/{receipt}")).await;
        assert_eq!(answered.brief(), expected);
    }
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_503_and_never_404() {
    let read = start().await;
    let id = accepted(&read, MINUTE);
    write(&read, id, "{ \"a\" : 1 }").await;
    read.resources.faults.plan("read", 2, Fate::Fails(Failure::MayHaveLanded));
    let answered = get(&read, "/things/42").await;
    assert_eq!((answered.status, &answered.body), (200, &serde_json::json!({ "a": 1 })));
    for (name, path) in [("read", "/things/42"), ("recorded", &status_path(&read, id))] {
        read.resources.faults.plan(name, 3, Fate::Fails(Failure::NotLanded));
        let answered = get(&read, path).await;
        let told = (&*answered.brief(), answered.header("retry-after"));
        assert_eq!(told, ("503 not-read", "1"));
        let line = read.host.measuring_lines().pop().unwrap();
        assert_eq!((&line["NotRead"], &line["resource"]), (&1.into(), &"42".into()), "{line}");
        assert_eq!(line["operation"].is_string(), name == "recorded", "{line}");
    }
}

#[tokio::test]
async fn a_deleted_resource_is_none_and_its_status_has_no_version() {
    let read = start().await;
    let operation = write(&read, accepted(&read, MINUTE), "{}").await;
    let id = operation.id.successor(1);
    let deleted = Operation { id, change: Change::Delete, ..operation };
    read.resources.table.transact(&deleted, &[], read.host.now()).await.unwrap();
    let answered = get(&read, "/things/42").await;
    assert_eq!((&*answered.brief(), answered.header("etag")), ("404 not-found", ""));
    let answered = get(&read, &status_path(&read, id)).await;
    assert_eq!((&answered.body["status"], answered.body.get("etag")), (&"succeeded".into(), None));
}
