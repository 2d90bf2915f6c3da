//! The calls of each kind of request and what they consume, counted at the wire. They are exact, so
//! the bench checks them, and `docs/prices.py` calculates with them.

use serde::Serialize;

use crate::contender::{Contenders, Process};
use crate::event;
use crate::measure::Results;
use crate::meter::{Counted, Meter};
use crate::warm::kinds;

const SECTION: &str = "Network calls of a request, counted at the wire";

/// The counts that are in the repository.
const KNOWN: &str = include_str!("../calls.json");

/// The file for counts that differ.
const COUNTED: &str = "target/calls.json";

/// A body with which an item of either table is one write unit, and two larger ones.
const BODIES: [usize; 3] = [900, 10_000, 50_000];

/// Batches for `apply`, and how many of their records are of one resource.
const BATCHES: [(usize, usize); 4] = [(10, 1), (100, 1), (100, 10), (100, 100)];

/// One kind of request, of one size.
#[derive(Debug, Serialize)]
struct Line {
    kind: String,
    /// Bytes.
    body: usize,
    #[serde(flatten)]
    counted: Counted,
}

/// Counts the calls; returns an error if anything differs.
pub async fn measure(contenders: &Contenders, results: &mut Results) -> Option<String> {
    let mut lines = Vec::new();
    for bytes in BODIES {
        let (meter, body) = (Meter::start().await, event::body(bytes));
        let kinds = kinds(contenders, &meter.endpoints, bytes).await.into_iter();
        let mut requests: Vec<_> =
            kinds.map(|kind| (kind.name, kind.function, kind.request)).collect();
        let fields = [("prefer", "respond-async"), ("idempotency-key", "\"another\"")];
        requests.push(("keyed, deferred", "put", event::put(&body, &fields)));
        let mut count = async |kind: &str, function, event: &dyn Fn() -> String| {
            let process = Process::start(&contenders.function(function), &meter.endpoints).await;
            meter.take();
            process.invoke(event()).await;
            let counted = meter.take();
            if bytes == BODIES[0] {
                let calls: Vec<_> =
                    counted.calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
                let what = format!("{kind}: {}", calls.join(", "));
                let count: u64 = counted.calls.values().sum();
                results.add_exact(SECTION, &what, function, "calls", count as f64);
            }
            lines.push(Line { kind: kind.to_owned(), body: bytes, counted });
        };
        for (kind, function, request) in requests {
            // Each request arrives later than the one before.
            count(kind, function, &|| event::now(&request)).await;
        }
        for (serial, (batch, together)) in (0..).zip(BATCHES) {
            let kind = format!("batch of {batch}, {together} together");
            let event = || event::batch(batch, batch / together, &body, serial);
            count(&kind, "apply", &event).await;
        }
    }
    let lines: Vec<_> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    (text != KNOWN).then(|| {
        std::fs::write(COUNTED, text).expect("the file can be written");
        format!("{COUNTED} is what is counted now and differs from tests/bench/calls.json: put it there if that is meant")
    })
}
