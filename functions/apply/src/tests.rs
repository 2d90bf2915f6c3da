//! What one record may do to the others of its batch, on a real DynamoDB engine.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use rules::outcome::{Decision, MAX_AGE, Outcome, Recorded};
use rules::{
    Change, Failure, Method, Operation, OperationId, Precondition, Problem, ProblemType,
    ResourceId, Tick,
};
use tests::engine::Engine;
use tests::thing::ByBody;
use tests::world::{
    Fate, Faults, FaultyOperations, FaultyResources, TestHost, TestQueue, message, received, set,
};
use world::{Host, Invocation, Metric, Outcomes, Resources};

use crate::Apply;
use crate::sort::lead_ms;

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

    /// Applies the records; returns the message ids that are handed back.
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

    fn queue_calls(&self) -> (Vec<&'static str>, Vec<&'static str>) {
        (self.apply.updates.faults.calls(), self.apply.dead_letters.faults.calls())
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
async fn a_panic_hands_back_its_own_record_only() {
    let bench = Bench::start().await;
    let [a, b, c] = [operation(1, "a", "{}"), operation(2, "b", "panic"), operation(3, "c", "{}")];
    let records = [&a, &b, &c].map(message);
    assert_eq!(bench.apply(&records).await, [id_of(&records[1])]);
    assert_eq!(bench.body("a").await.as_deref(), Some("{}"));
    assert_eq!(bench.body("c").await.as_deref(), Some("{}"));
    assert_eq!((bench.body("b").await, bench.outcome(&b).await), (None, None));
    assert_eq!(bench.queue_calls(), (vec!["hide"], vec![]));
}

#[tokio::test]
async fn what_keeps_panicking_is_sent_to_the_dead_letters_at_the_fifth_receive() {
    let bench = Bench::start().await;
    let poison = message(&operation(1, "a", "panic"));
    let fourth = received(poison.clone(), 4);
    assert_eq!(bench.apply(&[fourth]).await, [id_of(&poison)]);
    assert_eq!(bench.queue_calls(), (vec!["hide"], vec![]));
    let fifth = received(poison, 5);
    assert!(bench.apply(std::slice::from_ref(&fifth)).await.is_empty());
    assert_eq!(bench.queue_calls(), (vec!["hide"], vec!["forward"]));
    assert_eq!(bench.apply.dead_letters.messages(), [fifth]);
}

#[tokio::test]
async fn what_cannot_be_sent_to_the_dead_letters_is_handed_back() {
    let bench = Bench::start().await;
    let poison = received(message(&operation(1, "a", "panic")), 5);
    let mut unreadable = message(&operation(2, "b", "{}"));
    unreadable.message_attributes.remove("resource");
    for failure in [Failure::NotLanded, Failure::MayHaveLanded, Failure::NeverLands] {
        for record in [&poison, &unreadable] {
            bench.apply.dead_letters.faults.plan("forward", 1, Fate::Fails(failure));
            assert_eq!(bench.apply(std::slice::from_ref(record)).await, [id_of(record)]);
        }
    }
    assert!(bench.apply.dead_letters.messages().is_empty());
}

#[tokio::test]
async fn an_unreadable_message_goes_to_the_dead_letters_and_one_of_another_version_waits() {
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
async fn a_suspect_runs_after_the_finished_records_were_deleted() {
    let bench = Bench::start().await;
    let [a, b, c] = [operation(1, "a", "{}"), operation(2, "b", "{}"), operation(3, "c", "{}")];
    let records = [received(message(&a), 4), received(message(&b), 1), received(message(&c), 3)];
    assert!(bench.apply(&records).await.is_empty());
    assert_eq!(bench.queue_calls(), (vec!["delete"; 2], vec![]));
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
}

#[tokio::test]
async fn of_one_resource_only_the_newest_is_written() {
    let bench = Bench::start().await;
    let [a, b, c] = [1, 2, 3].map(|n| operation(n, "a", &format!("{{\"n\":{n}}}")));
    let records = [message(&b), message(&c), message(&a), received(message(&c), 2)];
    assert!(bench.apply(&records).await.is_empty());
    assert_eq!(bench.body("a").await.as_deref(), c.body());
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Superseded));
    assert_eq!(bench.outcome(&b).await, Some(Outcome::Superseded));
    assert_eq!(bench.outcome(&c).await, Some(Outcome::Succeeded(Method::Put)));
    assert_eq!(bench.apply.resources.faults.calls(), ["look", "transact"]);
}

