//! What one record can do to the others of its batch, on a real DynamoDB engine.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use rules::outcome::{Decision, MAX_AGE, Outcome, Recorded};
use rules::{Change, Failure, Method, Operation, OperationId, Precondition, ResourceId, Tick};
use tests::engine::Engine;
use tests::thing::ByBody;
use tests::world::{
    Fate, Faults, FaultyOperations, FaultyResources, TestHost, TestQueue, message, received, set,
};
use world::{Host, Invocation, Metric, Outcomes, Resources};

use crate::Apply;
use crate::sort::lead_ms;

const THROTTLED: Fate = Fate::Fails(Failure::NotLanded);

struct Bench {
    apply: Apply<TestHost, ByBody, FaultyResources, FaultyOperations, TestQueue, TestQueue>,
    time: Duration,
}

impl Bench {
    async fn start() -> Self {
        let (engine, faults) = (Engine::start().await, Faults::default());
        let apply = Apply {
            host: TestHost::default(),
            resource: ByBody::default(),
            resources: FaultyResources { table: engine.resources, faults: faults.clone() },
            operations: FaultyOperations { table: engine.operations, faults },
            updates: TestQueue::default(),
            dead_letters: TestQueue::default(),
        };
        Self { apply, time: Duration::from_secs(30) }
    }

    /// Applies the records; returns the ids of the messages that are handed back.
    async fn apply(&self, records: &[SqsMessage]) -> Vec<String> {
        let mut event = SqsEvent::default();
        event.records = records.to_vec();
        let deadline = self.apply.host.now() + self.time;
        let invocation = Invocation { request_id: "r-1".to_owned(), deadline };
        let response = Box::pin(self.apply.handle(event, &invocation)).await.unwrap();
        let mut ids: Vec<_> =
            response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect();
        ids.sort();
        ids
    }

    async fn outcome(&self, operation: &Operation) -> Option<Outcome> {
        let table = &self.apply.operations.table;
        match table.recorded(operation.id, self.apply.host.now()).await.unwrap() {
            Some(Recorded::Decided(Decision { outcome, .. })) => Some(outcome),
            Some(Recorded::Stalled { .. }) => panic!("apply marks none as stalled"),
            None => None,
        }
    }

    async fn body(&self, resource: &str) -> Option<String> {
        let resource =
            self.apply.resources.table.read(&ResourceId::new(resource).unwrap()).await.unwrap();
        resource.map(|resource| resource.body)
    }

    /// The calls on the queue of updates, and on that of the dead letters.
    fn queue_calls(&self) -> (String, String) {
        let of = |queue: &TestQueue| queue.faults.calls().join(" ");
        (of(&self.apply.updates), of(&self.apply.dead_letters))
    }
}

/// An operation of the last hour, the `n`th.
fn operation(n: u64, resource: &str, body: &str) -> Operation {
    static START: std::sync::OnceLock<Duration> = std::sync::OnceLock::new();
    let start = START.get_or_init(|| TestHost::default().now() - Duration::from_secs(3600));
    let id = OperationId::new(Tick::from_unix(*start + Duration::from_millis(n)), n);
    let (resource, precondition) = (ResourceId::new(resource).unwrap(), Precondition::None);
    Operation::put(id, resource, precondition, body.to_owned())
}

fn id_of(message: &SqsMessage) -> String {
    message.message_id.clone().unwrap()
}

#[tokio::test]
async fn what_keeps_panicking_goes_to_the_dead_letters_at_the_fifth_receive() {
    let bench = Bench::start().await;
    let [a, b] = [operation(1, "a", "{}"), operation(2, "b", "panic")];
    let fourth = received(message(&b), 4);
    assert_eq!(bench.apply(&[message(&a), fourth.clone()]).await, [id_of(&fourth)]);
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
    assert_eq!((bench.body("b").await, bench.outcome(&b).await), (None, None));
    assert_eq!(bench.queue_calls(), ("delete hide".to_owned(), String::new()));
    let fifth = received(fourth, 5);
    assert!(bench.apply(std::slice::from_ref(&fifth)).await.is_empty());
    assert_eq!(bench.apply.dead_letters.messages(), [fifth]);
}

