//! Whatever stands in the strings of a gateway's event, there is an answer: through the very
//! service that the functions' main runs.

use lambda_runtime::{Context, LambdaEvent, Service};
use lambda_shell::{Access, GatewayEvent, gateway};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use put::{ArrivalClock, Put};
use read::Read;
use rules::request::accept::Mode;
use rules::{ReceiptKey, ReceiptKeys};
use serde_json::Value;
use tests::engine::Engine;
use tests::thing::Thing;
use tests::world::{TestHost, TestQueue};
use tokio::runtime::Runtime;

/// The events of both payloads, to `put` and to `read`.
const EVENTS: [&str; 5] = [
    include_str!("../events/put-inline.json"),
    include_str!("../events/put-deferred.json"),
    include_str!("../events/put-inline-rest.json"),
    include_str!("../events/get-resource.json"),
    include_str!("../events/get-operation.json"),
];

/// A string that some parser on the way does not expect.
fn odd() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        prop::sample::select(vec![
            "",
            "\"",
            "<",
            ">",
            " ",
            "a b",
            "https,https",
            "1",
            "http://",
            ":99999",
            "//",
            "[",
            "%",
            "%zz",
            "%ff",
            "?x=\"",
            "#",
            "\u{0}",
            "\r\n",
            "é",
            "=",
            "e30",
            "G T",
            "{",
            "$default",
            "user:pass@host:x",
            "..",
            "W/\"x\"",
            "2.0",
            "true",
        ])
        .prop_map(str::to_owned),
        (1..70_000usize).prop_map(|length| "x".repeat(length)),
    ]
}

/// Puts other strings into an event, at those places whose bit is set.
fn mutate(value: &mut Value, places: &mut impl Iterator<Item = Option<String>>) {
    match value {
        Value::String(text) => *text = places.next().flatten().unwrap_or_else(|| text.clone()),
        Value::Array(values) => values.iter_mut().for_each(|value| mutate(value, places)),
        Value::Object(members) => {
            let mut renamed = serde_json::Map::new();
            for (name, mut value) in std::mem::take(members) {
                mutate(&mut value, places);
                renamed.insert(name, value);
            }
            *members = renamed;
        }
        _ => {}
    }
}

#[test]
fn every_event_has_an_answer() {
    let runtime = Runtime::new().unwrap();
    let engine = runtime.block_on(Engine::start());
    let key = || ReceiptKeys { current: ReceiptKey::new(&[7; 32]).unwrap(), other: None };
    let put = Put {
        host: TestHost::default(),
        resource: Thing,
        resources: engine.resources.clone(),
        operations: engine.operations.clone(),
        updates: TestQueue::default(),
        receipts: key(),
        default_mode: Mode::Inline,
        arrival_clock: ArrivalClock::Host,
    };
    let read = Read {
        host: TestHost::default(),
        resources: engine.resources,
        operations: engine.operations,
        receipts: key(),
    };
    let access = [
        Access::Everyone,
        Access::Iam,
        Access::Jwt { owner: "id", admin_scope: Some("admin".to_owned()) },
    ];
    let places = prop::collection::vec(prop::option::weighted(0.15, odd()), 80);
    let claims = prop::sample::select(vec![
        "null",
        r#"{"jwt":{"claims":{"sub":"42","email_verified":true}}}"#,
        r#"{"iam":{"userArn":"arn:aws:iam::1:user/a"}}"#,
        "7",
        r#"{"jwt":[]}"#,
    ]);
    let strategy = (0..EVENTS.len(), places, 0..access.len(), claims);
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    let run = |(event, places, access_index, claims): (usize, Vec<Option<String>>, usize, &str)| {
        let mut event: Value = serde_json::from_str(EVENTS[event]).unwrap();
        event["requestContext"]["authorizer"] = serde_json::from_str(claims).unwrap();
        mutate(&mut event, &mut places.into_iter());
        let parsed: GatewayEvent = serde_json::from_slice(event.to_string().as_bytes()).unwrap();
        let is_read =
            event["httpMethod"].as_str().or(event["requestContext"]["http"]["method"].as_str());
        let is_read = is_read == Some("GET");
        let access = &access[access_index];
        let event = LambdaEvent::new(parsed, Context::default());
        let answered = runtime.block_on(async {
            if is_read {
                let handle = |request| read.handle::<Thing>(request);
                let answer =
                    gateway::service(&read.host, access, &handle).call(event).await.unwrap();
                serde_json::to_value(&answer).unwrap()
            } else {
                let handle = |request| put.handle(request);
                let answer =
                    gateway::service(&put.host, access, &handle).call(event).await.unwrap();
                serde_json::to_value(&answer).unwrap()
            }
        });
        let status = answered["statusCode"].as_u64().unwrap();
        prop_assert!((200..500).contains(&status), "{}", answered);
        Ok(())
    };
    runner.run(&strategy, run).unwrap();
}
