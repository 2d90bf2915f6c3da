//! `DELETE` of a resource in each mode, on a real DynamoDB engine.

use std::time::Duration;

use rules::{Change, Failure, Method, Operation, OperationId, Precondition, ResourceId, Version};
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::thing::sample;
use tests::world::Fate;
use world::{Metric, Resources};

use crate::tests::{
    KEY, TestPut, answer, now_ms, sent, start, start_with_update, store_at, stored,
};

/// A DELETE that arrives now.
async fn deleted() -> Sent {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Sent::delete("/things/42", now_ms())
}

async fn version(engine: &Engine) -> Option<Version> {
    engine.resources.version(&ResourceId::new("42").unwrap()).await.unwrap()
}

/// The answer and the calls on the tables and the queue.
async fn calls(put: &TestPut, sent: &Sent) -> (Answered, Vec<&'static str>) {
    let before = (put.resources.faults.calls().len(), put.updates.faults.calls().len());
    let answered = answer(put, sent).await;
    let (tables, queue) = (put.resources.faults.calls(), put.updates.faults.calls());
    (answered, [&tables[before.0..], &queue[before.1..]].concat())
}

#[tokio::test]
async fn each_mode_deletes_in_as_many_calls_as_a_put_takes_at_most() {
    for (prefer, key, status, expected) in [
        ("", None, 204, &["write"][..]),
        ("return=representation", None, 204, &["write"]),
        ("respond-async, wait=5", None, 204, &["transact"]),
        ("", Some("\"k\""), 204, &["claim", "transact"]),
        ("respond-async", None, 202, &["send"]),
        ("respond-async", Some("\"k\""), 202, &["claim", "send"]),
    ] {
        for was_there in [true, false] {
            let (engine, put) = start().await;
            if was_there {
                store_at(&engine, now_ms() - 10).await;
            }
            let delete = deleted().await.with("prefer", prefer);
            let delete = key.map_or(delete.clone(), |key| delete.with(KEY, key));
            let (answered, made) = calls(&put, &delete).await;
            let row = format!("{prefer} {key:?} {was_there}: {answered:?}");
            assert_eq!((answered.status, &made[..]), (status, expected), "{row}");
            assert_eq!(answered.header("etag"), "", "{row}");
            let is_deleted = status == 204;
            assert_eq!(answered.body.is_null(), is_deleted, "{row}");
            assert_eq!(stored(&engine).await.is_none(), is_deleted || !was_there, "{row}");
            // A DELETE of nothing leaves a tombstone too.
            let is_tombstone = version(&engine).await.is_some_and(|stored| !stored.is_live);
            assert_eq!(is_tombstone, is_deleted, "{row}");
            let counted = put.host.measured().contains(&Metric::Deleted);
            assert_eq!(counted, is_deleted, "{row}");
            if !is_deleted {
                let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
                assert_eq!(queued.method(), Method::Delete);
            }
        }
    }
}

#[tokio::test]
async fn a_key_covers_one_method_and_replays_the_answer() {
    let (_engine, put) = start().await;
    let delete = deleted().await.with(KEY, "\"k\"");
    assert_eq!(answer(&put, &delete).await.status, 204);
    let (again, made) = calls(&put, &delete).await;
    assert_eq!((again.status, &made[..]), (204, &["claim", "recorded"][..]));
    let other = sent(0).await.with(KEY, "\"k\"");
    assert_eq!(answer(&put, &other).await.brief(), "422 idempotency-key-reused");
    assert_eq!(put.host.measured().iter().filter(|one| **one == Metric::Deleted).count(), 1);
}

#[tokio::test]
async fn a_precondition_of_a_delete_is_of_a_live_resource() {
    let (engine, put) = start().await;
    let any = async || answer(&put, &deleted().await.with("if-match", "*")).await.brief();
    assert_eq!(any().await, "412 precondition-failed");
    let tag = answer(&put, &sent(0).await).await.header("etag").to_owned();
    let other = answer(&put, &Sent::put("43", &sample(0), now_ms())).await;
    let other = deleted().await.with("if-match", other.header("etag"));
    assert_eq!(answer(&put, &other).await.brief(), "412 precondition-failed");
    assert_eq!(answer(&put, &deleted().await.with("if-match", &tag)).await.status, 204);
    // The tombstone is no resource, whatever tag it is called by.
    let tombstone = version(&engine).await.unwrap().written_by;
    assert_eq!(any().await, "412 precondition-failed");
    for tag in [tag, tombstone.etag()] {
        let conditional = sent(1).await.with("if-match", &tag);
        assert_eq!(answer(&put, &conditional).await.brief(), "412 precondition-failed");
    }
    let absent = sent(1).await.with("if-none-match", "*");
    assert_eq!(answer(&put, &absent).await.status, 201);
}

