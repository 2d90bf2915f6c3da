//! Measures the release binaries from outside, side by side with bare ones.

mod apply;
mod budgets;
mod calls;
mod contender;
mod contributors;
mod endpoint;
mod event;
mod machine;
mod measure;
mod memory;
mod meter;
mod peers;
mod process;
mod size;
mod start_up;
mod table;
mod warm;

use std::path::PathBuf;
use std::process::ExitCode;

use contender::Contenders;
use endpoint::Endpoints;
use measure::Results;

/// How to call it.
const USAGE: &str = "usage: bench --functions FOLDER --bare FOLDER \
    [--symbols FOLDER] [--peers FILE] \
    [--only size,start-up,calls,warm,memory,apply] [--rounds N] [--json FILE]";

/// What the command line chose.
#[derive(Debug)]
struct Settings {
    functions: PathBuf,
    bare: PathBuf,
    symbols: Option<PathBuf>,
    peers: Option<PathBuf>,
    only: Vec<String>,
    rounds: usize,
    json: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(settings) = settings(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let contenders =
        Contenders::new(&settings.functions, &settings.bare, settings.peers.as_deref());
    let machine = machine::describe(settings.rounds);
    let endpoints = Endpoints::start().await;
    let mut results = Results::default();
    let rounds = settings.rounds;
    let is_chosen =
        |part: &str| settings.only.is_empty() || settings.only.iter().any(|it| it == part);
    let mut wrong = peers::check(&contenders, &endpoints).await;
    if is_chosen("size") {
        size::measure(&contenders, &mut results);
        if let Some(symbols) = &settings.symbols {
            contributors::measure(symbols, &mut results);
        }
    }
    if is_chosen("start-up") {
        start_up::measure(&contenders, &endpoints, rounds * 20, &mut results).await;
    }
    if is_chosen("calls") {
        wrong.extend(calls::measure(&contenders, &mut results).await);
    }
    if is_chosen("warm") {
        warm::measure(&contenders, &endpoints, rounds, &mut results).await;
    }
    if is_chosen("memory") {
        memory::measure(&contenders, &endpoints, &mut results).await;
    }
    if is_chosen("apply") {
        apply::measure(&contenders, &endpoints, rounds, &mut results).await;
    }
    let (budgets, unmet) = budgets::judge(&results);
    wrong.extend(unmet);
    let table = format!("{machine}\n{}", table::markdown(&results, &budgets));
    println!("{table}");
    results.table = table;
    if let Some(path) = settings.json {
        let json = serde_json::to_string_pretty(&results).expect("numbers and names");
        std::fs::write(&path, json + "\n").expect("the file can be written");
    }
    for what in &wrong {
        eprintln!("error: {what}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn settings(mut arguments: impl Iterator<Item = String>) -> Option<Settings> {
    let (mut functions, mut bare, mut json) = (None, None, None);
    let (mut symbols, mut peers) = (None, None);
    let (mut only, mut rounds) = (Vec::new(), 9);
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--functions" => functions = Some(PathBuf::from(value)),
            "--bare" => bare = Some(PathBuf::from(value)),
            "--symbols" => symbols = Some(PathBuf::from(value)),
            "--peers" => peers = Some(PathBuf::from(value)),
            "--only" => only = value.split(',').map(str::to_owned).collect(),
            "--rounds" => rounds = value.parse().ok()?,
            "--json" => json = Some(PathBuf::from(value)),
            _ => return None,
        }
    }
    Some(Settings { functions: functions?, bare: bare?, symbols, peers, only, rounds, json })
}
