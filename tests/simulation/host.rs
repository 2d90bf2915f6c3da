//! An invocation of a function: the host it runs on, and through it the world.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use rules::{OperationId, ResourceId};
use world::{Host, Metric, Report};

use crate::events::Event;
use crate::history::{PutId, SendingId};
use crate::mutants::Mutant;
use crate::plan::Clock;
use crate::scheduler::{SECOND, Time};
use crate::world::World;

/// Longest time that a call takes whose own limit does not cut it off.
const ENDLESS: Time = 60 * SECOND;

/// What an invocation was told by its calls, for the checks of what it makes of that.
#[derive(Default)]
pub struct Told {
    /// What it found a resource at when its write was refused, and its clock then.
    pub refusals: RefCell<BTreeMap<ResourceId, (Option<OperationId>, Duration)>>,
    pub refused_calls: Cell<u32>,
    pub failed_calls: Cell<u32>,
    /// Whether a reply said that its own write landed.
    pub has_written: Cell<bool>,
    /// The operations whose work before the write was done.
    pub worked: RefCell<BTreeSet<OperationId>>,
    /// The operation that its key stands for.
    pub claimed: Cell<Option<OperationId>>,
}

/// One invocation, on a host with a clock of its own.
#[derive(Clone)]
pub struct Invocation {
    pub world: Rc<World>,
    pub name: &'static str,
    pub clock: Clock,
    /// The sending of a PUT that `put` answers.
    pub sending: Option<(PutId, SendingId)>,
    pub told: Rc<Told>,
    pub call_timeout: Time,
}

impl Invocation {
    /// An invocation of a function whose calls are cut off in time.
    pub fn new(world: &Rc<World>, name: &'static str, clock: Clock) -> Self {
        let (world, told) = (Rc::clone(world), Rc::default());
        let call_timeout = world.plan.call_timeout;
        Self { world, name, clock, sending: None, told, call_timeout }
    }

    /// An invocation that answers a request, whose calls may take longer than it has time.
    pub fn of_request(world: &Rc<World>, name: &'static str, clock: Clock) -> Self {
        let call_timeout = match world.plan.is_call_endless {
            true => ENDLESS,
            false => world.plan.call_timeout,
        };
        Self { call_timeout, ..Self::new(world, name, clock) }
    }

    pub fn trace(&self, what: impl FnOnce() -> String) {
        self.world.trace(self.name, what);
    }
}

impl Host for Invocation {
    fn now(&self) -> Duration {
        self.world.time_by(self.clock)
    }

    fn random(&self) -> u64 {
        if self.world.is(Mutant::RandomIsShared) { 7 } else { self.world.prng().next() }
    }

    async fn sleep(&self, pause: Duration) {
        self.world
            .scheduler
            .sleep(Time::try_from(pause.as_micros()).unwrap_or(Time::MAX / 2))
            .await;
    }

    fn report(&self, report: &Report<'_>) {
        for (metric, _) in &report.metrics {
            self.world.count(match metric {
                Metric::ClockLead => Event::ClockLead,
                Metric::ClockRefusals => Event::ClockRefusals,
                Metric::ClockSkews => Event::ClockSkews,
                Metric::Expired => Event::ExpiredDropped,
                Metric::Parked => Event::Parked,
                // The rest is counted where it is seen from outside.
                _ => continue,
            });
        }
    }
}
