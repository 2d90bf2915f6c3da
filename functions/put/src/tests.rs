//! What happens between two calls of a PUT, on a real DynamoDB engine: replies lost, calls
//! throttled or held back, two senders of one key, clocks that differ.

use std::fmt::Display;
use std::time::Duration;

use lambda_http::Body;
use rules::request::accept::Mode;
use rules::{Failure, Operation, OperationId, Precondition, ReceiptKey, ResourceId, Tick};
use tests::thing::sample;
use tests::engine::Engine;
use tests::request::{Answered, Sent};
use tests::world::{Fate, Faults, FaultyTables, TestHost, TestQueue};
use world::{Host, Metric, Tables};

use crate::{ArrivalClock, Put};

type TestPut = Put<TestHost, FaultyTables, TestQueue>;

const KEY: &str = "idempotency-key";
const THROTTLED: Fate = Fate::Fails(Failure::NotLanded);

/// A host of the function, on the tables of `engine`.
fn put_on(engine: &Engine, host: TestHost) -> TestPut {
    Put {
        host,
        tables: FaultyTables { tables: engine.tables.clone(), faults: Faults::default() },
        updates: TestQueue::default(),
        receipts: ReceiptKey::new(&[7; 32]).unwrap(),
        default_mode: Mode::Inline,
        arrival_clock: ArrivalClock::Gateway,
    }
}

async fn start() -> (Engine, TestPut) {
    let engine = Engine::start().await;
    let put = put_on(&engine, TestHost::default());
    (engine, put)
}

fn now_ms() -> u64 {
    TestHost::default().now().as_millis() as u64
}

/// A PUT that arrives now. Two of them in a row are a millisecond apart.
async fn sent(value: impl Display) -> Sent {
    tokio::time::sleep(Duration::from_millis(2)).await;
    Sent::put("42", &sample(value), now_ms())
}

async fn answer(put: &TestPut, sent: &Sent) -> Answered {
    // Boxed, since a test's own future holds many of them.
    Answered::of(Box::pin(put.handle(sent.request())).await)
}

async fn stored(engine: &Engine) -> Option<String> {
    let stored = engine.tables.resource(&ResourceId::new("42").unwrap()).await.unwrap();
    stored.map(|resource| resource.body)
}

/// Stores a resource as an operation at `ms` leaves it.
async fn store_at(engine: &Engine, ms: u64) -> OperationId {
    let id = OperationId::new(Tick::from_unix_ms(ms), 1);
    let (resource, precondition) = (ResourceId::new("42").unwrap(), Precondition::None);
    let operation = Operation { id, resource, precondition, body: sample("stored") };
    engine.tables.write_resource(&operation).await.unwrap();
    id
}

