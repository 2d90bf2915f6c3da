//! `DELETE` of a status URL, on a real DynamoDB engine.

use std::time::Duration;

use rules::outcome::{Decision, EXPIRES_AFTER, GONE_AFTER, MAX_AGE, Outcome, Recorded};
use rules::{Failure, Method, OperationId, ResourceId, Tick};
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::world::{Fate, TestHost};
use world::{Host, Metric, Outcomes, Resources, Transaction};

use crate::tests::{KEY, TestPut, answer, sent, start, stored};

fn resource() -> ResourceId {
    ResourceId::new("42").unwrap()
}

/// A deferred PUT with this key, if any: its status URL.
async fn deferred(put: &TestPut, key: Option<&str>) -> String {
    let later = sent(0).await.with("prefer", "respond-async");
    let later = key.map_or(later.clone(), |key| later.with(KEY, key));
    let answered = answer(put, &later).await;
    assert_eq!(answered.status, 202);
    answered.header("location").to_owned()
}

async fn cancel(put: &TestPut, location: &str) -> Answered {
    answer(put, &Sent::delete(location, 1)).await
}

/// The status URL of an operation that arrived so long ago.
fn aged(put: &TestPut, age: Duration) -> (OperationId, String) {
    let id = OperationId::new(Tick::from_unix(put.host.now() - age), 1);
    (id, format!("/things/42/operations/{}", put.receipts.sign(&resource(), id)))
}

fn count(host: &TestHost, metric: Metric) -> usize {
    host.measured().iter().filter(|one| **one == metric).count()
}

async fn decide(engine: &Engine, id: OperationId, outcome: Outcome, completed_at: Duration) {
    let decided = Recorded::Decided(Decision { outcome, completed_at });
    engine.operations.record(&resource(), id, &decided).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_operation_never_lands_and_says_so_again() {
    let (engine, put) = start().await;
    let location = deferred(&put, None).await;
    let cancelled = cancel(&put, &location).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &"cancelled".into()));
    assert_eq!(cancelled.header("cache-control"), "no-store");
    assert!(cancelled.body["completedAt"].is_string() && cancelled.body["etag"].is_null());
    assert_eq!(cancelled.body["self"], location.as_str());
    assert_eq!(put.resources.faults.calls(), ["record"]);
    assert_eq!(cancel(&put, &location).await, cancelled);
    let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
    let ended = engine.resources.transact(&queued, &[], put.host.now()).await.unwrap();
    assert_eq!(ended, Transaction::Cancelled { resource: None, decided: vec![queued.id] });
    assert_eq!(stored(&engine).await, None);
    assert_eq!(count(&put.host, Metric::Cancelled), 1);
}

#[tokio::test]
async fn what_is_decided_cannot_be_cancelled_and_what_is_stalled_can() {
    let failed = Outcome::Failed { problem: "{}".to_owned() };
    let put_succeeded = Outcome::Succeeded(Method::Put);
    for (outcome, name) in [
        (put_succeeded, "succeeded"),
        (Outcome::Succeeded(Method::Delete), "succeeded"),
        (Outcome::Superseded, "superseded"),
        (failed, "failed"),
    ] {
        let (engine, put) = start().await;
        let location = deferred(&put, None).await;
        let id = queues::message::read(&put.updates.messages()[0]).unwrap().id;
        decide(&engine, id, outcome.clone(), put.host.now()).await;
        let refused = cancel(&put, &location).await;
        assert_eq!(refused.brief(), "409 already-decided");
        assert_eq!(refused.body["self"], location.as_str());
        assert!(refused.body["detail"].as_str().unwrap().contains(name), "{refused:?}");
        let stands = engine.operations.recorded(id, put.host.now()).await.unwrap();
        assert!(matches!(stands, Some(Recorded::Decided(decision)) if decision.outcome == outcome));
        assert_eq!(count(&put.host, Metric::Refused), 1);
    }
    let (engine, put) = start().await;
    let location = deferred(&put, None).await;
    let id = queues::message::read(&put.updates.messages()[0]).unwrap().id;
    let stalled = Recorded::Stalled { problem: "{}".to_owned(), since: put.host.now() };
    engine.operations.record(&resource(), id, &stalled).await.unwrap();
    assert_eq!(cancel(&put, &location).await.body["status"], "cancelled");
}

