//! What can happen between two calls of a PUT or DELETE, on a real DynamoDB engine: lost replies,
//! calls that are throttled or held back, clocks that differ.

use std::fmt::Display;
use std::time::{Duration, Instant};

use lambda_http::Body;
use rules::request::accept::Mode;
use rules::{
    Failure, Method, Operation, OperationId, Precondition, ReceiptKey, ReceiptKeys, Resource,
    ResourceId, Tick,
};
use serde_json::Value;
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::thing::{Thing, sample};
use tests::world::{Fate, Faults, FaultyOperations, FaultyResources, TestHost, TestQueue};
use world::{Host, Metric, Resources};

use crate::{ArrivalClock, Put};

pub(crate) type TestPut<R = Thing> = Put<TestHost, R, FaultyResources, FaultyOperations, TestQueue>;

pub(crate) const KEY: &str = "idempotency-key";
pub(crate) const THROTTLED: Fate = Fate::Fails(Failure::NotLanded);

/// The function on empty tables.
pub(crate) async fn start() -> TestPut {
    start_with(Thing).await
}

pub(crate) async fn start_with<R>(resource: R) -> TestPut<R> {
    let (engine, faults) = (Engine::start().await, Faults::default());
    Put {
        host: TestHost::default(),
        resource,
        resources: FaultyResources { table: engine.resources, faults: faults.clone() },
        operations: FaultyOperations { table: engine.operations, faults },
        updates: TestQueue::default(),
        receipts: ReceiptKeys { current: ReceiptKey::new(&[7; 32]).unwrap(), other: None },
        default_mode: Mode::Inline,
        arrival_clock: ArrivalClock::Gateway,
    }
}

/// Another host on the same tables, with a clock that is ahead by so many ms.
pub(crate) fn beside(put: &TestPut, ahead_ms: i64) -> TestPut {
    let faults = Faults::default();
    Put {
        host: TestHost::ahead(ahead_ms),
        resource: Thing,
        resources: FaultyResources { table: put.resources.table.clone(), faults: faults.clone() },
        operations: FaultyOperations { table: put.operations.table.clone(), faults },
        updates: TestQueue::default(),
        receipts: put.receipts.clone(),
        ..*put
    }
}

pub(crate) fn resource() -> ResourceId {
    ResourceId::new("42").unwrap()
}

pub(crate) fn now_ms() -> u64 {
    TestHost::default().now().as_millis() as u64
}

/// A PUT that arrives now. Two of them in a row are a millisecond apart.
pub(crate) async fn sent(value: impl Display) -> Sent {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Sent::put("42", &sample(value), now_ms())
}

/// A DELETE that arrives now.
pub(crate) async fn deleted() -> Sent {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Sent::delete("/things/42", now_ms())
}

pub(crate) async fn answer<R: Resource>(put: &TestPut<R>, sent: &Sent) -> Answered {
    // Boxed, since the future of a test contains many of them.
    Answered::of(Box::pin(put.handle(sent.request())).await)
}

/// The answer, and the calls on the tables and the queue.
pub(crate) async fn calls<R: Resource>(put: &TestPut<R>, sent: &Sent) -> (Answered, String) {
    let before = (put.resources.faults.calls().len(), put.updates.faults.calls().len());
    let answered = answer(put, sent).await;
    let (tables, queue) = (put.resources.faults.calls(), put.updates.faults.calls());
    (answered, [&tables[before.0..], &queue[before.1..]].concat().join(" "))
}

pub(crate) async fn stored<R>(put: &TestPut<R>) -> Option<String> {
    put.resources.table.read(&resource()).await.unwrap().map(|stored| stored.body)
}

/// Stores a resource as an operation at `ms` leaves it.
pub(crate) async fn store_at<R>(put: &TestPut<R>, ms: u64) -> OperationId {
    let id = OperationId::new(Tick::from_unix_ms(ms), 1);
    let operation = Operation::put(id, resource(), Precondition::None, sample("stored"));
    put.resources.table.write(&operation).await.unwrap();
    id
}

/// The operation of the last message that was sent.
pub(crate) fn queued<R>(put: &TestPut<R>) -> Operation {
    queues::message::read(put.updates.messages().last().unwrap()).unwrap()
}

pub(crate) fn count(put: &TestPut, metric: Metric) -> usize {
    put.host.measured().iter().filter(|one| **one == metric).count()
}

