//! What happens between two calls of a PUT, on a real DynamoDB engine: replies lost, calls
//! throttled or held back, two senders of one key, clocks that differ.

use std::fmt::Display;
use std::time::Duration;

use lambda_http::Body;
use rules::outcome::Recorded;
use rules::request::accept::Mode;
use rules::{
    Failure, Operation, OperationId, Precondition, ReceiptKey, ReceiptKeys, Resource, ResourceId,
    Tick,
};

use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::thing::{ByBody, Thing, sample};
use tests::world::{Fate, Faults, FaultyOperations, FaultyResources, TestHost, TestQueue};
use world::{Host, Metric, Outcomes, Resources};

use crate::{ArrivalClock, Put};

pub(crate) type TestPut<R = Thing> = Put<TestHost, R, FaultyResources, FaultyOperations, TestQueue>;

pub(crate) const KEY: &str = "idempotency-key";
const THROTTLED: Fate = Fate::Fails(Failure::NotLanded);

/// A host of the function, on the tables of `engine`.
fn put_on(engine: &Engine, host: TestHost) -> TestPut {
    put_of(Thing, engine, host)
}

pub(crate) fn put_of<R>(resource: R, engine: &Engine, host: TestHost) -> TestPut<R> {
    let faults = Faults::default();
    Put {
        host,
        resource,
        resources: FaultyResources { table: engine.resources.clone(), faults: faults.clone() },
        operations: FaultyOperations { table: engine.operations.clone(), faults },
        updates: TestQueue::default(),
        receipts: ReceiptKeys { current: ReceiptKey::new(&[7; 32]).unwrap(), other: None },
        default_mode: Mode::Inline,
        arrival_clock: ArrivalClock::Gateway,
    }
}

pub(crate) async fn start() -> (Engine, TestPut) {
    let engine = Engine::start().await;
    let put = put_on(&engine, TestHost::default());
    (engine, put)
}

pub(crate) fn now_ms() -> u64 {
    TestHost::default().now().as_millis() as u64
}

/// A PUT that arrives now. Two of them in a row are a millisecond apart.
pub(crate) async fn sent(value: impl Display) -> Sent {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Sent::put("42", &sample(value), now_ms())
}

pub(crate) async fn answer<R: Resource>(put: &TestPut<R>, sent: &Sent) -> Answered {
    // Boxed, since a test's own future holds many of them.
    Answered::of(Box::pin(put.handle(sent.request())).await)
}

pub(crate) async fn stored(engine: &Engine) -> Option<String> {
    let stored = engine.resources.read(&ResourceId::new("42").unwrap()).await.unwrap();
    stored.map(|resource| resource.body)
}

/// Stores a resource as an operation at `ms` leaves it.
pub(crate) async fn store_at(engine: &Engine, ms: u64) -> OperationId {
    let id = OperationId::new(Tick::from_unix_ms(ms), 1);
    let (resource, precondition) = (ResourceId::new("42").unwrap(), Precondition::None);
    let operation = Operation::put(id, resource, precondition, sample("stored"));
    engine.resources.write(&operation).await.unwrap();
    id
}

#[tokio::test]
async fn each_mode_makes_no_call_too_many() {
    let (_engine, put) = start().await;
    let calls = async |sent: Sent| {
        let before = (put.resources.faults.calls().len(), put.updates.faults.calls().len());
        let answered = answer(&put, &sent).await;
        let (tables, queue) = (put.resources.faults.calls(), put.updates.faults.calls());
        (answered.status, [&tables[before.0..], &queue[before.1..]].concat())
    };
    assert_eq!(calls(sent(0).await).await, (201, vec!["write"]));
    let later = sent(0).await.with("prefer", "respond-async");
    assert_eq!(calls(later.clone()).await, (202, vec!["send"]));
    let wait = sent(0).await.with("prefer", "respond-async, wait=5");
    assert_eq!(calls(wait).await, (200, vec!["transact", "version"]));
    let keyed = sent(0).await.with(KEY, "\"1\"");
    assert_eq!(calls(keyed.clone()).await, (200, vec!["claim", "transact", "version"]));
    assert_eq!(calls(keyed).await, (200, vec!["claim", "recorded", "version"]));
    assert_eq!(calls(later.with(KEY, "\"2\"")).await, (202, vec!["claim", "send"]));
    let bad = Sent::put("42", "[]", now_ms());
    assert_eq!(calls(bad).await, (422, Vec::new()));
}

