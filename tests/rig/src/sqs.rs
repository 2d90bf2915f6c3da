//! The SQS queues, with delivery at least once and in no order, and the calls on them in the AWS
//! JSON 1.0 protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>). The
//! replies have no digests, since the SDK for Rust does not compare them.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Map, Value, json};

use crate::gateway::unix_ms;

/// The queues, and where each moves a message that was received too often.
const QUEUES: [(&str, u32, &str); 3] =
    [("updates", 5, "dead-letters"), ("dead-letters", 1000, "parked"), ("parked", u32::MAX, "")];

/// How long a received message is hidden.
const VISIBILITY: Duration = Duration::from_secs(3);

/// Time passes this many times faster for messages that a function hides.
const HASTE: u32 = 20;

#[derive(Clone, Debug)]
pub struct Message {
    /// It is also the handle of each of its receipts.
    pub id: u64,
    pub queue: &'static str,
    pub body: String,
    /// As `SendMessage` has them.
    pub attributes: Value,
    pub group: Option<String>,
    /// In ms since the Unix epoch.
    pub sent_ms: u64,
    /// How often it was received. A dead letter keeps the count.
    pub receives: u32,
    /// The queue that it comes from, if it is a dead letter.
    pub source: Option<&'static str>,
    visible_at: Instant,
}

#[derive(Debug)]
pub struct Sqs(Mutex<State>);

#[derive(Debug)]
struct State {
    messages: Vec<Message>,
    last_id: u64,
    rng: Rng,
}

impl Message {
    /// The message that a `SendMessage` sends.
    pub fn sent(id: u64, queue: &'static str, call: &Value) -> Self {
        Self {
            id,
            queue,
            body: call["MessageBody"].as_str().unwrap_or_default().to_owned(),
            attributes: call["MessageAttributes"].clone(),
            group: call["MessageGroupId"].as_str().map(str::to_owned),
            sent_ms: unix_ms(),
            receives: 0,
            source: None,
            visible_at: Instant::now(),
        }
    }

    /// The message as a record of an event
    /// (<https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>).
    pub fn record(&self) -> Value {
        let attributes = self.attributes.as_object().into_iter().flatten().map(|(name, sent)| {
            let received = json!({
                "stringValue": sent["StringValue"],
                "stringListValues": [],
                "binaryListValues": [],
                "dataType": sent["DataType"],
            });
            (name.clone(), received)
        });
        let arn = |queue| format!("arn:aws:sqs:us-east-1:123456789012:{queue}");
        let mut system = json!({
            "ApproximateReceiveCount": self.receives.to_string(),
            "SentTimestamp": self.sent_ms.to_string(),
            "SenderId": "AROAEXAMPLEEXAMPLE123:async-put-PutFunction",
            "ApproximateFirstReceiveTimestamp": self.sent_ms.to_string(),
        });
        if let Some(group) = &self.group {
            system["MessageGroupId"] = json!(group);
        }
        if let Some(source) = self.source {
            system["DeadLetterQueueSourceArn"] = json!(arn(source));
        }
        json!({
            "messageId": self.id.to_string(),
            "receiptHandle": self.id.to_string(),
            "body": self.body,
            "attributes": system,
            "messageAttributes": attributes.collect::<Map<_, _>>(),
            "eventSource": "aws:sqs",
            "eventSourceARN": arn(self.queue),
            "awsRegion": "us-east-1",
        })
    }
}

impl State {
    /// The message with this handle, if it is still in this queue.
    fn find(&mut self, queue: &str, id: u64) -> Option<&mut Message> {
        self.messages.iter_mut().find(|message| message.id == id && message.queue == queue)
    }

    /// How long a message is on its way: mostly no time, so that some overtake others.
    fn delay(&mut self) -> Duration {
        Duration::from_millis(match self.rng.u8(..100) {
            0..70 => 0,
            70..97 => self.rng.u64(1..40),
            _ => self.rng.u64(40..400),
        })
    }
}

