//! The calls of each kind of request, counted at the wire.

use crate::contender::Contenders;
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::Process;
use crate::warm::kinds;

pub async fn measure(contenders: &Contenders, endpoints: &Endpoints, results: &mut Results) {
    let section = "Network calls of a request, counted at the wire";
    let mut events: Vec<_> = kinds(contenders, endpoints)
        .await
        .into_iter()
        .map(|kind| (kind.name, kind.function, kind.event))
        .collect();
    let body = event::body(100);
    events.push(("batch of 10, 10 users", "apply", event::batch(10, 10, &body, 1)));
    events.push(("batch of 10, 1 user", "apply", event::batch(10, 1, &body, 2)));
    for (name, function, event) in events {
        let process = Process::start(&contenders.function(function), &endpoints.urls).await;
        endpoints.take_calls();
        process.invoke(event.to_string()).await;
        let calls = endpoints.take_calls();
        let names: Vec<_> = calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
        let what = format!("{name}: {}", names.join(", "));
        let count: u64 = calls.values().sum();
        results.add_exact(section, &what, function, "calls", count as f64);
    }
}