#[tokio::test]
async fn a_refused_newest_makes_way_for_the_next_older() {
    let bench = Bench::start().await;
    let [a, b] = [operation(1, "a", "{}"), operation(2, "a", "refuse")];
    assert!(bench.apply(&[message(&a), message(&b)]).await.is_empty());
    assert_eq!(bench.body("a").await.as_deref(), Some("{}"));
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
    let problem = Problem::new(ProblemType::Refused, "Told to.");
    assert_eq!(bench.outcome(&b).await, Some(Outcome::failed(&problem)));
}

#[tokio::test]
async fn an_update_that_asks_for_it_or_takes_too_long_is_tried_later() {
    let mut bench = Bench::start().await;
    let [a, b] = [operation(1, "a", "{}"), operation(2, "a", "later")];
    let records = [message(&a), message(&b)];
    assert_eq!(bench.apply(&records).await, [id_of(&records[0]), id_of(&records[1])]);
    assert_eq!(bench.queue_calls(), (vec!["hide"; 2], vec![]));
    bench.time = Duration::from_millis(5200);
    let hanging = message(&operation(3, "b", "hang"));
    assert_eq!(bench.apply(std::slice::from_ref(&hanging)).await, [id_of(&hanging)]);
    assert_eq!(bench.apply.resources.faults.calls(), ["look"; 2]);
    bench.time = Duration::from_secs(30);
    assert!(bench.apply(&[message(&operation(4, "c", "time"))]).await.is_empty());
}

#[tokio::test]
async fn what_there_is_no_time_for_is_handed_back_untouched() {
    let mut bench = Bench::start().await;
    bench.time = Duration::from_secs(4);
    let late = message(&operation(1, "a", "{}"));
    assert_eq!(bench.apply(std::slice::from_ref(&late)).await, [id_of(&late)]);
    assert!(bench.apply.resources.faults.calls().is_empty());
}

