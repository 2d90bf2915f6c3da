//! When the resource's update runs, and the answers to its results.

use std::time::Duration;

use aws_lambda_events::sqs::SqsEvent;
use tests::request::Sent;
use tests::thing::{ByBody, sample};
use tests::world::{Fate, TestHost, TestQueue};
use world::{Host, Invocation};

use crate::tests::{
    KEY, THROTTLED, answer, calls, now_ms, queued, sent, start_with, store_at, stored,
};

/// The table in docs/make-it-yours.md: each end of an update, in each mode.
#[tokio::test]
async fn each_end_of_an_update_has_its_answer_in_each_mode_and_under_a_key() {
    let (now, wait, later) = ("", "respond-async, wait=1", "respond-async");
    for (word, prefer, plain, keyed, has_message) in [
        ("done", now, "201", "201", false),
        ("time", now, "201", "201", false),
        ("refuse", now, "409 refused", "409 refused", false),
        ("temporary", now, "409 refused", "409 refused", false),
        ("later", now, "503 not-written", "503 outcome-unknown", false),
        ("hang", now, "503 not-written", "503 outcome-unknown", false),
        ("done", wait, "201", "201", false),
        ("refuse", wait, "409 refused", "409 refused", false),
        ("later", wait, "202", "202", true),
        ("hang", wait, "202", "202", true),
        ("done", later, "202", "202", true),
    ] {
        for (is_keyed, expected) in [(false, plain), (true, keyed)] {
            let put = start_with(ByBody::default()).await;
            let sent = sent(word).await.with("prefer", prefer);
            let sent = match word {
                // Leaves 2 s for the update of a PUT now, which is enough on a busy machine.
                "hang" => sent.until(put.host.now() + Duration::from_millis(7000)),
                _ => sent,
            };
            let sent = if is_keyed { sent.with(KEY, "\"k\"") } else { sent };
            let answered = answer(&put, &sent).await;
            let row = format!("{word} {prefer} {is_keyed}: {answered:?}");
            assert_eq!(answered.brief(), expected, "{row}");
            assert_eq!(stored(&put).await.is_some(), expected == "201", "{row}");
            assert_eq!(put.updates.messages().len(), usize::from(has_message), "{row}");
            assert_eq!(put.resource.seen().len(), usize::from(prefer != later), "{row}");
            let detail = answered.body["detail"].as_str().unwrap_or_default();
            assert_eq!(detail.contains("told to"), word == "later" && prefer == now, "{row}");
            if expected == "409 refused" {
                assert!(detail.starts_with("Told to."), "{row}");
                let again = answer(&put, &sent).await;
                let updates = if is_keyed { 1 } else { 2 };
                assert_eq!((&*again.brief(), put.resource.seen().len()), (expected, updates));
                let names_the_key = again.body["detail"].as_str().unwrap().contains("new key");
                assert_eq!(names_the_key, is_keyed, "{row}");
            }
        }
    }
}

#[tokio::test]
async fn an_update_costs_one_read_and_does_not_run_for_what_is_refused_already() {
    let put = start_with(ByBody::default()).await;
    let arrived = |ago_ms| Sent::put("42", &sample(0), now_ms() - ago_ms);
    let keyed = arrived(0).with(KEY, "\"k\"");
    for (sent, brief, expected, updates) in [
        (&arrived(100), "201", "version write", 1),
        (&keyed, "200", "claim version transact version", 1),
        (&keyed, "200", "claim recorded version", 0),
        (&arrived(0).with("if-none-match", "*"), "412 precondition-failed", "version", 0),
        (&arrived(5000), "409 superseded", "version", 0),
        // It steps over a version within the window before it runs.
        (&arrived(500), "200", "version write", 1),
    ] {
        let before = put.resource.seen().len();
        let (answered, made) = calls(&put, sent).await;
        assert_eq!((&*answered.brief(), &*made), (brief, expected), "{sent:?}");
        assert_eq!(put.resource.seen().len() - before, updates, "{sent:?}");
    }
    let before = put.resource.seen().len();
    put.resources.faults.plan("version", 3, THROTTLED);
    let (answered, made) = calls(&put, &sent(0).await).await;
    assert_eq!((&*answered.brief(), &*made), ("503 not-written", "version version version"));
    // The table is slow, not the update, which does not run.
    put.resources.faults.plan("version", 1, Fate::IsHeld);
    let slow = sent(0).await.until(put.host.now() + Duration::from_millis(5300));
    let release = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &slow), release);
    assert!(answered.body["detail"].to_string().contains("The table could not"), "{answered:?}");
    assert_eq!(put.resource.seen().len(), before);
}

/// `wait`: the update runs, the write steps over a newer version and fails, and the message
/// is applied.
#[tokio::test]
async fn an_update_sees_the_id_that_its_operation_was_made_with_wherever_it_runs() {
    let put = start_with(ByBody::default()).await;
    put.resources.faults.plan("transact", 1, Fate::IsHeld);
    put.resources.faults.plan("transact", 3, THROTTLED);
    let wait = sent(0).await.with("prefer", "respond-async, wait=3");
    let overtake = async {
        put.resources.faults.is_held().await;
        store_at(&put, now_ms() + 100).await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &wait), overtake);
    assert_eq!(answered.status, 202);
    let queued = queued(&put);
    assert!(queued.id > queued.origin, "{queued:?}");
    assert_eq!(put.resource.seen(), [queued.origin]);
    let apply = apply::Apply {
        host: TestHost::default(),
        resource: put.resource.clone(),
        resources: put.resources.table.clone(),
        operations: put.operations.table.clone(),
        updates: TestQueue::default(),
        dead_letters: TestQueue::default(),
    };
    let mut event = SqsEvent::default();
    event.records = put.updates.messages();
    let deadline = apply.host.now() + Duration::from_secs(20);
    let invocation = Invocation { deadline, ..Invocation::default() };
    let response = apply.handle(event, &invocation).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(put.resource.seen(), [queued.origin; 2]);
    assert_eq!(stored(&put).await, Some(sample(0)));
}
