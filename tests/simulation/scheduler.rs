//! Runs processes under a virtual time, one step at a time.
//!
//! A process is a future; a step is what it does between two points where it waits.
//! Everything that could differ between two runs is decided by the seed: which process
//! goes next follows from the random delays, and processes due at the same microsecond
//! go in the order they began to wait. Killing a process is dropping its future at a
//! point where it waits; what it has sent is not recalled by that.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Microseconds of true time since the start of the schedule.
pub type Time = u64;

pub const MS: Time = 1000;
pub const SECOND: Time = 1000 * MS;

type TaskId = usize;
type Process = Pin<Box<dyn Future<Output = ()>>>;

/// A process that is killed before the step at which `fuse` reaches zero.
struct Task {
    process: Process,
    fuse: Option<u32>,
}

#[derive(Default)]
pub struct Scheduler {
    now: Cell<Time>,
    wakes_so_far: Cell<u64>,
    steps: Cell<u32>,
    wakes: RefCell<BinaryHeap<Reverse<(Time, u64, TaskId)>>>,
    current: Cell<TaskId>,
    /// Spawned, but not yet taken over by [`Scheduler::run`].
    spawned: RefCell<Vec<Task>>,
    has_ended: RefCell<Vec<bool>>,
    /// Who waits for whose end: (awaited, waiting).
    waiters: RefCell<Vec<(TaskId, TaskId)>>,
    is_dying: Cell<bool>,
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
        let mut tasks: Vec<Option<Task>> = Vec::new();
        loop {
            tasks.extend(self.spawned.borrow_mut().drain(..).map(Some));
            let next = if is_over() { None } else { self.wakes.borrow_mut().pop() };
            let Some(Reverse((at, _, id))) = next else { break };
            let Some(task) = &mut tasks[id] else { continue };
            self.now.set(at);
            self.current.set(id);
            if self.step(task) {
                tasks[id] = None;
                self.end(id);
            }
        }
        // A process holds the world, and the world this: free both.
        self.spawned.borrow_mut().clear();
    }

    /// Whether the task has ended.
    fn step(&self, task: &mut Task) -> bool {
        self.steps.set(self.steps.get() + 1);
        if let Some(fuse) = &mut task.fuse {
            if *fuse == 0 {
                return true;
            }
            *fuse -= 1;
        }
        let mut context = Context::from_waker(Waker::noop());
        task.process.as_mut().poll(&mut context).is_ready() || self.is_dying.take()
    }

    fn end(&self, id: TaskId) {
        self.has_ended.borrow_mut()[id] = true;
        let mut waiters = self.waiters.borrow_mut();
        let (due, others) = waiters.iter().partition(|(awaited, _)| *awaited == id);
        *waiters = others;
        let due: Vec<(TaskId, TaskId)> = due;
        for (_, waiting) in due {
            self.wake_at(self.now(), waiting);
        }
    }

    fn wake_at(&self, at: Time, task: TaskId) {
        self.wakes_so_far.set(self.wakes_so_far.get() + 1);
        self.wakes.borrow_mut().push(Reverse((at, self.wakes_so_far.get(), task)));
    }

    /// Starts a process, which is killed after `fuse` steps if it has not ended by then.
    pub fn spawn(&self, fuse: Option<u32>, process: impl Future<Output = ()> + 'static) -> TaskId {
        let mut has_ended = self.has_ended.borrow_mut();
        let id = has_ended.len();
        has_ended.push(false);
        self.spawned.borrow_mut().push(Task { process: Box::pin(process), fuse });
        self.wake_at(self.now(), id);
        id
    }

    /// Starts a process and waits for its end; `None` if it was killed, or did not end
    /// by `patience` (then it goes on).
    pub async fn run_process<T: 'static>(
        &self,
        fuse: Option<u32>,
        patience: Option<Time>,
        process: impl Future<Output = T> + 'static,
    ) -> Option<T> {
        let result = Rc::new(Cell::new(None));
        let returned = Rc::clone(&result);
        let id = self.spawn(fuse, async move { returned.set(Some(process.await)) });
        Join { scheduler: self, id, until: patience.map(|for_| self.now() + for_), armed: false }
            .await;
        result.take()
    }

    pub async fn sleep(&self, for_: Time) {
        Sleep { scheduler: self, until: self.now() + for_, armed: false }.await;
    }

    /// Ends the process that awaits this.
    pub async fn die(&self) {
        self.is_dying.set(true);
        std::future::pending().await
    }
}

struct Sleep<'a> {
    scheduler: &'a Scheduler,
    until: Time,
    armed: bool,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.scheduler.now() >= self.until && self.armed {
            return Poll::Ready(());
        }
        // Also a sleep of no time is a step of its own, so that others may go first.
        if !std::mem::replace(&mut self.armed, true) {
            self.scheduler.wake_at(self.until, self.scheduler.current.get());
        }
        Poll::Pending
    }
}

struct Join<'a> {
    scheduler: &'a Scheduler,
    id: TaskId,
    until: Option<Time>,
    armed: bool,
}

impl Future for Join<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let scheduler = self.scheduler;
        let is_late = self.until.is_some_and(|until| scheduler.now() >= until);
        if scheduler.has_ended.borrow()[self.id] || is_late {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.armed, true) {
            let current = scheduler.current.get();
            scheduler.waiters.borrow_mut().push((self.id, current));
            if let Some(until) = self.until {
                scheduler.wake_at(until, current);
            }
        }
        Poll::Pending
    }
}

/// Runs parts of one process side by side.
pub async fn join_all<F: Future>(parts: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut parts: Vec<_> = parts.into_iter().map(|part| (Box::pin(part), None)).collect();
    std::future::poll_fn(move |context| {
        for (part, output) in parts.iter_mut().filter(|(_, output)| output.is_none()) {
            if let Poll::Ready(value) = part.as_mut().poll(context) {
                *output = Some(value);
            }
        }
        if parts.iter().any(|(_, output)| output.is_none()) {
            return Poll::Pending;
        }
        Poll::Ready(parts.iter_mut().filter_map(|(_, output)| output.take()).collect())
    })
    .await
}
