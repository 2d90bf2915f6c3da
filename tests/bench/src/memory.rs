//! The most memory that was ever resident.

use crate::contender::{Contenders, Peer};
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::Process;
use crate::warm::kinds;

/// The largest body that is taken.
const LARGEST: usize = 256 * 1024;

/// Events of each kind.
const EVENTS: usize = 200;

pub async fn measure(contenders: &Contenders, endpoints: &Endpoints, results: &mut Results) {
    let large = event::body(LARGEST);
    let mut events: Vec<_> = kinds(contenders, &endpoints.urls, 300)
        .await
        .into_iter()
        .map(|kind| (kind.name.to_owned(), kind.function, kind.event))
        .collect();
    events.push(("inline, 256 KiB".to_owned(), "put", event::put(&large, &[])));
    let deferred = event::put(&large, &[("prefer", "respond-async")]);
    events.push(("deferred, 256 KiB".to_owned(), "put", deferred));
    events.push((
        "batch of 10, 300 B".to_owned(),
        "apply",
        event::batch(10, 10, &event::body(300), 1),
    ));
    events.push(("batch of 10, 256 KiB".to_owned(), "apply", event::batch(10, 10, &large, 2)));
    for (name, function, event) in events {
        let mut all = vec![contenders.function(function)];
        if name.starts_with("inline") {
            all.extend(contenders.peers.iter().map(Peer::contender));
        }
        for contender in all {
            let process = Process::start(&contender, &endpoints.urls).await;
            let event = event.to_string();
            for _ in 0..EVENTS {
                process.invoke(event.clone()).await;
            }
            let section = "Peak memory";
            results.add_exact(section, &name, &contender.name, "MB", process.peak_memory());
        }
    }
}