impl Sqs {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Mutex::new(State { messages: vec![], last_id: 0, rng: Rng::with_seed(seed) }))
    }

    /// How many messages about `resource` are in any queue.
    pub fn of_resource(&self, resource: &str) -> usize {
        let state = self.0.lock().unwrap();
        let messages = state.messages.iter();
        messages.filter(|message| message.group.as_deref() == Some(resource)).count()
    }

    /// Moves the parked messages back, as an operator does with a message move task: each becomes a
    /// new message. Returns their number.
    pub fn redrive_parked(&self) -> usize {
        let State { messages, last_id, .. } = &mut *self.0.lock().unwrap();
        let (visible_at, mut count) = (Instant::now(), 0);
        for message in messages.iter_mut().filter(|message| message.queue == "parked") {
            *last_id += 1;
            let (id, queue, parked) = (*last_id, "updates", message.clone());
            *message = Message { id, queue, visible_at, receives: 0, source: None, ..parked };
            count += 1;
        }
        count
    }

    /// Receives up to `most` visible messages of a queue, in any order; also returns how many
    /// became dead letters instead.
    pub(crate) fn receive(&self, queue: &str, most: usize) -> (Vec<Message>, u64) {
        let (_, max_receives, dead_letters) = QUEUES.into_iter().find(|it| it.0 == queue).unwrap();
        let state = &mut *self.0.lock().unwrap();
        let now = Instant::now();
        let is_visible =
            |message: &&mut Message| message.queue == queue && message.visible_at <= now;
        let mut visible: Vec<_> = state.messages.iter_mut().filter(is_visible).collect();
        state.rng.shuffle(&mut visible);
        let (mut received, mut dead) = (vec![], 0);
        for message in visible.into_iter().take(most) {
            if message.receives >= max_receives {
                message.source = Some(message.queue);
                message.queue = dead_letters;
                dead += 1;
            } else {
                message.receives += 1;
                message.visible_at = now + VISIBILITY;
                received.push(message.clone());
            }
        }
        (received, dead)
    }

    /// Makes a received message visible again after `time`; returns whether it is there.
    pub(crate) fn show(&self, queue: &str, id: u64, time: Duration) -> bool {
        let mut state = self.0.lock().unwrap();
        let message = state.find(queue, id);
        message.map(|message| message.visible_at = Instant::now() + time).is_some()
    }

    pub(crate) fn delete(&self, queue: &str, id: u64) {
        let mut state = self.0.lock().unwrap();
        state.messages.retain(|message| message.id != id || message.queue != queue);
    }

    pub(crate) fn call(&self, target: &str, call: &Value) -> (u16, Bytes) {
        let name = call["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
        let Some((queue, ..)) = QUEUES.into_iter().find(|queue| Some(queue.0) == name) else {
            return refused("QueueDoesNotExist");
        };
        let handle = call["ReceiptHandle"].as_str().and_then(|handle| handle.parse().ok());
        match (target, handle) {
            ("SendMessage", _) => {
                let mut state = self.0.lock().unwrap();
                state.last_id += 1;
                let mut message = Message::sent(state.last_id, queue, call);
                message.visible_at += state.delay();
                let reply = json!({ "MessageId": message.id.to_string() });
                state.messages.push(message);
                (200, reply.to_string().into())
            }
            ("DeleteMessage", Some(handle)) => {
                self.delete(queue, handle);
                (200, "{}".into())
            }
            ("ChangeMessageVisibility", Some(handle)) => {
                let time = Duration::from_secs(call["VisibilityTimeout"].as_u64().unwrap_or(0));
                match self.show(queue, handle, time / HASTE) {
                    true => (200, "{}".into()),
                    false => refused("MessageNotInflight"),
                }
            }
            _ => refused("UnsupportedOperation"),
        }
    }
}

fn refused(code: &str) -> (u16, Bytes) {
    let refusal = json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": code });
    (400, refusal.to_string().into())
}