#[tokio::test]
async fn what_a_table_does_not_take_is_backed_off_and_lands_once() {
    let bench = Bench::start().await;
    let a = operation(1, "a", "{}");
    bench.apply.resources.faults.plan("transact", 3, Fate::Fails(Failure::NotLanded));
    let record = message(&a);
    assert_eq!(bench.apply(std::slice::from_ref(&record)).await, [id_of(&record)]);
    assert_eq!(bench.queue_calls(), (vec!["hide"], vec![]));
    bench.apply.resources.faults.plan("transact", 1, Fate::LosesReply);
    assert!(bench.apply(std::slice::from_ref(&record)).await.is_empty());
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
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

#[tokio::test]
async fn a_conditional_operation_waits_for_an_older_one_of_its_resource_that_is_open() {
    let bench = Bench::start().await;
    let older = operation(1, "a", "{}");
    let newer = Operation { precondition: Precondition::Exists, ..operation(2, "a", "{}") };
    let records = [message(&older), message(&newer)];
    bench.apply.resources.faults.plan("transact", 3, Fate::Fails(Failure::NotLanded));
    assert_eq!(bench.apply(&records).await, [id_of(&records[0]), id_of(&records[1])]);
    assert_eq!(bench.apply.resources.faults.calls(), ["look", "transact", "transact", "transact"]);
    assert!(bench.apply(&records).await.is_empty());
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

/// The lines of the log about an operation that measure something: level and metrics of each.
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
    let older = operation(1, "a", secret);
    let newer = operation(2, "a", secret);
    let late = operation(3, "b", secret);
    bench.apply.resources.table.write(&operation(9, "b", secret)).await.unwrap();
    let refused = Operation { precondition: Precondition::Exists, ..operation(4, "c", secret) };
    let refused_by_update = operation(5, "d", "refuse");
    let open = operation(6, "e", "later");
    let panicking = operation(7, "f", "panic");
    let all = [&older, &newer, &late, &refused, &refused_by_update, &open, &panicking];
    let mut records = all.map(message);
    let sent = bench.apply.host.now() - Duration::from_secs(1000);
    for record in &mut records {
        let sent = sent.as_millis().to_string();
        record.attributes.insert("SentTimestamp".to_owned(), sent);
    }
    bench.apply(&records).await;
    assert_eq!(measured_of(&bench, &newer), ["INFO Applied=1"]);
    assert_eq!(measured_of(&bench, &older), ["INFO Coalesced=1 Superseded=1"]);
    assert_eq!(measured_of(&bench, &late), ["INFO Superseded=1"]);
    assert_eq!(measured_of(&bench, &refused), ["INFO Failed=1"]);
    assert_eq!(measured_of(&bench, &refused_by_update), ["INFO Failed=1"]);
    assert_eq!(measured_of(&bench, &open), ["WARN HandedBack=1 HandedBackAge=1000"]);
    assert_eq!(measured_of(&bench, &panicking), ["ERROR HandedBack=1 HandedBackAge=1000"]);
    // And one of the batch.
    assert_eq!(bench.apply.host.measuring_lines().len(), all.len() + 1);
    let lines = bench.apply.host.measuring_lines();
    let applied = lines.iter().find_map(|line| line["AcceptToApply"].as_i64()).unwrap();
    assert!((3_590_000..3_660_000).contains(&applied), "{applied}");
    for line in bench.apply.host.lines() {
        assert!(!line.contains("unlogged"), "{line}");
    }
}

#[tokio::test]
async fn a_redelivery_is_not_counted_as_applied_again() {
    let bench = Bench::start().await;
    let a = operation(1, "a", "{}");
    for _ in 0..2 {
        assert!(bench.apply(&[message(&a)]).await.is_empty());
    }
    assert_eq!(measured_of(&bench, &a), ["INFO Applied=1"]);
}

#[tokio::test]
async fn each_repetition_of_a_call_is_counted() {
    let bench = Bench::start().await;
    let a = operation(1, "a", "{}");
    bench.apply.resources.faults.plan("transact", 3, Fate::Fails(Failure::NotLanded));
    bench.apply(&[message(&a)]).await;
    let handed_back = "WARN HandedBack=1";
    assert_eq!(measured_of(&bench, &a), ["WARN Retries=1", "WARN Retries=1", handed_back]);
}

#[tokio::test]
async fn a_record_that_panics_in_a_group_takes_no_other_with_it() {
    let bench = Bench::start().await;
    let [a, b, c] = [operation(1, "a", "{}"), operation(2, "a", "panic"), operation(3, "a", "{}")];
    let first = [message(&a), received(message(&b), 5)];
    assert!(bench.apply(&first).await.is_empty());
    assert_eq!(bench.apply.dead_letters.messages(), [first[1].clone()]);
    assert_eq!(bench.outcome(&a).await, Some(Outcome::Succeeded(Method::Put)));
    assert_eq!(bench.outcome(&b).await, None);
    // An unconditional one need not wait for it.
    assert_eq!(bench.apply(&[message(&b), message(&c)]).await, Vec::<String>::new());
    assert_eq!(bench.outcome(&c).await, Some(Outcome::Succeeded(Method::Put)));
}

/// Of one resource: a conditional record at its first receive and an older suspect, which it
/// may be about.
#[tokio::test]
async fn a_conditional_record_runs_after_the_suspects_of_its_resource() {
    let bench = Bench::start().await;
    let older = operation(1, "a", "{}");
    let newer = Operation { precondition: Precondition::Exists, ..operation(2, "a", "{}") };
    assert!(bench.apply(&[message(&newer), received(message(&older), 4)]).await.is_empty());
    assert_eq!(bench.outcome(&newer).await, Some(Outcome::Succeeded(Method::Put)));
}

#[tokio::test]
async fn unconditional_suspects_of_one_resource_are_mostly_one_transaction() {
    let mut transactions = Vec::new();
    for _ in 0..16 {
        let bench = Bench::start().await;
        let suspects = [1, 2, 3].map(|n| received(message(&operation(n, "a", "{}")), 4));
        assert!(bench.apply(&suspects).await.is_empty());
        let calls = bench.apply.resources.faults.calls();
        transactions.push(calls.iter().filter(|call| **call == "transact").count());
    }
    assert!(transactions.contains(&1), "{transactions:?}");
}

#[tokio::test]
async fn a_call_that_failed_on_a_reused_connection_is_made_again_without_a_pause() {
    let throttled = Fate::Fails(Failure::NotLanded);
    for (fate, is_paused) in [(Fate::LosesConnection, false), (throttled, true)] {
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

/// As far as one read can tell: calls are counted, and the updates.
#[tokio::test]
async fn an_update_runs_once_for_an_operation_and_not_for_what_is_decided_or_refused() {
    let bench = Bench::start().await;
    let [a, b, newest] = [1, 2, 9].map(|n| operation(n, "a", "{}"));
    let refused = Operation { precondition: Precondition::Absent, ..operation(10, "a", "{}") };
    let calls = async |operations: &[&Operation], faults: usize| {
        let before =
            (bench.apply.resources.faults.calls().len(), bench.apply.resource.seen().len());
        bench.apply.resources.faults.plan("transact", faults, Fate::Fails(Failure::NotLanded));
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

/// However late an older PUT comes, it does not bring a deleted resource back.
#[tokio::test]
async fn a_delete_is_applied_in_its_place() {
    let bench = Bench::start().await;
    let [older, deleted, newer, last] = [1, 2, 3, 4].map(|n| operation(n, "a", "{}"));
    let [deleted, last] =
        [deleted, last].map(|operation| Operation { change: Change::Delete, ..operation });
    assert!(bench.apply(&[message(&deleted)]).await.is_empty());
    assert!(bench.apply(&[message(&older)]).await.is_empty());
    assert_eq!(bench.outcome(&deleted).await, Some(Outcome::Succeeded(Method::Delete)));
    assert_eq!(bench.outcome(&older).await, Some(Outcome::Superseded));
    assert_eq!(bench.body("a").await, None);
    assert!(bench.apply(&[message(&newer)]).await.is_empty());
    assert_eq!(bench.body("a").await.as_deref(), newer.body());
    // The newest of a batch wins, whatever it is.
    let between = Operation { id: newer.id.successor(1), ..older };
    assert!(bench.apply(&[message(&last), message(&between)]).await.is_empty());
    assert_eq!((bench.body("a").await, bench.outcome(&between).await), {
        (None, Some(Outcome::Superseded))
    });
    let changes = bench.apply.resource.changes();
    assert_eq!(changes, [deleted.change, newer.change, last.change]);
    let counted = bench.apply.host.measured();
    assert_eq!(counted.iter().filter(|metric| **metric == Metric::Deleted).count(), 2);
}

#[tokio::test]
async fn a_cancelled_operation_is_dropped_before_its_update() {
    let bench = Bench::start().await;
    let cancelled = operation(1, "a", "{}");
    let decision = Decision { outcome: Outcome::Cancelled, completed_at: bench.apply.host.now() };
    let (table, recorded) = (&bench.apply.operations.table, Recorded::Decided(decision));
    table.record(&cancelled.resource, cancelled.id, &recorded).await.unwrap();
    assert!(bench.apply(&[message(&cancelled)]).await.is_empty());
    assert_eq!((bench.body("a").await, bench.apply.resource.changes().len()), (None, 0));
}
