//! The functions under seeded schedules.
//!
//! # What runs
//! The code of `put`, `apply`, `park` and `read` itself runs, from the request to the response and
//! from a batch of messages to the answer to it. It runs in a simulated world behind the seam of
//! `crates/world`: hosts and gateways, each with its own clock, the two DynamoDB tables, the queues
//! `updates`, `dead-letters` and `parked` with the event sources that poll them, an operator, and
//! clients. All are processes under one virtual time ([`scheduler`]). Nothing of a function is
//! written a second time.
//!
//! A call is a request, its effect and a reply, as separate steps. It may be throttled, find no
//! connection, or lose its request or its reply. It may take effect after its caller has timed out,
//! retried, fallen back, answered or died. A request may be held up between gateway and function
//! for minutes, and its client may give it up and send the next one. A queue delivers in any order,
//! late, twice, again after its visibility timeout, and after a few receives to the dead letters;
//! it forgets after 14 days. A deleted message may come back. Some messages are of another version
//! or unreadable. Invocations are killed between any two steps. The PUTs include every kind of
//! DELETE, and clients cancel operations, in some schedules weeks later. DynamoDB removes an
//! expired tombstone at once, late or never. In some schedules the resource has an update, which
//! may refuse, delay, hang, panic or end the process, in `put` as in `apply`. One schedule in 12 is
//! for stress: a race of many PUTs of one resource; an outage after which odd operations come back
//! again and again, from a queue that gives up as late as the deployed one; or weeks after which
//! operations are carried out that are nearly too old.
//!
//! # What is checked
//! After every step, all writes and answers are checked against what really happened, which
//! [`history`] knows. At the end all faults stop, everything is delivered, and each operation must
//! have its outcome; in some schedules months pass. In eight of ten schedules the gateway's clocks
//! stay within the bound that the order assumes. Then order is checked too: a request that had
//! ended before a PUT was sent never wins over that PUT. In all schedules, whatever the clocks of
//! the hosts say:
//!
//! - a PUT overwrites nothing that arrived more than a second after it by the gateway's clocks,
//! - nothing lands that is cancelled,
//! - nothing lands that is older than an earlier state of its resource, also after a tombstone is
//!   removed,
//! - nothing is written without its update,
//! - an update sees the id that its operation was made with.
//!
//! # What is not modelled
//! How the SDK tells one error from another, more than 99 operations of a resource in a batch, a
//! host with a jumping clock, and deployments of the functions. [`contract`] checks that the
//! simulated tables behave like real ones.
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
mod contract;
mod event_source;
mod events;
mod gateway;
mod history;
mod host;
mod http;
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

use crate::events::{PerEvent, TEXTS};
use crate::mutants::Mutant;
use crate::world::World;

/// Schedules of a normal run. Every event must occur in them.
const SCHEDULES: u64 = 60_000;

/// No schedule of some ten requests takes more steps, unless it loops.
const MOST_STEPS: u32 = 200_000;

/// Runs one schedule; returns what occurred, and the first check that failed.
fn run(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> (PerEvent, Option<String>) {
    let world = World::new(seed, mutant, is_traced);
    for (name, clock) in ["apply-0", "apply-1"].into_iter().zip(&world.plan.apply_clocks) {
        let source = event_source::apply(&world, name, *clock);
        world.scheduler.spawn(source.poll(Rc::clone(&world)));
    }
    world.scheduler.spawn(event_source::park(&world).poll(Rc::clone(&world)));
    world.scheduler.spawn(operator::operate(Rc::clone(&world)));
    world.scheduler.spawn(operator::direct(Rc::clone(&world)));
    let is_stopped = || {
        world.is_over.get()
            || world.history().violation.is_some()
            || world.scheduler.steps() > MOST_STEPS
    };
    let ended = catch_unwind(AssertUnwindSafe(|| world.scheduler.run(is_stopped)));
    world.scheduler.clear();
    let mut history = world.history();
    if world.is_over.get() {
        history.at_the_end(world.now(), |name| world.parked.holds(name));
    }
    if ended.is_err() {
        history.violate(|| "panic: a function panicked".to_owned());
    }
    if !world.is_over.get() {
        history.violate(|| "end: it does not come to rest".to_owned());
    }
    (history.counts, history.violation.take())
}

fn setting(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name} is not a number: {text}")))
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

/// Runs the seeds from 0 on all cores; returns the counts and the first failure.
fn run_all(schedules: u64) -> (PerEvent, Option<(u64, String)>) {
    let next = AtomicU64::new(0);
    let total = Mutex::new(([0; TEXTS.len()], None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..setting("SIMULATION_THREADS").map_or(threads, |threads| threads as usize) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Relaxed);
                    if seed >= schedules {
                        break;
                    }
                    let (counts, violation) = run(seed, None, false);
                    let (sums, failure): &mut (PerEvent, Option<(u64, String)>) =
                        &mut total.lock().unwrap();
                    sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
                    if let Some(violation) = violation {
                        next.store(schedules, Relaxed);
                        *failure = failure.take().into_iter().chain([(seed, violation)]).min();
                    }
                }
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
    for (text, count) in TEXTS.iter().zip(counts) {
        println!("{count:>12} {text}");
    }
    if let Some((seed, violation)) = failure {
        panic!("{violation}\nreplay: {}", replay(seed, None));
    }
    let never: Vec<_> = TEXTS.iter().zip(counts).filter(|(_, count)| *count == 0).collect();
    assert!(schedules < SCHEDULES || never.is_empty(), "never occurred: {never:?}");
}

#[test]
fn a_schedule_replays_identically() {
    for seed in 0..50 {
        let counts = || run(seed, None, false).0;
        assert_eq!(counts(), counts());
    }
}
