//! What `tables` does with odd items and failures, on a real engine with the real SDK.
//! `simulation/contract.rs` checks that its calls do what the rules say.

use std::time::Duration;

use rules::{Failure, Operation, OperationId, Precondition, ResourceId, Tick};
use tables::DynamoDb;
use tests::engine::{Engine, OPERATIONS, RESOURCES, config_for};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use world::{Resources as _, Stored};

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

/// An item without a readable `op` has an unknown form, and nothing may overwrite it.
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
        let stored = Stored { body: body.to_owned(), written_by: id };
        assert_eq!(engine.resources.read(&resource()).await.unwrap(), Some(stored));
    }
}

async fn failure_of_a_write(endpoint: &str, resources: &str) -> Failure {
    let db = DynamoDb::new(config_for(endpoint));
    let table = db.resources(resources.to_owned(), OPERATIONS.to_owned());
    table.write(&operation(id(1, 1), "{}")).await.unwrap_err().failure
}

/// With TLS this also reads the built-in certificates.
#[tokio::test]
async fn a_refused_connection_wrote_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let failure = failure_of_a_write(&format!("{scheme}://{address}"), RESOURCES).await;
        assert_eq!(failure, Failure::NotLanded, "{scheme}");
    }
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
