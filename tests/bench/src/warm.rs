//! What a warm request costs of the processor, against the same calls made bare.

use serde_json::Value;
use soak::rig::names::Endpoints as Urls;

use crate::contender::{Contender, Contenders};
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::Process;

/// Requests before any is measured, and in each round.
#[derive(Clone, Copy)]
struct Requests {
    warm_up: usize,
    each_round: usize,
}

const ALONE: Requests = Requests { warm_up: 300, each_round: 1000 };
/// Node.js compiles what is hot, after some thousand requests.
const BESIDE_PEERS: Requests = Requests { warm_up: 3000, each_round: 500 };

/// A kind of request.
pub struct Kind {
    /// What the table calls it, and `BARE` of the bare calls.
    pub name: &'static str,
    /// Which function answers it.
    pub function: &'static str,
    /// The event.
    pub event: Value,
}

/// Every kind of request, with bodies of so many bytes.
pub async fn kinds(contenders: &Contenders, urls: &Urls, bytes: usize) -> Vec<Kind> {
    let body = event::body(bytes);
    let deferred = event::put(&body, &[("prefer", "respond-async")]);
    let put = Process::start(&contenders.function("put"), urls).await;
    let accepted: Value = serde_json::from_slice(&put.invoke(deferred.to_string()).await).unwrap();
    let location = accepted["headers"]["location"].as_str().expect("a deferred PUT is accepted");
    let of = |name, function, event| Kind { name, function, event };
    vec![
        of("inline", "put", event::put(&body, &[])),
        of("deferred", "put", deferred),
        of("wait", "put", event::put(&body, &[("prefer", "respond-async, wait=5")])),
        of("keyed", "put", event::put(&body, &[("idempotency-key", "\"k\"")])),
        of("get", "read", event::get()),
        of("status", "read", event::status(location)),
    ]
}

pub async fn measure(
    contenders: &Contenders,
    endpoints: &Endpoints,
    rounds: usize,
    results: &mut Results,
) {
    let section = "CPU of a warm request";
    for Kind { name, function, event } in kinds(contenders, &endpoints.urls, 300).await {
        let (event, bare) = (event.to_string(), contenders.bare("bare-calls", name));
        let all = [contenders.function(function), bare];
        let samples = rounds_of(&all, endpoints, &event, ALONE, rounds).await;
        results.add(section, name, "µs", &samples);
        if !contenders.peers.is_empty() && ["inline", "deferred"].contains(&name) {
            let all = contenders.peers_and_put();
            let samples = rounds_of(&all, endpoints, &event, BESIDE_PEERS, rounds).await;
            results.add(section, &format!("{name}, beside peers"), "µs", &samples);
        }
    }
}

async fn rounds_of(
    all: &[Contender],
    endpoints: &Endpoints,
    event: &str,
    requests: Requests,
    rounds: usize,
) -> Vec<(String, Vec<f64>)> {
    let mut processes = Vec::new();
    for contender in all {
        let process = Process::start(contender, &endpoints.urls).await;
        for _ in 0..requests.warm_up {
            process.invoke(event.to_owned()).await;
        }
        processes.push((process, Vec::new()));
    }
    for _ in 0..rounds {
        for (process, samples) in &mut processes {
            let before = process.cpu();
            for _ in 0..requests.each_round {
                process.invoke(event.to_owned()).await;
            }
            let used = process.cpu() - before;
            samples.push(used.as_secs_f64() * 1e6 / requests.each_round as f64);
        }
    }
    let names = all.iter().map(|contender| contender.name.clone());
    names.zip(processes.into_iter().map(|(_, samples)| samples)).collect()
}
