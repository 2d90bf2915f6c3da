//! The functions under every schedule that a seed can think of.
//!
//! # What runs
//! The code of `put`, `apply`, `park` and `read` itself, from the request to the response
//! and from a batch of messages to the answer to it, in a simulated world behind the seam
//! of `crates/world`: hosts and gateways with clocks of their own, the two DynamoDB tables,
//! the queues `updates`, `dead-letters` and `parked` with the event sources that poll them,
//! an operator, and clients, as processes under one virtual time ([`scheduler`]). Nothing of
//! a function is written a second time.
//!
//! A call is a request, its effect and a reply, as separate steps: it may be throttled,
//! find no connection, lose its request or its reply, or take effect after its caller has
//! timed out, retried, fallen back, answered or died. A request may be held up between
//! gateway and function for minutes, and be given up by its client, who sends the next. A
//! queue delivers in any order, late, twice, again after its visibility timeout, and after
//! a few receives to the dead letters; it forgets after 14 days. What was deleted may come
//! back. Messages of another version, or unreadable ones, are among the others. Invocations
//! are killed between any two steps. Among the PUTs is every kind of DELETE, and clients
//! cancel operations, in some schedules weeks later; DynamoDB removes a tombstone that has
//! expired at once, late or never. In some schedules the resource has an update, which may
//! refuse, delay, hang, panic or end the process, in `put` as in `apply`. One schedule in 16 is
//! for stress: a race of many PUTs of one resource, or an outage after which a queue that gives
//! up as late as the deployed one brings odd operations again and again.
//!
//! # What is checked
//! After every step, what was written and said against what really happened, which
//! [`history`] knows. At the end all faults cease, everything is delivered, and each
//! operation must have met its fate; in some schedules months pass. In eight of ten the
//! gateway's clocks keep within the bound that the order assumes, and then order is checked
//! too: whatever was over before a PUT was sent never wins over it. In all, whatever any clock
//! of a host says, a PUT overwrites nothing that arrived more than a second after it by the
//! gateway's clocks, nothing lands that is cancelled, or older than what its resource was at
//! before, a removed tombstone included, nothing is written without its update, and an update
//! sees the id that its operation was made with.
//!
//! # What is not modelled
//! The adapters to AWS (that the condition expressions are `Operation::may_replace`, and
//! how the SDK tells one error from another, is for other tests), more than 99 operations of
//! a resource in a batch, a host whose clock jumps, and deployments of the functions.
//!
//! # How to replay
//! A failure prints the command. The same seed gives the same steps, to the microsecond.
//!
//! ```text
//! SIMULATION_SEED=42 cargo test -p tests --test simulation -- schedules --nocapture
//! SIMULATION_SEED=7 SIMULATION_MUTANT=LessOrEqual cargo test ... (a mutant's schedule)
//! SIMULATION_SCHEDULES=10000000 cargo test ... (or: make -C tests simulation SCHEDULES=10000000)
//! ```

mod clients;
mod event_source;
mod events;
mod gateway;
mod history;
mod host;
mod http;
mod moved;
mod mutants;
mod network;
mod operator;
mod plan;
mod prng;
mod queue;
mod queue_calls;
mod resource;
mod scheduler;
mod table_calls;
mod tables;
mod told;
mod world;

use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::events::Counts;
use crate::mutants::Mutant;
use crate::world::World;

/// Schedules of a normal run.
const SCHEDULES: u64 = 200_000;

/// Schedules in which every event must have occurred.
const ENOUGH: u64 = 100_000;

/// No schedule of some ten requests takes more steps, unless something turns in circles.
const MOST_STEPS: u32 = 200_000;

