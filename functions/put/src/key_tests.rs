//! What an `Idempotency-Key` promises, on a real DynamoDB engine: two senders, and the answers to
//! one after the other.

use rules::OperationId;
use rules::outcome::{Decision, Outcome, Recorded};
use tests::request::Sent;
use tests::thing::sample;
use tests::world::Fate;
use world::{Host, Outcomes};

use crate::tests::{
    KEY, THROTTLED, TestPut, answer, beside, calls, deleted, now_ms, queued, resource, sent, start,
    store_at, stored,
};

async fn record(put: &TestPut, id: OperationId, recorded: Recorded) {
    put.operations.table.record(&resource(), id, &recorded).await.unwrap();
}

#[tokio::test]
async fn a_key_answers_with_what_was_decided_of_its_operation() {
    // An older version recorded failures with a 503. They are final too.
    let skewed = r#"{"type":"tag:async-put.example,2026:clock-skew","detail":"Why.","status":503}"#;
    for (outcome, expected) in [
        (None, "201"),
        (Some(Outcome::Superseded), "409 superseded"),
        (Some(Outcome::Cancelled), "409 cancelled"),
        (Some(Outcome::Failed { problem: skewed.to_owned() }), "409 refused"),
    ] {
        let put = start().await;
        let keyed = sent(0).await.with(KEY, "\"k\"");
        let modes = ["respond-async", "", "respond-async, wait=5"];
        let modes = modes.map(|prefer| keyed.clone().with("prefer", prefer));
        assert_eq!(answer(&put, &modes[0]).await.status, 202);
        let since = put.host.now();
        let recorded = match outcome {
            // It waits for an operator, and is carried out if it is sent again.
            None => Recorded::Stalled { problem: "{}".to_owned(), since },
            Some(outcome) => Recorded::Decided(Decision { outcome, completed_at: since }),
        };
        let is_open = matches!(recorded, Recorded::Stalled { .. });
        record(&put, queued(&put).id, recorded).await;
        for sent in &modes[usize::from(is_open)..] {
            let again = answer(&put, sent).await;
            assert_eq!((&*again.brief(), again.header("retry-after")), (expected, ""), "{sent:?}");
            let detail = again.body["detail"].as_str().unwrap_or_default();
            assert_eq!(detail.contains("new key"), !is_open, "{again:?}");
            assert_eq!(detail.starts_with("Why. "), expected == "409 refused", "{again:?}");
        }
        assert_eq!(stored(&put).await.is_some(), is_open);
    }
}

/// The order of calls that lost an update when claims could be moved: R claims, S lands, R is
/// refused and says so, the client decides again with Z, and a call of R goes on.
#[tokio::test]
async fn what_was_refused_under_a_key_never_lands_however_its_calls_are_held_back() {
    for held in ["transact", "record"] {
        let put = start().await;
        let other = beside(&put, 0);
        store_at(&put, now_ms() - 60_000).await;
        let keyed = sent("R").await.with(KEY, "\"k\"").with("if-match", "*");
        let overtake =
            async || assert_eq!(answer(&other, &sent("S").await).await.status, 200, "{held}");
        if held == "record" {
            overtake().await;
        }
        put.resources.faults.plan(held, 1, Fate::IsHeld);
        let meanwhile = async {
            put.resources.faults.is_held().await;
            if held == "transact" {
                overtake().await;
            }
            assert_eq!(answer(&other, &keyed).await.brief(), "409 superseded");
            assert_eq!(answer(&other, &sent("Z").await).await.status, 200);
            put.resources.faults.release();
        };
        let (answered, ()) = tokio::join!(answer(&put, &keyed), meanwhile);
        assert_eq!(answered.brief(), "409 superseded");
        assert_eq!(stored(&put).await, Some(sample("Z")));
    }
}

#[tokio::test]
async fn a_refusal_under_a_key_is_not_stuck_behind_a_throttled_table() {
    let put = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"").with("if-match", "*");
    for call in ["transact", "record"] {
        put.resources.faults.plan(call, 3, THROTTLED);
        assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    }
    for _ in 0..2 {
        let refused = answer(&put, &keyed).await;
        assert_eq!(refused.brief(), "412 precondition-failed");
        assert!(refused.body["detail"].as_str().unwrap().contains("new key"), "{refused:?}");
    }
}

/// If the operation of the key is known, its status will show the outcome.
#[tokio::test]
async fn a_key_is_never_told_not_written_by_a_503() {
    let put = start().await;
    let unknown = async |put: &TestPut, sent: &Sent| {
        let answered = answer(put, sent).await;
        assert_eq!(answered.brief(), "503 outcome-unknown");
        answered.body["self"].as_str().map(str::to_owned)
    };
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.resources.faults.plan("claim", 3, THROTTLED);
    assert_eq!(unknown(&put, &keyed).await, None);
    assert_eq!(unknown(&beside(&put, 301_000), &keyed).await, None);
    put.resources.faults.plan("transact", 1, Fate::LosesReply);
    put.resources.faults.plan("transact", 2, THROTTLED);
    let told = unknown(&put, &keyed).await;
    assert!(told.is_some());
    put.resources.faults.plan("recorded", 3, THROTTLED);
    assert_eq!(unknown(&put, &keyed).await, told);
    assert_eq!(answer(&put, &keyed).await.status, 201);
    let later = sent(0).await.with(KEY, "\"later\"").with("prefer", "respond-async");
    put.updates.faults.plan("send", 3, THROTTLED);
    let told = unknown(&put, &later).await;
    assert_eq!(Some(answer(&put, &later).await.header("location").to_owned()), told);
    // Without a key no outcome is recorded.
    put.resources.faults.plan("write", 3, Fate::LosesReply);
    let answered = answer(&put, &sent(0).await).await;
    assert_eq!((&*answered.brief(), answered.body.get("self")), ("503 outcome-unknown", None));
    let detail = answered.body["detail"].as_str().unwrap();
    assert!(detail.starts_with("The table did not confirm"), "{detail}");
}

/// If it is no longer known whether a PUT created the resource, the answer is the status.
#[tokio::test]
async fn a_replay_says_201_or_200_only_where_that_is_known() {
    let put = start().await;
    let [first, second] = [sent(1).await.with(KEY, "1"), sent(2).await.with(KEY, "2")];
    let delete = deleted().await.with(KEY, "3");
    for (keyed, status, made) in
        [(&first, 201, " version"), (&second, 200, " version"), (&delete, 204, "")]
    {
        assert_eq!(answer(&put, keyed).await.status, status);
        let again = calls(&put, keyed).await;
        assert_eq!((again.0.status, again.1), (status, format!("claim recorded{made}")));
    }
    for _ in ["deleted", "created again"] {
        for keyed in [&first, &second] {
            let again = answer(&put, keyed).await;
            assert_eq!((again.status, &again.body["status"]), (202, &"succeeded".into()));
            assert!(again.body["etag"].is_string(), "{again:?}");
        }
        store_at(&put, now_ms() + 1).await;
    }
    let other = sent(3).await.with(KEY, "3");
    assert_eq!(answer(&put, &other).await.brief(), "422 idempotency-key-reused");
}
