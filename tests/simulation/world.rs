//! What every process reaches: time, chance, the tables, the queues, and the network
//! between it and them.

use std::cell::{Cell, RefCell, RefMut};
use std::rc::Rc;
use std::time::Duration;

use rules::{Failure, Minter, OperationId, Precondition, Tick};

use crate::events::Event;
use crate::history::{History, PutId};
use crate::mutants::Mutant;
use crate::plan::{Clock, Plan};
use crate::prng::Prng;
use crate::queue::{Queue, Update};
use crate::scheduler::{MS, SECOND, Scheduler, Time};
use crate::tables::Tables;

/// True time at the start of a schedule.
const START: Duration = Duration::from_secs(1_800_000_000);

/// A machine with a clock of its own; `put` mints ids on it.
pub struct Host {
    pub name: String,
    clock: Clock,
    minter: RefCell<Minter>,
}

impl Host {
    pub fn new(name: String, clock: Clock) -> Rc<Self> {
        Rc::new(Self { name, clock, minter: RefCell::default() })
    }

    pub fn minter(&self) -> RefMut<'_, Minter> {
        self.minter.borrow_mut()
    }

    /// The process ends; the next one knows nothing of its ids.
    pub fn restart(&self) {
        *self.minter.borrow_mut() = Minter::default();
    }
}

pub struct World {
    pub plan: Plan,
    pub mutant: Option<Mutant>,
    pub is_traced: bool,
    pub scheduler: Scheduler,
    prng: RefCell<Prng>,
    tables: RefCell<Tables>,
    history: RefCell<History>,
    pub updates: RefCell<Queue>,
    pub dead_letters: RefCell<Queue>,
    pub parked: RefCell<Queue>,
    /// Whether the faults are over.
    pub is_calm: Cell<bool>,
    /// Whether what panicked or ended the process has been mended.
    pub is_mended: Cell<bool>,
    pub is_over: Cell<bool>,
    /// Requests that have still to take effect, and invocations.
    pub under_way: Cell<u32>,
}

/// How a call ends.
enum Fate {
    Failed(Failure, Event),
    RequestLost,
    ReplyLost,
    /// It takes effect when its caller no longer waits.
    Late,
    Replied,
}