#[tokio::test]
async fn each_mode_makes_no_call_too_many() {
    let (_engine, put) = start().await;
    let calls = async |sent: Sent| {
        let before = (put.tables.faults.calls().len(), put.updates.faults.calls().len());
        let answered = answer(&put, &sent).await;
        let (tables, queue) = (put.tables.faults.calls(), put.updates.faults.calls());
        (answered.status, [&tables[before.0..], &queue[before.1..]].concat())
    };
    assert_eq!(calls(sent(0).await).await, (201, vec!["write_resource"]));
    let later = sent(0).await.with("prefer", "respond-async");
    assert_eq!(calls(later.clone()).await, (202, vec!["send"]));
    let wait = sent(0).await.with("prefer", "respond-async, wait=5");
    assert_eq!(calls(wait).await, (200, vec!["transact", "creator"]));
    let keyed = sent(0).await.with(KEY, "\"1\"");
    assert_eq!(calls(keyed.clone()).await, (200, vec!["claim", "transact", "creator"]));
    assert_eq!(calls(keyed).await, (200, vec!["claim", "record_of", "creator"]));
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
            let stored = put.tables.tables.resource(&resource).await.unwrap().unwrap();
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
        first.tables.faults.plan(held, 1, Fate::IsHeld);
        let (request, handler) = (keyed.request(), &first);
        let overtaken = async {
            if held == "transact" {
                first.tables.faults.is_held().await;
            }
            let s = sent("S").await;
            assert_eq!(answer(&other, &s).await.status, 200);
            if held == "record" {
                first.tables.faults.is_held().await;
            }
            let again = answer(&second, &keyed).await;
            assert_eq!(again.brief(), "409 superseded");
            assert!(again.body["detail"].as_str().unwrap().contains("new key"), "{again:?}");
            let z = answer(&other, &sent("Z").await).await;
            assert_eq!(z.status, 200);
            first.tables.faults.release();
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
    put.tables.faults.plan("transact", 1, Fate::IsHeld);
    let refused = async {
        put.tables.faults.is_held().await;
        record_failure(&engine, "refused").await;
        put.tables.faults.release();
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
    put.tables.faults.plan("transact", 3, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    put.tables.faults.plan("record", 3, THROTTLED);
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
        assert_eq!(answer(&put, &keyed).await.brief(), "412 precondition-failed");
    }
}

#[tokio::test]
async fn an_order_that_is_not_known_is_told_for_good_under_a_key() {
    let (engine, put) = start().await;
    store_at(&engine, now_ms() + 20_000).await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    for _ in 0..2 {
        let refused = answer(&put, &keyed).await;
        assert_eq!(
            (refused.brief().as_str(), refused.header("retry-after")),
            ("409 order-unknown", "")
        );
        assert!(refused.body["detail"].as_str().unwrap().contains("new key"), "{refused:?}");
    }
    assert_eq!(put.host.measured(), [Metric::Refused, Metric::ClockSkews]);
}

/// A failure that an older version recorded with a 503 is final all the same.
#[tokio::test]
async fn a_final_failure_is_never_replayed_as_a_503() {
    let (engine, put) = start().await;
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.tables.faults.plan("transact", 3, THROTTLED);
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
    put.tables.faults.plan("transact", 1, Fate::LosesReply);
    put.tables.faults.plan("transact", 1, THROTTLED);
    put.tables.faults.plan("transact", 1, THROTTLED);
    assert_eq!(answer(&put, &keyed).await.brief(), "503 outcome-unknown");
    for (call, times) in [("claim", 3), ("record_of", 3)] {
        put.tables.faults.plan(call, times, THROTTLED);
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
    put.tables.faults.plan("write_resource", 3, Fate::LosesReply);
    assert_eq!(unknown(&sent(0).await).await, None);
    let keyed = sent(0).await.with(KEY, "\"k\"");
    put.tables.faults.plan("claim", 3, THROTTLED);
    assert_eq!(unknown(&keyed).await, None);
    put.tables.faults.plan("transact", 3, THROTTLED);
    let told = unknown(&keyed).await.unwrap();
    put.updates.faults.plan("send", 3, THROTTLED);
    let again = keyed.with("prefer", "respond-async");
    assert_eq!(unknown(&again).await.as_deref(), Some(&*told));
    let accepted = answer(&put, &again).await;
    assert_eq!((accepted.status, accepted.header("location")), (202, &*told));
}

/// Both are conditional on the stored version, which is ahead of this host: without a key
/// the PUT may step over it, under a key its id never changes.
#[tokio::test]
async fn a_version_ahead_of_the_clock_is_met_alike_but_for_the_fixed_id_of_a_key() {
    let (engine, put) = start().await;
    for lead_ms in [900, 10_000] {
        let tag = store_at(&engine, now_ms() + lead_ms).await;
        let conditional = sent(0).await.with("if-match", &format!("\"{tag}\""));
        let keyed = conditional.clone().with(KEY, &format!("\"{lead_ms}\""));
        let expected = if lead_ms < 1000 { "200" } else { "409 order-unknown" };
        assert_eq!(answer(&put, &keyed).await.brief(), expected);
        if lead_ms > 1000 {
            assert_eq!(answer(&put, &conditional).await.brief(), "200");
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
async fn what_arrived_over_two_seconds_ago_steps_over_nothing() {
    let (engine, put) = start().await;
    store_at(&engine, now_ms() - 1000).await;
    let held_up = |ms| Sent::put("42", &sample(0), now_ms() - ms);
    assert_eq!(answer(&put, &held_up(2500)).await.brief(), "503 not-written");
    assert_eq!(answer(&put, &held_up(2600).with(KEY, "\"k\"")).await.brief(), "409 superseded");
    assert_eq!(answer(&put, &held_up(1500)).await.brief(), "200");
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
        assert_eq!(put.host.measured(), [Metric::ClockRefusals; 3]);
        assert!(put.tables.faults.calls().is_empty() && put.updates.messages().is_empty());
    }
    let canned = Put { arrival_clock: ArrivalClock::Host, ..put_on(&engine, TestHost::default()) };
    assert_eq!(answer(&canned, &Sent::put("42", &sample(0), 1_700_000_000)).await.status, 201);
}

#[tokio::test]
async fn a_write_that_landed_is_never_shown_as_pending() {
    let (engine, put) = start().await;
    let wait = sent(0).await.with("prefer", "respond-async, wait=5");
    put.tables.faults.plan("creator", 1, THROTTLED);
    assert_eq!(answer(&put, &wait).await.status, 201);
    for sent in [wait.clone(), wait.with(KEY, "\"k\"")] {
        put.tables.faults.plan("creator", 3, THROTTLED);
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
        (&["creator"], Sent::put("42", &sample(0), now_ms()).with(KEY, "\"k\"")),
        (&["write_resource"], Sent::put("42", &sample(0), now_ms())),
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
        let expected = if names == ["creator"] { "202" } else { "503 outcome-unknown" };
        assert_eq!(answered.brief(), expected, "{names:?}");
    }
}

/// A function whose calls of these names are never answered.
async fn held_up(names: &[&'static str]) -> TestPut {
    let (_, put) = start().await;
    for name in names {
        put.tables.faults.plan(name, 9, Fate::Hangs);
        put.updates.faults.plan(name, 9, Fate::Hangs);
    }
    put
}

#[tokio::test]
async fn what_is_not_done_in_time_is_queued_as_the_same_operation() {
    let (engine, put) = start().await;
    let wait = sent(0).await.with("prefer", "respond-async, wait=1");
    put.tables.faults.plan("transact", 1, Fate::LosesReply);
    put.tables.faults.plan("transact", 2, Fate::Fails(Failure::MayHaveLanded));
    let answered = answer(&put, &wait).await;
    assert_eq!((answered.status, &answered.body["status"]), (202, &"pending".into()));
    assert_eq!(answered.header("preference-applied"), "respond-async");
    let queued = queues::message::read(&put.updates.messages()[0]).unwrap();
    let landed = engine.tables.resource(&queued.resource).await.unwrap().unwrap();
    assert_eq!((landed.written_by, queued.body), (queued.id, landed.body));
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
            assert!(has_operation || names == ["ClockRefusals"], "{text}");
            outcomes.push(format!("{} {}", line["level"].as_str().unwrap(), names.join(" ")));
        } else {
            assert!(names.iter().all(|name| *name == "Retries"), "{text}");
        }
    }
    assert_eq!(outcomes.len(), 1, "{lines:?}");
    outcomes.remove(0)
}

#[tokio::test]
async fn what_became_of_each_put_is_one_line_with_its_ids_and_without_its_body() {
    let (engine, put) = start().await;
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "INFO WrittenInline");
    let later = sent(SECRET).await.with("prefer", "respond-async");
    assert_eq!(outcome(&put, &later).await, "INFO Accepted");
    let absent = sent(SECRET).await.with("if-none-match", "*");
    assert_eq!(outcome(&put, &absent).await, "INFO Refused");
    put.tables.faults.plan("write_resource", 3, THROTTLED);
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "WARN NotWritten");
    put.tables.faults.plan("write_resource", 3, Fate::Fails(Failure::MayHaveLanded));
    assert_eq!(outcome(&put, &sent(SECRET).await).await, "WARN OutcomeUnknown");
    put.updates.faults.plan("send", 3, THROTTLED);
    let later = sent(SECRET).await.with("prefer", "respond-async");
    assert_eq!(outcome(&put, &later).await, "WARN NotWritten");
    let skewed = put_on(&engine, TestHost::ahead(301_000));
    assert_eq!(outcome(&skewed, &sent(SECRET).await).await, "ERROR ClockRefusals");
    store_at(&engine, now_ms() + 20_000).await;
    let keyed = sent(SECRET).await.with(KEY, "\"k\"");
    assert_eq!(outcome(&put, &keyed).await, "ERROR Refused ClockSkews");
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
    put.tables.faults.plan("write_resource", 3, THROTTLED);
    answer(&put, &sent(0).await).await;
    assert_eq!(retries(), 2);
    put.updates.faults.plan("send", 1, THROTTLED);
    answer(&put, &sent(0).await.with("prefer", "respond-async")).await;
    assert_eq!(retries(), 3);
}
