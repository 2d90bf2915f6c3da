//! An SQS standard queue: any order, at least once, for 14 days.

use std::cell::RefCell;

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use futures_util::future::select;
use rules::Operation;

use crate::prng::Prng;
use crate::scheduler::{Bell, DAY, MS, Scheduler, Time};
use crate::world::since_epoch;

/// `MessageRetentionPeriod` of every queue.
const RETENTION: Time = 14 * DAY;

/// A message in a queue.
#[derive(Clone)]
pub struct Message {
    number: u64,
    /// In whichever queue, where SQS carries the count over.
    receives: u32,
    /// In this queue.
    pub receives_here: u32,
    visible_at: Time,
    sent_at: Time,
    /// What its age is counted from.
    kept_from: Time,
    content: SqsMessage,
}

/// What a receive brought.
#[derive(Default)]
pub struct Received {
    pub records: Vec<SqsMessage>,
    /// Received too often: for the next queue.
    pub redrive: Vec<Message>,
    /// Older than the retention.
    pub dropped: Vec<SqsMessage>,
    pub redelivered: u64,
    pub duplicates: u64,
}

pub struct Queue {
    pub name: &'static str,
    /// Receives after which a message goes to the next queue.
    max_receives: u32,
    inner: RefCell<Inner>,
    bell: Bell,
}

#[derive(Default)]
struct Inner {
    messages: Vec<Message>,
    sent: u64,
}

impl Queue {
    pub fn new(name: &'static str, max_receives: u32) -> Self {
        Self { name, max_receives, inner: RefCell::default(), bell: Bell::default() }
    }

    /// Takes a new message in.
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

    /// Takes a message that SQS or an operator moves here.
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
        self.bell.ring();
    }

    /// What is older than the retention is gone.
    pub fn drop_old(&self, now: Time) -> Vec<SqsMessage> {
        let messages = &mut self.inner.borrow_mut().messages;
        let old = messages.extract_if(.., |message| now > message.kept_from + RETENTION);
        old.map(|message| message.content).collect()
    }

    /// Receives a batch of at most `most`, or fewer as often as `partial` says, and hides it for the time of `visibility`.
    pub fn receive(
        &self,
        now: Time,
        (most, partial): (usize, u64),
        visibility: Time,
        duplicates: u64,
        prng: &mut Prng,
    ) -> Received {
        let mut received = Received { dropped: self.drop_old(now), ..Received::default() };
        let messages = &mut self.inner.borrow_mut().messages;
        let mut visible: Vec<_> =
            (0..messages.len()).filter(|i| messages[*i].visible_at <= now).collect();
        if visible.is_empty() {
            return received;
        }
        prng.shuffle(&mut visible);
        // A receive asks some of the servers only.
        visible.truncate(if prng.chance(partial) { 1 + prng.index(most) } else { most });
        let mut gone = Vec::new();
        for i in visible {
            let message = &mut messages[i];
            if message.receives >= self.max_receives {
                gone.push(message.number);
                received.redrive.push(message.clone());
                continue;
            }
            let is_duplicate = duplicates > 0 && prng.chance(duplicates);
            received.duplicates += u64::from(is_duplicate);
            received.redelivered += u64::from(message.receives > 0);
            message.receives += 1;
            message.receives_here += 1;
            message.visible_at = now + if is_duplicate { 0 } else { visibility };
            received.records.push(message.record(self.name));
        }
        messages.retain(|message| !gone.contains(&message.number));
        received
    }

    /// Nobody waits for what is hopeless: where nothing else is left, and each message has come
    /// often enough to be treated as a suspect, the next receives are skipped.
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

    /// Takes some of the messages out, for an operator.
    pub fn take(&self, mut is_taken: impl FnMut() -> bool) -> Vec<Message> {
        self.inner.borrow_mut().messages.extract_if(.., |_| is_taken()).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.inner.borrow().messages.is_empty()
    }

    /// Whether a message of this name is here, whatever else is.
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
        let bell = std::pin::pin!(self.bell.wait());
        match soonest {
            Some(0) => scheduler.sleep(MS).await,
            Some(pause) => drop(select(bell, scheduler.sleep(pause)).await),
            None => bell.await,
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
        let mut record = self.content.clone();
        record.message_id = Some(format!("{queue}/{}", self.number));
        record.receipt_handle = Some(format!("{}/{}", self.receives, self.number));
        let sent = since_epoch(self.sent_at).as_millis();
        let attributes = &mut record.attributes;
        attributes.insert("ApproximateReceiveCount".to_owned(), self.receives.to_string());
        attributes.insert("SentTimestamp".to_owned(), sent.to_string());
        record
    }

    /// SQS notes which queue it moved a message from.
    pub fn moved_from(mut self, queue: &str) -> Self {
        let name = "DeadLetterQueueSourceArn".to_owned();
        self.content.attributes.insert(name, format!("arn:aws:sqs:us-east-1:1:{queue}"));
        self
    }

    pub fn set_attribute(&mut self, name: &str, value: &str) {
        set_attribute(&mut self.content, name, value.to_owned());
    }
}

/// What tells the messages of an operation from others, whoever has changed them: the body of a
/// PUT, and the id of a DELETE.
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

/// The message of an operation, as `queues::Sqs` sends it.
pub fn message_of(operation: &Operation) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.body = Some(queues::message::body(operation).to_owned());
    for (name, value) in queues::message::attributes(operation) {
        set_attribute(&mut message, name, value);
    }
    let group = operation.resource.as_str().to_owned();
    message.attributes.insert("MessageGroupId".to_owned(), group);
    message
}

pub fn set_attribute(message: &mut SqsMessage, name: &str, value: String) {
    let mut attribute = SqsMessageAttribute::default();
    attribute.string_value = Some(value);
    attribute.data_type = Some("String".to_owned());
    message.message_attributes.insert(name.to_owned(), attribute);
}