/// The requests are for a resource that exists.
#[tokio::test]
async fn each_mode_makes_no_call_too_many() {
    for (prefer, key, of_put, of_delete) in [
        ("", None, (200, "write"), (204, "write")),
        ("respond-async", None, (202, "send"), (202, "send")),
        ("respond-async, wait=5", None, (200, "transact version"), (204, "transact")),
        ("", Some("k"), (200, "claim transact version"), (204, "claim transact")),
        ("respond-async", Some("k"), (202, "claim send"), (202, "claim send")),
    ] {
        let (of_put, of_delete) = ((Method::Put, of_put), (Method::Delete, of_delete));
        for (sent, (method, (status, expected))) in
            [(sent(0).await, of_put), (deleted().await, of_delete)]
        {
            let put = start().await;
            store_at(&put, now_ms() - 100).await;
            let sent = sent.with("prefer", prefer);
            let sent = key.map_or(sent.clone(), |key| sent.with(KEY, key));
            let (answered, made) = calls(&put, &sent).await;
            assert_eq!((answered.status, made.as_str()), (status, expected), "{sent:?}");
            assert_eq!(answered.header("etag").is_empty(), status != 200, "{answered:?}");
            assert_eq!(answered.body.is_null(), status == 204, "{answered:?}");
            let version = put.resources.table.version(&resource()).await.unwrap();
            assert_eq!(version.unwrap().is_live, status != 204);
            assert_eq!(put.host.measured().contains(&Metric::Deleted), status == 204);
            if status == 202 {
                assert_eq!(queued(&put).method(), method);
            }
        }
    }
}

#[tokio::test]
async fn what_was_written_is_answered_as_the_client_prefers() {
    let put = start().await;
    let body = sample(1);
    let shown: Value = serde_json::from_str(&body).unwrap();
    for (id, prefer, replaced) in
        [("1", "", 200), ("2", "return=minimal", 204), ("3", "return=representation", 200)]
    {
        for status in [201, replaced] {
            let sent = Sent::put(id, &body, now_ms()).with("prefer", prefer);
            let answered = answer(&put, &sent).await;
            assert_eq!((answered.status, answered.header("preference-applied")), (status, prefer));
            let expected = if replaced == 204 { &Value::Null } else { &shown };
            assert_eq!(&answered.body, expected, "{prefer}");
            assert_eq!(answered.header("content-location").is_empty(), replaced == 204);
            let stored = put.resources.table.read(&ResourceId::new(id).unwrap()).await.unwrap();
            let stored = stored.unwrap();
            assert_eq!(
                (&*stored.written_by.etag(), &stored.body),
                (answered.header("etag"), &body)
            );
        }
    }
}

#[tokio::test]
async fn a_body_that_the_gateway_encoded_is_stored_as_it_was_sent() {
    let put = start().await;
    let body = sample("René");
    let mut request = sent(0).await.request();
    *request.body_mut() = Body::Binary(body.as_bytes().to_vec());
    assert_eq!(Answered::of(put.handle(request).await).status, 201);
    assert_eq!(stored(&put).await, Some(body));
}

/// It overwrites nothing over a second newer, whatever the clocks of the hosts say.
#[tokio::test]
async fn a_request_that_was_held_up_keeps_its_place() {
    let put = start().await;
    for (ahead_ms, held_up_ms) in [(200_000, 40_000), (0, 20_000), (-29_000, 0)] {
        let put = beside(&put, ahead_ms);
        let newer = now_ms() - held_up_ms;
        store_at(&put, newer).await;
        let arrived = |ms| Sent::put("42", &sample(0), ms);
        assert_eq!(answer(&put, &arrived(newer - 1001)).await.brief(), "409 superseded");
        let keyed = arrived(newer - 1).with(KEY, &ahead_ms.to_string());
        assert_eq!(answer(&put, &keyed).await.brief(), "409 superseded");
        assert_eq!(answer(&put, &arrived(newer - 1000)).await.brief(), "200");
        let in_place = answer(&put, &arrived(newer + 10)).await;
        let id: OperationId = in_place.header("etag").trim_matches('"').parse().unwrap();
        assert_eq!(id.tick(), Tick::from_unix_ms(newer + 10), "{ahead_ms}");
    }
}

