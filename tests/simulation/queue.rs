//! An SQS standard queue: any order, at least once, for 14 days.

use std::cell::RefCell;

use aws_lambda_events::sqs::SqsMessage;
use tests::world::{received, set};
use tokio::sync::Notify;

use crate::events::Event;
use crate::scheduler::{DAY, MS, Scheduler, Time};
use crate::world::{World, since_epoch};

/// `MessageRetentionPeriod` of every queue.
const RETENTION: Time = 14 * DAY;

/// A message in a queue.
#[derive(Clone)]
pub struct Message {
    number: u64,
    /// Receives in all queues, if SQS carries the count over.
    receives: u32,
    /// Receives in this queue.
    pub receives_here: u32,
    visible_at: Time,
    sent_at: Time,
    /// The time from which its age counts.
    kept_from: Time,
    content: SqsMessage,
}

pub struct Queue {
    pub name: &'static str,
    /// Receives after which a message goes to the next queue.
    max_receives: u32,
    inner: RefCell<Inner>,
    has_new: Notify,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    sent: u64,
}

impl Queue {
    pub fn new(name: &'static str, max_receives: u32) -> Self {
        Self { name, max_receives, inner: RefCell::default(), has_new: Notify::new() }
    }

    /// Takes in a new message.
    pub fn send(&self, content: SqsMessage, now: Time, visible_at: Time) {
        let new = Message {
            number: 0,
            receives: 0,
            receives_here: 0,
            visible_at,
            sent_at: now,
            kept_from: now,
            content,
        };
        self.add(new);
    }

    /// Takes in a message that SQS or an operator moves here.
    pub fn take_over(&self, message: Message, now: Time, carries_over: bool) {
        let mut moved = Message { receives_here: 0, visible_at: now, ..message };
        if !carries_over {
            (moved.receives, moved.kept_from) = (0, now);
        }
        self.add(moved);
    }

    fn add(&self, message: Message) {
        let mut inner = self.inner.borrow_mut();
        inner.sent += 1;
        let number = inner.sent;
        inner.messages.push(Message { number, ..message });
        self.has_new.notify_waiters();
    }

    /// Removes messages that are older than the retention.
    pub fn drop_old(&self, world: &World) {
        let now = world.now();
        let messages = &mut self.inner.borrow_mut().messages;
        for old in messages.extract_if(.., |message| now > message.kept_from + RETENTION) {
            world.history().on_retention_over(&old.content);
        }
    }

    /// Receives a batch of at most `most` messages, and hides it for the time of `visibility`.
    /// Messages that were received too often go to the next queue.
    pub fn receive(
        &self,
        world: &World,
        most: usize,
        visibility: Time,
    ) -> (Vec<SqsMessage>, Vec<Message>) {
        self.drop_old(world);
        let now = world.now();
        let messages = &mut self.inner.borrow_mut().messages;
        let mut visible: Vec<_> =
            (0..messages.len()).filter(|i| messages[*i].visible_at <= now).collect();
        if visible.is_empty() {
            return Default::default();
        }
        world.prng().shuffle(&mut visible);
        // A receive asks only some of the servers.
        let is_partial = world.happens(Event::PartialReceive);
        visible.truncate(if is_partial { 1 + world.prng().index(most) } else { most });
        let (mut records, mut gone) = (Vec::new(), Vec::new());
        for i in visible {
            let message = &mut messages[i];
            if message.receives >= self.max_receives {
                gone.push(message.number);
                continue;
            }
            if message.receives > 0 {
                world.count(Event::Redelivered);
            }
            message.receives += 1;
            message.receives_here += 1;
            let is_duplicate = world.fails(Event::Duplicate);
            message.visible_at = now + if is_duplicate { 0 } else { visibility };
            records.push(message.record(self.name));
        }
        (records, messages.extract_if(.., |message| gone.contains(&message.number)).collect())
    }

    /// Skips the next receives of hopeless messages, if there are no others and each has come often
    /// enough to be treated as a suspect.
    pub fn skip_receives(&self, is_hopeless: impl Fn(&str) -> bool) {
        let messages = &mut self.inner.borrow_mut().messages;
        let is_known = |message: &Message| (20..self.max_receives).contains(&message.receives);
        if messages.iter().all(|message| is_known(message) && is_hopeless(message.name())) {
            for message in messages {
                message.receives = message.receives.max(self.max_receives - 1);
            }
        }
    }

    pub fn delete(&self, receipt_handle: &str) {
        let Some(number) = number_of(receipt_handle) else { return };
        self.inner.borrow_mut().messages.retain(|other| other.number != number);
    }

    pub fn hide(&self, receipt_handle: &str, until: Time) {
        let number = number_of(receipt_handle);
        let messages = &mut self.inner.borrow_mut().messages;
        for found in messages.iter_mut().filter(|other| Some(other.number) == number) {
            found.visible_at = until;
        }
    }

    /// Takes out some of the messages, for an operator.
    pub fn take(&self, mut is_taken: impl FnMut() -> bool) -> Vec<Message> {
        self.inner.borrow_mut().messages.extract_if(.., |_| is_taken()).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.inner.borrow().messages.is_empty()
    }

    /// Whether a message of this name is here.
    pub fn holds(&self, name: &str) -> bool {
        self.inner.borrow().messages.iter().any(|message| message.name() == name)
    }

    /// Waits until a message may be received.
    pub async fn wait(&self, scheduler: &Scheduler) {
        let now = scheduler.now();
        let soonest = {
            let messages = &self.inner.borrow().messages;
            messages.iter().map(|message| message.visible_at.saturating_sub(now)).min()
        };
        match soonest {
            Some(0) => scheduler.sleep(MS).await,
            Some(pause) => drop(scheduler.within(pause, self.has_new.notified()).await),
            None => self.has_new.notified().await,
        }
    }
}

impl Message {
    pub fn name(&self) -> &str {
        name_of(&self.content)
    }

    pub fn has_version(&self, version: &str) -> bool {
        let attribute = self.content.message_attributes.get("version");
        attribute.is_some_and(|attribute| attribute.string_value.as_deref() == Some(version))
    }

    /// The message as it is delivered.
    fn record(&self, queue: &str) -> SqsMessage {
        let mut record = received(self.content.clone(), self.receives);
        record.message_id = Some(format!("{queue}/{}", self.number));
        record.receipt_handle = Some(format!("{}/{}", self.receives, self.number));
        let sent = since_epoch(self.sent_at).as_millis().to_string();
        record.attributes.insert("SentTimestamp".to_owned(), sent);
        record
    }

    /// SQS notes which queue it moved a message from.
    pub fn moved_from(mut self, queue: &str) -> Self {
        let name = "DeadLetterQueueSourceArn".to_owned();
        self.content.attributes.insert(name, format!("arn:aws:sqs:us-east-1:1:{queue}"));
        self
    }

    pub fn set_version(&mut self, version: &str) {
        set(&mut self.content, "version", version);
    }
}

/// The name that all messages of an operation share, even if something has changed them: the body
/// of a PUT, the id of a DELETE.
pub fn name_of(message: &SqsMessage) -> &str {
    let operation = message.message_attributes.get("operation");
    let operation = operation.and_then(|operation| operation.string_value.as_deref());
    match message.body.as_deref() {
        Some("-") => operation.unwrap_or_default(),
        body => body.unwrap_or_default(),
    }
}

/// The number in a receipt handle or message id.
fn number_of(handle: &str) -> Option<u64> {
    handle.rsplit('/').next()?.parse().ok()
}
