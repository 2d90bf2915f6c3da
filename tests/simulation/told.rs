//! What an invocation learnt from its calls, and what it may therefore do.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use rules::outcome::Recorded;
use rules::{Operation, OperationId, Precondition, ResourceId, Version};
use world::Host as _;

use crate::events::Event;
use crate::host::Invocation;

/// The parts of an invocation's time that are reserved (separate from the constants of the
/// functions).
const TO_ANSWER: Duration = Duration::from_secs(1);
const TO_APPLY: Duration = Duration::from_secs(5);
const TO_WRITE: Duration = Duration::from_secs(4);
const TO_QUEUE: Duration = Duration::from_secs(4);

/// What an invocation learnt from its calls.
#[derive(Default)]
pub struct Told {
    /// The version at which it last found each resource.
    pub met: RefCell<BTreeMap<ResourceId, Option<Version>>>,
    /// What it found when it looked, before an update that has not run yet.
    looks: RefCell<BTreeMap<ResourceId, Look>>,
    pub calls: Cell<u32>,
    pub refused_calls: Cell<u32>,
    pub failed_calls: Cell<u32>,
    /// Whether a reply said that its own write landed.
    pub has_written: Cell<bool>,
    is_to_be_queued: Cell<bool>,
    /// The operation that a queue has taken.
    pub sent: Cell<Option<OperationId>>,
    /// The origins of the operations whose update ended as done.
    pub updated: RefCell<BTreeSet<OperationId>>,
    /// Whether an update asked to be tried later, or was cut off.
    pub has_tried_later: Cell<bool>,
    /// The operation that its key belongs to.
    pub claimed: Cell<Option<OperationId>>,
    /// When `put` made its first call to write, or to look before it.
    first_try: Cell<Option<Duration>>,
    /// The operations that `apply` received.
    batch: RefCell<BTreeMap<ResourceId, BTreeSet<OperationId>>>,
}

/// What a look before an update has found.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// The operation that it was for, if the call named one.
    pub of: Option<OperationId>,
    pub stored: Option<Version>,
    pub is_decided: bool,
}

impl Told {
    /// It receives these messages.
    pub fn is_given(&self, messages: &[SqsMessage]) {
        let is_conditional =
            |message: &SqsMessage| message.message_attributes.contains_key("precondition");
        if !messages.iter().any(is_conditional) {
            return;
        }
        for operation in messages.iter().filter_map(|message| queues::message::read(message).ok()) {
            self.batch.borrow_mut().entry(operation.resource).or_default().insert(operation.id);
        }
    }
}

impl Invocation {
    fn is_apply(&self) -> bool {
        self.name.starts_with("apply")
    }

    fn check(&self, is_true: bool, says: impl FnOnce() -> String) {
        if !is_true {
            self.world.history().violate(says);
        }
    }

    pub fn has_met(&self, resource: &ResourceId, stored: Option<Version>) {
        self.told.met.borrow_mut().insert(resource.clone(), stored);
        self.trace(|| format!("meets {resource} at {stored:?}"));
    }

    pub fn is_refused(&self, resource: &ResourceId, stored: Option<Version>) {
        self.told.refused_calls.set(self.told.refused_calls.get() + 1);
        self.has_met(resource, stored);
    }

    /// It has looked at a resource and, if that was for an operation, at the record of it.
    pub fn has_looked(
        &self,
        resource: &ResourceId,
        of: Option<OperationId>,
        stored: Option<Version>,
        recorded: Option<&Recorded>,
    ) {
        self.has_met(resource, stored);
        let is_decided = matches!(recorded, Some(Recorded::Decided(_)));
        self.told.looks.borrow_mut().insert(resource.clone(), Look { of, stored, is_decided });
    }

    /// It has answered.
    pub fn is_in_time(&self) {
        let is_late = self.now().as_millis() as u64 > self.deadline_ms;
        self.check(!is_late, || format!("deadline: {} answered after it", self.name));
    }