#[tokio::test]
async fn a_record_that_panics_in_a_group_takes_no_other_with_it() {
    let bench = Bench::start().await;
    let [a, b, c] = [operation(1, "a", "{}"), operation(2, "a", "panic"), operation(3, "a", "{}")];
    let first = [message(&a), message(&b)];
    assert_eq!(bench.apply(&first).await, [id_of(&first[1])]);
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
    assert_eq!(bench.outcome(&b).await, None);
    // An unconditional one need not wait for it.
    assert_eq!(bench.apply(&[message(&b), message(&c)]).await, Vec::<String>::new());
    assert_eq!(bench.outcome(&c).await, Some(Outcome::Succeeded(Method::Put)));
}

#[tokio::test]
async fn what_cannot_be_read_goes_to_the_dead_letters_and_another_version_waits() {
    let bench = Bench::start().await;
    let mut unreadable = message(&operation(1, "a", "{}"));
    unreadable.message_attributes.remove("operation");
    let mut later_version = message(&operation(2, "b", "{}"));
    set(&mut later_version, "version", "3");
    let records = [unreadable.clone(), later_version.clone()];
    assert_eq!(bench.apply(&records).await, [id_of(&later_version)]);
    assert_eq!(bench.apply.dead_letters.messages(), [unreadable]);
}

#[tokio::test]
async fn what_cannot_be_sent_to_the_dead_letters_is_handed_back() {
    let bench = Bench::start().await;
    let poison = received(message(&operation(1, "a", "panic")), 5);
    let mut unreadable = message(&operation(2, "b", "{}"));
    unreadable.message_attributes.remove("resource");
    for record in [poison, unreadable] {
        let lost = Fate::Fails(Failure::MayHaveLanded);
        bench.apply.dead_letters.faults.plan("forward", 1, lost);
        assert_eq!(bench.apply(std::slice::from_ref(&record)).await, [id_of(&record)]);
    }
    assert!(bench.apply.dead_letters.messages().is_empty());
}

#[tokio::test]
async fn an_update_that_takes_too_long_is_tried_later() {
    let mut bench = Bench::start().await;
    assert!(bench.apply(&[message(&operation(1, "a", "time"))]).await.is_empty());
    bench.time = Duration::from_millis(5200);
    let hanging = message(&operation(2, "b", "hang"));
    assert_eq!(bench.apply(std::slice::from_ref(&hanging)).await, [id_of(&hanging)]);
    // The table is slow, not the update, which does not run.
    bench.apply.resources.faults.plan("look", 1, Fate::Hangs);
    assert_eq!(bench.apply(std::slice::from_ref(&hanging)).await, [id_of(&hanging)]);
    assert_eq!(bench.apply.resources.faults.calls(), ["look", "transact", "look", "look"]);
    assert_eq!(bench.apply.resource.seen().len(), 2);
}

#[tokio::test]
async fn what_a_table_does_not_take_is_tried_three_times_and_lands_once() {
    let bench = Bench::start().await;
    let a = operation(1, "a", "{}");
    let record = message(&a);
    bench.apply.resources.faults.plan("transact", 3, THROTTLED);
    assert_eq!(bench.apply(std::slice::from_ref(&record)).await, [id_of(&record)]);
    bench.apply.resources.faults.plan("transact", 1, Fate::LosesReply);
    assert!(bench.apply(std::slice::from_ref(&record)).await.is_empty());
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
    let retried = "WARN Retries=1";
    assert_eq!(measured_of(&bench, &a), [retried, retried, "WARN HandedBack=1", retried]);
}

#[tokio::test]
async fn nothing_older_than_its_time_is_carried_out_or_decided() {
    let bench = Bench::start().await;
    let now = bench.apply.host.now();
    let at = |age: Duration, n| {
        let id = OperationId::new(Tick::from_unix(now - age), n);
        Operation { id, ..operation(n, "a", "{}") }
    };
    let minute = Duration::from_secs(60);
    let too_old = [at(MAX_AGE + minute, 1), at(MAX_AGE * 2, 2)];
    assert!(bench.apply(&[message(&too_old[0]), message(&too_old[1])]).await.is_empty());
    assert!(bench.apply.resources.faults.calls().is_empty());
    let measured = bench.apply.host.measured();
    assert_eq!(measured.iter().filter(|metric| **metric == Metric::Expired).count(), 2);
    let just_in_time = at(MAX_AGE - minute, 3);
    assert!(bench.apply(&[message(&just_in_time), message(&too_old[0])]).await.is_empty());
    assert_eq!(bench.outcome(&just_in_time).await, Some(Outcome::Succeeded(Method::Put)));
    assert_eq!(bench.outcome(&too_old[0]).await, None);
}

