//! Compares the simulated tables with real ones: the schedules run on what `tables` does on a
//! DynamoDB engine, and the condition expressions of `tables` say what the rules say.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use rules::outcome::{Decision, Outcome, RETENTION, Recorded};
use rules::request::key::{Claim, VALID_FOR};
use rules::{Change, Operation, OperationId, Precondition, ResourceId, Tick};
use tests::engine::{Engine, RESOURCES};
use tokio::runtime::Runtime;
use world::{Claims, Outcomes, Resources};

use crate::history::History;
use crate::plan::Plan;
use crate::prng::Prng;
use crate::tables::{Step, Tables};

const NOW: Duration = Duration::from_millis(1_800_000_000_123);
const SECOND: Duration = Duration::from_secs(1);

#[derive(Clone, Debug)]
enum Call {
    Write(Operation),
    Transact(Operation, Vec<OperationId>),
    Record(OperationId, Recorded),
    Look(Operation, Duration),
    Claim(Claim, Duration),
}

fn resource() -> ResourceId {
    ResourceId::new("42").unwrap()
}

/// Few values, to make equal ids and neighbours common.
fn some_id() -> impl Strategy<Value = OperationId> {
    // If the last byte is even, the simulated tables do not name each reason of a refusal.
    let of = |(ms, random)| OperationId::new(Tick::from_unix_ms(1_700_000_000_000 + ms), random);
    (0..4u64, prop::sample::select(vec![1, 3])).prop_map(of)
}

fn some_operation() -> impl Strategy<Value = Operation> {
    let precondition = prop_oneof![
        3 => Just(Precondition::None),
        1 => Just(Precondition::Exists),
        1 => Just(Precondition::Absent),
        2 => prop::collection::vec(some_id(), 1..4).prop_map(Precondition::OneOf),
    ];
    let change = prop_oneof!["[a-c]".prop_map(Change::Put), Just(Change::Delete)];
    (some_id(), precondition, change)
        .prop_map(|(id, precondition, change)| Operation::new(id, resource(), precondition, change))
}

fn some_record() -> impl Strategy<Value = Recorded> {
    let decided = |outcome| Recorded::Decided(Decision { outcome, completed_at: NOW });
    let problem = || "{\"status\":412}".to_owned();
    prop::sample::select(vec![
        decided(Outcome::Superseded),
        decided(Outcome::Cancelled),
        decided(Outcome::Failed { problem: problem() }),
        Recorded::Stalled { problem: problem(), since: NOW },
    ])
}

/// Before and after the end of a time to live.
fn some_time(lives: Duration) -> impl Strategy<Value = Duration> {
    prop::sample::select(vec![NOW, NOW + lives - SECOND, NOW + lives + 2 * SECOND])
}

fn some_claim() -> impl Strategy<Value = Claim> {
    let claim = |operation: OperationId| Claim {
        id: "key#1".to_owned(),
        fingerprint: format!("print {operation}"),
        operation,
    };
    some_id().prop_map(claim)
}

fn some_call() -> impl Strategy<Value = Call> {
    prop_oneof![
        3 => some_operation().prop_map(Call::Write),
        3 => (some_operation(), prop::collection::hash_set(some_id(), 0..3))
            .prop_map(|(operation, mut older)| {
                older.remove(&operation.id);
                Call::Transact(operation, older.into_iter().collect())
            }),
        2 => (some_id(), some_record()).prop_map(|(id, record)| Call::Record(id, record)),
        2 => (some_operation(), some_time(RETENTION)).prop_map(|(of, at)| Call::Look(of, at)),
        1 => (some_claim(), some_time(VALID_FOR)).prop_map(|(claim, at)| Call::Claim(claim, at)),
    ]
}

async fn real(Engine { resources, operations, .. }: &Engine, call: &Call) -> String {
    match call {
        Call::Write(operation) => format!("{:?}", resources.write(operation).await.unwrap()),
        Call::Transact(operation, older) => {
            format!("{:?}", resources.transact(operation, older, NOW).await.unwrap())
        }
        Call::Record(id, record) => {
            format!("{:?}", operations.record(&resource(), *id, record).await.unwrap())
        }
        Call::Look(operation, at) => {
            let look = resources.look(operation, *at).await.unwrap();
            assert_eq!(resources.version(&operation.resource).await.unwrap(), look.0);
            assert_eq!(operations.recorded(operation.id, *at).await.unwrap(), look.1);
            format!("{look:?}")
        }
        Call::Claim(claim, at) => format!("{:?}", operations.claim(claim, *at).await.unwrap()),
    }
}

fn simulated(tables: &mut Tables, history: &mut History, call: &Call) -> String {
    let step = Step { now: 0, history };
    match call {
        Call::Write(operation) => format!("{:?}", tables.write(operation, step)),
        Call::Transact(operation, older) => {
            format!("{:?}", tables.transact(operation, older, NOW, step))
        }
        Call::Record(id, record) => format!("{:?}", tables.record(*id, record.clone(), step)),
        Call::Look(operation, at) => {
            let recorded = tables.recorded(operation.id, *at, step.now, 0);
            format!("{:?}", (tables.version(&operation.resource), recorded))
        }
        Call::Claim(claim, at) => format!("{:?}", tables.claim(claim.clone(), *at, step.now)),
    }
}

#[test]
fn the_simulated_tables_are_the_real_ones() {
    let runtime = Runtime::new().unwrap();
    let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
    let run = |calls: Vec<Call>| {
        let mut tables = Tables::new(None);
        let mut history = History::new(&Plan::new(&mut Prng::new(0)), false);
        runtime.block_on(async {
            let engine = Engine::start().await;
            for call in &calls {
                let simulated = simulated(&mut tables, &mut history, call);
                prop_assert_eq!(real(&engine, call).await, simulated, "{:?}", call);
            }
            let read = engine.resources.read(&resource()).await.unwrap();
            prop_assert_eq!(read, tables.read(&resource(), 0, 0));
            // A time to live on a resource would remove it.
            let item = engine.get(RESOURCES, "42").await;
            let expires_at = item.as_ref().and_then(|item| item.get("expires_at"));
            let expires_at = expires_at.map(|at| at.as_n().unwrap().parse::<u64>().unwrap());
            let stored = tables.stored(&resource());
            prop_assert_eq!(expires_at, stored.and_then(|stored| stored.expires_at));
            Ok(())
        })
    };
    TestRunner::new(config).run(&prop::collection::vec(some_call(), 1..12), run).unwrap();
}
