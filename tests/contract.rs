//! Holds the rules and what `users-table` makes of them in DynamoDB together, on a real
//! engine with the real SDK.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rules::inline::{Reply, Stored};
use rules::status::{Outcome, OutcomeRecord};
use rules::verdict::{Verdict, judge, may_write};
use rules::{Failure, OperationId, Precondition, Tick, UserId};
use tests::engine::{Engine, OPERATIONS, USERS, config_for};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use users_table::{Applied, Tables, User};

const COMPLETED_AT: Duration = Duration::from_millis(1_800_000_000_123);

fn id(ms: u64, random: u64) -> OperationId {
    OperationId::new(Tick::from_unix(Duration::from_millis(1_700_000_000_000 + ms)), random)
}

/// Few enough that equal ids and neighbours are common.
fn some_id() -> impl Strategy<Value = OperationId> {
    (0..4u64, 0..3u64).prop_map(|(ms, random)| id(ms, random))
}

fn operation() -> impl Strategy<Value = (OperationId, Precondition)> {
    let precondition = prop_oneof![
        3 => Just(Precondition::None),
        1 => Just(Precondition::Exists),
        1 => Just(Precondition::Absent),
        2 => prop::collection::vec(some_id(), 1..4).prop_map(Precondition::OneOf),
    ];
    (some_id(), precondition)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Outcomes {
    None,
    Final,
    Provisional,
}

fn succeeded() -> OutcomeRecord {
    OutcomeRecord {
        outcome: Outcome::Succeeded,
        completed_at: COMPLETED_AT,
        problem: None,
        is_provisional: false,
    }
}

/// An engine, and a new user in it at `stored`.
async fn user_at(engine: &Engine, stored: Option<OperationId>) -> UserId {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static USERS_SO_FAR: AtomicUsize = AtomicUsize::new(0);
    let user = format!("user-{}", USERS_SO_FAR.fetch_add(1, Ordering::Relaxed));
    if let Some(stored) = stored {
        let (op, created_by) = (stored.to_string(), id(0, 0).to_string());
        let attributes =
            [("id", user.as_str()), ("op", &op), ("body", "old"), ("created_by", &created_by)];
        engine.put(USERS, &attributes).await;
    }
    UserId::new(&user).unwrap()
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
    run((operation(), prop::option::of(some_id())), |((id, precondition), stored)| {
        runtime.block_on(async {
            let user = user_at(&engine, stored).await;
            let reply = engine.tables.write_user(&user, id, "new", &precondition).await.unwrap();
            let after = engine.tables.user(&user).await.unwrap();
            if may_write(id, &precondition, stored) {
                prop_assert_eq!(reply, Reply::Written { created: Some(stored.is_none()) });
                prop_assert_eq!(after, Some(User { body: "new".to_owned(), id }));
            } else {
                let seen = stored.map(|id| Stored { id, created_by: Some(self::id(0, 0)) });
                prop_assert_eq!(reply, Reply::Refused { stored: seen });
                prop_assert_eq!(after, stored.map(|id| User { body: "old".to_owned(), id }));
            }
            Ok(())
        })
    });
}

#[test]
fn the_transaction_is_the_verdict() {
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(Engine::start());
    let outcomes = prop_oneof![
        2 => Just(Outcomes::None), 1 => Just(Outcomes::Final), 1 => Just(Outcomes::Provisional)
    ];
    run(
        (operation(), prop::option::of(some_id()), outcomes),
        |((id, precondition), stored, outcomes)| {
            runtime.block_on(async {
                let user = user_at(&engine, stored).await;
                let op = id.to_string();
                let item = [("id", op.as_str()), ("outcome", "failed"), ("provisional", "true")];
                match outcomes {
                    Outcomes::None => {
                        let delete = engine.client.delete_item().table_name(OPERATIONS);
                        delete
                            .key("id", aws_sdk_dynamodb::types::AttributeValue::S(op.clone()))
                            .send()
                            .await
                            .unwrap();
                    }
                    Outcomes::Final => engine.put(OPERATIONS, &item[..2]).await,
                    Outcomes::Provisional => engine.put(OPERATIONS, &item).await,
                }
                let apply = engine.tables.apply(&user, id, "new", &precondition, &[], COMPLETED_AT);
                let applied = apply.await.unwrap();
                let is_final = outcomes == Outcomes::Final;
                let verdict = judge(id, &precondition, is_final, stored, COMPLETED_AT);
                let after = engine.tables.user(&user).await.unwrap();
                if verdict == Verdict::Write {
                    prop_assert_eq!(applied, Applied::Written);
                    prop_assert_eq!(after, Some(User { body: "new".to_owned(), id }));
                    let outcome = engine.tables.outcome(id, COMPLETED_AT).await.unwrap();
                    prop_assert_eq!(outcome, Some(succeeded()));
                } else {
                    let seen = stored.map(|id| Stored { id, created_by: Some(self::id(0, 0)) });
                    let user = (!may_write(id, &precondition, stored)).then_some(seen);
                    let decided = if is_final { vec![id] } else { Vec::new() };
                    prop_assert_eq!(applied, Applied::Refused { user, decided });
                    prop_assert_eq!(after, stored.map(|id| User { body: "old".to_owned(), id }));
                    let outcome = engine.get(OPERATIONS, &op).await;
                    let outcome = outcome.map(|item| item["outcome"].as_s().unwrap().clone());
                    let expected = (outcomes != Outcomes::None).then_some("failed");
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
    let user = user_at(&engine, None).await;
    let outcome_of = async |id| {
        let outcome = engine.tables.outcome(id, COMPLETED_AT).await.unwrap();
        outcome.map(|record| record.outcome)
    };
    let none = Precondition::None;
    let older = [id(1, 1), id(2, 2)];
    let apply = engine.tables.apply(&user, id(3, 3), "{}", &none, &older, COMPLETED_AT);
    assert_eq!(apply.await.unwrap(), Applied::Written);
    assert_eq!(outcome_of(id(1, 1)).await, Some(Outcome::Superseded));
    assert_eq!(outcome_of(id(2, 2)).await, Some(Outcome::Superseded));
    assert_eq!(outcome_of(id(3, 3)).await, Some(Outcome::Succeeded));
    let older = [id(2, 2), id(4, 4)];
    let apply = engine.tables.apply(&user, id(5, 5), "{}", &none, &older, COMPLETED_AT);
    let refused = Applied::Refused { user: None, decided: vec![id(2, 2)] };
    assert_eq!(apply.await.unwrap(), refused);
    assert_eq!(outcome_of(id(4, 4)).await, None);
    assert_eq!(engine.tables.user(&user).await.unwrap().unwrap().id, id(3, 3));
}

#[tokio::test]
async fn a_second_attempt_finds_its_own_id() {
    let engine = Engine::start().await;
    let user = UserId::new("42").unwrap();
    let (first, second) = (id(1, 1), id(2, 2));
    let write =
        async |id| engine.tables.write_user(&user, id, "{}", &Precondition::None).await.unwrap();
    assert_eq!(write(first).await, Reply::Written { created: Some(true) });
    let own = |id| Reply::Refused { stored: Some(Stored { id, created_by: Some(first) }) };
    assert_eq!(write(first).await, own(first));
    assert_eq!(write(second).await, Reply::Written { created: Some(false) });
    assert_eq!(write(first).await, own(second));
}

#[tokio::test]
async fn the_first_final_outcome_stands() {
    let engine = Engine::start().await;
    let tables = &engine.tables;
    let user = UserId::new("42").unwrap();
    let record = |outcome, problem: Option<&str>| OutcomeRecord {
        outcome,
        completed_at: COMPLETED_AT,
        problem: problem.map(str::to_owned),
        is_provisional: false,
    };
    let first = record(Outcome::Failed, Some("{\"status\":412}"));
    let provisional = OutcomeRecord { is_provisional: true, ..record(Outcome::Failed, None) };
    let superseded = record(Outcome::Superseded, None);
    tables.record_outcome(&user, id(1, 1), &first).await.unwrap();
    tables.record_outcome(&user, id(1, 1), &superseded).await.unwrap();
    assert!(!tables.record_outcome(&user, id(1, 1), &provisional).await.unwrap());
    assert_eq!(tables.outcome(id(1, 1), COMPLETED_AT).await.unwrap(), Some(first));
    assert!(tables.record_outcome(&user, id(2, 2), &provisional).await.unwrap());
    assert_eq!(tables.outcome(id(2, 2), COMPLETED_AT).await.unwrap(), Some(provisional));
    tables.record_outcome(&user, id(2, 2), &superseded).await.unwrap();
    assert_eq!(tables.outcome(id(2, 2), COMPLETED_AT).await.unwrap(), Some(superseded));
    let expired = COMPLETED_AT + rules::status::OUTCOME_KEPT;
    assert_eq!(engine.tables.outcome(id(1, 1), expired).await.unwrap(), None);
}

#[tokio::test]
async fn bodies_come_back_byte_for_byte() {
    let engine = Engine::start().await;
    let user = UserId::new("42").unwrap();
    let long = format!("{{\"a\":\"{}\"}}", "é".repeat((rules::user::MAX_BYTES - 8) / 2));
    assert_eq!(long.len(), rules::user::MAX_BYTES);
    for (n, body) in ["{ \"a\" : 1e999,\t\"\\u0061b\":\"😀\\ud83d\\ude00\" }\r\n\n", &long]
        .into_iter()
        .enumerate()
    {
        let id = id(n as u64, 0);
        engine.tables.write_user(&user, id, body, &Precondition::None).await.unwrap();
        assert_eq!(
            engine.tables.user(&user).await.unwrap(),
            Some(User { body: body.to_owned(), id })
        );
    }
}

async fn failure_of_a_write(endpoint: &str, users: &str) -> Failure {
    let tables = Tables::new(&config_for(endpoint), users.to_owned(), OPERATIONS.to_owned());
    let user = UserId::new("42").unwrap();
    tables.write_user(&user, id(1, 1), "{}", &Precondition::None).await.unwrap_err().failure
}

#[tokio::test]
async fn a_refused_connection_wrote_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(failure_of_a_write(&endpoint, USERS).await, Failure::NotLanded);
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
    assert_eq!(failure_of_a_write(&endpoint, USERS).await, Failure::MayHaveLanded);
}

#[tokio::test]
async fn a_reply_that_never_comes_may_have_written() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    assert_eq!(failure_of_a_write(&endpoint, USERS).await, Failure::MayHaveLanded);
    drop(listener);
}

#[tokio::test]
async fn an_absent_table_never_takes_a_write() {
    let engine = Engine::start().await;
    let user = UserId::new("42").unwrap();
    let delete = engine.client.delete_table().table_name(USERS);
    delete.send().await.unwrap();
    let body = "{\"secret\":1}";
    let write = engine.tables.write_user(&user, id(1, 1), body, &Precondition::None);
    let error = write.await.unwrap_err();
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
    assert_eq!(failure_of_a_write(&endpoint, USERS).await, Failure::NotLanded);
}
