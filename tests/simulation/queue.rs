//! An SQS standard queue: any order, at least once.

use rules::{OperationId, Precondition};

use crate::history::{PutId, UserIndex};
use crate::prng::Prng;
use crate::scheduler::Time;

/// What `updates_queue::Message` holds; the body is the PUT's number.
#[derive(Clone, Debug)]
pub struct Update {
    pub put: PutId,
    pub id: OperationId,
    pub user: UserIndex,
    pub precondition: Precondition,
}

/// A message as it was received.
#[derive(Clone, Debug)]
pub struct Record {
    pub message: u64,
    pub receives: u32,
    pub update: Update,
}

struct Message {
    number: u64,
    receives: u32,
    visible_at: Time,
    update: Update,
}

/// What a receive brought.
#[derive(Default)]
pub struct Received {
    pub records: Vec<Record>,
    /// Received too often: for the next queue.
    pub redrive: Vec<Update>,
    pub redelivered: u64,
    pub duplicates: u64,
}

/// Most messages of one receive.
const BATCH: usize = 10;

pub struct Queue {
    messages: Vec<Message>,
    sent: u64,
    /// Receives after which a message goes to the next queue.
    max_receives: u32,
    visibility: Time,
    /// Chance of a delivery that leaves the message visible, in a thousand.
    pub duplicates: u64,
}

impl Queue {
    pub fn new(max_receives: u32, visibility: Time, duplicates: u64) -> Self {
        Self { messages: Vec::new(), sent: 0, max_receives, visibility, duplicates }
    }

    pub fn send(&mut self, update: Update, visible_at: Time) {
        self.sent += 1;
        self.messages.push(Message { number: self.sent, receives: 0, visible_at, update });
    }

    pub fn receive(&mut self, now: Time, prng: &mut Prng) -> Received {
        let mut visible: Vec<_> =
            (0..self.messages.len()).filter(|i| self.messages[*i].visible_at <= now).collect();
        prng.shuffle(&mut visible);
        // A receive asks some of the servers only.
        visible.truncate(if prng.chance(300) { prng.index(BATCH) } else { BATCH });
        let mut received = Received::default();
        let mut gone = Vec::new();
        for i in visible {
            let message = &mut self.messages[i];
            if message.receives >= self.max_receives {
                gone.push(message.number);
                received.redrive.push(message.update.clone());
                continue;
            }
            let is_duplicate = prng.chance(self.duplicates);
            received.duplicates += u64::from(is_duplicate);
            received.redelivered += u64::from(message.receives > 0);
            message.receives += 1;
            message.visible_at = now + if is_duplicate { 0 } else { self.visibility };
            let Message { number, receives, .. } = *message;
            received.records.push(Record {
                message: number,
                receives,
                update: message.update.clone(),
            });
        }
        self.messages.retain(|message| !gone.contains(&message.number));
        received
    }

    pub fn delete(&mut self, message: u64) {
        self.messages.retain(|other| other.number != message);
    }

    pub fn hide(&mut self, message: u64, until: Time) {
        for found in self.messages.iter_mut().filter(|other| other.number == message) {
            found.visible_at = until;
        }
    }

    /// Takes some of the messages out, for an operator.
    pub fn take(&mut self, mut is_taken: impl FnMut() -> bool) -> Vec<Update> {
        let (taken, kept) =
            std::mem::take(&mut self.messages).into_iter().partition::<Vec<_>, _>(|_| is_taken());
        self.messages = kept;
        taken.into_iter().map(|message| message.update).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    pub fn holds(&self, id: OperationId) -> bool {
        self.messages.iter().any(|message| message.update.id == id)
    }

    /// How long until a message may be received, but not longer than `longest`.
    pub fn time_to_next(&self, now: Time, longest: Time) -> Time {
        let soonest = self.messages.iter().map(|message| message.visible_at.saturating_sub(now));
        soonest.min().map_or(longest, |soonest| soonest.min(longest))
    }
}