#[tokio::test]
async fn what_was_written_is_answered_as_the_client_prefers() {
    let (_engine, put) = start().await;
    let body = sample(1);
    let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
    for (n, (prefer, applied, statuses)) in [
        ("", "", [201, 200]),
        ("return=minimal", "return=minimal", [201, 204]),
        ("return=representation", "return=representation", [201, 200]),
    ]
    .into_iter()
    .enumerate()
    {
        for status in statuses {
            let sent = Sent::put(&n.to_string(), &body, now_ms()).with("prefer", prefer);
            let answered = answer(&put, &sent).await;
            assert_eq!((answered.status, answered.header("preference-applied")), (status, applied));
            let id: OperationId = answered.header("etag").trim_matches('"').parse().unwrap();
            let resource = ResourceId::new(&n.to_string()).unwrap();
            let stored = put.resources.table.read(&resource).await.unwrap().unwrap();
            assert_eq!((stored.written_by, stored.body.as_str()), (id, &*body));
            let is_shown = answered.body == shown;
            assert_eq!((is_shown, answered.body.is_null()), (n != 1, n == 1), "{prefer}");
        }
    }
}

#[tokio::test]
async fn a_body_that_the_gateway_encoded_is_stored_as_it_was_sent() {
    let (engine, put) = start().await;
    let body = sample("René");
    let mut request = sent(0).await.request();
    *request.body_mut() = Body::Binary(body.as_bytes().to_vec());
    assert_eq!(Answered::of(put.handle(request).await).status, 201);
    assert_eq!(stored(&engine).await, Some(body));
}

/// The order of calls in which a key whose claim could be moved lost an update: R1 claims,
/// S lands, R1 is refused, R2 is refused and says so, the client decides anew with Z, and
/// R1 goes on.
#[tokio::test]
async fn what_was_refused_under_a_key_never_lands_however_its_calls_are_held_back() {
    let (engine, first) = start().await;
    let (second, other) =
        (put_on(&engine, TestHost::default()), put_on(&engine, TestHost::default()));
    let keyed = sent("R").await.with(KEY, "\"k\"");
    for (held, then) in [("transact", 409), ("record", 409)] {
        let keyed = keyed.clone().with("if-match", "*");
        let keyed = if held == "record" { keyed.with(KEY, "\"k2\"") } else { keyed };
        store_at(&engine, now_ms() - 60_000).await;
        first.resources.faults.plan(held, 1, Fate::IsHeld);
        let (request, handler) = (keyed.request(), &first);
        let overtaken = async {
            if held == "transact" {
                first.resources.faults.is_held().await;
            }
            let s = sent("S").await;
            assert_eq!(answer(&other, &s).await.status, 200);
            if held == "record" {
                first.resources.faults.is_held().await;
            }
            let again = answer(&second, &keyed).await;
            assert_eq!(again.brief(), "409 superseded");
            assert!(again.body["detail"].as_str().unwrap().contains("new key"), "{again:?}");
            let z = answer(&other, &sent("Z").await).await;
            assert_eq!(z.status, 200);
            first.resources.faults.release();
        };
        let (answered, ()) = tokio::join!(handler.handle(request), overtaken);
        assert_eq!(Answered::of(answered).status, then);
        assert_eq!(stored(&engine).await.as_deref(), Some(&*sample("Z")));
    }
}

