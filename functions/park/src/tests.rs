//! What `park` records and parks for a dead letter, on a real DynamoDB engine.

use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use rules::outcome::{Decision, Outcome, Recorded};
use rules::{
    Failure, Method, Operation, OperationId, Precondition, Problem, ProblemType, ResourceId, Tick,
};
use serde_json::Value;
use tests::engine::Engine;
use tests::world::{Fate, Faults, FaultyOperations, TestHost, TestQueue, message, received, set};
use world::{Host, Invocation, Outcomes};

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

    /// Parks a record; returns whether it is handed back.
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

/// The reason in the status of a stalled operation.
fn reason(record: Option<Recorded>) -> String {
    let Some(Recorded::Stalled { problem, .. }) = record else { panic!("{record:?}") };
    let problem = Problem::read(&problem).unwrap();
    assert_eq!(problem.problem_type(), ProblemType::NotApplied);
    problem.detail().to_owned()
}

#[tokio::test]
async fn a_dead_letter_is_parked_unchanged_and_its_operation_stalled() {
    let bench = Bench::start().await;
    let mut record = received(message(&bench.operation), 350);
    assert!(!bench.hands_back(&record).await);
    assert!(reason(bench.record().await).contains("The service failed to carry out"));
    // Stalled is not a decision: the operation may still be carried out, and parked again.
    let source = ("DeadLetterQueueSourceArn".to_owned(), "arn:aws:sqs:::updates".to_owned());
    record.attributes.extend([source]);
    assert!(!bench.hands_back(&record).await);
    assert!(reason(bench.record().await).contains("not be carried out in 350 attempts"));
    assert_eq!(bench.park.parked.messages().last(), Some(&record));
    assert_eq!(bench.decide(Outcome::Succeeded(Method::Put)).await, None);
}

#[tokio::test]
async fn a_dead_letter_of_another_version_or_with_a_malformed_part_stalls_its_operation_too() {
    // A message that names no operation is only parked.
    for (name, value, is_stalled) in
        [("version", "3", true), ("precondition", "?", true), ("resource", "", false)]
    {
        let bench = Bench::start().await;
        let mut record = message(&bench.operation);
        set(&mut record, name, value);
        assert!(!bench.hands_back(&record).await);
        assert_eq!(bench.park.parked.messages(), [record]);
        assert_eq!(bench.record().await.is_some(), is_stalled, "{name}");
    }
}

#[tokio::test]
async fn what_fails_is_handed_back() {
    let bench = Bench::start().await;
    for fate in [Fate::Fails(Failure::MayHaveLanded), Fate::Hangs] {
        bench.park.parked.faults.plan("forward", 1, fate);
        assert!(bench.hands_back(&message(&bench.operation)).await, "{fate:?}");
    }
    assert!(bench.park.parked.messages().is_empty() && bench.park.host.measured().is_empty());
}

#[tokio::test]
async fn each_dead_letter_is_one_line_with_its_ids_and_without_its_body() {
    let bench = Bench::start().await;
    let record = message(&bench.operation);
    let mut unreadable = record.clone();
    unreadable.message_attributes.remove("resource");
    bench.park.operations.faults.plan("record", 1, Fate::Fails(Failure::NotLanded));
    assert!(bench.hands_back(&record).await);
    assert!(!bench.hands_back(&record).await);
    assert!(!bench.hands_back(&unreadable).await);
    bench.decide(Outcome::Superseded).await;
    // It is decided, so nothing is left to do.
    assert!(!bench.hands_back(&record).await);
    assert_eq!(bench.park.parked.messages(), [record.clone(), unreadable]);
    let text = bench.park.host.lines().join(",");
    assert!(!text.contains("unlogged"), "{text}");
    let lines: Vec<Value> = serde_json::from_str(&format!("[{text}]")).unwrap();
    let (id, none) = (bench.operation.id.to_string(), Value::Null);
    for (line, (level, parked, stalled, operation)) in lines.iter().zip([
        ("ERROR", none.clone(), none.clone(), none.clone()),
        ("ERROR", 1.into(), 1.into(), id.as_str().into()),
        ("ERROR", 1.into(), none.clone(), none.clone()),
        ("INFO", none.clone(), none.clone(), id.as_str().into()),
    ]) {
        assert_eq!((&line["level"], &line["requestId"]), (&level.into(), &"r-1".into()));
        assert_eq!((&line["Parked"], &line["Stalled"]), (&parked, &stalled), "{line}");
        assert_eq!(line["operation"], operation, "{line}");
        assert_eq!(line["messageId"].as_str(), record.message_id.as_deref(), "{line}");
    }
    assert_eq!(lines.len(), 4);
}
