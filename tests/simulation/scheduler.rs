//! Runs processes in virtual time, one step at a time.
//!
//! A process is a future; a step is what it does between two points where it waits. The seed
//! decides everything that could differ between two runs: random delays determine which process
//! goes next, and events that are due at the same microsecond go in the order in which they began
//! to wait. To kill a process is to drop its future at a point where it waits; this does not recall
//! what the process has sent.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::{Either, LocalBoxFuture, abortable, pending, select};
use tokio::sync::oneshot;

/// Microseconds of true time since the start of the schedule.
pub type Time = u64;

pub const MS: Time = 1000;
pub const SECOND: Time = 1000 * MS;
pub const MINUTE: Time = 60 * SECOND;
pub const HOUR: Time = 60 * MINUTE;
pub const DAY: Time = 24 * HOUR;

/// What happens when. The number keeps the order of events that are due at the same time.
type Agenda = BTreeMap<(Time, u64), Box<dyn FnOnce()>>;
/// The processes that can continue, by their numbers.
type Ready = Arc<Mutex<VecDeque<usize>>>;

#[derive(Default)]
pub struct Scheduler {
    now: Cell<Time>,
    entries_so_far: Cell<u64>,
    agenda: RefCell<Agenda>,
    /// A process is taken out while it makes a step.
    processes: RefCell<Vec<Option<Process>>>,
    ready: Ready,
    steps: Cell<u32>,
    /// Whether the process that makes a step ends with it.
    is_dying: Rc<Cell<bool>>,
}

struct Process {
    future: LocalBoxFuture<'static, ()>,
    waker: Waker,
}

struct ProcessWaker(usize, Ready);

impl Wake for ProcessWaker {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push_back(self.0);
    }
}

#[derive(Default)]
struct Timer {
    has_fired: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// Why a process returned no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Killed,
    OutOfTime,
}

impl Scheduler {
    pub fn now(&self) -> Time {
        self.now.get()
    }

    pub fn steps(&self) -> u32 {
        self.steps.get()
    }

    /// Runs until nothing is left to do or `is_over`.
    pub fn run(&self, is_over: impl Fn() -> bool) {
        while !is_over() {
            let ready = self.ready.lock().unwrap().pop_front();
            if let Some(number) = ready {
                self.step(number);
                continue;
            }
            let next = self.agenda.borrow_mut().pop_first();
            let Some(((at, _), effect)) = next else { break };
            self.now.set(at);
            effect();
        }
    }

    fn step(&self, number: usize) {
        let Some(mut process) = self.processes.borrow_mut()[number].take() else { return };
        self.steps.set(self.steps.get() + 1);
        let mut context = Context::from_waker(&process.waker);
        if process.future.as_mut().poll(&mut context).is_pending() {
            self.processes.borrow_mut()[number] = Some(process);
        }
    }

    /// Drops everything under way: it refers to the world, and the world to this.
    pub fn clear(&self) {
        drop((self.processes.take(), self.agenda.take()));
    }

    /// Makes something happen `after` some time, also if processes are killed meanwhile.
    pub fn later(&self, after: Time, effect: impl FnOnce() + 'static) {
        let number = self.entries_so_far.get() + 1;
        self.entries_so_far.set(number);
        self.agenda.borrow_mut().insert((self.now() + after, number), Box::new(effect));
    }

    /// A sleep of zero is a step too, so others may go first.
    pub fn sleep(&self, time: Time) -> impl Future<Output = ()> + use<> {
        let timer = Rc::new(Timer::default());
        let firing = Rc::clone(&timer);
        self.later(time, move || {
            firing.has_fired.set(true);
            firing.waker.take().into_iter().for_each(Waker::wake);
        });
        std::future::poll_fn(move |context| {
            if timer.has_fired.get() {
                return Poll::Ready(());
            }
            timer.waker.set(Some(context.waker().clone()));
            Poll::Pending
        })
    }

    /// Starts a process.
    pub fn spawn(&self, process: impl Future<Output = ()> + 'static) {
        let mut processes = self.processes.borrow_mut();
        let waker = Waker::from(Arc::new(ProcessWaker(processes.len(), Arc::clone(&self.ready))));
        waker.wake_by_ref();
        processes.push(Some(Process { future: Box::pin(process), waker }));
    }

    /// The output of a future, unless it takes longer.
    pub async fn within<T>(&self, limit: Time, future: impl Future<Output = T>) -> Option<T> {
        match select(pin!(future), pin!(self.sleep(limit))).await {
            Either::Left((output, _)) => Some(output),
            Either::Right(_) => None,
        }
    }

    /// Runs a process, which is killed after `fuse` steps or at the `limit`.
    pub async fn run_process<T: 'static>(
        &self,
        fuse: Option<u32>,
        limit: Time,
        process: impl Future<Output = T> + 'static,
    ) -> Result<T, Lost> {
        let (end, ended) = oneshot::channel();
        let (process, abort) = abortable(mortal(Rc::clone(&self.is_dying), fuse, process));
        self.spawn(async move {
            if let Ok(Some(result)) = process.await {
                let _ = end.send(result);
            }
        });
        let ended = self.within(limit, ended).await;
        abort.abort();
        ended.ok_or(Lost::OutOfTime)?.map_err(|_| Lost::Killed)
    }

    /// Ends the process that awaits this.
    pub async fn die(&self) {
        self.is_dying.set(true);
        pending().await
    }
}

/// The result of a process, unless it dies or is killed after `fuse` steps.
async fn mortal<T>(
    is_dying: Rc<Cell<bool>>,
    mut fuse: Option<u32>,
    process: impl Future<Output = T>,
) -> Option<T> {
    let mut process = pin!(process);
    std::future::poll_fn(|context| {
        if fuse == Some(0) {
            return Poll::Ready(None);
        }
        fuse = fuse.map(|left| left - 1);
        let polled = process.as_mut().poll(context).map(Some);
        if is_dying.take() { Poll::Ready(None) } else { polled }
    })
    .await
}
