//! The calls on the queues, in the AWS JSON 1.0 protocol
//! (<https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/Welcome.html>).
//! The SDK for Rust does not compare the digests of a reply, so there are none.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::rig::queue::{Message, Queue};

/// The queues.
#[derive(Debug)]
pub struct Sqs {
    mischief: bool,
    queues: [Queue; 3],
    rng: Mutex<Rng>,
}

impl Sqs {
    pub(crate) fn new(mischief: bool, queues: [Queue; 3]) -> Self {
        Self { mischief, queues, rng: Mutex::new(Rng::with_seed(1)) }
    }

    /// The queue `name`.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn queue(&self, name: &str) -> &Queue {
        self.queues.iter().find(|queue| queue.name == name).expect("a queue")
    }

    /// How many messages about `resource` are anywhere.
    #[must_use]
    pub fn of_resource(&self, resource: &str) -> usize {
        self.queues.iter().map(|queue| queue.of_group(resource)).sum()
    }

    /// Moves what is parked back, as an operator does by a message move task: each is a
    /// new message then. Returns how many.
    pub fn redrive_parked(&self) -> usize {
        let parked = self.queue("parked").drain();
        let count = parked.len();
        for message in parked {
            let message = Message { receives: 0, source: None, ..message };
            self.queue("updates").send(message, Duration::ZERO);
        }
        count
    }

    pub(crate) fn call(&self, target: &str, body: &[u8]) -> (u16, Bytes) {
        let call: Value = serde_json::from_slice(body).unwrap_or_default();
        let name = call["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next());
        let Some(queue) = self.queues.iter().find(|queue| Some(queue.name) == name) else {
            return refused("QueueDoesNotExist");
        };
        let handle = call["ReceiptHandle"].as_str().and_then(|handle| handle.parse().ok());
        match (target, handle) {
            ("SendMessage", _) => {
                let delay = self.delay();
                let id = queue.send(Message::sent(&call), delay);
                (200, json!({ "MessageId": format!("{}-{id}", queue.name) }).to_string().into())
            }
            ("DeleteMessage", Some(handle)) => {
                queue.delete(handle);
                (200, "{}".into())
            }
            ("ChangeMessageVisibility", Some(handle)) => {
                let seconds = call["VisibilityTimeout"].as_u64().unwrap_or_default();
                if queue.hide(handle, Duration::from_secs(seconds)) {
                    (200, "{}".into())
                } else {
                    refused("MessageNotInflight")
                }
            }
            _ => refused("UnsupportedOperation"),
        }
    }

    /// How long a message is on its way: mostly not at all, so that some overtake others.
    fn delay(&self) -> Duration {
        if !self.mischief {
            return Duration::ZERO;
        }
        let mut rng = self.rng.lock().unwrap();
        Duration::from_millis(match rng.u8(..100) {
            0..70 => 0,
            70..97 => rng.u64(1..40),
            _ => rng.u64(40..400),
        })
    }
}

fn refused(code: &str) -> (u16, Bytes) {
    (
        400,
        json!({ "__type": format!("com.amazonaws.sqs#{code}"), "message": code })
            .to_string()
            .into(),
    )
}