    /// A call is about to begin.
    pub fn about_to_call(&self, action: &'static str) {
        self.told.calls.set(self.told.calls.get() + 1);
        self.check(self.time_left() >= TO_ANSWER, || format!("deadline: {action} begins after it"));
    }

    /// Until when an operation may be tried, by the host's clock.
    fn tries_until(&self) -> Duration {
        let answer = self.deadline().saturating_sub(TO_ANSWER);
        match (self.wait, self.told.first_try.get()) {
            (Some(wait), Some(first)) => (first + wait).min(answer - TO_QUEUE),
            _ if self.is_apply() => answer.saturating_sub(TO_APPLY),
            _ => answer,
        }
    }

    /// It is about to look at an operation, or to write it.
    pub fn about_to_try(&self, resource: &ResourceId) {
        let now = self.now();
        if self.told.first_try.get().is_none() {
            self.told.first_try.set(Some(now));
        }
        let until = self.tries_until();
        self.check(now <= until, || {
            format!("time: {} tries {resource} at {now:?}, not until {until:?}", self.name)
        });
    }

    /// It is about to look before an update.
    pub fn about_to_look(&self, resource: &ResourceId) {
        self.check(self.world.plan.has_update, || {
            format!("look: {} looks at {resource}, which has no update", self.name)
        });
    }

    /// `apply` is about to carry an operation out. A conditional one comes only after every older
    /// one of its resource in the batch.
    pub fn is_in_order(&self, operation: &Operation) {
        let Operation { id, resource, precondition, .. } = operation;
        if !self.is_apply() || *precondition == Precondition::None {
            return;
        }
        let batch = self.told.batch.borrow();
        let older = batch.get(resource).into_iter().flat_map(|batch| batch.range(..*id));
        for older in older {
            let is_open = self.world.history().is_open(*older, self.now());
            self.check(!is_open, || {
                format!("order: {id} is carried out while {older} beside it is open")
            });
        }
    }

    /// The update of an operation is about to run.
    pub fn about_to_update(&self, operation: &Operation, time_left: Duration) {
        self.trace(|| format!("updates {:?} as {}", operation.change, operation.origin));
        let look = self.told.looks.borrow_mut().remove(&operation.resource);
        let by_put = self.sending.map(|(put, _)| put);
        self.world.history().on_update(operation, look, by_put);
        let is_inline = self.sending.is_some() && self.wait.is_none();
        let kept = if is_inline { TO_WRITE } else { Duration::ZERO };
        let until = self.tries_until().saturating_sub(kept);
        let end = self.now() + time_left;
        self.check(end <= until.max(self.now()), || {
            format!("time: an update is given {time_left:?}, until {end:?} and not {until:?}")
        });
    }

    /// An operation is about to be written.
    pub fn about_to_write(&self, operation: &Operation) {
        self.makes(operation);
        self.about_to_try(&operation.resource);
        self.is_in_order(operation);
        let is_updated = self.told.updated.borrow().contains(&operation.origin);
        self.check(is_updated || !self.world.plan.has_update, || {
            format!("update: {:?} is written without it", operation.change)
        });
        if operation.id != operation.origin {
            self.world.count(Event::SteppedOver);
        }
    }

    /// An operation is about to be queued.
    pub fn about_to_queue(&self, operation: &Operation) {
        self.makes(operation);
        let is_first = !self.told.is_to_be_queued.replace(true);
        if !is_first || self.told.first_try.get().is_none() {
            return;
        }
        // The clock may drift while the host sleeps.
        let latest = self.tries_until() + Duration::from_millis(10);
        self.check(self.now() <= latest, || {
            format!("time: {} is queued at {:?}, not until {latest:?}", operation.id, self.now())
        });
    }

    /// Notes that a call is about to carry an operation out.
    pub fn makes(&self, operation: &Operation) {
        self.trace(|| format!("carries out {:?} as {}", operation.change, operation.id));
        self.world.history().on_operation(operation, self.sending.map(|(put, _)| put));
    }
}
