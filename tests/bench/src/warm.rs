//! The CPU time of a warm request, compared with the same calls made bare.

use std::time::Duration;

use rig::environment::Endpoints;
use rig::gateway::{Answer, Request};

use crate::contender::{Contenders, Process};
use crate::endpoint::Canned;
use crate::event;
use crate::measure::{Least, Results, in_turns};

/// A kind of request.
pub struct Kind {
    /// Its name in the table, and the value of `BARE` for the bare calls.
    pub name: &'static str,
    /// The function that answers it.
    pub function: &'static str,
    pub request: Request,
}

/// Every kind of request, with bodies of so many bytes.
pub async fn kinds(contenders: &Contenders, endpoints: &Endpoints, bytes: usize) -> Vec<Kind> {
    let body = event::body(bytes);
    let deferred = event::put(&body, &[("prefer", "respond-async")]);
    let put = Process::start(&contenders.function("put"), endpoints).await;
    let accepted = Answer::read(&put.invoke(event::now(&deferred)).await);
    let location = accepted.header("location").expect("a deferred PUT is accepted");
    let status = Request::new("GET", location.to_owned());
    let of = |name, function, request| Kind { name, function, request };
    vec![
        of("inline", "put", event::put(&body, &[])),
        of("deferred", "put", deferred),
        of("wait", "put", event::put(&body, &[("prefer", "respond-async, wait=5")])),
        of("keyed", "put", event::put(&body, &[("idempotency-key", "\"k\"")])),
        of("get", "read", event::get()),
        of("status", "read", status),
    ]
}

pub async fn measure(
    contenders: &Contenders,
    canned: &Canned,
    rounds: usize,
    results: &mut Results,
) {
    let section = "CPU of a warm request";
    for Kind { name, function, request } in kinds(contenders, &canned.endpoints, 300).await {
        let next = || event::now(&request);
        let all = [contenders.function(function), contenders.bare("bare-calls", name)];
        let requests = |least| Least { events: least, time: Duration::ZERO };
        let turns = (300, requests(1000), rounds);
        let (_, used) = in_turns(&all, canned, turns, 1, next).await;
        results.add(section, name, "µs", &used);
        if !contenders.peers.is_empty() && ["inline", "deferred"].contains(&name) {
            // Node.js compiles hot code after some thousand requests.
            let turns = (3000, requests(500), rounds);
            let (_, used) = in_turns(&contenders.peers_and_put(), canned, turns, 1, next).await;
            results.add(section, &format!("{name}, beside peers"), "µs", &used);
        }
    }
}
