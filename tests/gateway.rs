//! Every event of a gateway gets an answer, whatever it contains. The events go through the same
//! service as in the `main` of the functions.

use lambda_runtime::{Context, LambdaEvent, Service};
use lambda_shell::{Access, GatewayEvent, gateway};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use put::{ArrivalClock, Put};
use read::Read;
use rules::request::accept::Mode;
use rules::{ReceiptKey, ReceiptKeys};
use serde_json::{Value, json};
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

/// Strings that are unexpected for some parser on the way.
const ODD_TEXTS: &str = "|\"|<|>| |a b|https,https|1|http://|:99999|//|[|%|%zz|%ff|?x=\"|#|\u{0}|\
    \r\n|é|=|e30|G T|{|$default|user:pass@host:x|..|W/\"x\"|2.0|true";

/// A value that is unexpected for some parser on the way.
fn odd() -> impl Strategy<Value = Value> {
    let texts = ODD_TEXTS.split('|').map(Value::from).collect::<Vec<_>>();
    let others =
        [json!(null), json!(true), json!(7), json!(-1.5), json!([]), json!({}), json!([1])];
    prop_oneof![
        3 => any::<String>().prop_map(Value::from),
        3 => prop::sample::select(texts),
        2 => (1..70_000usize).prop_map(|length| "x".repeat(length).into()),
        1 => prop::sample::select(others.to_vec()),
    ]
}

/// Puts other values into an event, in some places.
fn mutate(value: &mut Value, places: &mut impl Iterator<Item = Option<Value>>) {
    match (places.next().flatten(), value) {
        (Some(odd), value) if value.is_string() || !odd.is_string() => *value = odd,
        (_, Value::Array(values)) => values.iter_mut().for_each(|value| mutate(value, places)),
        (_, Value::Object(members)) => {
            members.values_mut().for_each(|value| mutate(value, places));
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
    let jwt = Access::Jwt { owner: "id", admin_scope: Some("admin".to_owned()) };
    let access = [Access::Everyone, Access::Iam, jwt];
    let places = prop::collection::vec(prop::option::weighted(0.15, odd()), 90);
    let strategy = (0..EVENTS.len(), places, 0..access.len());
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let run = |(number, places, access_index): (usize, Vec<Option<Value>>, usize)| {
        let mut event: Value = serde_json::from_str(EVENTS[number]).unwrap();
        event["requestContext"]["authorizer"] = json!({
            "jwt": { "claims": { "sub": "42", "email_verified": true } },
            "iam": { "userArn": "arn:aws:iam::1:user/a" },
        });
        mutate(&mut event, &mut places.into_iter());
        let parsed: GatewayEvent = serde_json::from_str(&event.to_string()).unwrap();
        let parsed = LambdaEvent::new(parsed, Context::default());
        let access = &access[access_index];
        let answered = runtime.block_on(async {
            if EVENTS[number].contains("GET") {
                let handle = |request| read.handle::<Thing>(request);
                let answer = gateway::service(&read.host, access, &handle).call(parsed).await;
                serde_json::to_value(answer.unwrap()).unwrap()
            } else {
                let handle = |request| put.handle(request);
                let answer = gateway::service(&put.host, access, &handle).call(parsed).await;
                serde_json::to_value(answer.unwrap()).unwrap()
            }
        });
        let status = answered["statusCode"].as_u64().unwrap();
        prop_assert!((200..500).contains(&status), "{answered}");
        Ok(())
    };
    TestRunner::new(config).run(&strategy, run).unwrap();
}
