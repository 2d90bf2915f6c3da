//! The calls of each kind of request and what they consume, counted at the wire. They are
//! exact, so they are judged, and `docs/prices.py` reckons with them.

use serde::Serialize;
use serde_json::{Value, json};

use crate::contender::Contenders;
use crate::event;
use crate::measure::Results;
use crate::meter::{Counted, Meter};
use crate::process::Process;
use crate::warm::kinds;

/// What was counted when it was looked at last.
const KNOWN: &str = include_str!("../calls.json");

/// Where to find what differs.
const COUNTED: &str = "target/calls.json";

/// A body with which an item of both tables is one write unit, and two larger ones.
const BODIES: [usize; 3] = [900, 10_000, 50_000];

/// One kind of request, of one size.
#[derive(Debug, Serialize)]
struct Line {
    kind: String,
    /// Bytes.
    body: usize,
    #[serde(flatten)]
    counted: Counted,
}

/// Counts them; names what is not as it was.
pub async fn measure(contenders: &Contenders, results: &mut Results) -> Option<String> {
    let mut lines = Vec::new();
    for body in BODIES {
        let meter = Meter::start().await;
        let kinds = kinds(contenders, &meter.urls, body).await.into_iter();
        let mut events: Vec<_> =
            kinds.map(|kind| (kind.name.to_owned(), kind.function, kind.event)).collect();
        let fields = [("prefer", "respond-async"), ("idempotency-key", "\"another\"")];
        let both = event::put(&event::body(body), &fields);
        events.push(("keyed, deferred".to_owned(), "put", both));
        let batches = [(10, 1), (100, 1), (100, 10), (100, 100)];
        for (serial, (batch, together)) in (0..).zip(batches) {
            let event = event::batch(batch, batch / together, &event::body(body), serial);
            events.push((format!("batch of {batch}, {together} together"), "apply", event));
        }
        for (kind, function, event) in events {
            // Each arrives later than the one before.
            let event = arriving_now(event);
            let process = Process::start(&contenders.function(function), &meter.urls).await;
            meter.take();
            process.invoke(event.to_string()).await;
            let counted = meter.take();
            if body == BODIES[0] {
                add(results, &kind, function, &counted);
            }
            lines.push(Line { kind, body, counted });
        }
    }
    let text = text(&lines);
    (text != KNOWN).then(|| {
        std::fs::write(COUNTED, text).expect("the file can be written");
        format!("{COUNTED} is what is counted now and differs from tests/bench/calls.json: put it there if that is meant")
    })
}

fn arriving_now(mut event: Value) -> Value {
    if event.get("requestContext").is_some() {
        event["requestContext"]["timeEpoch"] = json!(event::now_ms());
    }
    event
}

fn add(results: &mut Results, kind: &str, function: &str, counted: &Counted) {
    let calls: Vec<_> =
        counted.calls.iter().map(|(call, count)| format!("{call} {count}")).collect();
    let what = format!("{kind}: {}", calls.join(", "));
    let count: u64 = counted.calls.values().sum();
    let section = "Network calls of a request, counted at the wire";
    results.add_exact(section, &what, function, "calls", count as f64);
}

/// JSON with a line for each.
fn text(lines: &[Line]) -> String {
    let lines: Vec<_> =
        lines.iter().map(|line| serde_json::to_string(line).expect("numbers and names")).collect();
    format!("[\n{}\n]\n", lines.join(",\n"))
}
