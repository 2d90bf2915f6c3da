//! Holds the rules and what `tables` makes of them in DynamoDB together, on a real
//! engine with the real SDK.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rules::order::verdict::Verdict;
use rules::outcome::{Decision, Outcome, RETENTION, Recorded};
use rules::request::key::{Claim, VALID_FOR};
use rules::{
    Change, Failure, Method, Operation, OperationId, Precondition, ResourceId, Tick, Version,
};
use tables::DynamoDb;
use tests::engine::{Engine, OPERATIONS, RESOURCES, config_for};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use world::{Claims, Outcomes as _, Resources as _, Stored, Transaction, Write};

const COMPLETED_AT: Duration = Duration::from_millis(1_800_000_000_123);

fn id(ms: u64, random: u64) -> OperationId {
    OperationId::new(Tick::from_unix_ms(1_700_000_000_000 + ms), random)
}

fn resource() -> ResourceId {
    ResourceId::new("42").unwrap()
}

/// An unconditional operation on [`resource`].
fn operation(id: OperationId, body: &str) -> Operation {
    let (resource, precondition) = (resource(), Precondition::None);
    Operation::put(id, resource, precondition, body.to_owned())
}

/// Few enough that equal ids and neighbours are common.
fn some_id() -> impl Strategy<Value = OperationId> {
    (0..4u64, 0..3u64).prop_map(|(ms, random)| id(ms, random))
}

fn some_operation() -> impl Strategy<Value = (OperationId, Precondition, Change)> {
    let precondition = prop_oneof![
        3 => Just(Precondition::None),
        1 => Just(Precondition::Exists),
        1 => Just(Precondition::Absent),
        2 => prop::collection::vec(some_id(), 1..4).prop_map(Precondition::OneOf),
    ];
    let change = prop_oneof![Just(Change::Put("new".to_owned())), Just(Change::Delete)];
    (some_id(), precondition, change)
}

