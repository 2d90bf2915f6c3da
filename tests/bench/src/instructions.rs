//! The instructions of a request, a batch and a start-up, counted by callgrind. They are
//! repeatable, unlike times, so the bench checks them.

use std::process::Command;

use crate::contender::{Contender, Contenders, FUNCTIONS, Process, terminate};
use crate::endpoint::Canned;
use crate::event;
use crate::measure::Results;
use crate::start_up::{bare_of, poll};
use crate::warm::{Kind, kinds};

pub const REQUEST: &str = "Instructions of a warm request";
pub const BATCH: &str = "Instructions of an operation in a batch of 100";
pub const START_UP: &str = "Instructions of a start-up";

/// The instructions of a request without those of the bare calls.
pub const BEYOND: &str = "beyond the bare calls";

const UNIT: &str = "thousand";

/// Counts them; returns an error if a tool is missing.
pub async fn measure(
    contenders: &Contenders,
    canned: &Canned,
    results: &mut Results,
) -> Option<String> {
    if Command::new("valgrind").arg("--version").output().is_err() {
        return Some("valgrind counts the instructions: apt-get install valgrind".to_owned());
    }
    for name in FUNCTIONS {
        let counts = [contenders.function(name), contenders.function(bare_of(name))];
        let mut samples = Vec::new();
        for contender in counts {
            samples.push((contender.name.clone(), vec![of_start_up(&contender).await]));
        }
        results.add(START_UP, name, UNIT, &samples);
    }
    for Kind { name, function, request } in kinds(contenders, &canned.endpoints, 300).await {
        let next = |_| event::now(&request);
        let bare = contenders.bare("bare-calls", name);
        let own = of_each(&contenders.function(function), canned, [50, 250], next).await;
        let theirs = of_each(&bare, canned, [50, 250], next).await;
        let samples = [(function.to_owned(), vec![own]), (bare.name, vec![theirs])];
        results.add(REQUEST, name, UNIT, &samples);
        results.add_exact(REQUEST, &format!("{name}, {BEYOND}"), function, UNIT, own - theirs);
    }
    for resources in [100, 10, 1] {
        let next = |serial| event::batch(100, resources, &event::body(300), serial);
        let mut samples = Vec::new();
        for contender in
            [contenders.function("apply"), contenders.bare("bare-batch", "partial-batch")]
        {
            let batch = of_each(&contender, canned, [3, 13], next).await;
            samples.push((contender.name, vec![batch / 100.0]));
        }
        results.add(BATCH, &format!("{resources} resources"), UNIT, &samples);
    }
    None
}

/// The instructions of one event, in thousands: the difference between two processes that handle
/// different numbers of events.
async fn of_each(
    contender: &Contender,
    canned: &Canned,
    counts: [u64; 2],
    next: impl Fn(u64) -> String,
) -> f64 {
    let mut totals = [0.0; 2];
    for (total, count) in totals.iter_mut().zip(counts) {
        let callgrind = Callgrind::new(contender);
        let process = Process::start(&callgrind.contender, &canned.endpoints).await;
        for serial in 0..count {
            process.invoke(next(serial)).await;
        }
        process.terminate().await;
        *total = callgrind.total();
    }
    (totals[1] - totals[0]) / (counts[1] - counts[0]) as f64
}

/// The instructions of a process until it asks for work, in thousands.
async fn of_start_up(contender: &Contender) -> f64 {
    let callgrind = Callgrind::new(contender);
    let (mut child, ..) = poll(&callgrind.contender).await;
    terminate(&mut child).await;
    callgrind.total()
}

/// A contender under callgrind.
struct Callgrind {
    contender: Contender,
    log: std::path::PathBuf,
}

impl Callgrind {
    fn new(contender: &Contender) -> Self {
        let log = std::env::temp_dir().join(format!("callgrind-{}.log", std::process::id()));
        let log_option = format!("--log-file={}", log.display());
        let valgrind =
            ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", &log_option];
        let mut contender = contender.clone();
        contender.command.splice(..0, valgrind.map(Into::into));
        Self { contender, log }
    }

    /// All instructions of the process, in thousands.
    fn total(&self) -> f64 {
        let log = std::fs::read_to_string(&self.log).expect("valgrind writes its log");
        let total = log.lines().find_map(|line| line.split_once("Collected :"));
        let total = total.and_then(|(_, total)| total.trim().parse::<f64>().ok());
        total.unwrap_or_else(|| panic!("callgrind counted nothing: {log}")) / 1e3
    }
}
