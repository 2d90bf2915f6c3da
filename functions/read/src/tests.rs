//! What a client is told of a resource and of an operation, on a real DynamoDB engine.

use std::time::Duration;

use http::Method;
use rules::outcome::{Decision, EXPIRES_AFTER, GONE_AFTER, Outcome, Recorded};
use rules::{
    Failure, Operation, OperationId, Precondition, Problem, ProblemType, ReceiptKey, ReceiptKeys,
};
use rules::{ResourceId, Tick};
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::thing::Thing;
use tests::world::{Fate, Faults, FaultyOperations, FaultyResources, TestHost};
use world::{Host, Metric, Outcomes, Resources};

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

async fn status(read: &TestRead, id: OperationId) -> Answered {
    let path = format!("/things/42/operations/{}", read.receipts.sign(&resource(), id));
    let answered = Answered::of(read.handle::<Thing>(Sent::get(&path).request()).await);
    if answered.status == 200 {
        assert_eq!(
            (&answered.body["self"], answered.header("cache-control")),
            (&path.into(), "no-store")
        );
    }
    answered
}

async fn record(read: &TestRead, id: OperationId, record: Recorded) {
    read.operations.table.record(&resource(), id, &record).await.unwrap();
}

#[tokio::test]
async fn an_undecided_operation_is_pending_then_expired_then_gone() {
    let read = start().await;
    for (age, expected, retry_after) in [
        (Duration::ZERO, "pending", "1"),
        (EXPIRES_AFTER - MINUTE, "pending", "60"),
        (EXPIRES_AFTER + MINUTE, "expired", ""),
        (GONE_AFTER - MINUTE, "expired", ""),
    ] {
        let answered = status(&read, accepted(&read, age)).await;
        let told = (answered.body["status"].as_str().unwrap(), answered.header("retry-after"));
        assert_eq!(told, (expected, retry_after), "{age:?}");
    }
    let gone = status(&read, accepted(&read, GONE_AFTER + MINUTE)).await;
    assert_eq!(gone.brief(), "410 operation-gone");
}

#[tokio::test]
async fn a_stalled_operation_may_still_be_decided_and_expires_like_any() {
    let read = start().await;
    let problem = Problem::new(ProblemType::NotApplied, "Why.");
    let problem = problem.to_json();
    let stalled = Recorded::Stalled { problem, since: read.host.now() };
    let (young, old) = (accepted(&read, MINUTE), accepted(&read, EXPIRES_AFTER + MINUTE));
    for id in [young, old] {
        record(&read, id, stalled.clone()).await;
    }
    let answered = status(&read, young).await;
    assert_eq!(
        (&answered.body["status"], answered.header("retry-after")),
        (&"stalled".into(), "60")
    );
    assert_eq!(answered.body["error"]["status"], 503);
    assert_eq!(answered.body["completedAt"], serde_json::Value::Null);
    assert_eq!(status(&read, old).await.body["status"], "expired");
    let (outcome, completed_at) = (Outcome::Succeeded(rules::Method::Put), read.host.now());
    record(&read, young, Recorded::Decided(Decision { outcome, completed_at })).await;
    let answered = status(&read, young).await;
    assert_eq!(
        (&answered.body["status"], answered.header("retry-after")),
        (&"succeeded".into(), "")
    );
}