/// The older one may be open in the same batch, or a suspect, which runs last.
#[tokio::test]
async fn a_conditional_operation_waits_for_an_older_one_of_its_resource() {
    let bench = Bench::start().await;
    let older = operation(1, "a", "{}");
    let newer = Operation { precondition: Precondition::Exists, ..operation(2, "a", "{}") };
    for receive in [1, 4] {
        let records = [message(&older), received(message(&newer), receive)];
        bench.apply.resources.faults.plan("transact", 3, THROTTLED);
        assert_eq!(bench.apply(&records).await, [id_of(&records[0]), id_of(&records[1])]);
    }
    assert_eq!(bench.apply.resources.faults.calls().len(), 8);
    assert!(bench.apply(&[message(&newer), received(message(&older), 4)]).await.is_empty());
    assert_eq!(bench.outcome(&newer).await, Some(Outcome::Succeeded(Method::Put)));
}

#[tokio::test]
async fn the_lead_of_the_clock_that_gave_the_arrivals_is_measured() {
    let bench = Bench::start().await;
    let a = operation(1, "a", "{}");
    let mut record = message(&a);
    assert_eq!(lead_ms(&a, &record), None);
    assert!(bench.apply(std::slice::from_ref(&record)).await.is_empty());
    assert!(!bench.apply.host.measured().contains(&Metric::ClockLead));
    for lead in [-700, 0, 1500] {
        let sent = (a.id.tick().unix_ms() as i64 - lead).to_string();
        record.attributes.insert("SentTimestamp".to_owned(), sent);
        assert_eq!(lead_ms(&a, &record), Some(lead));
    }
    assert!(bench.apply(&[record.clone(), record]).await.is_empty());
    let lines = bench.apply.host.measuring_lines();
    let batch = lines.last().unwrap();
    assert_eq!((&batch["ClockLead"], &batch["BatchSize"]), (&1500.into(), &2.into()));
}

/// The log lines about an operation that contain metrics: the level and the metrics of each.
fn measured_of(bench: &Bench, operation: &Operation) -> Vec<String> {
    let lines = bench.apply.host.measuring_lines();
    let about = lines.iter().filter(|line| line["operation"] == operation.id.to_string());
    about
        .map(|line| {
            assert_eq!(
                (&line["requestId"], &line["resource"]),
                (&"r-1".into(), &operation.resource.as_str().into())
            );
            let members = line.as_object().unwrap().iter();
            let metrics =
                members.filter(|(name, value)| value.is_i64() && *name != "AcceptToApply");
            let mut metrics: Vec<_> =
                metrics.map(|(name, value)| format!("{name}={value}")).collect();
            metrics.sort();
            format!("{} {}", line["level"].as_str().unwrap(), metrics.join(" "))
        })
        .collect()
}

#[tokio::test]
async fn each_outcome_is_one_line_with_its_ids_and_without_its_body() {
    let bench = Bench::start().await;
    let secret = "{\"secret\":\"unlogged\"}";
    bench.apply.resources.table.write(&operation(9, "b", secret)).await.unwrap();
    let absent = Operation { precondition: Precondition::Exists, ..operation(4, "c", secret) };
    let deletion = Operation { change: Change::Delete, ..operation(8, "g", secret) };
    let all = [
        (operation(1, "a", secret), "INFO Coalesced=1 Superseded=1"),
        (operation(2, "a", secret), "INFO Applied=1"),
        (operation(3, "b", secret), "INFO Superseded=1"),
        (absent, "INFO Failed=1"),
        (operation(5, "d", "refuse"), "INFO Failed=1"),
        (operation(6, "e", "later"), "WARN HandedBack=1 HandedBackAge=1000"),
        (operation(7, "f", "panic"), "ERROR HandedBack=1 HandedBackAge=1000"),
        (deletion, "INFO Applied=1 Deleted=1"),
    ];
    let sent = bench.apply.host.now() - Duration::from_secs(1000);
    let records = all.each_ref().map(|(operation, _)| {
        let mut record = message(operation);
        let sent = sent.as_millis().to_string();
        record.attributes.insert("SentTimestamp".to_owned(), sent);
        record
    });
    bench.apply(&records).await;
    for (operation, expected) in &all {
        assert_eq!(measured_of(&bench, operation), [*expected], "{operation:?}");
    }
    let lines = bench.apply.host.measuring_lines();
    // There is one more line, for the batch.
    assert_eq!(lines.len(), all.len() + 1);
    let applied = lines.iter().find_map(|line| line["AcceptToApply"].as_i64()).unwrap();
    assert!((3_590_000..3_660_000).contains(&applied), "{applied}");
    for line in bench.apply.host.lines() {
        assert!(!line.contains("unlogged"), "{line}");
    }
}

