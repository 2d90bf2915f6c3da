//! Lambda's event source mapping: one poller that takes messages from a queue to a function.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};

use crate::function::Function;
use crate::sqs::{Message, Sqs};
use crate::tally::Tally;

#[derive(Debug)]
pub(crate) struct Mapping {
    pub function: Arc<Function>,
    pub queues: Arc<Sqs>,
    pub queue: &'static str,
    pub batch: usize,
    pub tally: Arc<Tally>,
}

impl Mapping {
    pub(crate) async fn run(self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        loop {
            // Meanwhile messages gather, so there are batches.
            tokio::time::sleep(Duration::from_millis(rng.u64(1..25))).await;
            let (received, dead) = self.queues.receive(self.queue, self.batch);
            self.tally.add_many(&format!("messages given up by {}", self.queue), dead);
            if received.is_empty() {
                continue;
            }
            for message in &received {
                if rng.u8(..100) < 3 {
                    self.tally.add("messages delivered twice at once");
                    self.queues.show(self.queue, message.id, Duration::from_millis(rng.u64(..60)));
                }
            }
            self.deliver(&received, &mut rng).await;
        }
    }

    async fn deliver(&self, received: &[Message], rng: &mut Rng) {
        let records: Vec<_> = received.iter().map(Message::record).collect();
        let event = Bytes::from(json!({ "Records": records }).to_string());
        let name = self.function.name;
        self.tally.add(&format!("batches of {name}"));
        self.tally.add_many(&format!("messages to {name}"), records.len() as u64);
        // After an error the batch comes back when it is visible again.
        let Some(answer) = self.function.invoke(event).await else {
            self.tally.add(&format!("failed batches of {name}"));
            return;
        };
        let Some(failed) = failures(&serde_json::from_slice(&answer).unwrap_or_default()) else {
            return;
        };
        for message in received {
            if failed.contains(&message.id) {
                self.tally.add(&format!("messages handed back by {name}"));
            } else if rng.u8(..200) == 0 {
                self.tally.add("deletions lost");
            } else {
                self.queues.delete(self.queue, message.id);
            }
        }
    }
}

/// The messages to deliver again. `None` if that is the whole batch: it is if an identifier is
/// empty or unknown.
fn failures(answer: &Value) -> Option<HashSet<u64>> {
    let failures = answer["batchItemFailures"].as_array().into_iter().flatten();
    failures.map(|failure| failure["itemIdentifier"].as_str()?.parse().ok()).collect()
}
