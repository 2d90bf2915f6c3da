//! One SQS queue: at least once, in no order.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::rig::Setup;

/// Where a message goes that was delivered too often.
#[derive(Clone, Copy, Debug)]
pub struct Redrive {
    /// The queue.
    pub to: &'static str,
    /// After so many receives.
    pub after: u32,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    /// Its body.
    pub body: String,
    /// Its attributes, as they were sent.
    pub attributes: Value,
    /// Its group.
    pub group: Option<String>,
    /// When it was sent, in ms since the Unix epoch.
    pub sent_ms: u64,
    /// How often it was delivered. A dead letter keeps the count.
    pub receives: u32,
    /// The queue that it is a dead letter of.
    pub source: Option<&'static str>,
}

/// A delivery.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The message's id.
    pub id: u64,
    /// The message.
    pub message: Message,
}

/// A queue.
#[derive(Debug)]
pub struct Queue {
    /// Its name.
    pub name: &'static str,
    /// Where its dead letters go.
    pub redrive: Option<Redrive>,
    setup: Setup,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    messages: HashMap<u64, (Instant, Message)>,
    by_time: BTreeSet<(Instant, u64)>,
    groups: HashMap<String, usize>,
}

impl State {
    fn show_at(&mut self, id: u64, at: Instant) -> bool {
        let Some((visible_at, _)) = self.messages.get_mut(&id) else { return false };
        self.by_time.remove(&(*visible_at, id));
        *visible_at = at;
        self.by_time.insert((at, id))
    }

    fn remove(&mut self, id: u64) -> Option<Message> {
        let (visible_at, message) = self.messages.remove(&id)?;
        self.by_time.remove(&(visible_at, id));
        if let Some(group) = &message.group
            && let Some(count) = self.groups.get_mut(group)
        {
            *count -= 1;
            if *count == 0 {
                self.groups.remove(group);
            }
        }
        Some(message)
    }
}

/// What a call for messages finds.
#[derive(Debug, Default)]
pub struct Received {
    /// What is delivered.
    pub deliveries: Vec<Delivery>,
    /// What was delivered too often.
    pub dead: Vec<Message>,
}

impl Queue {
    pub(crate) fn new(name: &'static str, setup: Setup, redrive: Option<Redrive>) -> Self {
        Self { name, redrive, setup, state: Mutex::default(), changed: Notify::new() }
    }

    /// Takes a message, to be seen after `delay`; returns its id.
    pub fn send(&self, message: Message, delay: Duration) -> u64 {
        let mut state = self.state.lock().unwrap();
        state.next_id += 1;
        let (id, at) = (state.next_id, Instant::now() + delay);
        if let Some(group) = &message.group {
            *state.groups.entry(group.clone()).or_default() += 1;
        }
        state.messages.insert(id, (at, message));
        state.by_time.insert((at, id));
        drop(state);
        self.changed.notify_waiters();
        id
    }

    /// Up to `most` messages that are visible, any of them.
    pub fn receive(&self, most: usize, rng: &mut fastrand::Rng) -> Received {
        let mut state = self.state.lock().unwrap();
        let now = Instant::now();
        let visible = state.by_time.iter().take_while(|(at, _)| *at <= now).take(most * 4);
        let mut ids: Vec<_> = visible.map(|(_, id)| *id).collect();
        rng.shuffle(&mut ids);
        let mut received = Received::default();
        for id in ids.into_iter().take(most) {
            let Some((_, message)) = state.messages.get_mut(&id) else { continue };
            if self.redrive.is_some_and(|redrive| message.receives >= redrive.after) {
                let dead = state.remove(id).expect("it is there");
                received.dead.push(Message { source: Some(self.name), ..dead });
                continue;
            }
            message.receives += 1;
            received.deliveries.push(Delivery { id, message: message.clone() });
            state.show_at(id, now + self.setup.visibility);
        }
        received
    }

    /// Waits until a message may be visible.
    pub async fn wait(&self) {
        let changed = self.changed.notified();
        let next = self.state.lock().unwrap().by_time.first().map(|(at, _)| *at);
        let idle = Duration::from_millis(100);
        let wait = next.map_or(idle, |at| at.saturating_duration_since(Instant::now()));
        let _ = tokio::time::timeout(wait.min(idle), changed).await;
    }

    /// Deletes a message, whichever delivery of it is meant.
    pub fn delete(&self, id: u64) {
        self.state.lock().unwrap().remove(id);
    }

    /// Hides a message for so long, in the time of this rig; whether it is there.
    pub fn hide(&self, id: u64, time: Duration) -> bool {
        self.state.lock().unwrap().show_at(id, Instant::now() + time / self.setup.haste)
    }

    /// Makes a message visible again after `time`, though it was delivered.
    pub fn duplicate(&self, id: u64, time: Duration) {
        self.state.lock().unwrap().show_at(id, Instant::now() + time);
    }

    /// All messages, which are then no longer here.
    pub fn drain(&self) -> Vec<Message> {
        let mut state = self.state.lock().unwrap();
        let ids: Vec<_> = state.messages.keys().copied().collect();
        ids.into_iter().filter_map(|id| state.remove(id)).collect()
    }

    /// How many messages of `group` there are.
    #[must_use]
    pub fn of_group(&self, group: &str) -> usize {
        self.state.lock().unwrap().groups.get(group).copied().unwrap_or_default()
    }
}

impl Delivery {
    /// It as a record of an event
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
    #[must_use]
    pub fn record(&self, queue: &str) -> Value {
        let Message { body, attributes, group, sent_ms, receives, source } = &self.message;
        let attributes = attributes.as_object().into_iter().flatten().map(|(name, sent)| {
            let received = json!({
                "stringValue": sent["StringValue"],
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": sent["DataType"],
            });
            (name.clone(), received)
        });
        let mut system = json!({
            "ApproximateReceiveCount": receives.to_string(),
            "SentTimestamp": sent_ms.to_string(),
            "SenderId": "AROAEXAMPLE:soak",
            "ApproximateFirstReceiveTimestamp": sent_ms.to_string(),
        });
        if let Some(group) = group {
            system["MessageGroupId"] = json!(group);
        }
        if let Some(source) = source {
            system["DeadLetterQueueSourceArn"] = json!(arn(source));
        }
        json!({
            "messageId": format!("{queue}-{}", self.id),
            "receiptHandle": self.id.to_string(),
            "body": body,
            "attributes": system,
            "messageAttributes": attributes.collect::<serde_json::Map<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn(queue),
            "awsRegion": "us-east-1",
        })
    }
}

impl Message {
    /// What `SendMessage` was told.
    #[must_use]
    pub fn sent(call: &Value) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            body: call["MessageBody"].as_str().unwrap_or_default().to_owned(),
            attributes: call["MessageAttributes"].clone(),
            group: call["MessageGroupId"].as_str().map(str::to_owned),
            sent_ms: now.as_millis() as u64,
            receives: 0,
            source: None,
        }
    }
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:123456789012:{queue}")
}
