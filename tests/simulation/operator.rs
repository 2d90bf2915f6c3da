//! The operator, who moves parked messages back, and the director of a schedule.

use std::rc::Rc;

use crate::clients::Client;
use crate::events::Event;
use crate::gateway;
use crate::plan::Days;
use crate::scheduler::{DAY, HOUR, MINUTE, MS, SECOND, Time};
use crate::world::World;

/// From the first request until keys have expired, by any clock.
const UNTIL_KEYS_EXPIRE: Time = 25 * HOUR;

/// Ages at which statuses are read at the end.
const AGES: [Time; 8] =
    [31 * DAY, 32 * DAY + 30 * MINUTE, 33 * DAY, 43 * DAY, 45 * DAY, 59 * DAY, 75 * DAY, 120 * DAY];

/// Moves parked messages back now and then while clients are at work.
pub async fn operate(world: Rc<World>) {
    let rounds = world.prng().range(0, 4);
    for _ in 0..rounds {
        world.pause(60 * SECOND).await;
        if !world.is_calm.get() {
            redrive(&world, 500);
        }
    }
}

/// Moves each parked message back with a chance of `per_mille`.
fn redrive(world: &World, per_mille: u64) {
    world.parked.drop_old(world);
    for mut message in world.parked.take(|| world.prng().chance(per_mille)) {
        world.count(Event::Redriven);
        world.trace("operator", || format!("redrives {}", message.name()));
        if world.is_fixed.get() && message.has_version("3") {
            // From now on there is code that can read that version.
            message.set_version("1");
        }
        world.updates.take_over(message, world.now(), false);
    }
}

/// Waits until the clients have made their requests, ends all faults, and waits for the queues.
pub async fn direct(world: Rc<World>) {
    let clients = world.plan.clients.iter().enumerate();
    let clients =
        clients.map(|(i, requests)| Client::new(&world, format!("client-{i}")).run(*requests));
    futures_util::future::join_all(clients).await;
    if world.plan.days.is_some() && !world.history().keyed(|_| true).is_empty() {
        world.scheduler.sleep(UNTIL_KEYS_EXPIRE).await;
        world.history().is_late = true;
        Client::new(&world, "client-9".to_owned()).run_late().await;
    }
    world.trace("director", || "all requests are made; all faults end".to_owned());
    world.is_calm.set(true);
    rest(&world).await;
    if let Some(days) = &world.plan.days {
        let_days_pass(&world, days).await;
    }
    if world.plan.redrives_at_the_end {
        world.is_fixed.set(world.is_fixed.get() || world.plan.heals_at_the_end);
        redrive(&world, 1000);
        rest(&world).await;
    }
    if world.plan.days.is_some() {
        for age in AGES {
            let pause = age.saturating_sub(world.now());
            world.scheduler.sleep(pause).await;
            read_statuses(&world).await;
        }
    }
    world.parked.drop_old(&world);
    world.is_over.set(true);
}

async fn let_days_pass(world: &Rc<World>, days: &Days) {
    for (round, pause) in days.rounds.iter().enumerate() {
        world.scheduler.sleep(*pause).await;
        read_statuses(world).await;
        if world.prng().chance(500) {
            let client = Client::new(world, "client-8".to_owned());
            let requests = world.prng().range(1, 2);
            client.run_without_keys(requests).await;
        }
        if round == days.fixed_before {
            world.is_fixed.set(true);
        }
        redrive(world, 800);
        rest(world).await;
    }
}

/// Reads half of the statuses, and cancels some operations.
async fn read_statuses(world: &Rc<World>) {
    let located = world.history().located(|_| true);
    for (resource, id) in located {
        if world.prng().chance(world.plan.odds[Event::AskedToCancel as usize] / 2) {
            gateway::cancel(world, "watcher", &resource, id).await;
        }
        if world.prng().chance(500) {
            continue;
        }
        gateway::read_status(world, "watcher", &resource, id).await;
    }
}

/// Waits until nothing is under way.
async fn rest(world: &World) {
    let mut pause = SECOND + MS;
    while !world.is_quiet() {
        world.scheduler.sleep(pause).await;
        pause = (pause * 2).min(HOUR);
    }
}