/// Runs one schedule: what occurred, and the first check that failed.
fn run(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> (Counts, Option<String>) {
    let world = World::new(seed, mutant, is_traced);
    let names = ["apply-0", "apply-1"];
    for (name, clock) in names.into_iter().zip(world.plan.apply_clocks.iter()) {
        let source = event_source::apply(&world, name, *clock);
        world.scheduler.spawn(None, source.poll(Rc::clone(&world)));
    }
    world.scheduler.spawn(None, event_source::park(&world).poll(Rc::clone(&world)));
    world.scheduler.spawn(None, operator::operate(Rc::clone(&world)));
    world.scheduler.spawn(None, operator::direct(Rc::clone(&world)));
    let is_stopped = || {
        world.is_over.get()
            || world.history().violation.is_some()
            || world.scheduler.steps() > MOST_STEPS
    };
    let ended = catch_unwind(AssertUnwindSafe(|| world.scheduler.run(is_stopped)));
    if world.is_over.get() {
        world.history().at_the_end(world.now(), |name| world.parked.holds(name));
    }
    let mut history = world.history();
    if ended.is_err() {
        history.violate(|| "panic: a function panicked".to_owned());
    }
    if !world.is_over.get() {
        history.violate(|| "end: it does not come to rest".to_owned());
    }
    let result = (history.counts.clone(), history.violation.take());
    drop(history);
    world.scheduler.clear();
    result
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn mutant_of_the_environment() -> Option<Mutant> {
    let name = env::var("SIMULATION_MUTANT").ok()?;
    let mutant = Mutant::ALL.iter().copied().find(|mutant| format!("{mutant:?}") == name);
    Some(mutant.unwrap_or_else(|| panic!("no such mutant: {name}")))
}

fn replay(seed: u64, mutant: Option<Mutant>) -> String {
    let mutant = mutant.map_or_else(String::new, |mutant| format!("SIMULATION_MUTANT={mutant:?} "));
    format!(
        "SIMULATION_SEED={seed} {mutant}cargo test -p tests --test simulation -- schedules --nocapture"
    )
}

/// Runs the seeds from 0 on all cores; returns the counts, and the first failure found.
fn run_all(schedules: u64) -> (Counts, Option<(u64, String)>) {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Counts::default(), None));
    let threads = env::var("SIMULATION_THREADS").ok().and_then(|text| text.parse().ok());
    let threads = threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    std::thread::scope(|scope| {
        for _ in 0..threads.unwrap_or(1) {
            scope.spawn(|| {
                let (mut counts, mut failure) = (Counts::default(), None);
                while failure.is_none() {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= schedules {
                        break;
                    }
                    let (counted, violation) = run(seed, None, false);
                    counts.merge(&counted);
                    failure = violation.map(|violation| (seed, violation));
                }
                if failure.is_some() {
                    next.store(schedules, Relaxed);
                }
                let mut total = total.lock().unwrap();
                total.0.merge(&counts);
                total.1 = total.1.take().into_iter().chain(failure).min();
            });
        }
    });
    total.into_inner().unwrap()
}

#[test]
fn schedules() {
    if let Some(seed) = setting("SIMULATION_SEED") {
        let (_, violation) = run(seed, mutant_of_the_environment(), true);
        return assert_eq!(violation, None);
    }
    let schedules = setting("SIMULATION_SCHEDULES").unwrap_or(SCHEDULES);
    let started = Instant::now();
    let (counts, failure) = run_all(schedules);
    let seconds = started.elapsed().as_secs_f64();
    println!("{schedules} schedules in {seconds:.1} s, {:.0} a second", schedules as f64 / seconds);
    for (text, count) in counts.iter() {
        println!("{count:>12} {text}");
    }
    if let Some((seed, violation)) = failure {
        panic!("{violation}\nreplay: {}", replay(seed, None));
    }
    let never: Vec<_> = counts.iter().filter(|(_, count)| *count == 0).collect();
    assert!(schedules < ENOUGH || never.is_empty(), "never occurred: {never:?}");
}

#[test]
fn a_schedule_replays_identically() {
    for seed in 0..50 {
        let counts = || run(seed, None, false).0.iter().collect::<Vec<_>>();
        assert_eq!(counts(), counts());
    }
}
