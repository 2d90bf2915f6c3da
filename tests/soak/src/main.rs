//! A soak: many PUTs and DELETEs through the real binaries, with faults of every kind, and a check
//! of each.
//!
//! [`plan`] fixes what the clients of one resource do, [`client`] does it and writes down the
//! answers, [`check`] reads these [`record`]s, and [`run`] does this for many resources while
//! processes die and wires are cut.
//!
//! A seed fixes the plans: the requests, and how likely each fault is. It does not fix the order in
//! which processes and calls run, so it may take several runs to reproduce a finding.
//!
//! `soak [--bins FOLDER] [--puts N] [--seed N] [--resources N] [--only RESOURCE]` prints its
//! account, and ends with 1 if anything is wrong. Stories with findings are written to
//! `target/stories`.

mod check;
mod client;
mod plan;
mod reading;
mod record;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rig::Rig;
use rig::gateway::unix_ms;
use run::{Found, Settings, soak};

/// How many findings are printed in full.
const PRINTED: usize = 30;

#[tokio::main]
async fn main() -> ExitCode {
    // Without a part of the rig the soak would wait forever.
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        std::process::exit(1);
    }));
    let options = rig::options();
    let number = |name: &str, default| {
        let text = options.get(name);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("--{name} {text}")))
    };
    let folder = |name, default: &str| PathBuf::from(options.get(name).map_or(default, |it| it));
    let settings = Settings {
        seed: number("seed", unix_ms() % 1_000_000),
        changes: number("puts", 100_000),
        resources: number("resources", 40) as usize,
        only: options.get("only").map(|_| number("only", 0)),
        folder: folder("stories", "target/stories"),
    };
    let (seed, changes) = (settings.seed, settings.changes);
    println!("seed {seed}: {changes} PUTs and DELETEs, {} resources at a time", settings.resources);
    let started = Instant::now();
    let rig = Arc::new(Rig::start(&folder("bins", "target/release"), seed).await);
    let found = soak(&rig, &settings).await;
    print(&rig, &found, started.elapsed());
    rig.stop().await;
    if found.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What the words of the findings mean.
const WORDS: [(&str, &str); 6] = [
    ("LOST", "accepted and never decided, or reported as written and not there"),
    ("DOUBLED", "one PUT or DELETE that took effect twice"),
    ("STALE", "a PUT or DELETE over one that was sent after it was settled, or that is newer"),
    ("LIE", "an answer or a status that contradicts another, or what landed"),
    ("NOT LINEARIZABLE", "clients that saw what no single register would have shown"),
    ("CRASHED", "a process that ended without being killed"),
];

fn print(rig: &Rig, found: &Found, time: Duration) {
    let (counts, seconds) = (rig.tally.counts(), time.as_secs_f64());
    let (sent, rate) = (found.sent, found.sent as f64 / seconds);
    println!("{sent} PUTs and DELETEs sent in {seconds:.0} s, {rate:.0} a second");
    println!("\nanswers, statuses, messages and faults");
    for (name, count) in counts {
        println!("{count:9} {name}");
    }
    let [yes, no, unknown] = found.histories;
    println!("\nhistories, one of each resource, of {} PUTs, DELETEs and GETs", found.operations);
    println!("{yes:9} linearizable");
    println!("{no:9} not linearizable");
    println!("{unknown:9} took too long to tell");
    println!("{:9} final statuses asked for once more at the end", found.asked_again);
    println!("\nfindings");
    for (word, meaning) in WORDS {
        let count = found.findings.iter().filter(|(_, finding)| finding.word == word).count();
        println!("{count:9} {word}: {meaning}");
    }
    for (resource, finding) in found.findings.iter().take(PRINTED) {
        println!("  {resource} {}: {}", finding.word, finding.text);
    }
}