/// The request is under way when a message of another sending of it is refused by the work
/// before the write: nothing else keeps the resource from being written.
#[tokio::test]
async fn what_was_decided_meanwhile_is_the_answer_even_where_the_write_could_land() {
    let (engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.resources.faults.plan("transact", 1, Fate::IsHeld);
    let refused = async {
        put.resources.faults.is_held().await;
        record_failure(&engine, "refused").await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(put.handle(keyed.request()), refused);
    assert_eq!(Answered::of(answered).brief(), "409 refused");
    assert_eq!(stored(&engine).await, None);
}

/// Records that the only operation that a key stands for has failed with this type of problem.
async fn record_failure(engine: &Engine, slug: &str) {
    let claimed = engine.client.scan().table_name("operations").send().await.unwrap();
    let id = claimed.items()[0]["op"].as_s().unwrap().clone();
    let problem =
        format!(r#"{{"type":"tag:async-put.example,2026:{slug}","detail":"Why.","status":503}}"#);
    let expires = format!("#{}", now_ms() / 1000 + 1000);
    let failed = [
        ("id", id.as_str()),
        ("outcome", "failed"),
        ("completed_at", "#1"),
        ("expires_at", &expires),
        ("problem", &problem),
    ];
    engine.put("operations", &failed).await;
}

#[tokio::test]
async fn a_refusal_under_a_key_is_not_stuck_behind_a_throttled_table() {
    let (_engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"").with("if-match", "*");
    put.resources.faults.plan("transact", 3, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    put.resources.faults.plan("record", 3, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    for _ in 0..2 {
        let refused = answer(&put, &keyed).await;
        assert_eq!(refused.brief(), "412 precondition-failed");
        assert!(refused.body["detail"].as_str().unwrap().contains("new key"), "{refused:?}");
        assert_eq!(refused.header("retry-after"), "");
    }
}

#[tokio::test]
async fn a_precondition_that_names_no_version_is_refused_in_every_mode() {
    let (_engine, put) = start().await;
    for prefer in ["", "respond-async", "respond-async, wait=1"] {
        let sent = sent(0).await.with("prefer", prefer).with("if-match", "\"nothing\"");
        assert_eq!(answer(&put, &sent).await.brief(), "412 precondition-failed");
        assert_eq!(put.updates.messages().len(), 0);
        let keyed = sent.with(KEY, &format!("\"k {prefer}\""));
        assert_eq!(answer(&put, &keyed).await.brief(), "412 precondition-failed");
        assert!(put.resources.faults.calls().is_empty());
        assert_eq!(put.host.measured().pop(), Some(Metric::Refused));
    }
}

/// A failure that an older version recorded with a 503 is final all the same.
#[tokio::test]
async fn a_final_failure_is_never_replayed_as_a_503() {
    let (engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.resources.faults.plan("transact", 3, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.status, 503);
    record_failure(&engine, "clock-skew").await;
    let refused = answer(&put, &keyed).await;
    assert_eq!((refused.brief().as_str(), refused.header("retry-after")), ("409 refused", ""));
    assert!(refused.body["detail"].as_str().unwrap().starts_with("Why. "), "{refused:?}");
}

#[tokio::test]
async fn a_key_is_never_told_not_written_by_a_503() {
    let (engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.resources.faults.plan("transact", 1, Fate::LosesReply);
    put.resources.faults.plan("transact", 1, THROTTLED);
    put.resources.faults.plan("transact", 1, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    for (call, times) in [("claim", 3), ("recorded", 3)] {
        put.resources.faults.plan(call, times, THROTTLED);
        assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    }
    let off = put_on(&engine, TestHost::ahead(301_000));
    assert_eq!(answer(&off, &keyed).await.brief(), "503 outcome-unknown");
    let later = sent(0).await.with(KEY, "\"later\"").with("prefer", "respond-async");
    put.updates.faults.plan("send", 3, THROTTLED);
    assert_eq!(answer(&put, &later).await.brief(), "503 outcome-unknown");
    assert_eq!(answer(&put, &keyed).await.status, 201);
}

/// Where the operation will leave an outcome and is known, its status tells.
#[tokio::test]
async fn what_is_not_known_names_the_status_that_will_tell() {
    let (_, put) = start().await;
    let unknown = async |sent: &Sent| {
        let answered = answer(&put, sent).await;
        assert_eq!(answered.brief(), "503 outcome-unknown");
        answered.body["self"].as_str().map(str::to_owned)
    };
    put.resources.faults.plan("write", 3, Fate::LosesReply);
    assert_eq!(unknown(&sent(0).await).await, None);
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.resources.faults.plan("claim", 3, THROTTLED);
    assert_eq!(unknown(&keyed).await, None);
    put.resources.faults.plan("transact", 3, THROTTLED);
    let told = unknown(&keyed).await.unwrap();
    put.updates.faults.plan("send", 3, THROTTLED);
    let again = keyed.with("prefer", "respond-async");
    assert_eq!(unknown(&again).await.as_deref(), Some(&*told));
    let accepted = answer(&put, &again).await;
    assert_eq!((accepted.status, accepted.header("location")), (202, &*told));
}

/// Both are conditional on the stored version, which lies after their arrival.
#[tokio::test]
async fn a_version_over_a_second_after_the_arrival_is_superseding_with_and_without_a_key() {
    let (engine, put) = start().await;
    for (lead_ms, expected) in [(900, "200"), (10_000, "409 superseded")] {
        let tag = store_at(&engine, now_ms() + lead_ms).await;
        let conditional = sent(0).await.with("if-match", &format!("\"{tag}\""));
        let keyed = conditional.clone().with(KEY, &format!("\"{lead_ms}\""));
        assert_eq!(answer(&put, &keyed).await.brief(), expected);
        if lead_ms > 1000 {
            assert_eq!(answer(&put, &conditional).await.brief(), expected);
        }
    }
}

#[tokio::test]
async fn a_request_that_was_held_up_keeps_its_place() {
    let engine = Engine::start().await;
    for (n, ahead_ms) in [-29_000, 0, 200_000].into_iter().enumerate() {
        let put = put_on(&engine, TestHost::ahead(ahead_ms));
        let arrived = now_ms() - 60_000 + n as u64;
        let answered = answer(&put, &Sent::put("42", &sample(0), arrived)).await;
        assert!(matches!(answered.status, 200 | 201), "{ahead_ms}: {answered:?}");
        let id: OperationId = answered.header("etag").trim_matches('"').parse().unwrap();
        assert_eq!(id.tick(), Tick::from_unix_ms(arrived));
    }
}

#[tokio::test]
async fn what_arrived_over_a_second_before_the_stored_version_overwrites_nothing() {
    let engine = Engine::start().await;
    // Whatever the host's clock says.
    for ahead_ms in [-20_000, 0, 200_000] {
        let put = put_on(&engine, TestHost::ahead(ahead_ms));
        let stored_ms = now_ms();
        store_at(&engine, stored_ms).await;
        let held_up = |ms| Sent::put("42", &sample(0), stored_ms - ms);
        assert_eq!(answer(&put, &held_up(1001)).await.brief(), "409 superseded");
        let keyed = held_up(1).with(KEY, &format!("\"{ahead_ms}\""));
        assert_eq!(answer(&put, &keyed).await.brief(), "409 superseded");
        assert_eq!(answer(&put, &held_up(1000)).await.brief(), "200");
    }
}

#[tokio::test]
async fn clocks_that_differ_too_much_refuse_every_mode() {
    let engine = Engine::start().await;
    for ahead_ms in [-31_000, 301_000] {
        let put = put_on(&engine, TestHost::ahead(ahead_ms));
        for prefer in ["", "respond-async", "respond-async, wait=1"] {
            let refused = answer(&put, &sent(0).await.with("prefer", prefer)).await;
            let brief = (refused.brief(), refused.header("retry-after").to_owned());
            assert_eq!(brief, ("503 clock-skew".to_owned(), "1".to_owned()));
        }
        assert_eq!(put.host.measured(), [Metric::ClockSkews; 3]);
        assert!(put.resources.faults.calls().is_empty() && put.updates.messages().is_empty());
    }
    let put = put_on(&engine, TestHost::default());
    assert_eq!(answer(&put, &Sent::put("42", &sample(0), 0)).await.brief(), "503 clock-skew");
    let canned = Put { arrival_clock: ArrivalClock::Host, ..put_on(&engine, TestHost::default()) };
    assert_eq!(answer(&canned, &Sent::put("42", &sample(0), 1_700_000_000)).await.status, 201);
}

#[tokio::test]
async fn a_write_that_landed_is_never_shown_as_pending() {
    let (engine, put) = start().await;
    let wait = sent(0).await.with("prefer", "respond-async, wait=5");
    put.resources.faults.plan("version", 1, THROTTLED);
    assert_eq!(answer(&put, &wait).await.status, 201);
    let again = sent(0).await.with("prefer", "respond-async, wait=5");
    for sent in [again, sent(0).await.with("prefer", "wait=5").with(KEY, "\"k\"")] {
        put.resources.faults.plan("version", 3, THROTTLED);
        let answered = answer(&put, &sent).await;
        assert_eq!((answered.status, &answered.body["status"]), (202, &"succeeded".into()));
        assert_eq!(answered.body["self"], answered.header("location"));
        assert_eq!(answered.header("retry-after"), "");
        assert_eq!(answered.header("preference-applied"), "");
    }
    assert!(stored(&engine).await.is_some());
}

#[tokio::test]
async fn every_request_is_answered_before_its_deadline() {
    let host = TestHost::default();
    for (names, sent) in [
        (&["claim"][..], Sent::put("42", &sample(0), now_ms()).with(KEY, "\"k\"")),
        (&["transact"], Sent::put("42", &sample(0), now_ms()).with(KEY, "\"k\"")),
        (&["version"], Sent::put("42", &sample(0), now_ms()).with(KEY, "\"k\"")),
        (&["write"], Sent::put("42", &sample(0), now_ms())),
        (&["send"], Sent::put("42", &sample(0), now_ms()).with("prefer", "respond-async")),
        (
            &["transact", "send"],
            Sent::put("42", &sample(0), now_ms()).with("prefer", "respond-async, wait=15"),
        ),
    ] {
        let put = held_up(names).await;
        let sent = sent.until(host.now() + Duration::from_millis(1300));
        let started = std::time::Instant::now();
        let answered = answer(&put, &sent).await;
        assert!(started.elapsed() < Duration::from_millis(1200), "{names:?}");
        let expected = if names == ["version"] { "202" } else { "503 outcome-unknown" };
        assert_eq!(answered.brief(), expected, "{names:?}");
    }
}

#[tokio::test]
async fn a_call_that_failed_on_a_reused_connection_is_made_again_without_a_pause() {
    for (fate, is_paused) in [(Fate::LosesConnection, false), (THROTTLED, true)] {
        for (call, prefer) in
            [("write", ""), ("transact", "respond-async, wait=5"), ("send", "respond-async")]
        {
            let (_engine, put) = start().await;
            put.resources.faults.plan(call, 1, fate);
            put.updates.faults.plan(call, 1, fate);
            let answered = answer(&put, &sent(0).await.with("prefer", prefer)).await;
            assert!(answered.status < 300, "{call}: {answered:?}");
            let pause = put.host.longest_pause();
            assert_eq!(pause > Duration::ZERO, is_paused, "{call} {fate:?}: {pause:?}");
        }
    }
}

/// A function whose calls of these names are never answered.
async fn held_up(names: &[&'static str]) -> TestPut {
    let (_, put) = start().await;
    for name in names {
        put.resources.faults.plan(name, 9, Fate::Hangs);
        put.updates.faults.plan(name, 9, Fate::Hangs);
    }
    put
}

#[tokio::test]
async fn what_is_not_done_in_time_is_queued_as_the_same_operation() {
    let (engine, put) = start().await;
    let wait = sent(0).await.with("prefer", "respond-async, wait=1");
    put.resources.faults.plan("transact", 1, Fate::LosesReply);
    put.resources.faults.plan("transact", 2, Fate::Fails(Failure::MayHaveLanded));
    let answered = answer(&put, &wait).await;
    assert_eq!((answered.status, &answered.body["status"]), (202, &"pending".into()));
    assert_eq!(answered.header("preference-applied"), "respond-async");
    let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
    let landed = engine.resources.read(&queued.resource).await.unwrap().unwrap();
    assert_eq!((landed.written_by, queued.body()), (queued.id, Some(&*landed.body)));
}

/// In the body of every PUT whose log is looked at; it may not be logged.
const SECRET: &str = "unlogged";

/// Answers a PUT; returns what is measured of its outcome, after looking at every line.
async fn outcome(put: &TestPut, sent: &Sent) -> String {
    let before = put.host.lines().len();
    let told = answer(put, sent).await.brief();
    let lines = put.host.lines().split_off(before);
    let mut outcomes = Vec::new();
    for text in &lines {
        assert!(!text.contains("unlogged"), "{text}");
        let line: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!((&line["requestId"], &line["Stack"]), (&"r-1".into(), &"test".into()), "{text}");
        assert_eq!(line["resource"], "42", "{text}");
        let is_outcome = line.get("failure").is_none();
        let measured = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array();
        let names = measured.into_iter().flatten().map(|metric| metric["Name"].as_str().unwrap());
        let names: Vec<_> = names.inspect(|name| assert_eq!(line[name], 1, "{text}")).collect();
        if is_outcome {
            assert_eq!(line["problem"].as_str(), told.split(' ').nth(1), "{text}");
            let has_operation =
                line["operation"].as_str().is_some_and(|id| id.parse::<OperationId>().is_ok());
            assert!(has_operation || names == ["ClockSkews"], "{text}");
            outcomes.push(format!("{} {}", line["level"].as_str().unwrap(), names.join(" ")));
        } else {
            assert!(names.iter().all(|name| *name == "Retries"), "{text}");
        }
    }
    assert_eq!(outcomes.len(), 1, "{lines:?}");
    outcomes.remove(0)
}

#[tokio::test]
async fn each_answer_is_one_line_with_its_ids_and_without_its_body() {
    let (engine, put) = start().await;
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "INFO WrittenInline");
    let later = sent(SECRET).await.with("prefer", "respond-async");
    assert_eq!(outcome(&put, &later).await, "INFO Accepted");
    let absent = sent(SECRET).await.with("if-none-match", "*");
    assert_eq!(outcome(&put, &absent).await, "INFO Refused");
    put.resources.faults.plan("write", 3, THROTTLED);
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "WARN NotWritten");
    put.resources.faults.plan("write", 3, Fate::Fails(Failure::MayHaveLanded));
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "WARN OutcomeUnknown");
    put.updates.faults.plan("send", 3, THROTTLED);
    let later = sent(SECRET).await.with("prefer", "respond-async");
    assert_eq!(outcome(&put, &later).await, "WARN NotWritten");
    let skewed = put_on(&engine, TestHost::ahead(301_000));
    assert_eq!(outcome(&skewed, &sent(SECRET).await).await, "ERROR ClockSkews");
    store_at(&engine, now_ms() + 20_000).await;
    let keyed = sent(SECRET).await.with(KEY, "\"k\"");
    assert_eq!(outcome(&put, &keyed).await, "INFO Refused");
    assert_eq!(outcome(&put, &keyed).await, "INFO ");
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_one_line_without_its_body() {
    let (_engine, put) = start().await;
    for body in ["[\"unlogged\"]", "{\"unlogged\":", "{\"unlogged\":1,\"unlogged\":2}"] {
        let before = put.host.lines().len();
        let refused = answer(&put, &Sent::put("42", body, now_ms())).await;
        let lines = put.host.lines().split_off(before);
        assert_eq!(lines.len(), 1, "{lines:?}");
        let line: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert!(!lines[0].contains("unlogged") && line.get("_aws").is_none(), "{line}");
        assert_eq!(refused.brief().split(' ').next_back(), line["problem"].as_str());
    }
}

#[tokio::test]
async fn each_repetition_of_a_call_is_counted() {
    let (_engine, put) = start().await;
    let retries = || put.host.measured().iter().filter(|one| **one == Metric::Retries).count();
    put.resources.faults.plan("write", 3, THROTTLED);
    answer(&put, &sent(0).await).await;
    assert_eq!(retries(), 2);
    put.updates.faults.plan("send", 1, THROTTLED);
    answer(&put, &sent(0).await.with("prefer", "respond-async")).await;
    assert_eq!(retries(), 3);
}

#[tokio::test]
async fn a_wait_ends_after_its_seconds_and_leaves_time_to_queue() {
    for (prefer, deadline_ms, longest_ms) in [
        ("respond-async, wait=1", 28_000, 1500),
        // 4 s are kept for the queue, and 1 s for the answer.
        ("respond-async, wait=15", 5_300, 800),
    ] {
        let put = held_up(&["transact"]).await;
        put.updates.faults.plan("send", 9, Fate::Passes);
        let started = std::time::Instant::now();
        let deadline = put.host.now() + Duration::from_millis(deadline_ms);
        let waiting = sent(0).await.with("prefer", prefer).until(deadline);
        assert_eq!(answer(&put, &waiting).await.status, 202);
        assert!(started.elapsed() < Duration::from_millis(longest_ms), "{prefer}");
    }
}

#[tokio::test]
async fn a_stalled_operation_is_carried_out_when_it_is_sent_again_under_its_key() {
    let (engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    let later = keyed.clone().with("prefer", "respond-async");
    assert_eq!(answer(&put, &later).await.status, 202);
    let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
    let stalled = Recorded::Stalled { problem: "{}".to_owned(), since: put.host.now() };
    engine.operations.record(&queued.resource, queued.id, &stalled).await.unwrap();
    assert_eq!(answer(&put, &keyed).await.status, 201);
    assert_eq!(stored(&engine).await, Some(sample(0)));
}

pub(crate) async fn start_with_update() -> (Engine, TestPut<ByBody>) {
    let engine = Engine::start().await;
    let put = put_of(ByBody::default(), &engine, TestHost::default());
    (engine, put)
}

/// The table in docs/make-it-yours.md: each end of an update, in each mode.
#[tokio::test]
async fn each_end_of_an_update_has_its_answer_in_each_mode_and_under_a_key() {
    let (now, wait, later) = ("", "respond-async, wait=1", "respond-async");
    for (word, prefer, plain, keyed, has_message) in [
        ("done", now, "201", "201", false),
        ("refuse", now, "409 refused", "409 refused", false),
        ("temporary", now, "409 refused", "409 refused", false),
        ("later", now, "503 not-written", "503 outcome-unknown", false),
        ("hang", now, "503 not-written", "503 outcome-unknown", false),
        ("done", wait, "201", "201", false),
        ("refuse", wait, "409 refused", "409 refused", false),
        ("temporary", wait, "409 refused", "409 refused", false),
        ("later", wait, "202", "202", true),
        ("hang", wait, "202", "202", true),
        ("done", later, "202", "202", true),
        ("refuse", later, "202", "202", true),
        ("later", later, "202", "202", true),
    ] {
        for (is_keyed, expected) in [(false, plain), (true, keyed)] {
            let (engine, put) = start_with_update().await;
            let sent = sent(word).await.with("prefer", prefer);
            // Leaves 2 s for the update of a PUT now, which is enough on a busy machine.
            let sent = sent.until(put.host.now() + Duration::from_millis(7000));
            let sent = if is_keyed { sent.with(KEY, "\"k\"") } else { sent };
            let answered = answer(&put, &sent).await;
            let row = format!("{word} {prefer} {is_keyed}: {answered:?}");
            assert_eq!(answered.brief(), expected, "{row}");
            assert_eq!(stored(&engine).await.is_some(), expected == "201", "{row}");
            assert_eq!(put.updates.messages().len(), usize::from(has_message), "{row}");
            assert_eq!(put.resource.seen().len(), usize::from(prefer != later), "{row}");
            let detail = answered.body["detail"].as_str().unwrap_or_default();
            assert_eq!(detail.contains("told to"), word == "later" && prefer == now, "{row}");
            if expected == "409 refused" {
                assert!(detail.starts_with("Told to."), "{row}");
                let again = answer(&put, &sent).await;
                assert_eq!((again.brief().as_str(), put.resource.seen().len()), {
                    (expected, if is_keyed { 1 } else { 2 })
                });
                let names_the_key = again.body["detail"].as_str().unwrap().contains("new key");
                assert_eq!(names_the_key, is_keyed, "{row}");
            }
        }
    }
}

#[tokio::test]
async fn an_update_has_the_time_until_the_deadline_less_that_for_the_write() {
    let (_engine, put) = start_with_update().await;
    assert_eq!(answer(&put, &sent("time").await).await.status, 201);
}

#[tokio::test]
async fn an_update_costs_one_read_and_does_not_run_for_what_is_refused_already() {
    let (engine, put) = start_with_update().await;
    let calls = async |sent: &Sent| {
        let before = (put.resources.faults.calls().len(), put.resource.seen().len());
        let brief = answer(&put, sent).await.brief();
        let calls = put.resources.faults.calls().split_off(before.0);
        (brief, calls, put.resource.seen().len() - before.1)
    };
    let ok = |brief: &str, calls: &[&'static str], updates| (brief.into(), calls.into(), updates);
    let plain = sent(0).await;
    assert_eq!(calls(&plain).await, ok("201", &["version", "write"], 1));
    let keyed = sent(0).await.with(KEY, "\"k\"");
    let first = ["claim", "version", "transact", "version"];
    assert_eq!(calls(&keyed).await, ok("200", &first, 1));
    assert_eq!(calls(&keyed).await, ok("200", &["claim", "recorded", "version"], 0));
    let absent = sent(0).await.with("if-none-match", "*");
    assert_eq!(calls(&absent).await, ok("412 precondition-failed", &["version"], 0));
    let late = Sent::put("42", &sample(0), now_ms() - 5000);
    assert_eq!(calls(&late).await, ok("409 superseded", &["version"], 0));
    store_at(&engine, now_ms() + 500).await;
    // It steps over what lies within the window before it runs.
    let overtaken = Sent::put("42", &sample(0), now_ms());
    assert_eq!(calls(&overtaken).await, ok("200", &["version", "write"], 1));
    put.resources.faults.plan("version", 3, THROTTLED);
    let plain = Sent::put("42", &sample(0), now_ms());
    assert_eq!(calls(&plain).await, ok("503 not-written", &["version"; 3], 0));
    // What is slow is the table, and not the update, which does not run.
    put.resources.faults.plan("version", 1, Fate::IsHeld);
    let slow = Sent::put("42", &sample(0), now_ms());
    let slow = slow.until(put.host.now() + Duration::from_millis(5300));
    let release = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(answer(&put, &slow), release);
    let detail = answered.body["detail"].to_string();
    assert!(detail.contains("The table could not") && put.resource.seen().len() == 3, "{detail}");
}

/// `wait`: the update runs, the write steps over a newer version and fails, and the message
/// is applied.
#[tokio::test]
async fn an_update_sees_the_id_that_its_operation_was_made_with_wherever_it_runs() {
    let (engine, put) = start_with_update().await;
    put.resources.faults.plan("transact", 1, Fate::IsHeld);
    put.resources.faults.plan("transact", 3, THROTTLED);
    let wait = sent(0).await.with("prefer", "respond-async, wait=3");
    let overtake = async {
        put.resources.faults.is_held().await;
        store_at(&engine, now_ms() + 100).await;
        put.resources.faults.release();
    };
    let (answered, ()) = tokio::join!(put.handle(wait.request()), overtake);
    assert_eq!(answered.status(), 202);
    let message = put.updates.messages().remove(0);
    let queued = queues::message::read(&message).unwrap();
    assert!(queued.id > queued.origin, "{queued:?}");
    assert_eq!(put.resource.seen(), [queued.origin]);
    let apply = apply::Apply {
        host: TestHost::default(),
        resource: put.resource.clone(),
        resources: engine.resources.clone(),
        operations: engine.operations.clone(),
        updates: TestQueue::default(),
        dead_letters: TestQueue::default(),
    };
    let mut event = aws_lambda_events::sqs::SqsEvent::default();
    event.records = vec![message];
    let deadline = apply.host.now() + Duration::from_secs(20);
    let invocation = world::Invocation { deadline, ..world::Invocation::default() };
    let response = apply.handle(event, &invocation).await.unwrap();
    assert!(response.batch_item_failures.is_empty());
    assert_eq!(put.resource.seen(), [queued.origin; 2]);
    assert_eq!(stored(&engine).await, Some(sample(0)));
}