#[tokio::test]
async fn a_keyed_request_that_was_cancelled_asks_for_a_new_key() {
    let (engine, put) = start().await;
    let location = deferred(&put, Some("\"k\"")).await;
    assert_eq!(cancel(&put, &location).await.status, 200);
    let keyed = sent(0).await.with(KEY, "\"k\"");
    for prefer in ["", "respond-async", "respond-async, wait=5"] {
        let again = answer(&put, &keyed.clone().with("prefer", prefer)).await;
        assert_eq!(again.brief(), "409 cancelled", "{prefer}");
        assert!(again.body["detail"].as_str().unwrap().contains("new key"), "{again:?}");
    }
    assert_eq!(stored(&engine).await, None);
}

/// The keyed request has read that nothing is decided, and is about to write.
#[tokio::test]
async fn a_cancel_stops_a_sender_of_the_key_that_is_under_way() {
    let (engine, put) = start().await;
    let location = deferred(&put, Some("\"k\"")).await;
    put.resources.faults.plan("transact", 1, Fate::IsHeld);
    let keyed = sent(0).await.with(KEY, "\"k\"");
    let meanwhile = async {
        put.resources.faults.is_held().await;
        assert_eq!(cancel(&put, &location).await.status, 200);
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &keyed), meanwhile);
    assert_eq!((answered.brief().as_str(), stored(&engine).await), ("409 cancelled", None));
}

#[tokio::test]
async fn what_is_too_old_to_be_carried_out_stays_as_it_is() {
    let (engine, put) = start().await;
    let (minute, day) = (Duration::from_secs(60), Duration::from_secs(86_400));
    for (age, expected) in [
        (MAX_AGE - minute, "200"),
        (MAX_AGE + minute, "409 already-decided"),
        (EXPIRES_AFTER + day, "409 already-decided"),
        (GONE_AFTER + day, "410 operation-gone"),
    ] {
        let (id, location) = aged(&put, age);
        let answered = cancel(&put, &location).await;
        assert_eq!(answered.brief(), expected, "{age:?}");
        let recorded = engine.operations.recorded(id, put.host.now()).await.unwrap();
        assert_eq!(recorded.is_some(), expected == "200");
    }
    // It was cancelled in time.
    let (id, location) = aged(&put, EXPIRES_AFTER + minute);
    decide(&engine, id, Outcome::Cancelled, put.host.now() - day).await;
    let answered = cancel(&put, &location).await;
    assert_eq!((answered.status, &answered.body["status"]), (200, &"cancelled".into()));
}

#[tokio::test]
async fn a_cancel_that_is_not_confirmed_is_503() {
    let (_engine, put) = start().await;
    let location = deferred(&put, None).await;
    for (failure, expected) in
        [(Failure::NotLanded, "503 not-written"), (Failure::MayHaveLanded, "503 outcome-unknown")]
    {
        put.resources.faults.plan("record", 3, Fate::Fails(failure));
        let answered = cancel(&put, &location).await;
        assert_eq!((answered.brief().as_str(), answered.header("retry-after")), (expected, "1"));
    }
    assert_eq!(count(&put.host, Metric::NotWritten), 1);
    assert_eq!(count(&put.host, Metric::OutcomeUnknown), 1);
    put.resources.faults.plan("record", 1, Fate::LosesReply);
    assert_eq!(cancel(&put, &location).await.body["status"], "cancelled");
    assert_eq!(count(&put.host, Metric::Cancelled), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_cancel_is_named() {
    let (_engine, put) = start().await;
    let location = deferred(&put, None).await;
    let other = location.replace("/42/", "/43/");
    assert_eq!(cancel(&put, &other).await.brief(), "404 operation-not-found");
    for name in ["if-match", "if-none-match", "if-unmodified-since"] {
        let refused = answer(&put, &Sent::delete(&location, 1).with(name, "*")).await;
        assert_eq!(refused.brief(), "400 malformed-header");
        assert_eq!(refused.body["field"].as_str().map(str::to_lowercase).as_deref(), Some(name));
    }
    let refused = answer(&put, &Sent::delete(&location, 1).of_body("{}")).await;
    assert_eq!(refused.brief(), "400 malformed-request");
    assert_eq!(refused.body["field"], "body");
    assert!(put.resources.faults.calls().is_empty());
}
