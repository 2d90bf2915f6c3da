//! `soak [--puts N] [--minutes N] [--seed N] [--resources N] [--bins FOLDER] [--only RESOURCE]`:
//! prints its account, and ends with 1 if anything is wrong. A story that something is wrong with
//! is written to `target/stories`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use soak::rig::{Rig, Setup};
use soak::run::{Found, Settings, soak};

/// How many findings are told in full.
const TOLD: usize = 30;

fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.expect("a runtime").block_on(run())
}

async fn run() -> ExitCode {
    let options = options();
    let number = |name: &str, default| {
        let text = options.get(name);
        text.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("--{name} {text}")))
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let own = std::env::current_exe().expect("its own path");
    let own_folder = own.parent().expect("a folder").to_owned();
    let bins = options.get("bins").map_or(own_folder, PathBuf::from);
    let settings = Settings {
        seed: number("seed", u64::from(now.subsec_micros())),
        changes: number("puts", 100_000),
        time: Duration::from_secs(60 * number("minutes", 24 * 60)),
        resources: number("resources", 40) as usize,
        only: options.get("only").map(|_| number("only", 0)),
        folder: PathBuf::from(options.get("stories").map_or("target/stories", String::as_str)),
    };
    let setup = Setup {
        put: number("put", 12) as usize,
        read: number("read", 6) as usize,
        apply: number("apply", 4) as usize,
        park: 2,
        receives: 5,
        haste: 20,
        visibility: Duration::from_secs(3),
        mischief: true,
    };
    println!(
        "seed {}: {} PUTs and DELETEs, {} resources at a time",
        settings.seed, settings.changes, settings.resources
    );
    let started = Instant::now();
    let rig = Arc::new(Rig::start(&bins, setup, settings.seed).await);
    let found = soak(&rig, &settings).await;
    tell(&rig, &found, started.elapsed());
    rig.stop().await;
    if found.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The command line: pairs of a name and a value.
fn options() -> BTreeMap<String, String> {
    let mut words = std::env::args().skip(1);
    let mut options = BTreeMap::new();
    while let Some(name) = words.next() {
        let name = name.strip_prefix("--").unwrap_or_else(|| panic!("{name} is no option"));
        let value = words.next().unwrap_or_else(|| panic!("--{name} has no value"));
        options.insert(name.to_owned(), value);
    }
    options
}

/// The parts of the account, and how the names of their counts begin.
const PARTS: [(&str, &[&str]); 4] = [
    ("answers", &["PUT", "DELETE", "cancel:", "GET"]),
    ("outcomes of what was accepted", &["status", "writes"]),
    ("faults", &["table", "queue", "killed", "deletions", "put", "read", "apply", "park"]),
    ("messages", &["messages", "batches", "failed"]),
];

/// What the words of the findings mean.
const WORDS: [(&str, &str); 6] = [
    ("LOST", "accepted and never decided, or said to be written and not there"),
    ("DOUBLED", "one PUT or DELETE that took effect twice"),
    ("STALE", "a PUT or DELETE over one that was sent after it was settled, or that is newer"),
    ("LIE", "an answer or a status that contradicts another, or what landed"),
    ("NOT LINEARIZABLE", "clients that saw what no single register would have shown"),
    ("CRASHED", "a process that ended without being killed"),
];

fn tell(rig: &Rig, found: &Found, time: Duration) {
    let counts = rig.tally.counts();
    let seconds = time.as_secs_f64();
    let is_change = |name: &str| name.starts_with("PUT ") || name.starts_with("DELETE ");
    let changes: u64 = counts.iter().filter(|(name, _)| is_change(name)).map(|(_, n)| n).sum();
    println!(
        "{changes} PUTs and DELETEs sent in {seconds:.0} s, {:.0} a second",
        changes as f64 / seconds
    );
    for (part, beginnings) in PARTS {
        println!("\n{part}");
        for (name, count) in &counts {
            if beginnings.iter().any(|beginning| name.split(' ').next() == Some(beginning)) {
                println!("{count:9} {name}");
            }
        }
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
    for (resource, finding) in found.findings.iter().take(TOLD) {
        println!("  {resource} {}: {}", finding.word, finding.text);
    }
}
