//! Measures the release binaries from outside, side by side with bare ones.
//!
//! `bench --bins FOLDER [--peers FILE] [--only PART,PART] [--rounds N] [--json FILE]`; the parts
//! are size, start-up, calls, instructions, warm, memory and apply.

mod apply;
mod budgets;
mod calls;
mod contender;
mod endpoint;
mod event;
mod instructions;
mod machine;
mod measure;
mod memory;
mod meter;
mod peers;
mod size;
mod start_up;
mod table;
mod warm;

use std::path::Path;
use std::process::ExitCode;

use contender::Contenders;
use endpoint::Canned;
use measure::Results;

#[tokio::main]
async fn main() -> ExitCode {
    let options = rig::options();
    let option = |name| options.get(name).map(String::as_str);
    let rounds = option("rounds").map_or(9, |rounds| rounds.parse().expect("--rounds N"));
    let only = option("only").map(|only| only.split(',').collect::<Vec<_>>());
    let is_chosen = |part| only.as_ref().is_none_or(|only| only.contains(&part));
    let bins = option("bins").expect("--bins FOLDER");
    let contenders = &Contenders::new(Path::new(bins), option("peers").map(Path::new));
    let machine = machine::describe(rounds);
    let canned = &Canned::start().await;
    let results = &mut Results::default();
    let mut wrong = peers::check(contenders, canned).await;
    if is_chosen("size") {
        size::measure(contenders, results);
    }
    if is_chosen("start-up") {
        start_up::measure(contenders, canned, rounds * 20, results).await;
    }
    if is_chosen("calls") {
        wrong.extend(calls::measure(contenders, results).await);
    }
    if is_chosen("instructions") {
        wrong.extend(instructions::measure(contenders, canned, results).await);
    }
    if is_chosen("warm") {
        warm::measure(contenders, canned, rounds, results).await;
    }
    if is_chosen("memory") {
        memory::measure(contenders, canned, results).await;
    }
    if is_chosen("apply") {
        apply::measure(contenders, canned, rounds, results).await;
    }
    let (budgets, unmet) = budgets::judge(results);
    wrong.extend(unmet);
    results.table = format!("{machine}\n{}", table::markdown(results, &budgets));
    println!("{}", results.table);
    if let Some(path) = option("json") {
        let json = serde_json::to_string_pretty(results).expect("numbers and names");
        std::fs::write(path, json + "\n").expect("the file can be written");
    }
    for what in &wrong {
        eprintln!("error: {what}");
    }
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
