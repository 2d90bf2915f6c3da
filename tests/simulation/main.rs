//! The rules under every schedule that a seed can think of.
//!
//! # What is modelled
//! The two DynamoDB tables, the queues `updates`, `dead-letters` and `parked`, the hosts
//! of `put`, `read` and `apply` with clocks of their own, `bury`, an operator, and
//! clients, as processes under one virtual time ([`scheduler`]). The processes make the
//! calls that the functions make, around the rules themselves: [`rules::Minter`],
//! [`rules::inline::InlineWrite`], [`rules::apply::Group`] (and through it
//! `verdict::judge`), [`rules::batch::groups`], [`rules::verdict::may_write`],
//! [`rules::Precondition`], [`rules::clock`], [`rules::status::State`] and
//! [`rules::backoff`]. No rule is written down a second time, but for the checks.
//!
//! A call is a request, its effect and a reply, as separate steps: it may be throttled,
//! meet a transaction conflict, find no connection, lose its request or its reply, or
//! take effect after its caller has timed out, retried, fallen back, answered or died. A
//! queue delivers in any order, late, twice, again after its visibility timeout, and
//! after a few receives to the dead letters; what was deleted may come back. Hosts of
//! `put`, workers and buries are killed between any two steps.
//!
//! # What is checked
//! After every step, what was written and said against what really happened, which
//! [`history`] knows. At the end all faults cease, everything is delivered, and each
//! operation must have met its fate. In seven of ten schedules the clocks keep within
//! the bound that the design assumes, and then order is checked too: whatever was
//! answered before a PUT was sent never wins over it. In the others they do not.
//!
//! # What is not modelled
//! Idempotency keys, expiry after days (retention, time to live), unreadable messages
//! and those of other versions, reads that are not strongly consistent, global tables,
//! more than ten operations of a user at a time, and how the SDK tells one error from
//! another. That the condition expressions are `may_write` is for the contract test.
//!
//! # How to replay
//! A failure prints the command. The same seed gives the same steps, to the microsecond.
//!
//! ```text
//! SIMULATION_SEED=42 cargo test -p tests --test simulation -- schedules --nocapture
//! SIMULATION_SEED=7 SIMULATION_MUTANT=LessOrEqual cargo test ... (a mutant's schedule)
//! SIMULATION_SCHEDULES=10000000 cargo test ... (or: make simulation SCHEDULES=10000000)
//! ```

mod apply;
mod bury;
mod clients;
mod events;
mod history;
mod mutants;
mod plan;
mod prng;
mod put;
mod queue;
mod scheduler;
mod tables;
mod world;

use std::env;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use crate::clients::Client;
use crate::events::Counts;
use crate::mutants::Mutant;
use crate::scheduler::{MS, SECOND};
use crate::world::{Host, World};

/// Schedules of a normal run.
const SCHEDULES: u64 = 200_000;

/// Schedules in which every event must have occurred.
const ENOUGH: u64 = 100_000;

/// No schedule of some ten requests takes more steps, unless something turns in circles.
const MOST_STEPS: u32 = 100_000;

/// Runs one schedule: what occurred, and the first check that failed.
fn run(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> (Counts, Option<String>) {
    let world = World::new(seed, mutant, is_traced);
    for (i, clock) in world.plan.apply_clocks.iter().enumerate() {
        let host = Host::new(format!("apply-{i}"), *clock);
        world.scheduler.spawn(None, apply::poll(Rc::clone(&world), host));
    }
    world.scheduler.spawn(None, bury::poll(Rc::clone(&world)));
    world.scheduler.spawn(None, bury::operate(Rc::clone(&world)));
    world.scheduler.spawn(None, direct(Rc::clone(&world)));
    let is_stopped = || {
        world.is_over.get()
            || world.history().violation.is_some()
            || world.scheduler.steps() > MOST_STEPS
    };
    world.scheduler.run(is_stopped);
    if world.is_over.get() {
        world.check_the_end();
    }
    let mut history = world.history();
    let turns = || (!world.is_over.get()).then(|| "end: it does not come to rest".to_owned());
    let violation = history.violation.take().or_else(turns);
    (history.counts.clone(), violation)
}

/// Lets the clients do their requests, ends all faults, and waits for the queues.
async fn direct(world: Rc<World>) {
    let put_hosts = world.plan.put_clocks.iter().enumerate();
    let put_hosts: Vec<_> =
        put_hosts.map(|(i, clock)| Host::new(format!("put-{i}"), *clock)).collect();
    let read_host = Host::new("read".to_owned(), world.plan.put_clocks[0]);
    let clients = world.plan.clients.iter().enumerate().map(|(i, requests)| {
        let client = Client {
            world: Rc::clone(&world),
            name: format!("client-{i}"),
            put_hosts: put_hosts.clone(),
            read_host: Rc::clone(&read_host),
            known: Vec::new(),
            accepted: Vec::new(),
        };
        let scheduler = &world.scheduler;
        scheduler.run_process(None, None, client.run(*requests))
    });
    scheduler::join_all(clients).await;
    world.trace("director", || "all requests are made; all faults end".to_owned());
    world.is_calm.set(true);
    world.updates.borrow_mut().duplicates = 0;
    world.dead_letters.borrow_mut().duplicates = 0;
    rest(&world).await;
    if world.plan.redrives_at_the_end {
        world.is_mended.set(world.plan.heals_at_the_end);
        bury::redrive(&world, 1000);
        rest(&world).await;
    }
    world.is_over.set(true);
}

/// Waits until nothing is under way.
async fn rest(world: &World) {
    while !world.is_quiet() {
        world.scheduler.sleep(10 * SECOND + MS).await;
    }
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

/// Runs the seeds from 0 on both cores; returns the counts, and the first failure found.
fn run_all(schedules: u64) -> (Counts, Option<(u64, String)>) {
    let next = AtomicU64::new(0);
    let total = Mutex::new((Counts::default(), None));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
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
    println!("{schedules} schedules in {:.1} s", started.elapsed().as_secs_f64());
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
