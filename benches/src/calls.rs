//! The calls of each kind of request, counted at the wire. They are exact, so they are judged.

use crate::contender::Contenders;
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::Process;
use crate::warm::kinds;

/// What each kind of request may cost.
const EXPECTED: &[(&str, &str)] = &[
    ("inline", "UpdateItem 1"),
    ("deferred", "SendMessage 1"),
    ("wait", "GetItem 1, TransactWriteItems 1"),
    ("keyed", "GetItem 1, PutItem 1, TransactWriteItems 1"),
    ("get", "GetItem 1"),
    ("status", "GetItem 1"),
    ("batch of 10, 10 users", "TransactWriteItems 10"),
    ("batch of 10, 1 user", "TransactWriteItems 1"),
];

/// Counts them; names what is not as it should be.
pub async fn measure(
    contenders: &Contenders,
    endpoints: &Endpoints,
    results: &mut Results,
) -> Vec<String> {
    let kinds = kinds(contenders, endpoints).await.into_iter();
    let mut events: Vec<_> = kinds.map(|kind| (kind.name, kind.function, kind.event)).collect();
    let body = event::body(100);
    events.push(("batch of 10, 10 users", "apply", event::batch(10, 10, &body, 1)));
    events.push(("batch of 10, 1 user", "apply", event::batch(10, 1, &body, 2)));
    let mut wrong = Vec::new();
    for (name, function, event) in events {
        let process = Process::start(&contenders.function(function), &endpoints.urls).await;
        endpoints.take_calls();
        process.invoke(event.to_string()).await;
        let calls = endpoints.take_calls();
        let names: Vec<_> = calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
        let names = names.join(", ");
        if !EXPECTED.contains(&(name, &names)) {
            wrong.push(format!("{name} makes other calls than {EXPECTED:?}: {names}"));
        }
        let count: u64 = calls.values().sum();
        let section = "Network calls of a request, counted at the wire";
        results.add_exact(section, &format!("{name}: {names}"), function, "calls", count as f64);
    }
    wrong
}