#[tokio::test]
async fn clocks_that_differ_too_much_refuse_every_mode() {
    let put = start().await;
    for ahead_ms in [-31_000, 301_000] {
        let put = beside(&put, ahead_ms);
        for prefer in ["", "respond-async", "respond-async, wait=1"] {
            let (refused, made) = calls(&put, &sent(0).await.with("prefer", prefer)).await;
            assert_eq!((refused.brief().as_str(), made.as_str()), ("503 clock-skew", ""));
        }
        assert_eq!(put.host.measured(), [Metric::ClockSkews; 3]);
    }
    let canned = Sent::put("42", &sample(0), 1_700_000_000);
    assert_eq!(answer(&put, &canned).await.brief(), "503 clock-skew");
    let at_host = Put { arrival_clock: ArrivalClock::Host, ..put };
    assert_eq!(answer(&at_host, &canned).await.status, 201);
}

#[tokio::test]
async fn a_write_that_landed_is_never_shown_as_pending() {
    let put = start().await;
    let wait = sent(0).await.with("prefer", "respond-async, wait=5");
    put.resources.faults.plan("version", 1, THROTTLED);
    assert_eq!(answer(&put, &wait).await.status, 201);
    let again = sent(0).await.with("prefer", "respond-async, wait=5");
    for sent in [again, sent(0).await.with(KEY, "k")] {
        put.resources.faults.plan("version", 3, THROTTLED);
        let answered = answer(&put, &sent).await;
        assert_eq!((answered.status, &answered.body["status"]), (202, &"succeeded".into()));
        assert_eq!(answered.body["self"], answered.header("location"));
        let absent = (answered.header("retry-after"), answered.header("preference-applied"));
        assert_eq!(absent, ("", ""));
    }
}

#[tokio::test]
async fn what_is_not_done_in_time_is_queued_as_the_same_operation() {
    let put = start().await;
    put.resources.faults.plan("transact", 1, Fate::LosesReply);
    put.resources.faults.plan("transact", 2, Fate::Fails(Failure::MayHaveLanded));
    let answered = answer(&put, &sent(0).await.with("prefer", "respond-async, wait=1")).await;
    assert_eq!((answered.status, &answered.body["status"]), (202, &"pending".into()));
    assert_eq!(answered.header("preference-applied"), "respond-async");
    let landed = put.resources.table.read(&resource()).await.unwrap().unwrap();
    let queued = queued(&put);
    assert_eq!((landed.written_by, queued.body()), (queued.id, Some(&*landed.body)));
}

/// Each row has calls that are never answered.
#[tokio::test]
async fn every_request_is_answered_before_its_deadline() {
    let (unknown, wait) = ("503 outcome-unknown", "respond-async, wait=15");
    for (silent, prefer, key, time_ms, expected) in [
        ("claim", "", "k", 1300, unknown),
        ("transact", "", "k", 1300, unknown),
        ("version", "", "k", 1300, "202"),
        ("write", "", "", 1300, unknown),
        ("send", "respond-async", "", 1300, unknown),
        ("transact send", wait, "", 1300, unknown),
        // The wait ends after its seconds, which leaves 4 s to queue and 1 s to answer.
        ("transact", wait, "", 5300, "202"),
        ("transact", "respond-async, wait=1", "", 28_000, "202"),
    ] {
        let put = start().await;
        for call in silent.split(' ') {
            put.resources.faults.plan(call, 9, Fate::Hangs);
            put.updates.faults.plan(call, 9, Fate::Hangs);
        }
        let sent = sent(0).await.with("prefer", prefer);
        let sent = if key.is_empty() { sent } else { sent.with(KEY, key) };
        let sent = sent.until(put.host.now() + Duration::from_millis(time_ms));
        let started = Instant::now();
        assert_eq!(answer(&put, &sent).await.brief(), expected, "{silent} {prefer}");
        assert!(started.elapsed() < Duration::from_millis(1200), "{silent} {prefer}");
    }
}

#[tokio::test]
async fn a_call_that_failed_on_a_reused_connection_is_made_again_without_a_pause() {
    for (fate, is_paused) in [(Fate::LosesConnection, false), (THROTTLED, true)] {
        for (call, prefer) in [("write", ""), ("send", "respond-async")] {
            let put = start().await;
            put.resources.faults.plan(call, 1, fate);
            put.updates.faults.plan(call, 1, fate);
            let answered = answer(&put, &sent(0).await.with("prefer", prefer)).await;
            assert!(answered.status < 300, "{call}: {answered:?}");
            let pause = put.host.longest_pause();
            assert_eq!(pause > Duration::ZERO, is_paused, "{call} {fate:?}: {pause:?}");
        }
    }
}

