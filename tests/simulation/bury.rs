//! `bury`, which gives dead letters a provisional outcome and parks them, and the
//! operator, who moves parked messages back.

use std::cell::RefCell;
use std::rc::Rc;

use rules::Failure;
use rules::status::Outcome;

use crate::events::Event;
use crate::mutants::Mutant;
use crate::queue::{Queue, Record};
use crate::scheduler::{MS, SECOND};
use crate::tables::{Grounds, OutcomeItem};
use crate::world::World;

const NAME: &str = "bury";

pub async fn poll(world: Rc<World>) {
    while !world.is_over.get() {
        let received = world.dead_letters.borrow_mut().receive(world.now(), &mut world.prng());
        for update in received.redrive {
            world.count(Event::ParkedUnburied);
            world.parked.borrow_mut().send(update, world.now());
        }
        if received.records.is_empty() {
            world.idle(&world.dead_letters).await;
            continue;
        }
        world.under_way.set(world.under_way.get() + 1);
        let (here, fuse) = (Rc::clone(&world), world.fuse());
        let handler = async move {
            for record in received.records {
                // What fails stays and is received again.
                let _ = bury(&here, record).await;
            }
        };
        if world.scheduler.run_process(fuse, None, handler).await.is_none() {
            world.count(Event::BuryKilled);
        }
        world.under_way.set(world.under_way.get() - 1);
    }
}

/// `Bury::bury`: writes a provisional outcome where no final one exists and parks the message; drops
/// it where one does.
async fn bury(world: &Rc<World>, record: Record) -> Result<(), Failure> {
    let id = record.update.id;
    let is_provisional = !world.is(Mutant::BuryIsFinal);
    let item = OutcomeItem { outcome: Outcome::Failed, is_provisional, grounds: Grounds::Buried };
    let timeout = world.plan.call_timeout;
    let call = world.on_tables(NAME, timeout, move |tables, now, history| {
        tables.record(id, item, now, history)
    });
    if call.await? {
        world.send(NAME, parked, record.update).await?;
    } else {
        world.count(Event::BuriedDecided);
    }
    world
        .call(NAME, timeout, move |world| world.dead_letters.borrow_mut().delete(record.message))
        .await
}

fn parked(world: &World) -> &RefCell<Queue> {
    &world.parked
}

/// Moves parked messages back now and then while clients are at work.
pub async fn operate(world: Rc<World>) {
    while !world.is_calm.get() {
        let pause = world.prng().skewed(30 * SECOND).max(10 * MS);
        world.scheduler.sleep(pause).await;
        if world.prng().chance(500) {
            redrive(&world, 500);
        }
    }
}

/// Moves each parked message back with a chance of `per_mille`.
pub fn redrive(world: &World, per_mille: u64) {
    let taken = world.parked.borrow_mut().take(|| world.prng().chance(per_mille));
    for update in taken {
        world.count(Event::Redriven);
        world.trace("operator", || format!("redrives #{}", update.put));
        world.updates.borrow_mut().send(update, world.now());
    }
}
