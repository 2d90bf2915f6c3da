//! An invocation of a function: the host it runs on, and its way to the world.

use std::rc::Rc;
use std::time::Duration;

use rules::OperationId;
use world::{Host, Metric, Report};

use crate::events::Event;
use crate::history::{PutId, SendingId};
use crate::mutants::Mutant;
use crate::plan::Clock;
use crate::scheduler::{MS, SECOND, Time};
use crate::told::Told;
use crate::world::World;

/// Longest time of a call that its own limit does not cut off.
const ENDLESS: Time = 60 * SECOND;

/// One invocation, on a host with its own clock.
#[derive(Clone)]
pub struct Invocation {
    pub world: Rc<World>,
    pub name: &'static str,
    pub clock: Clock,
    /// The sending of a PUT that `put` answers.
    pub sending: Option<(PutId, SendingId)>,
    /// The operation that `put` is asked to cancel.
    pub cancels: Option<OperationId>,
    /// How long the client of that operation waits before it is queued.
    pub wait: Option<Duration>,
    pub told: Rc<Told>,
    pub call_timeout: Time,
    /// When it began, in true time and by its host's clock.
    pub begun: Time,
    pub begun_by_host: Duration,
    /// When Lambda ends it, in ms by its host's clock.
    pub deadline_ms: u64,
}

impl Invocation {
    /// An invocation of a function that may run for this time and cuts its calls off in time.
    pub fn new(world: &Rc<World>, name: &'static str, clock: Clock, timeout: Time) -> Self {
        let (world, told) = (Rc::clone(world), Rc::default());
        let call_timeout = world.plan.call_timeout;
        let (begun, begun_by_host) = (world.now(), world.time_by(clock));
        let deadline_ms = begun_by_host.as_millis() as u64 + timeout / MS;
        Self {
            world,
            name,
            clock,
            sending: None,
            cancels: None,
            wait: None,
            told,
            call_timeout,
            begun,
            begun_by_host,
            deadline_ms,
        }
    }

    /// An invocation that answers a request. Its calls may take longer than the time it has.
    pub fn of_request(world: &Rc<World>, name: &'static str, clock: Clock, timeout: Time) -> Self {
        let call_timeout = match world.plan.is_call_endless {
            true => ENDLESS,
            false => world.plan.call_timeout,
        };
        Self { call_timeout, ..Self::new(world, name, clock, timeout) }
    }

    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }

    pub fn time_left(&self) -> Duration {
        self.deadline().saturating_sub(self.now())
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
                Metric::ClockSkews => Event::ClockSkews,
                Metric::Expired => Event::ExpiredDropped,
                Metric::Parked => Event::Parked,
                Metric::Deleted => Event::DeletedMeasured,
                Metric::Cancelled => Event::CancelledMeasured,
                // The rest is counted where it is seen from outside.
                _ => continue,
            });
        }
    }
}