#[tokio::test]
async fn a_call_that_failed_on_a_reused_connection_is_made_again_without_a_pause() {
    for (fate, is_paused) in [(Fate::LosesConnection, false), (THROTTLED, true)] {
        for call in ["transact", "record"] {
            let bench = Bench::start().await;
            let [newer, older] = [2, 1].map(|n| message(&operation(n, "a", "{}")));
            bench.apply.resources.faults.plan(call, 1, fate);
            assert!(bench.apply(&[newer]).await.is_empty());
            assert!(bench.apply(&[older]).await.is_empty());
            let pause = bench.apply.host.longest_pause();
            assert_eq!(pause > Duration::ZERO, is_paused, "{call} {fate:?}: {pause:?}");
        }
    }
}

/// As far as one read can show. The test counts the calls and the updates.
#[tokio::test]
async fn an_update_runs_once_for_an_operation_and_not_for_what_is_decided_or_refused() {
    let bench = Bench::start().await;
    let [a, b, newest] = [1, 2, 9].map(|n| operation(n, "a", "{}"));
    let refused = Operation { precondition: Precondition::Absent, ..operation(10, "a", "{}") };
    let calls = async |operations: &[&Operation], faults: usize| {
        let before =
            (bench.apply.resources.faults.calls().len(), bench.apply.resource.seen().len());
        bench.apply.resources.faults.plan("transact", faults, THROTTLED);
        let messages: Vec<_> = operations.iter().map(|operation| message(operation)).collect();
        assert!(bench.apply(&messages).await.is_empty());
        let calls = bench.apply.resources.faults.calls().split_off(before.0);
        (calls.join(" "), bench.apply.resource.seen().split_off(before.1))
    };
    assert_eq!(calls(&[&a], 0).await, ("look transact".to_owned(), vec![a.id]));
    assert_eq!(calls(&[&a], 0).await, ("look".to_owned(), vec![]));
    assert_eq!(
        calls(&[&newest], 2).await,
        ("look transact transact transact".to_owned(), vec![newest.id])
    );
    assert_eq!(calls(&[&b], 0).await, ("look record".to_owned(), vec![]));
    assert_eq!(calls(&[&refused], 0).await, ("look record".to_owned(), vec![]));
    let with_origin = Operation { origin: b.id, ..operation(11, "a", "{}") };
    assert_eq!(calls(&[&with_origin], 0).await, ("look transact".to_owned(), vec![b.id]));
}

#[tokio::test]
async fn what_is_handed_back_is_hidden_for_longer_with_each_receive() {
    let bench = Bench::start().await;
    for (n, receive) in [1, 2, 3, 8, 300].into_iter().enumerate() {
        let open = received(message(&operation(n as u64, "a", "later")), receive);
        assert_eq!(bench.apply(std::slice::from_ref(&open)).await, [id_of(&open)]);
    }
    let seconds: Vec<_> = bench.apply.updates.hidden().iter().map(Duration::as_secs).collect();
    let ranges = [1..=1, 1..=2, 2..=4, 64..=128, 450..=900];
    let fits = seconds.iter().zip(ranges).filter(|(seconds, range)| range.contains(*seconds));
    assert_eq!(fits.count(), 5, "{seconds:?}");
}
