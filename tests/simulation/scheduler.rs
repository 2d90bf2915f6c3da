//! Runs processes under a virtual time, one step at a time.
//!
//! A process is a future; a step is what it does between two points where it waits.
//! Everything that could differ between two runs is decided by the seed: which process
//! goes next follows from the random delays, and what is due at the same microsecond goes
//! in the order in which it began to wait. Killing a process is dropping its future at a
//! point where it waits; what it has sent is not recalled by that.

use std::cell::{Cell, RefCell};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// Microseconds of true time since the start of the schedule.
pub type Time = u64;

pub const MS: Time = 1000;
pub const SECOND: Time = 1000 * MS;
pub const MINUTE: Time = 60 * SECOND;
pub const HOUR: Time = 60 * MINUTE;
pub const DAY: Time = 24 * HOUR;

pub type TaskId = usize;
type Process = Pin<Box<dyn Future<Output = ()>>>;

struct Task {
    process: Process,
    /// Steps until it is killed.
    fuse: Option<u32>,
    waker: Waker,
    is_queued: Arc<TaskWaker>,
}

/// Puts its task into the queue of those that can go on.
struct TaskWaker {
    id: TaskId,
    is_queued: AtomicBool,
    ready: Ready,
}

type Ready = Arc<Mutex<VecDeque<TaskId>>>;

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.is_queued.swap(true, Relaxed) {
            self.ready.lock().unwrap().push_back(self.id);
        }
    }
}

/// What is to happen at a certain time.
enum Due {
    Timer(Rc<Timer>),
    Effect(Box<dyn FnOnce()>),
}

#[derive(Default)]
struct Timer {
    has_fired: Cell<bool>,
    /// Absent once nobody waits for it any more.
    waker: RefCell<Option<Waker>>,
}

struct Entry {
    at: Time,
    number: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    /// The greatest is the one that is due first.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

/// How a process ended, and who waits for that.
#[derive(Default)]
struct End {
    has_ended: bool,
    waiting: Vec<Waker>,
}

#[derive(Default)]
pub struct Scheduler {
    now: Cell<Time>,
    entries_so_far: Cell<u64>,
    steps: Cell<u32>,
    agenda: RefCell<BinaryHeap<Entry>>,
    ready: Ready,
    /// A task is taken out while it makes a step.
    tasks: RefCell<Vec<Option<Task>>>,
    ends: RefCell<Vec<End>>,
    is_dying: Cell<bool>,
}

/// Why a process gave no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lost {
    Killed,
    /// It did not end in time, and was killed if it was so agreed.
    OutOfTime,
}