#[tokio::test]
async fn a_resource_is_told_with_its_version_and_time() {
    let read = start().await;
    let id = OperationId::new(Tick::from_unix_ms(1_700_000_000_000), 1);
    let (resource, body) = (resource(), "{ \"a\" : 1 }".to_owned());
    let operation = Operation::put(id, resource, Precondition::None, body);
    read.resources.table.write(&operation).await.unwrap();
    let etag = format!("\"{id}\"");
    let get = Sent::get("/things/42");
    for (sent, status) in [(get.clone(), 200), (get.with("if-none-match", &etag), 304)] {
        let answered = Answered::of(read.handle::<Thing>(sent.request()).await);
        assert_eq!((answered.status, answered.header("etag")), (status, etag.as_str()));
        assert_eq!(answered.header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(answered.header("cache-control"), "private, no-cache, no-transform");
        assert_eq!(answered.body.is_null(), status == 304);
    }
    let absent = Answered::of(read.handle::<Thing>(Sent::get("/things/43").request()).await);
    assert_eq!(absent.brief(), "404 not-found");
}

#[tokio::test]
async fn a_head_is_a_get_without_the_body_and_other_methods_are_refused() {
    let read = start().await;
    let (status, problem) = (status_path(&read), "/things/42".to_owned());
    let with_method = async |method: Method, path: &str| {
        let mut request = Sent::get(path).request();
        *request.method_mut() = method;
        Answered::of(read.handle::<Thing>(request).await)
    };
    for (path, expected) in [(&status, 200), (&problem, 404)] {
        let head = with_method(Method::HEAD, path).await;
        assert_eq!((head.status, head.body.is_null()), (expected, true), "{path}");
        let get = with_method(Method::GET, path).await;
        assert_eq!((get.status, get.body.is_null()), (expected, false), "{path}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    for (path, allow) in [(&status, "GET, HEAD, DELETE"), (&problem, "GET, HEAD, PUT, DELETE")] {
        let refused = with_method(Method::DELETE, path).await;
        assert_eq!(refused.brief(), "405 method-not-allowed");
        assert_eq!(refused.header("allow"), allow);
    }
}

#[tokio::test]
async fn a_receipt_is_of_one_resource() {
    let read = start().await;
    let receipt = read.receipts.sign(&resource(), accepted(&read, MINUTE));
    let other = Sent::get(&format!("/things/43/operations/{receipt}"));
    assert_eq!(
        Answered::of(read.handle::<Thing>(other.request()).await).brief(),
        "404 operation-not-found"
    );
}

/// The other key has signed until lately, or is about to, while old and new functions run.
#[tokio::test]
async fn receipts_of_either_key_are_genuine() {
    let mut read = start().await;
    read.receipts.other = ReceiptKey::new(&[8; 32]);
    for (key, expected) in [(7, "200"), (8, "200"), (9, "404 operation-not-found")] {
        let key = ReceiptKey::new(&[key; 32]).unwrap();
        let receipt = key.sign(&resource(), accepted(&read, MINUTE));
        let path = format!("/things/42/operations/{receipt}");
        let answered = Answered::of(read.handle::<Thing>(Sent::get(&path).request()).await);
        assert_eq!(answered.brief(), expected);
        assert!(expected != "200" || answered.body["self"] == path.as_str());
    }
}

/// RFC 9110 section 8.8.2.1: the gateway's clock may be ahead of this host's.
#[tokio::test]
async fn the_time_of_a_version_is_never_in_the_future() {
    let read = start().await;
    let id = OperationId::new(Tick::from_unix(read.host.now() + MINUTE), 1);
    let operation = Operation::put(id, resource(), Precondition::None, "{}".to_owned());
    read.resources.table.write(&operation).await.unwrap();
    let answered = Answered::of(read.handle::<Thing>(Sent::get("/things/42").request()).await);
    let written = httpdate::parse_http_date(answered.header("last-modified")).unwrap();
    assert!(written <= std::time::SystemTime::now(), "{answered:?}");
}

#[tokio::test]
async fn a_table_that_does_not_answer_is_503_and_never_404() {
    let read = start().await;
    let (id, body) = (accepted(&read, MINUTE), "{ \"a\" : 1 }".to_owned());
    let operation = Operation::put(id, resource(), Precondition::None, body);
    read.resources.table.write(&operation).await.unwrap();
    let get = async || Answered::of(read.handle::<Thing>(Sent::get("/things/42").request()).await);
    read.resources.faults.plan("read", 2, Fate::Fails(Failure::MayHaveLanded));
    let answered = get().await;
    assert_eq!((answered.status, &answered.body), (200, &serde_json::json!({ "a": 1 })));
    assert_eq!(answered.header("etag"), format!("\"{}\"", operation.id));
    for (name, path) in [("read", "/things/42".to_owned()), ("recorded", status_path(&read))] {
        read.resources.faults.plan(name, 3, Fate::Fails(Failure::NotLanded));
        let answered = Answered::of(read.handle::<Thing>(Sent::get(&path).request()).await);
        assert_eq!(
            (answered.brief().as_str(), answered.header("retry-after")),
            ("503 not-read", "1")
        );
        let line = read.host.measuring_lines().pop().unwrap();
        assert_eq!((&line["NotRead"], &line["resource"]), (&1.into(), &"42".into()), "{line}");
        assert_eq!(line["operation"].is_string(), name == "recorded", "{line}");
    }
    let measured = read.host.measured();
    assert_eq!(measured.iter().filter(|metric| **metric == Metric::NotRead).count(), 2);
}

fn status_path(read: &TestRead) -> String {
    format!("/things/42/operations/{}", read.receipts.sign(&resource(), accepted(read, MINUTE)))
}

#[tokio::test]
async fn a_deleted_resource_is_none_and_its_status_has_no_version() {
    let read = start().await;
    let id = accepted(&read, MINUTE);
    let operation = Operation::put(id, resource(), Precondition::None, "{}".to_owned());
    read.resources.table.write(&operation).await.unwrap();
    let id = id.successor(1);
    let deleted = Operation { id, change: rules::Change::Delete, ..operation };
    read.resources.table.transact(&deleted, &[], read.host.now()).await.unwrap();
    let answered = Answered::of(read.handle::<Thing>(Sent::get("/things/42").request()).await);
    assert_eq!((answered.brief().as_str(), answered.header("etag")), ("404 not-found", ""));
    let answered = status(&read, id).await;
    assert_eq!((&answered.body["status"], answered.body.get("etag")), (&"succeeded".into(), None));
}
