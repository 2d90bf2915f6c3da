//! Samples, shown as their median with the quartiles as the spread.

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::contender::{Contender, Process};
use crate::endpoint::Canned;

/// A median with its quartiles.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub low: f64,
    pub median: f64,
    pub high: f64,
}

impl Spread {
    /// The median of at least one sample.
    pub fn of(samples: &[f64]) -> Self {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
        Self { low: at(0.25), median: at(0.5), high: at(0.75) }
    }
}

/// Samples of each contender, by its name.
pub type Samples = Vec<(String, Vec<f64>)>;

/// No samples yet.
pub fn samples_of(all: &[Contender]) -> Samples {
    all.iter().map(|contender| (contender.name.clone(), Vec::new())).collect()
}

/// The shortest time of a sample.
pub struct Least {
    pub events: usize,
    pub time: Duration,
}

/// Measures contenders in turns, `rounds` times each: operations per second, and µs of CPU time per
/// operation. Each event has so many operations.
pub async fn in_turns(
    all: &[Contender],
    canned: &Canned,
    (warm_up, least, rounds): (usize, Least, usize),
    operations: usize,
    mut next: impl FnMut() -> String,
) -> (Samples, Samples) {
    let mut processes = Vec::new();
    for contender in all {
        let process = Process::start(contender, &canned.endpoints).await;
        for _ in 0..warm_up {
            process.invoke(next()).await;
        }
        processes.push(process);
    }
    let (mut rates, mut used) = (samples_of(all), samples_of(all));
    for _ in 0..rounds {
        for (number, process) in processes.iter().enumerate() {
            let (mut events, mut time, before) = (0, Duration::ZERO, process.cpu());
            while time < least.time || events < least.events {
                let event = next();
                let started = Instant::now();
                process.invoke(event).await;
                time += started.elapsed();
                events += 1;
            }
            let (cpu, operations) = (process.cpu() - before, (events * operations) as f64);
            rates[number].1.push(operations / time.as_secs_f64());
            used[number].1.push(cpu.as_secs_f64() * 1e6 / operations);
        }
    }
    (rates, used)
}

/// One measurement of one contender.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The table that contains it.
    pub section: &'static str,
    pub what: String,
    pub who: String,
    pub unit: &'static str,
    pub value: Spread,
    /// The ratio to the contender of this name, from pairs of samples.
    pub ratio: Option<(String, Spread)>,
}

/// All results.
#[derive(Debug, Default, Serialize)]
pub struct Results {
    /// In the order of measurement.
    pub rows: Vec<Row>,
    /// The Markdown that is printed.
    pub table: String,
}

impl Results {
    /// Adds the results of several contenders, measured in turns; the ratios are to the last.
    pub fn add(
        &mut self,
        section: &'static str,
        what: &str,
        unit: &'static str,
        samples: &[(String, Vec<f64>)],
    ) {
        let last = samples.len() - 1;
        let (against, theirs) = &samples[last];
        for (number, (who, own)) in samples.iter().enumerate() {
            let ratios: Vec<_> = own.iter().zip(theirs).map(|(own, theirs)| own / theirs).collect();
            let ratio = (number < last).then(|| (against.clone(), Spread::of(&ratios)));
            let (what, who) = (what.to_owned(), who.clone());
            self.rows.push(Row { section, what, who, unit, value: Spread::of(own), ratio });
        }
    }

    /// Adds a number that is the same in every run.
    pub fn add_exact(
        &mut self,
        section: &'static str,
        what: &str,
        who: &str,
        unit: &'static str,
        value: f64,
    ) {
        self.add(section, what, unit, &[(who.to_owned(), vec![value])]);
    }
}
