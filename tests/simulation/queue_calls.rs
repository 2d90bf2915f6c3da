//! The calls on the queues.

use std::rc::Rc;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use rules::Operation;
use tests::world::message;
use world::{CallError, Inbox, Outbox};

use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::queue::Queue;
use crate::scheduler::Time;
use crate::world::World;

/// A queue as an invocation reaches it.
pub struct QueueCalls {
    invocation: Invocation,
    queue: fn(&World) -> &Queue,
}

impl Invocation {
    pub fn updates(&self) -> QueueCalls {
        QueueCalls { invocation: self.clone(), queue: |world| &world.updates }
    }

    pub fn dead_letters(&self) -> QueueCalls {
        QueueCalls { invocation: self.clone(), queue: |world| &world.dead_letters }
    }

    pub fn parked(&self) -> QueueCalls {
        QueueCalls { invocation: self.clone(), queue: |world| &world.parked }
    }
}

impl QueueCalls {
    async fn on_queue(
        &self,
        action: &'static str,
        effect: impl FnOnce(&Rc<World>, &Queue) + 'static,
    ) -> Result<(), CallError> {
        let queue = self.queue;
        self.invocation.call(action, move |here| effect(&here.world, queue(&here.world))).await
    }

    /// Each time a message is handed back it is hidden for longer: between half and all of a time
    /// that doubles up to 15 min, in whole seconds.
    fn check_visibility(&self, receipt_handle: &str, seconds: u64) {
        let receives = receipt_handle.split('/').next().and_then(|text| text.parse::<u32>().ok());
        let longest = receives.map(|receives| 2u64.saturating_pow(receives - 1).min(15 * 60));
        let is_due = longest.is_some_and(|most| (most / 2).max(1) <= seconds && seconds <= most);
        if !is_due {
            let says = || format!("pause: {receipt_handle} is hidden for {seconds} s");
            self.invocation.world.history().violate(says);
        }
    }
}

fn arrives(world: &World, queue: &Queue, message: SqsMessage) {
    let now = world.now();
    let visible_at = now + world.prng().skewed(world.plan.longest_queueing);
    world.history().on_sent(now, queue.name, &message);
    queue.send(message, now, visible_at);
}

impl Outbox for QueueCalls {
    async fn send(&self, operation: &Operation, _: Option<&str>) -> Result<(), CallError> {
        self.invocation.about_to_queue(operation);
        let world = &self.invocation.world;
        let mut message = message(operation);
        message.attributes.insert("MessageGroupId".to_owned(), operation.resource.to_string());
        if world.is(Mutant::SendLosesOrigin) {
            message.message_attributes.remove("origin");
        }
        let sent = self.on_queue("send", move |world, queue| arrives(world, queue, message));
        let sent = sent.await;
        let sent = if world.is(Mutant::SendFailsAndSaysOk) { Ok(()) } else { sent };
        if sent.is_ok() {
            self.invocation.told.sent.set(Some(operation.id));
        }
        sent
    }

    async fn forward(&self, record: &SqsMessage) -> Result<(), CallError> {
        let mut message = record.clone();
        if self.invocation.world.is(Mutant::ForwardLosesAttribute) {
            message.message_attributes.remove("precondition");
        }
        let group = message.attributes.remove("MessageGroupId");
        message.attributes =
            group.into_iter().map(|group| ("MessageGroupId".to_owned(), group)).collect();
        let sent = self.on_queue("forward", move |world, queue| arrives(world, queue, message));
        let sent = sent.await;
        if self.invocation.world.is(Mutant::ForwardFailsAndSaysOk) { Ok(()) } else { sent }
    }
}

impl Inbox for QueueCalls {
    async fn delete(&self, receipt_handle: &str) -> Result<(), CallError> {
        let handle = receipt_handle.to_owned();
        self.on_queue("delete", move |_, queue| queue.delete(&handle)).await
    }

    async fn hide(&self, receipt_handle: &str, timeout: Duration) -> Result<(), CallError> {
        self.check_visibility(receipt_handle, timeout.as_secs());
        let (handle, timeout) = (receipt_handle.to_owned(), timeout.as_micros() as Time);
        self.on_queue("hide", move |world, queue| queue.hide(&handle, world.now() + timeout)).await
    }
}