#[tokio::test]
async fn a_delete_has_its_place_in_the_order() {
    let (engine, put) = start().await;
    // It was held up, and what arrived over a second later was stored first.
    store_at(&engine, now_ms()).await;
    let late = Sent::delete("/things/42", now_ms() - 1500);
    assert_eq!(answer(&put, &late).await.brief(), "409 superseded");
    assert!(stored(&engine).await.is_some());
    // Within a second it steps over, and so does a PUT over a tombstone.
    store_at(&engine, now_ms() + 300).await;
    assert_eq!(answer(&put, &Sent::delete("/things/42", now_ms())).await.status, 204);
    let tombstone = version(&engine).await.unwrap();
    assert!(!tombstone.is_live);
    let absent = Sent::put("42", &sample(0), now_ms()).with("if-none-match", "*");
    assert_eq!(answer(&put, &absent).await.status, 201);
    assert!(version(&engine).await.unwrap().written_by > tombstone.written_by);
    // A keyed one keeps its id.
    store_at(&engine, now_ms() + 900).await;
    let keyed = Sent::delete("/things/42", now_ms()).with(KEY, "\"k\"");
    assert_eq!(answer(&put, &keyed).await.brief(), "409 superseded");
}

#[tokio::test]
async fn a_delete_that_landed_is_known_to_have_landed() {
    let (engine, put) = start().await;
    for (name, prefer) in [("write", ""), ("transact", "respond-async, wait=5")] {
        store_at(&engine, now_ms()).await;
        put.resources.faults.plan(name, 1, Fate::LosesReply);
        let delete = deleted().await.with("prefer", prefer);
        assert_eq!(answer(&put, &delete).await.status, 204, "{name}");
    }
    // Nobody knows whether it landed before the resource was created again.
    put.resources.faults.plan("write", 1, Fate::Fails(Failure::MayHaveLanded));
    put.resources.faults.plan("write", 1, Fate::IsHeld);
    let delete = deleted().await;
    let overtake = async {
        put.resources.faults.is_held().await;
        store_at(&engine, now_ms() + 100).await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &delete), overtake);
    assert_eq!(answered.brief(), "503 outcome-unknown");
}

/// Where it is no longer known whether a PUT made a new resource, its status is the answer.
#[tokio::test]
async fn a_replay_says_201_or_200_only_where_that_is_known() {
    let (engine, put) = start().await;
    let first = sent(1).await.with(KEY, "\"1\"");
    assert_eq!(answer(&put, &first).await.status, 201);
    let second = sent(2).await.with(KEY, "\"2\"");
    assert_eq!(answer(&put, &second).await.status, 200);
    assert_eq!((answer(&put, &first).await.status, answer(&put, &second).await.status), (201, 200));
    let is_succeeded = async || {
        for keyed in [&first, &second] {
            let again = answer(&put, keyed).await;
            assert_eq!((again.status, &again.body["status"]), (202, &"succeeded".into()));
            assert!(again.body["etag"].is_string(), "{again:?}");
        }
    };
    assert_eq!(answer(&put, &deleted().await).await.status, 204);
    is_succeeded().await;
    store_at(&engine, now_ms() + 1).await;
    is_succeeded().await;
}

#[tokio::test]
async fn an_older_put_does_not_bring_a_deleted_resource_back() {
    let (engine, put) = start().await;
    let later = sent(0).await.with("prefer", "respond-async");
    assert_eq!(answer(&put, &later).await.status, 202);
    assert_eq!(answer(&put, &deleted().await).await.status, 204);
    let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
    let absent = Operation { precondition: Precondition::Absent, ..queued.clone() };
    for older in [queued, absent] {
        let ended = engine.resources.write(&older).await.unwrap();
        assert!(matches!(ended, world::Write::ConditionFalse { .. }), "{ended:?}");
    }
    assert_eq!(stored(&engine).await, None);
}

#[tokio::test]
async fn what_a_delete_cannot_have_is_refused_with_its_field() {
    let (_engine, put) = start().await;
    let tag = OperationId::new(rules::Tick::from_unix_ms(1), 1).etag();
    for (name, value, field) in [
        ("if-none-match", "*", "If-None-Match"),
        ("if-none-match", &tag, "If-None-Match"),
        ("if-unmodified-since", "Tue, 24 Nov 2026 01:00:00 GMT", "If-Unmodified-Since"),
    ] {
        let (answered, made) = calls(&put, &deleted().await.with(name, value)).await;
        assert_eq!((answered.brief().as_str(), &made[..]), ("400 malformed-header", &[][..]));
        assert_eq!(answered.body["field"], field);
    }
    let answered = answer(&put, &deleted().await.of_body("{}")).await;
    assert_eq!(answered.brief(), "400 malformed-request");
    assert_eq!(answered.body["field"], "body");
}

#[tokio::test]
async fn the_update_sees_the_method_and_may_refuse_a_delete() {
    let (_engine, put) = start_with_update().await;
    let delete = |id: &str| Sent::delete(&format!("/things/{id}"), now_ms());
    assert_eq!(answer(&put, &delete("done")).await.status, 204);
    assert_eq!(answer(&put, &delete("refuse")).await.brief(), "409 refused");
    assert_eq!(answer(&put, &delete("later")).await.brief(), "503 not-written");
    let read = async |id: &str| {
        put.resources.table.version(&ResourceId::new(id).unwrap()).await.unwrap().is_some()
    };
    assert_eq!(
        (read("done").await, read("refuse").await, read("later").await),
        (true, false, false)
    );
    let seen = put.resource.changes();
    assert_eq!(seen, [Change::Delete, Change::Delete, Change::Delete]);
}
