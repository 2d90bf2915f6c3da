//! Lambda's event source mapping: what takes messages from a queue to a function.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fastrand::Rng;
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::rig::function::Function;
use crate::rig::queue::Delivery;
use crate::rig::sqs::Sqs;
use crate::rig::tally::Tally;

/// One poller of a queue.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub function: Arc<Function>,
    pub queues: Arc<Sqs>,
    pub queue: &'static str,
    pub batch: usize,
    pub mischief: bool,
    pub tally: Arc<Tally>,
}

impl Mapping {
    pub(crate) async fn run(self, seed: u64) {
        let mut rng = Rng::with_seed(seed);
        let queue = self.queues.queue(self.queue);
        loop {
            if self.mischief {
                // Messages gather meanwhile, so that there are batches.
                sleep(Duration::from_millis(rng.u64(..25))).await;
            }
            let received = queue.receive(self.batch, &mut rng);
            if let Some(redrive) = queue.redrive {
                for message in received.dead {
                    self.tally.add(&format!("messages to {}", redrive.to));
                    self.queues.queue(redrive.to).send(message, Duration::ZERO);
                }
            }
            if received.deliveries.is_empty() {
                queue.wait().await;
                continue;
            }
            for delivery in &received.deliveries {
                if self.mischief && rng.u8(..100) < 3 {
                    self.tally.add("messages delivered twice at once");
                    queue.duplicate(delivery.id, Duration::from_millis(rng.u64(..60)));
                }
            }
            self.deliver(&received.deliveries, &mut rng).await;
        }
    }

    async fn deliver(&self, deliveries: &[Delivery], rng: &mut Rng) {
        let records: Vec<_> = deliveries.iter().map(|it| it.record(self.queue)).collect();
        let event = Bytes::from(json!({ "Records": records }).to_string());
        self.tally.add(&format!("batches of {}", self.function.name));
        self.tally.add_many(&format!("messages to {}", self.function.name), records.len() as u64);
        // After an error the batch comes back when it is no longer hidden.
        let Ok(answer) = self.function.invoke(event).await else {
            self.tally.add(&format!("failed batches of {}", self.function.name));
            return;
        };
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let Some(failed) = failures(&answer, self.queue) else { return };
        for delivery in deliveries {
            if failed.contains(&delivery.id) {
                self.tally.add(&format!("messages handed back by {}", self.function.name));
            } else if self.mischief && rng.u8(..200) == 0 {
                self.tally.add("deletions lost");
            } else {
                self.queues.queue(self.queue).delete(delivery.id);
            }
        }
    }
}

/// The messages to be delivered again; `None` if that is the whole batch, as it is where
/// an identifier is empty or unknown.
fn failures(answer: &Value, queue: &str) -> Option<HashSet<u64>> {
    let failures = answer["batchItemFailures"].as_array().map_or(&[][..], Vec::as_slice);
    let id = |failure: &Value| {
        let id = failure["itemIdentifier"].as_str()?.strip_prefix(queue)?;
        id.strip_prefix('-')?.parse().ok()
    };
    failures.iter().map(id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_identifier_fails_the_whole_batch() {
        let answer = |id: &str| json!({ "batchItemFailures": [{ "itemIdentifier": id }] });
        assert_eq!(failures(&answer("updates-7"), "updates"), Some(HashSet::from([7])));
        assert_eq!(failures(&answer(""), "updates"), None);
        assert_eq!(failures(&json!({}), "updates"), Some(HashSet::new()));
    }
}