/// What becomes of a process that does not end in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    Endless,
    /// After this long nobody waits for it any more; it goes on.
    Leaves(Time),
    /// After this long it is killed.
    Kills(Time),
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
            if let Some(id) = ready {
                self.step(id);
                continue;
            }
            let Some(entry) = self.agenda.borrow_mut().pop() else { break };
            match entry.due {
                Due::Effect(effect) => {
                    self.now.set(entry.at);
                    effect();
                }
                Due::Timer(timer) => {
                    let Some(waker) = timer.waker.borrow_mut().take() else { continue };
                    self.now.set(entry.at);
                    timer.has_fired.set(true);
                    waker.wake();
                }
            }
        }
    }

    /// Forgets all that is under way: processes hold the world, and the world this.
    pub fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        let agenda = std::mem::take(&mut *self.agenda.borrow_mut());
        drop((tasks, agenda));
        self.ends.borrow_mut().clear();
    }

    fn step(&self, id: TaskId) {
        let Some(mut task) = self.tasks.borrow_mut()[id].take() else { return };
        self.steps.set(self.steps.get() + 1);
        task.is_queued.is_queued.store(false, Relaxed);
        if let Some(fuse) = &mut task.fuse {
            if *fuse == 0 {
                drop(task);
                return self.end(id);
            }
            *fuse -= 1;
        }
        let waker = task.waker.clone();
        let has_ended = task.process.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        if self.is_dying.take() || has_ended {
            drop(task);
            self.end(id);
        } else {
            self.tasks.borrow_mut()[id] = Some(task);
        }
    }

    fn end(&self, id: TaskId) {
        let mut ends = self.ends.borrow_mut();
        ends[id].has_ended = true;
        for waker in std::mem::take(&mut ends[id].waiting) {
            waker.wake();
        }
    }

    fn kill(&self, id: TaskId) {
        let task = self.tasks.borrow_mut()[id].take();
        if task.is_some() {
            drop(task);
            self.end(id);
        }
    }

    fn add(&self, at: Time, due: Due) {
        let number = self.entries_so_far.get() + 1;
        self.entries_so_far.set(number);
        self.agenda.borrow_mut().push(Entry { at, number, due });
    }

    /// Lets something happen `after` some time, whoever is killed meanwhile.
    pub fn later(&self, after: Time, effect: impl FnOnce() + 'static) {
        self.add(self.now() + after, Due::Effect(Box::new(effect)));
    }

    /// Starts a process, which is killed after `fuse` steps if it has not ended by then.
    pub fn spawn(&self, fuse: Option<u32>, process: impl Future<Output = ()> + 'static) -> TaskId {
        let id = self.tasks.borrow().len();
        let ready = Arc::clone(&self.ready);
        let is_queued = Arc::new(TaskWaker { id, is_queued: AtomicBool::new(false), ready });
        let waker = Waker::from(Arc::clone(&is_queued));
        waker.wake_by_ref();
        let task = Task { process: Box::pin(process), fuse, waker, is_queued };
        self.tasks.borrow_mut().push(Some(task));
        self.ends.borrow_mut().push(End::default());
        id
    }

    /// Starts a process at once; the future waits for its end.
    pub fn run_process<T: 'static>(
        &self,
        fuse: Option<u32>,
        patience: Patience,
        process: impl Future<Output = T> + 'static,
    ) -> impl Future<Output = Result<T, Lost>> {
        let result = Rc::new(Cell::new(None));
        let returned = Rc::clone(&result);
        let id = self.spawn(fuse, async move { returned.set(Some(process.await)) });
        let limit = match patience {
            Patience::Endless => None,
            Patience::Leaves(limit) | Patience::Kills(limit) => Some(self.sleep(limit)),
        };
        async move {
            let has_ended = Join { scheduler: self, id, limit }.await;
            if !has_ended && matches!(patience, Patience::Kills(_)) {
                self.kill(id);
            }
            let lost = if has_ended { Lost::Killed } else { Lost::OutOfTime };
            result.take().ok_or(lost)
        }
    }

    /// Also a sleep of no time is a step of its own, so that others may go first.
    pub fn sleep(&self, for_: Time) -> Sleep<'_> {
        Sleep { scheduler: self, until: self.now() + for_, timer: None }
    }

    /// Ends the process that awaits this.
    pub async fn die(&self) {
        self.is_dying.set(true);
        std::future::pending().await
    }
}

pub struct Sleep<'a> {
    scheduler: &'a Scheduler,
    until: Time,
    timer: Option<Rc<Timer>>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.clone().unwrap_or_else(|| {
            let timer = Rc::new(Timer::default());
            self.scheduler.add(self.until, Due::Timer(Rc::clone(&timer)));
            self.timer = Some(Rc::clone(&timer));
            timer
        });
        if timer.has_fired.get() {
            return Poll::Ready(());
        }
        let mut waker = timer.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(timer) = &self.timer {
            timer.waker.borrow_mut().take();
        }
    }
}

/// Waits for the end of a process, or for the limit; tells whether it has ended.
struct Join<'a> {
    scheduler: &'a Scheduler,
    id: TaskId,
    limit: Option<Sleep<'a>>,
}

impl Future for Join<'_> {
    type Output = bool;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<bool> {
        let mut ends = self.scheduler.ends.borrow_mut();
        let end = &mut ends[self.id];
        if end.has_ended {
            return Poll::Ready(true);
        }
        end.waiting.push(context.waker().clone());
        drop(ends);
        let is_late =
            self.limit.as_mut().is_some_and(|limit| Pin::new(limit).poll(context).is_ready());
        if is_late { Poll::Ready(false) } else { Poll::Pending }
    }
}

/// Lets those wait who need something that is not there yet.
#[derive(Default)]
pub struct Bell(RefCell<Vec<Waker>>);

impl Bell {
    pub fn ring(&self) {
        for waker in self.0.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    /// Waits until it rings. One that rings without need is heard too.
    pub async fn wait(&self) {
        let mut has_waited = false;
        std::future::poll_fn(|context| {
            if std::mem::replace(&mut has_waited, true) {
                return Poll::Ready(());
            }
            self.0.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
