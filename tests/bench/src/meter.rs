//! DynamoDB and SQS with the quantities that AWS bills: a real engine says which capacity units a
//! call consumes, and calls and messages are counted at the wire.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use rig::engine::Engine;
use rig::environment::Endpoints;
use rig::http::{HangUp, Reply, Server, json};
use rig::wire;
use serde::Serialize;
use serde_json::{Value, json};

use crate::endpoint::{at, reply};

/// The counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counted {
    /// The calls, by name.
    pub calls: BTreeMap<String, u64>,
    pub read_units: u64,
    /// Doubled in transactions.
    pub write_units: u64,
    /// Size of the message that was sent, with its attributes, in KiB, rounded up.
    pub message_kib: usize,
}

/// The services, at one address.
#[derive(Debug)]
pub struct Meter {
    pub endpoints: Endpoints,
    counted: Arc<Mutex<Counted>>,
    _server: Server,
}

impl Meter {
    /// With empty tables.
    pub async fn start() -> Self {
        let counted = Arc::new(Mutex::new(Counted::default()));
        let (engine, counting) = (Engine::start().await, Arc::clone(&counted));
        let server =
            Server::start(move |request| answer(engine.clone(), Arc::clone(&counting), request));
        let server = server.await;
        Self { endpoints: at(&server), counted, _server: server }
    }

    /// The counts since the last time.
    pub fn take(&self) -> Counted {
        std::mem::take(&mut *self.counted.lock().unwrap())
    }
}

async fn answer(
    engine: Engine,
    counted: Arc<Mutex<Counted>>,
    request: Request<Bytes>,
) -> Result<Reply, HangUp> {
    let (parts, body) = request.into_parts();
    let name = wire::target(&parts);
    let mut call: Value = serde_json::from_slice(&body).expect("a call is JSON");
    let (status, body, units, message) = if name == "SendMessage" {
        (200, reply(name, &body), 0, message_bytes(&call))
    } else {
        call["ReturnConsumedCapacity"] = json!("TOTAL");
        let (status, body) = engine.call(&parts, call.to_string().into()).await;
        let units = units(&serde_json::from_slice(&body).expect("a reply is JSON"));
        (status, body, units, 0)
    };
    let mut counted = counted.lock().unwrap();
    if name == "GetItem" {
        counted.read_units += units;
    } else {
        counted.write_units += units;
    }
    counted.message_kib += message.div_ceil(1024);
    *counted.calls.entry(name.to_owned()).or_default() += 1;
    Ok(json(status, body))
}

/// The units that a call consumed, by its reply. A transaction has a number for each table.
fn units(reply: &Value) -> u64 {
    let consumed = &reply["ConsumedCapacity"];
    let tables = consumed.as_array().map_or(std::slice::from_ref(consumed), Vec::as_slice);
    let units: f64 = tables.iter().filter_map(|table| table["CapacityUnits"].as_f64()).sum();
    units as u64 // Every read is strongly consistent, so none is a half.
}

/// The size that SQS bills: the body, and each attribute's name, type and value.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-message-metadata.html>
fn message_bytes(call: &Value) -> usize {
    let length = |value: &Value| value.as_str().map_or(0, str::len);
    let attributes = call["MessageAttributes"].as_object();
    let attributes = attributes.into_iter().flatten().map(|(name, value)| {
        name.len() + length(&value["DataType"]) + length(&value["StringValue"])
    });
    length(&call["MessageBody"]) + attributes.sum::<usize>()
}
