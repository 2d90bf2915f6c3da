//! The peak resident memory.

use crate::contender::{Contenders, Process};
use crate::endpoint::Canned;
use crate::event;
use crate::measure::Results;
use crate::warm::kinds;

/// The largest body that the service accepts.
const LARGEST: usize = 256 * 1024;

/// Events of each kind.
const EVENTS: usize = 200;

pub async fn measure(contenders: &Contenders, canned: &Canned, results: &mut Results) {
    let (small, large) = (event::body(300), event::body(LARGEST));
    let kinds = kinds(contenders, &canned.endpoints, 300).await.into_iter();
    let mut events: Vec<_> =
        kinds.map(|kind| (kind.name, kind.function, event::now(&kind.request))).collect();
    let deferred = event::put(&large, &[("prefer", "respond-async")]);
    events.extend([
        ("inline, 256 KiB", "put", event::now(&event::put(&large, &[]))),
        ("deferred, 256 KiB", "put", event::now(&deferred)),
        ("batch of 10, 300 B", "apply", event::batch(10, 10, &small, 1)),
        ("batch of 10, 256 KiB", "apply", event::batch(10, 10, &large, 2)),
    ]);
    for (name, function, event) in events {
        let mut all = vec![contenders.function(function)];
        if name.starts_with("inline") {
            all.extend_from_slice(&contenders.peers);
        }
        for contender in all {
            let process = Process::start(&contender, &canned.endpoints).await;
            for _ in 0..EVENTS {
                process.invoke(event.clone()).await;
            }
            let memory = process.peak_memory();
            results.add_exact("Peak memory", name, &contender.name, "MB", memory);
        }
    }
}
