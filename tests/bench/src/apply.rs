//! `apply`: operations per second, and what one costs of the processor.

use std::time::{Duration, Instant};

use crate::contender::{Contender, Contenders};
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::Process;

/// How long one sample takes at least.
const SAMPLE: Duration = Duration::from_millis(300);

pub async fn measure(
    contenders: &Contenders,
    endpoints: &Endpoints,
    rounds: usize,
    results: &mut Results,
) {
    let (apply, partial_batch) =
        (contenders.function("apply"), contenders.bare("bare-batch", "partial-batch"));
    let one_at_a_time = contenders.bare("bare-batch", "one-at-a-time");
    let mut serial = 0;
    for latency_ms in [0, 5, 20] {
        endpoints.set_latency(Duration::from_millis(latency_ms));
        for batch in [1_usize, 10, 100, 1000] {
            let mut all = vec![apply.clone(), partial_batch.clone()];
            // A batch of 1,000 would take it 20 s.
            all.extend((batch <= 100).then(|| one_at_a_time.clone()));
            // Ten of one resource, and all of one resource.
            let mut resources = vec![batch, batch.div_ceil(10), 1];
            resources.dedup();
            for resources in resources {
                let mut next = || {
                    serial += 1;
                    event::batch(batch, resources, &event::body(300), serial).to_string()
                };
                let (rates, used) = rounds_of(&all, endpoints, batch, rounds, &mut next).await;
                let resources = match resources {
                    1 => "1 resource".to_owned(),
                    resources if resources == batch => "each another resource".to_owned(),
                    resources => format!("{resources} resources"),
                };
                let what = format!("batch {batch}, {resources}, {latency_ms} ms");
                results.add("Throughput of apply", &what, "operations/s", &rates);
                // Against the partial batch, the second of them.
                let (others, rest) = used.split_at(2);
                let used = [rest, &others[..1], &others[1..]].concat();
                results.add("CPU of apply", &what, "µs/operation", &used);
            }
        }
    }
    endpoints.set_latency(Duration::ZERO);
}

type Samples = Vec<(String, Vec<f64>)>;

async fn rounds_of(
    all: &[Contender],
    endpoints: &Endpoints,
    batch: usize,
    rounds: usize,
    next: &mut impl FnMut() -> String,
) -> (Samples, Samples) {
    let mut processes = Vec::new();
    for contender in all {
        let process = Process::start(contender, &endpoints.urls).await;
        process.invoke(next()).await;
        processes.push((contender.name.clone(), process, Vec::new(), Vec::new()));
    }
    for _ in 0..rounds {
        for (_, process, rates, used) in &mut processes {
            let (mut operations, mut time, before) = (0, Duration::ZERO, process.cpu());
            while time < SAMPLE {
                let event = next();
                let started = Instant::now();
                process.invoke(event).await;
                time += started.elapsed();
                operations += batch;
            }
            rates.push(operations as f64 / time.as_secs_f64());
            used.push((process.cpu() - before).as_secs_f64() * 1e6 / operations as f64);
        }
    }
    let samples =
        processes.into_iter().map(|(name, _, rates, used)| ((name.clone(), rates), (name, used)));
    samples.unzip()
}