/// What is stored, if anything: by which operation, and whether it is a resource or a tombstone.
fn some_stored() -> impl Strategy<Value = Option<(OperationId, bool)>> {
    prop::option::of((some_id(), any::<bool>()))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcomes {
    None,
    Final,
    Stalled,
}

fn decided(outcome: Outcome) -> Recorded {
    Recorded::Decided(Decision { outcome, completed_at: COMPLETED_AT })
}

fn resource_of(body: &str, written_by: OperationId) -> Stored {
    Stored { body: body.to_owned(), written_by }
}

/// The version of what [`resource_at`] stored.
fn version((written_by, is_live): (OperationId, bool)) -> Version {
    Version { written_by, created_by: is_live.then_some(id(0, 0)), is_live }
}

/// The version of a resource that `created_by` created.
fn live(written_by: OperationId, created_by: OperationId) -> Version {
    Version { written_by, created_by: Some(created_by), is_live: true }
}

/// A new resource or tombstone at `stored`.
async fn resource_at(engine: &Engine, stored: Option<(OperationId, bool)>) -> ResourceId {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static RESOURCES_SO_FAR: AtomicUsize = AtomicUsize::new(0);
    let resource = format!("resource-{}", RESOURCES_SO_FAR.fetch_add(1, Ordering::Relaxed));
    if let Some((stored, is_live)) = stored {
        let (op, created_by) = (stored.to_string(), id(0, 0).to_string());
        let mut attributes = vec![("id", resource.as_str()), ("op", &op)];
        if is_live {
            attributes.extend([("body", "old"), ("created_by", &created_by)]);
        } else {
            attributes.push(("expires_at", "#1"));
        }
        engine.put(RESOURCES, &attributes).await;
    }
    ResourceId::new(&resource).unwrap()
}

/// Checks the whole item that an operation must have left, written over what was stored.
async fn is_written(
    engine: &Engine,
    operation: &Operation,
    stored: Option<(OperationId, bool)>,
) -> Result<(), TestCaseError> {
    let item = engine.get(RESOURCES, operation.resource.as_str()).await.unwrap();
    let text = |name: &str| item.get(name).map(|value| value.as_s().unwrap().as_str());
    let id = operation.id.to_string();
    prop_assert_eq!((text("op"), text("body")), (Some(id.as_str()), operation.body()));
    let created_by = match (operation.method(), stored) {
        (Method::Delete, _) => None,
        (Method::Put, Some((_, true))) => Some(self::id(0, 0).to_string()),
        (Method::Put, _) => Some(id.clone()),
    };
    prop_assert_eq!(text("created_by"), created_by.as_deref());
    // A time to live on a resource would remove it.
    let expires_at = item.get("expires_at").map(|at| at.as_n().unwrap().parse::<u64>().unwrap());
    let kept_until = operation.id.tick().to_unix().as_secs() + 33 * 86_400 + 1;
    let expected = (operation.method() == Method::Delete).then_some(kept_until);
    prop_assert_eq!(expires_at, expected);
    Ok(())
}

/// Checks that the item is what was stored.
async fn is_unwritten(
    engine: &Engine,
    operation: &Operation,
    stored: Option<(OperationId, bool)>,
) -> Result<(), TestCaseError> {
    let resource = &operation.resource;
    let after = engine.resources.version(resource).await.unwrap();
    prop_assert_eq!(after, stored.map(version));
    let body = engine.resources.read(resource).await.unwrap();
    let live = stored.filter(|(_, is_live)| *is_live).map(|(id, _)| resource_of("old", id));
    prop_assert_eq!(body, live);
    Ok(())
}

fn run<S: Strategy>(strategy: S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut runner =
        TestRunner::new(Config { cases: 1000, failure_persistence: None, ..Config::default() });
    runner.run(&strategy, test).unwrap();
}

#[test]
fn the_condition_expression_is_the_rule() {
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(Engine::start());
    run((some_operation(), some_stored()), |((id, precondition, change), stored)| {
        runtime.block_on(async {
            let resource = resource_at(&engine, stored).await;
            let operation = Operation::new(id, resource, precondition, change);
            let reply = engine.resources.write(&operation).await.unwrap();
            if operation.may_replace(stored.map(version)) {
                let was_live = stored.is_some_and(|(_, is_live)| is_live);
                let created = operation.method() == Method::Put && !was_live;
                prop_assert_eq!(reply, Write::Written { created });
                is_written(&engine, &operation, stored).await
            } else {
                prop_assert_eq!(reply, Write::ConditionFalse { stored: stored.map(version) });
                is_unwritten(&engine, &operation, stored).await
            }
        })
    });
}

#[test]
fn the_transaction_is_the_verdict() {
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(Engine::start());
    let outcomes = prop_oneof![
        2 => Just(Outcomes::None), 1 => Just(Outcomes::Final), 1 => Just(Outcomes::Stalled)
    ];
    run(
        (some_operation(), some_stored(), outcomes),
        |((id, precondition, change), stored, outcomes)| {
            runtime.block_on(async {
                let resource = resource_at(&engine, stored).await;
                let op = id.to_string();
                let stored_outcome = if outcomes == Outcomes::Final { "failed" } else { "stalled" };
                let item =
                    [("id", op.as_str()), ("outcome", stored_outcome), ("completed_at", "#1")];
                match outcomes {
                    Outcomes::None => {
                        let delete = engine.client.delete_item().table_name(OPERATIONS);
                        delete
                            .key("id", aws_sdk_dynamodb::types::AttributeValue::S(op.clone()))
                            .send()
                            .await
                            .unwrap();
                    }
                    Outcomes::Final | Outcomes::Stalled => engine.put(OPERATIONS, &item).await,
                }
                let operation = Operation::new(id, resource, precondition, change);
                let transaction = engine.resources.transact(&operation, &[], COMPLETED_AT);
                let ended = transaction.await.unwrap();
                let is_decided = outcomes == Outcomes::Final;
                let verdict = operation.judge(stored.map(version));
                if verdict == Verdict::Write && !is_decided {
                    prop_assert_eq!(ended, Transaction::Written);
                    is_written(&engine, &operation, stored).await?;
                    let record = engine.operations.recorded(id, COMPLETED_AT).await.unwrap();
                    let outcome = Outcome::Succeeded(operation.method());
                    prop_assert_eq!(record, Some(decided(outcome)));
                } else {
                    let resource = (verdict != Verdict::Write).then_some(stored.map(version));
                    let decided = if is_decided { vec![id] } else { Vec::new() };
                    prop_assert_eq!(ended, Transaction::Cancelled { resource, decided });
                    is_unwritten(&engine, &operation, stored).await?;
                    let outcome = engine.get(OPERATIONS, &op).await;
                    let outcome = outcome.map(|item| item["outcome"].as_s().unwrap().clone());
                    let expected = (outcomes != Outcomes::None).then_some(stored_outcome);
                    prop_assert_eq!(outcome.as_deref(), expected);
                }
                Ok(())
            })
        },
    );
}

#[tokio::test]
async fn older_operations_are_superseded_in_the_same_transaction_or_not_at_all() {
    let engine = Engine::start().await;
    let record_of = async |id| engine.operations.recorded(id, COMPLETED_AT).await.unwrap();
    let older = [id(1, 1), id(2, 2)];
    let newest = operation(id(3, 3), "{}");
    let transaction = engine.resources.transact(&newest, &older, COMPLETED_AT);
    assert_eq!(transaction.await.unwrap(), Transaction::Written);
    assert_eq!(record_of(id(1, 1)).await, Some(decided(Outcome::Superseded)));
    assert_eq!(record_of(id(2, 2)).await, Some(decided(Outcome::Superseded)));
    assert_eq!(record_of(id(3, 3)).await, Some(decided(Outcome::Succeeded(Method::Put))));
    let older = [id(2, 2), id(4, 4)];
    let newest = operation(id(5, 5), "{}");
    let transaction = engine.resources.transact(&newest, &older, COMPLETED_AT);
    let refused = Transaction::Cancelled { resource: None, decided: vec![id(2, 2)] };
    assert_eq!(transaction.await.unwrap(), refused);
    assert_eq!(record_of(id(4, 4)).await, None);
    assert_eq!(engine.resources.read(&resource()).await.unwrap().unwrap().written_by, id(3, 3));
}

#[tokio::test]
async fn a_second_attempt_finds_its_own_id() {
    let engine = Engine::start().await;
    let (first, second) = (id(1, 1), id(2, 2));
    let write = async |id| engine.resources.write(&operation(id, "{}")).await.unwrap();
    assert_eq!(write(first).await, Write::Written { created: true });
    let own = |written_by| Write::ConditionFalse { stored: Some(live(written_by, first)) };
    assert_eq!(write(first).await, own(first));
    assert_eq!(write(second).await, Write::Written { created: false });
    assert_eq!(write(first).await, own(second));
    assert_eq!(engine.resources.version(&resource()).await.unwrap(), Some(live(second, first)));
}

#[tokio::test]
async fn one_look_sees_the_version_and_the_outcome() {
    let engine = Engine::start().await;
    let (first, second) = (operation(id(1, 1), "{}"), operation(id(2, 2), "{}"));
    let look = async |operation| engine.resources.look(operation, COMPLETED_AT).await.unwrap();
    assert_eq!(look(&first).await, (None, None));
    engine.resources.transact(&first, &[], COMPLETED_AT).await.unwrap();
    let version = Some(live(first.id, first.id));
    assert_eq!(look(&first).await, (version, Some(decided(Outcome::Succeeded(Method::Put)))));
    assert_eq!(look(&second).await, (version, None));
    let expired = COMPLETED_AT + RETENTION + Duration::from_secs(2);
    assert_eq!(engine.resources.look(&first, expired).await.unwrap(), (version, None));
}

#[tokio::test]
async fn the_first_decision_stands_and_is_returned() {
    let engine = Engine::start().await;
    let record = async |id, record: &Recorded| {
        engine.operations.record(&resource(), id, record).await.unwrap()
    };
    let record_of = async |id, now| engine.operations.recorded(id, now).await.unwrap();
    let failed = Outcome::Failed { problem: "{\"status\":412}".to_owned() };
    let first = Decision { outcome: failed.clone(), completed_at: COMPLETED_AT };
    let since = COMPLETED_AT + Duration::from_secs(1);
    let stalled = Recorded::Stalled { problem: "{\"status\":503}".to_owned(), since };
    let superseded = decided(Outcome::Superseded);
    assert_eq!(record(id(1, 1), &decided(failed.clone())).await, None);
    assert_eq!(record(id(1, 1), &superseded).await, Some(first.clone()));
    assert_eq!(record(id(1, 1), &stalled).await, Some(first));
    assert_eq!(record_of(id(1, 1), COMPLETED_AT).await, Some(decided(failed)));
    assert_eq!(record(id(2, 2), &stalled).await, None);
    assert_eq!(record_of(id(2, 2), COMPLETED_AT).await, Some(stalled.clone()));
    assert_eq!(record(id(2, 2), &stalled).await, None);
    assert_eq!(record(id(2, 2), &superseded).await, None);
    assert_eq!(record_of(id(2, 2), COMPLETED_AT).await, Some(superseded));
}

#[tokio::test]
async fn what_is_recorded_is_kept_for_its_whole_time_and_no_longer() {
    let engine = Engine::start().await;
    let record = decided(Outcome::Superseded);
    engine.operations.record(&resource(), id(1, 1), &record).await.unwrap();
    engine.resources.transact(&operation(id(2, 2), "{}"), &[], COMPLETED_AT).await.unwrap();
    for id in [id(1, 1), id(2, 2)] {
        let is_kept = async |at| engine.operations.recorded(id, at).await.unwrap().is_some();
        assert!(is_kept(COMPLETED_AT + RETENTION).await);
        assert!(!is_kept(COMPLETED_AT + RETENTION + Duration::from_secs(2)).await);
    }
}

/// An item without a readable `op` is one of another form, which nothing may overwrite.
#[tokio::test]
async fn an_item_of_another_form_is_neither_overwritten_nor_taken_for_absent() {
    let engine = Engine::start().await;
    let own = operation(id(9, 9), "{}");
    for op in [None, Some("#7"), Some("true"), Some("not an id")] {
        let item = [("id", "42"), ("body", "old"), ("op", op.unwrap_or_default())];
        engine.put(RESOURCES, &item[..if op.is_some() { 3 } else { 2 }]).await;
        let before = engine.get(RESOURCES, "42").await;
        let failure = |error: world::CallError| error.failure;
        let write = engine.resources.write(&own).await.map_err(failure);
        assert_eq!(write, Err(Failure::NeverLands), "{op:?}");
        let transaction = engine.resources.transact(&own, &[], COMPLETED_AT).await.map_err(failure);
        assert_eq!(transaction, Err(Failure::NeverLands), "{op:?}");
        let read = engine.resources.read(&resource()).await.map_err(failure);
        assert_eq!(read, Err(Failure::NeverLands), "{op:?}");
        assert_eq!(engine.get(RESOURCES, "42").await, before, "{op:?}");
    }
}

#[tokio::test]
async fn a_key_stands_for_one_operation_until_its_claim_expires() {
    let engine = Engine::start().await;
    let claim = |ms| Claim {
        id: "key#1".to_owned(),
        fingerprint: format!("print {ms}"),
        operation: id(ms, 0),
    };
    let holder = async |ms, at| engine.operations.claim(&claim(ms), at).await.unwrap();
    assert_eq!(holder(1, COMPLETED_AT).await, claim(1));
    assert_eq!(holder(1, COMPLETED_AT).await, claim(1));
    let last = COMPLETED_AT + VALID_FOR - Duration::from_secs(1);
    assert_eq!(holder(2, last).await, claim(1));
    assert_eq!(holder(3, COMPLETED_AT + VALID_FOR).await, claim(3));
    assert_eq!(holder(2, last).await, claim(3));
}

#[tokio::test]
async fn bodies_come_back_byte_for_byte() {
    let engine = Engine::start().await;
    let long = format!("{{\"a\":\"{}\"}}", "é".repeat((rules::body::MAX_BYTES - 8) / 2));
    assert_eq!(long.len(), rules::body::MAX_BYTES);
    for (n, body) in ["{ \"a\" : 1e999,\t\"\\u0061b\":\"😀\\ud83d\\ude00\" }\r\n\n", &long]
        .into_iter()
        .enumerate()
    {
        let id = id(n as u64, 0);
        engine.resources.write(&operation(id, body)).await.unwrap();
        assert_eq!(engine.resources.read(&resource()).await.unwrap(), Some(resource_of(body, id)));
    }
}

async fn failure_of_a_write(endpoint: &str, resources: &str) -> Failure {
    let db = DynamoDb::new(config_for(endpoint));
    let table = db.resources(resources.to_owned(), OPERATIONS.to_owned());
    table.write(&operation(id(1, 1), "{}")).await.unwrap_err().failure
}

#[tokio::test]
async fn a_refused_connection_wrote_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(failure_of_a_write(&endpoint, RESOURCES).await, Failure::NotLanded);
}

#[tokio::test]
async fn a_lost_reply_may_have_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let read = connection.read(&mut [0; 1024]).await.unwrap();
            assert!(read > 0);
        }
    });
    assert_eq!(failure_of_a_write(&endpoint, RESOURCES).await, Failure::MayHaveLanded);
}

#[tokio::test]
async fn a_reply_that_never_comes_may_have_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(failure_of_a_write(&endpoint, RESOURCES).await, Failure::MayHaveLanded);
    drop(listener);
}

#[tokio::test]
async fn an_absent_table_never_takes_a_write() {
    let engine = Engine::start().await;
    let delete = engine.client.delete_table().table_name(RESOURCES);
    delete.send().await.unwrap();
    let body = "{\"secret\":1}";
    let operation = operation(id(1, 1), body);
    let error = engine.resources.write(&operation).await.unwrap_err();
    assert_eq!(error.failure, Failure::NeverLands);
    assert!(error.to_string().contains("ResourceNotFound"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"), "{error:?}");
}

/// The built-in certificates are read when a client is made, which a plain endpoint skips.
#[tokio::test]
async fn a_client_for_tls_can_be_made() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(failure_of_a_write(&endpoint, RESOURCES).await, Failure::NotLanded);
}
