//! What is recorded and parked of a dead letter, on a real DynamoDB engine.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use rules::outcome::{Decision, Outcome, Recorded};
use rules::{
    Failure, Method, Operation, OperationId, Precondition, Problem, ProblemType, ResourceId, Tick,
};
use tests::engine::Engine;
use tests::world::{Fate, Faults, FaultyOperations, TestHost, TestQueue, message, received, set};
use world::{Host, Invocation, Metric, Outcomes};

use crate::Park;

struct Bench {
    park: Park<TestHost, FaultyOperations, TestQueue>,
    operation: Operation,
}

impl Bench {
    async fn start() -> Self {
        let table = Engine::start().await.operations;
        let park = Park {
            host: TestHost::default(),
            operations: FaultyOperations { table, faults: Faults::default() },
            parked: TestQueue::default(),
        };
        let id = OperationId::new(Tick::from_unix(park.host.now()), 1);
        let (resource, precondition) = (ResourceId::new("42").unwrap(), Precondition::None);
        let body = "{\"secret\":\"unlogged\"}".to_owned();
        Self { park, operation: Operation::put(id, resource, precondition, body) }
    }

    /// Parks a record; whether it is handed back.
    async fn hands_back(&self, record: &SqsMessage) -> bool {
        let mut event = SqsEvent::default();
        event.records = vec![record.clone()];
        let deadline = self.park.host.now() + Duration::from_secs(2);
        let invocation = Invocation { request_id: "r-1".to_owned(), deadline };
        let response = self.park.handle(event, &invocation).await.unwrap();
        !response.batch_item_failures.is_empty()
    }

    async fn record(&self) -> Option<Recorded> {
        let (table, id) = (&self.park.operations.table, self.operation.id);
        table.recorded(id, self.park.host.now()).await.unwrap()
    }

    async fn decide(&self, outcome: Outcome) -> Option<Decision> {
        let (table, resource) = (&self.park.operations.table, &self.operation.resource);
        let record = Recorded::Decided(Decision { outcome, completed_at: self.park.host.now() });
        table.record(resource, self.operation.id, &record).await.unwrap()
    }
}

/// Why the operation is stalled.
fn reason(record: Option<Recorded>) -> String {
    let Some(Recorded::Stalled { problem, .. }) = record else { panic!("{record:?}") };
    Problem::read(&problem).unwrap().detail().to_owned()
}

fn is_stalled(record: Option<Recorded>) -> bool {
    let Some(Recorded::Stalled { problem, .. }) = record else { return false };
    Problem::read(&problem).unwrap().problem_type() == ProblemType::NotApplied
}

#[tokio::test]
async fn a_dead_letter_is_parked_unchanged_and_its_operation_stalled() {
    let bench = Bench::start().await;
    let record = received(message(&bench.operation), 351);
    assert!(!bench.hands_back(&record).await);
    assert_eq!(bench.park.parked.messages(), std::slice::from_ref(&record));
    assert!(is_stalled(bench.record().await));
    assert_eq!(bench.park.host.measured(), [Metric::Stalled, Metric::Parked]);
    // What is stalled is no decision: it may still be carried out, and parked again.
    assert!(!bench.hands_back(&record).await);
    assert_eq!(bench.decide(Outcome::Succeeded(Method::Put)).await, None);
}

#[tokio::test]
async fn the_client_is_told_why_its_operation_is_stalled() {
    let bench = Bench::start().await;
    let mut record = received(message(&bench.operation), 350);
    assert!(!bench.hands_back(&record).await);
    let told = reason(bench.record().await);
    assert!(told.contains("The service failed to carry out"), "{told}");
    let source = ("DeadLetterQueueSourceArn".to_owned(), "arn:aws:sqs:::updates".to_owned());
    record.attributes.extend([source]);
    assert!(!bench.hands_back(&record).await);
    let told = reason(bench.record().await);
    assert!(told.contains("not be carried out in 350 attempts"), "{told}");
}

#[tokio::test]
async fn a_dead_letter_of_another_version_or_with_a_malformed_part_stalls_its_operation_too() {
    for (name, value) in [("version", "3"), ("precondition", "?")] {
        let bench = Bench::start().await;
        let mut record = message(&bench.operation);
        set(&mut record, name, value);
        assert!(!bench.hands_back(&record).await);
        assert_eq!(bench.park.parked.messages(), [record]);
        assert!(is_stalled(bench.record().await), "{name}");
    }
}

#[tokio::test]
async fn what_names_no_operation_is_only_parked() {
    let bench = Bench::start().await;
    let mut record = message(&bench.operation);
    record.message_attributes.remove("resource");
    assert!(!bench.hands_back(&record).await);
    assert_eq!(bench.park.parked.messages(), [record]);
    assert_eq!(bench.record().await, None);
}

#[tokio::test]
async fn the_dead_letter_of_a_decided_operation_is_dropped() {
    let bench = Bench::start().await;
    bench.decide(Outcome::Superseded).await;
    assert!(!bench.hands_back(&message(&bench.operation)).await);
    assert!(bench.park.parked.messages().is_empty() && bench.park.host.measured().is_empty());
    let Some(Recorded::Decided(decision)) = bench.record().await else { panic!() };
    assert_eq!(decision.outcome, Outcome::Superseded);
}

#[tokio::test]
async fn what_fails_is_handed_back() {
    let bench = Bench::start().await;
    let record = message(&bench.operation);
    bench.park.operations.faults.plan("record", 1, Fate::Fails(Failure::NotLanded));
    assert!(bench.hands_back(&record).await);
    for fate in [Fate::Fails(Failure::MayHaveLanded), Fate::Hangs] {
        bench.park.parked.faults.plan("forward", 1, fate);
        assert!(bench.hands_back(&record).await, "{fate:?}");
    }
    assert!(bench.park.parked.messages().is_empty() && bench.park.host.measured().is_empty());
}

#[tokio::test]
async fn each_dead_letter_is_one_line_with_its_ids_and_without_its_body() {
    let bench = Bench::start().await;
    let record = message(&bench.operation);
    assert!(!bench.hands_back(&record).await);
    let mut unreadable = record.clone();
    unreadable.message_attributes.remove("resource");
    assert!(!bench.hands_back(&unreadable).await);
    bench.decide(Outcome::Succeeded(Method::Put)).await;
    assert!(!bench.hands_back(&record).await);
    bench.park.operations.faults.plan("record", 1, Fate::Fails(Failure::NotLanded));
    assert!(bench.hands_back(&record).await);
    let lines = bench.park.host.lines();
    assert!(lines.iter().all(|line| !line.contains("unlogged")), "{lines:?}");
    let lines = lines.iter().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let lines: Vec<_> = lines.collect();
    let parts = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    let (null, one, id) =
        (serde_json::Value::Null, 1.into(), bench.operation.id.to_string().into());
    assert_eq!(parts("Parked"), [&one, &one, &null, &null].map(Clone::clone));
    assert_eq!(parts("Stalled"), [&one, &null, &null, &null].map(Clone::clone));
    assert_eq!(parts("operation"), [&id, &null, &id, &null].map(Clone::clone));
    assert_eq!(parts("requestId"), ["r-1"; 4]);
    let message_id = serde_json::Value::from(record.message_id);
    assert_eq!(parts("messageId"), [&message_id; 4].map(Clone::clone));
}