/// Every PUT in these tests of the log has it in its body. It must not be logged.
const SECRET: &str = "unlogged";

/// Answers a request; returns the answer in brief, and the lines that it adds to the log.
async fn logged(put: &TestPut, sent: &Sent) -> (String, Vec<Value>) {
    let before = put.host.lines().len();
    let told = answer(put, sent).await.brief();
    let lines = put.host.lines().split_off(before);
    assert!(lines.iter().all(|line| !line.contains(SECRET)), "{lines:?}");
    (told, lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The names of a line's metrics, each of which is 1.
fn measured(line: &Value) -> String {
    let measured = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array();
    let names = measured.into_iter().flatten().map(|metric| metric["Name"].as_str().unwrap());
    names.inspect(|name| assert_eq!(line[name], 1)).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn each_answer_is_one_line_with_its_ids_and_without_its_body() {
    let put = start().await;
    let (later, lost) = ("respond-async", Fate::Fails(Failure::MayHaveLanded));
    for (call, fate, name, value, expected) in [
        ("", THROTTLED, "prefer", "", "INFO WrittenInline"),
        ("", THROTTLED, "prefer", later, "INFO Accepted"),
        ("", THROTTLED, "if-none-match", "*", "INFO Refused"),
        ("write", THROTTLED, "prefer", "", "WARN NotWritten"),
        ("write", lost, "prefer", "", "WARN OutcomeUnknown"),
        ("send", THROTTLED, "prefer", later, "WARN NotWritten"),
    ] {
        put.resources.faults.plan(call, 3, fate);
        put.updates.faults.plan(call, 3, fate);
        is_one_line(&put, &sent(SECRET).await.with(name, value), expected).await;
    }
    assert_eq!(count(&put, Metric::Retries), 6);
    is_one_line(&beside(&put, 301_000), &sent(SECRET).await, "ERROR ClockSkews").await;
    store_at(&put, now_ms() + 20_000).await;
    let keyed = sent(SECRET).await.with(KEY, "k");
    is_one_line(&put, &keyed, "INFO Refused").await;
    is_one_line(&put, &keyed, "INFO ").await;
}

/// Answers a request. Except for those of failed calls, it logs one line, with this level and these
/// metrics.
async fn is_one_line(put: &TestPut, sent: &Sent, expected: &str) {
    let (told, lines) = logged(put, sent).await;
    let (failures, outcomes): (Vec<_>, _) =
        lines.iter().partition(|line| line.get("failure").is_some());
    let [outcome]: [&Value; 1] = outcomes.try_into().unwrap();
    assert!(failures.into_iter().all(|line| matches!(&*measured(line), "" | "Retries")));
    let level = outcome["level"].as_str().unwrap();
    assert_eq!(format!("{level} {}", measured(outcome)), expected, "{outcome}");
    assert_eq!(outcome["problem"].as_str(), told.split(' ').nth(1), "{outcome}");
    let id = outcome["operation"].as_str().and_then(|id| id.parse::<OperationId>().ok());
    assert!(id.is_some() || told == "503 clock-skew", "{outcome}");
    for line in &lines {
        let ids = (&line["requestId"], &line["resource"], &line["Stack"]);
        assert_eq!(ids, (&"r-1".into(), &"42".into(), &"test".into()), "{line}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_one_line_without_its_body_and_makes_no_call() {
    let put = start().await;
    for (body, if_match, expected) in [
        ("[\"unlogged\"]", "*", ("422 invalid-body", "")),
        ("{\"unlogged\":", "*", ("400 malformed-json", "")),
        ("{\"unlogged\":1,\"unlogged\":2}", "*", ("422 duplicate-member", "")),
        // It names no version.
        ("{\"name\":\"unlogged\"}", "\"x\"", ("412 precondition-failed", "Refused")),
    ] {
        let sent = Sent::put("42", body, now_ms()).with("if-match", if_match);
        let (told, lines) = logged(&put, &sent).await;
        assert_eq!((told.as_str(), lines.len()), (expected.0, 1), "{lines:?}");
        assert_eq!(measured(&lines[0]), expected.1);
        assert_eq!(lines[0]["problem"].as_str(), told.split(' ').nth(1));
    }
    assert!(put.resources.faults.calls().is_empty());
}