impl World {
    pub fn new(seed: u64, mutant: Option<Mutant>, is_traced: bool) -> Rc<Self> {
        let mut prng = Prng::new(seed);
        let plan = Plan::new(&mut prng);
        let queue =
            |max_receives| RefCell::new(Queue::new(max_receives, plan.visibility, plan.duplicates));
        let history = History::new(&plan, is_traced);
        Rc::new(Self {
            updates: queue(plan.max_receives),
            dead_letters: queue(3),
            parked: queue(u32::MAX),
            history: RefCell::new(history),
            tables: RefCell::new(Tables::new(mutant)),
            prng: RefCell::new(prng),
            plan,
            mutant,
            is_traced,
            scheduler: Scheduler::default(),
            is_calm: Cell::new(false),
            is_mended: Cell::new(false),
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

    pub fn random(&self) -> u64 {
        self.prng().next()
    }

    /// Whether a fault occurs that does so `per_mille` of the time.
    pub fn fault(&self, per_mille: u64) -> bool {
        !self.is_calm.get() && self.prng().chance(per_mille)
    }

    pub fn history(&self) -> RefMut<'_, History> {
        self.history.borrow_mut()
    }

    pub fn count(&self, event: Event) {
        self.history().count(event);
    }

    pub fn trace(&self, who: &str, what: impl FnOnce() -> String) {
        if self.is_traced {
            let now = self.scheduler.now();
            println!("{:>6}.{:06} {who:<8} {}", now / 1_000_000, now % 1_000_000, what());
        }
    }

    pub fn now(&self) -> Time {
        self.scheduler.now()
    }

    /// True time since the Unix epoch, which is also the gateway's.
    pub fn true_time(&self) -> Duration {
        START + Duration::from_micros(self.now())
    }

    /// The time by the clock of `host`.
    pub fn time_of(&self, host: &Host) -> Duration {
        let now = i64::try_from(self.now()).unwrap_or(i64::MAX);
        let error = host.clock.offset + now / 1000 * host.clock.drift / 1000;
        let magnitude = Duration::from_micros(error.unsigned_abs());
        if error < 0 { self.true_time() - magnitude } else { self.true_time() + magnitude }
    }

    pub fn tick_of(&self, host: &Host) -> Tick {
        Tick::from_unix(self.time_of(host))
    }

    /// `Put::mint` of `functions/put`.
    pub fn mint(&self, host: &Host, put: PutId, precondition: &Precondition) -> OperationId {
        let (now, random) = (self.tick_of(host), self.random());
        let named = precondition.clone();
        let newest_tag = match self.mutant {
            Some(Mutant::IdIgnoresTags) => None,
            Some(Mutant::IdFollowsAnyTag) => named.newest_tag(),
            _ => named.without_future_tags(self.time_of(host)).newest_tag(),
        };
        let id = match newest_tag {
            Some(tag) => host.minter().mint_after(now, tag, random),
            None => host.minter().mint(now, random),
        };
        self.goes_by(host, put, id, precondition);
        id
    }

    pub fn goes_by(&self, host: &Host, put: PutId, id: OperationId, precondition: &Precondition) {
        self.trace(&host.name, || format!("#{put} goes by {id}"));
        self.history().on_id(put, id, precondition, self.time_of(host));
    }

    pub async fn sleep(&self, pause: Duration) {
        self.scheduler.sleep(u64::try_from(pause.as_micros()).unwrap_or(Time::MAX)).await;
    }

    pub fn delay(&self) -> Time {
        let longest = self.plan.longest_delay;
        self.prng().skewed(longest).max(1)
    }

    /// The pause of a poller that found nothing in `queue`.
    pub async fn idle(&self, queue: &RefCell<Queue>) {
        let longest = if self.is_calm.get() { 60 * SECOND } else { self.prng().skewed(2 * SECOND) };
        let pause = queue.borrow().time_to_next(self.now(), longest);
        let late = self.prng().range(1, 5 * MS);
        self.scheduler.sleep(pause + late).await;
    }

    /// After how many steps a process is killed, if it is.
    pub fn fuse(&self) -> Option<u32> {
        self.fault(self.plan.faults.kill).then(|| self.prng().range(1, 24) as u32)
    }

    /// A call on the tables in one step, whatever happens on the way to it and back.
    ///
    /// # Errors
    /// What the caller knows of a call that it got no reply to.
    pub async fn on_tables<T: 'static>(
        self: &Rc<Self>,
        who: &str,
        timeout: Time,
        call: impl FnOnce(&mut Tables, Time, &mut History) -> T + 'static,
    ) -> Result<T, Failure> {
        self.call(who, timeout, move |world| {
            call(&mut world.tables.borrow_mut(), world.now(), &mut world.history())
        })
        .await
    }

    /// `Queue::send` on one of the queues.
    pub async fn send(
        self: &Rc<Self>,
        who: &str,
        queue: impl Fn(&Self) -> &RefCell<Queue> + 'static,
        update: Update,
    ) -> Result<(), Failure> {
        self.call(who, self.plan.call_timeout, move |world| {
            let visible_at = world.now() + world.prng().skewed(world.plan.longest_queueing);
            queue(world).borrow_mut().send(update, visible_at);
        })
        .await
    }

    /// Sends a request, which takes effect as a process of its own: it outlives its
    /// caller, and may land when that no longer waits for it.
    pub async fn call<T: 'static>(
        self: &Rc<Self>,
        who: &str,
        timeout: Time,
        effect: impl FnOnce(&Rc<Self>) -> T + 'static,
    ) -> Result<T, Failure> {
        let fate = self.fate();
        let (to, fro) = (self.delay(), self.delay());
        let arrives = match fate {
            Fate::Failed(failure, event) => {
                self.count(event);
                self.scheduler.sleep(to.min(timeout)).await;
                self.trace(who, || format!("a call failed: {failure:?}"));
                return Err(failure);
            }
            Fate::RequestLost => {
                self.count(Event::RequestLost);
                self.scheduler.sleep(timeout).await;
                self.trace(who, || "a request was lost".to_owned());
                return Err(Failure::MayHaveLanded);
            }
            Fate::Late => timeout + self.prng().skewed(self.plan.longest_lateness),
            Fate::ReplyLost | Fate::Replied => to,
        };
        let reply = self.land_after(arrives, timeout, who, effect);
        self.scheduler.sleep((arrives + fro).min(timeout)).await;
        let reply = reply.take().filter(|_| !matches!(fate, Fate::ReplyLost));
        reply.ok_or_else(|| {
            self.count(Event::ReplyLost);
            self.trace(who, || "no reply".to_owned());
            Failure::MayHaveLanded
        })
    }

    fn land_after<T: 'static>(
        self: &Rc<Self>,
        delay: Time,
        timeout: Time,
        who: &str,
        effect: impl FnOnce(&Rc<Self>) -> T + 'static,
    ) -> Rc<Cell<Option<T>>> {
        let reply = Rc::new(Cell::new(None));
        let (world, replied, who) = (Rc::clone(self), Rc::clone(&reply), who.to_owned());
        self.under_way.set(self.under_way.get() + 1);
        self.scheduler.spawn(None, async move {
            world.scheduler.sleep(delay).await;
            if delay > timeout {
                world.count(Event::LateLanding);
                world.trace(&who, || "a late request lands".to_owned());
            }
            replied.set(Some(effect(&world)));
            world.under_way.set(world.under_way.get() - 1);
        });
        reply
    }

    fn fate(&self) -> Fate {
        let faults = &self.plan.faults;
        if self.fault(faults.throttled) {
            Fate::Failed(Failure::NotLanded, Event::Throttled)
        } else if self.fault(faults.conflict) {
            Fate::Failed(Failure::NotLanded, Event::Conflict)
        } else if self.fault(faults.no_connection) {
            Fate::Failed(Failure::NotLanded, Event::NoConnection)
        } else if self.fault(faults.never_lands) {
            Fate::Failed(Failure::NeverLands, Event::NeverLands)
        } else if self.fault(faults.request_lost) {
            Fate::RequestLost
        } else if self.fault(faults.reply_lost) {
            Fate::ReplyLost
        } else if self.fault(faults.late) {
            Fate::Late
        } else {
            Fate::Replied
        }
    }

    /// Whether nothing is left to be delivered.
    pub fn is_quiet(&self) -> bool {
        self.under_way.get() == 0
            && self.updates.borrow().is_empty()
            && self.dead_letters.borrow().is_empty()
    }

    pub fn check_the_end(&self) {
        let parked = self.parked.borrow();
        self.history().at_the_end(&self.tables.borrow(), |id| parked.holds(id));
    }
}

/// Longest time that a client waits for an answer.
pub const PATIENCE: Time = 29_000 * MS;
