//! `DELETE` of a status URL, on a real DynamoDB engine.

use std::time::Duration;

use rules::outcome::{Decision, EXPIRES_AFTER, GONE_AFTER, MAX_AGE, Outcome, Recorded};
use rules::{Failure, Method, OperationId, Tick};
use tests::request::{Answered, Sent};
use tests::world::Fate;
use world::{Host, Metric, Outcomes, Resources, Transaction};

use crate::tests::{KEY, TestPut, answer, count, queued, resource, sent, start, stored};

/// The status URL of a deferred PUT.
async fn deferred(put: &TestPut) -> String {
    let answered = answer(put, &sent(0).await.with("prefer", "respond-async")).await;
    assert_eq!(answered.status, 202);
    answered.header("location").to_owned()
}

async fn cancel(put: &TestPut, location: &str) -> Answered {
    answer(put, &Sent::delete(location, 1)).await
}

async fn decide(put: &TestPut, id: OperationId, outcome: Outcome) {
    let completed_at = put.host.now() - Duration::from_secs(86_400);
    let decided = Recorded::Decided(Decision { outcome, completed_at });
    put.operations.table.record(&resource(), id, &decided).await.unwrap();
}

#[tokio::test]
async fn a_cancelled_operation_never_lands_and_says_so_again() {
    let put = start().await;
    let location = deferred(&put).await;
    let cancelled = cancel(&put, &location).await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &"cancelled".into()));
    assert_eq!(cancelled.header("cache-control"), "no-store");
    assert_eq!(cancelled.body["self"], location.as_str());
    assert_eq!(put.resources.faults.calls(), ["record"]);
    assert_eq!(cancel(&put, &location).await, cancelled);
    let queued = queued(&put);
    let ended = put.resources.table.transact(&queued, &[], put.host.now()).await.unwrap();
    assert_eq!(ended, Transaction::Cancelled { resource: None, decided: vec![queued.id] });
    assert_eq!((stored(&put).await, count(&put, Metric::Cancelled)), (None, 1));
}

#[tokio::test]
async fn what_is_decided_cannot_be_cancelled_and_what_is_stalled_can() {
    let put = start().await;
    for outcome in [
        Outcome::Succeeded(Method::Put),
        Outcome::Superseded,
        Outcome::Failed { problem: "{}".to_owned() },
    ] {
        let location = deferred(&put).await;
        let id = queued(&put).id;
        decide(&put, id, outcome.clone()).await;
        let refused = cancel(&put, &location).await;
        assert_eq!(refused.brief(), "409 already-decided");
        assert_eq!(refused.body["self"], location.as_str());
        let detail = refused.body["detail"].as_str().unwrap();
        assert!(detail.contains(outcome.as_str()), "{refused:?}");
        let stands = put.operations.table.recorded(id, put.host.now()).await.unwrap();
        assert!(matches!(stands, Some(Recorded::Decided(decision)) if decision.outcome == outcome));
    }
    assert_eq!(count(&put, Metric::Refused), 3);
    let location = deferred(&put).await;
    let stalled = Recorded::Stalled { problem: "{}".to_owned(), since: put.host.now() };
    put.operations.table.record(&resource(), queued(&put).id, &stalled).await.unwrap();
    assert_eq!(cancel(&put, &location).await.body["status"], "cancelled");
}

/// The keyed request has read that nothing is decided, and is about to write.
#[tokio::test]
async fn a_cancel_stops_a_sender_of_the_key_that_is_under_way() {
    let put = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    let later = answer(&put, &keyed.clone().with("prefer", "respond-async")).await;
    put.resources.faults.plan("transact", 1, Fate::IsHeld);
    let meanwhile = async {
        put.resources.faults.is_held().await;
        assert_eq!(cancel(&put, later.header("location")).await.status, 200);
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &keyed), meanwhile);
    assert_eq!((answered.brief().as_str(), stored(&put).await), ("409 cancelled", None));
}

#[tokio::test]
async fn what_is_too_old_to_be_carried_out_stays_as_it_is() {
    let put = start().await;
    let minute = Duration::from_secs(60);
    for (age, is_cancelled, expected) in [
        (MAX_AGE - minute, false, "200"),
        (MAX_AGE + minute, false, "409 already-decided"),
        (GONE_AFTER + minute, false, "410 operation-gone"),
        // It was cancelled in time.
        (EXPIRES_AFTER + minute, true, "200"),
    ] {
        let id = OperationId::new(Tick::from_unix(put.host.now() - age), 1);
        let location = format!("/things/42/operations/{}", put.receipts.sign(&resource(), id));
        if is_cancelled {
            decide(&put, id, Outcome::Cancelled).await;
        }
        assert_eq!(cancel(&put, &location).await.brief(), expected, "{age:?}");
        let recorded = put.operations.table.recorded(id, put.host.now()).await.unwrap();
        assert_eq!(recorded.is_some(), expected == "200");
    }
}

#[tokio::test]
async fn a_cancel_that_is_not_confirmed_is_503() {
    let put = start().await;
    let location = deferred(&put).await;
    for (failure, expected, metric) in [
        (Failure::NotLanded, "503 not-written", Metric::NotWritten),
        (Failure::MayHaveLanded, "503 outcome-unknown", Metric::OutcomeUnknown),
    ] {
        put.resources.faults.plan("record", 3, Fate::Fails(failure));
        assert_eq!(cancel(&put, &location).await.brief(), expected);
        assert_eq!(count(&put, metric), 1);
    }
    put.resources.faults.plan("record", 1, Fate::LosesReply);
    assert_eq!(cancel(&put, &location).await.body["status"], "cancelled");
    assert_eq!(count(&put, Metric::Cancelled), 1);
}

#[tokio::test]
async fn what_is_wrong_with_a_cancel_is_named() {
    let put = start().await;
    let location = deferred(&put).await;
    let cancel = Sent::delete(&location, 1);
    for (sent, expected, field) in [
        (
            Sent::delete(&location.replace("/42/", "/43/"), 1),
            "404 operation-not-found",
            "path.receipt",
        ),
        (cancel.clone().with("if-match", "*"), "400 malformed-header", "If-Match"),
        (cancel.clone().with("if-none-match", "*"), "400 malformed-header", "If-None-Match"),
        (cancel.of_body("{}"), "400 malformed-request", "body"),
    ] {
        let refused = answer(&put, &sent).await;
        assert_eq!((&*refused.brief(), &refused.body["field"]), (expected, &field.into()));
    }
    assert!(put.resources.faults.calls().is_empty());
}
