//! What every process can reach: time, chance, the tables and the queues.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use crate::events::Event;
use crate::history::History;
use crate::mutants::Mutant;
use crate::plan::{Clock, Plan};
use crate::prng::Prng;
use crate::queue::Queue;
use crate::scheduler::{MS, Scheduler, Time};
use crate::tables::Tables;

/// True time at the start of a schedule.
const START: Duration = Duration::from_secs(1_800_000_000);

/// One schedule of so many has a plan for stress.
const STRESSED: u64 = 12;

pub struct World {
    pub plan: Plan,
    pub mutant: Option<Mutant>,
    pub is_traced: bool,
    pub scheduler: Scheduler,
    prng: RefCell<Prng>,
    pub tables: RefCell<Tables>,
    history: RefCell<History>,
    pub updates: Queue,
    pub dead_letters: Queue,
    pub parked: Queue,
    /// Whether the faults are over.
    pub is_calm: Cell<bool>,
    /// Whether everything that failed by its own fault has been fixed.
    pub is_fixed: Cell<bool>,
    pub is_over: Cell<bool>,
    /// Calls that have yet to take effect, and invocations.
    pub under_way: Cell<u32>,
}

impl World {
    pub fn new(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> Rc<Self> {
        let mut prng = Prng::new(seed);
        let is_stressed = seed.is_multiple_of(STRESSED);
        let plan = if is_stressed { Plan::stressed(&mut prng) } else { Plan::new(&mut prng) };
        let (most, of_dead_letters) = plan.max_receives;
        let of_dead_letters = match mutant {
            Some(Mutant::DeadLettersAllowFewer) => most.div_ceil(3),
            _ => of_dead_letters,
        };
        Rc::new(Self {
            updates: Queue::new("updates", most),
            dead_letters: Queue::new("dead-letters", of_dead_letters),
            parked: Queue::new("parked", u32::MAX),
            history: RefCell::new(History::new(&plan, is_traced)),
            tables: RefCell::new(Tables::new(mutant)),
            prng: RefCell::new(prng),
            plan,
            mutant,
            is_traced,
            scheduler: Scheduler::default(),
            is_calm: Cell::new(false),
            is_fixed: Cell::new(false),
            is_over: Cell::new(false),
            under_way: Cell::new(0),
        })
    }

    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }

    pub fn prng(&self) -> RefMut<'_, Prng> {
        self.prng.borrow_mut()
    }

    /// Whether something happens, by the odds of the plan.
    pub fn happens(&self, event: Event) -> bool {
        let is_so = self.prng().chance(self.plan.odds[event as usize]);
        if is_so {
            self.count(event);
        }
        is_so
    }

    /// Whether something goes wrong, by the odds of the plan, while faults are on.
    pub fn fails(&self, event: Event) -> bool {
        !self.is_calm.get() && self.happens(event)
    }

    pub fn history(&self) -> RefMut<'_, History> {
        self.history.borrow_mut()
    }

    pub fn count(&self, event: Event) {
        self.history().count(event);
    }

    pub fn trace(&self, who: &str, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{} {who:<9} {}", written_time(self.now()), what());
        }
    }

    pub fn now(&self) -> Time {
        self.scheduler.now()
    }

    pub fn true_time(&self) -> Duration {
        since_epoch(self.now())
    }

    /// The time by a clock.
    pub fn time_by(&self, clock: Clock) -> Duration {
        let error = clock.error_at(self.now());
        let magnitude = Duration::from_micros(error.unsigned_abs());
        if error < 0 { self.true_time() - magnitude } else { self.true_time() + magnitude }
    }

    pub fn delay(&self) -> Time {
        self.prng().skewed(self.plan.longest_delay).max(1)
    }

    /// The number of steps after which a process is killed, if it is.
    pub fn fuse(&self) -> Option<u32> {
        self.fails(Event::Doomed).then(|| self.prng().range(1, 24) as u32)
    }

    /// A pause of a process that does something now and then.
    pub async fn pause(&self, longest: Time) {
        let pause = self.prng().skewed(longest).max(MS);
        self.scheduler.sleep(pause).await;
    }

    pub fn begin(&self) {
        self.under_way.set(self.under_way.get() + 1);
    }

    pub fn finish(&self) {
        self.under_way.set(self.under_way.get() - 1);
    }

    /// Whether nothing is left to be delivered.
    pub fn is_quiet(&self) -> bool {
        self.under_way.get() == 0 && self.updates.is_empty() && self.dead_letters.is_empty()
    }
}

/// True time since the Unix epoch, at a time of the schedule.
pub fn since_epoch(at: Time) -> Duration {
    START + Duration::from_micros(at)
}

/// The time of the schedule at this true time, if it has begun by then.
pub fn time_of(since_epoch: Duration) -> Time {
    since_epoch.saturating_sub(START).as_micros() as Time
}

/// A time as a trace shows it.
pub fn written_time(at: Time) -> String {
    format!("{:>8}.{:06}", at / 1_000_000, at % 1_000_000)
}
