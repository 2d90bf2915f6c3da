//! `apply`: operations per second, and CPU time per operation.

use std::time::Duration;

use crate::contender::Contenders;
use crate::endpoint::Canned;
use crate::event;
use crate::measure::{Least, Results, in_turns};

/// The shortest time of a sample.
const SAMPLE: Duration = Duration::from_millis(300);

pub async fn measure(
    contenders: &Contenders,
    canned: &Canned,
    rounds: usize,
    results: &mut Results,
) {
    let (apply, partial_batch) =
        (contenders.function("apply"), contenders.bare("bare-batch", "partial-batch"));
    let one_at_a_time = contenders.bare("bare-batch", "one-at-a-time");
    let mut serial = 0;
    for latency_ms in [0, 5, 20] {
        canned.set_latency(Duration::from_millis(latency_ms));
        for batch in [1_usize, 10, 100, 1000] {
            let mut all = vec![apply.clone(), partial_batch.clone()];
            // It would take 20 s for a batch of 1,000.
            all.extend((batch <= 100).then(|| one_at_a_time.clone()));
            // Ten of each resource, and all of one resource.
            let mut resources = vec![batch, batch.div_ceil(10), 1];
            resources.dedup();
            for resources in resources {
                let next = || {
                    serial += 1;
                    event::batch(batch, resources, &event::body(300), serial)
                };
                let least = Least { events: 1, time: SAMPLE };
                let (rates, used) = in_turns(&all, canned, (1, least, rounds), batch, next).await;
                let resources = match resources {
                    1 => "1 resource".to_owned(),
                    resources if resources == batch => "each another resource".to_owned(),
                    resources => format!("{resources} resources"),
                };
                let what = format!("batch {batch}, {resources}, {latency_ms} ms");
                results.add("Throughput of apply", &what, "operations/s", &rates);
                // Compared with the second, the partial batch.
                let (others, rest) = used.split_at(2);
                let used = [rest, &others[..1], &others[1..]].concat();
                results.add("CPU of apply", &what, "µs/operation", &used);
            }
        }
    }
    canned.set_latency(Duration::ZERO);
}
