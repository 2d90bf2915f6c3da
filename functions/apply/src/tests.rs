//! What one record may do to the others of its batch, with a real DynamoDB engine. SQS
//! is a listener that only takes notes.

use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::{SqsEvent, SqsMessage, SqsMessageAttribute};
use lambda_shell::host;
use rules::status::Outcome;
use rules::{OperationId, Precondition, Problem, ProblemType, Tick, UserId};
use tests::engine::{Engine, config_for};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use updates_queue::{Message, Queue};

use crate::Apply;

/// What the step before the write does in tests, by the body.
pub(crate) fn before_write(update: &Message) -> Result<(), Problem> {
    match update.body.as_str() {
        "panic" => panic!("told to"),
        "refuse" => Err(Problem::new(ProblemType::NotApplied, "Told to.")),
        _ => Ok(()),
    }
}

struct Bench {
    apply: Apply,
    engine: Engine,
    calls: Arc<Mutex<Vec<String>>>,
}

impl Bench {
    async fn start() -> Self {
        let engine = Engine::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sqs = config_for(&format!("http://{}", listener.local_addr().unwrap()));
        let calls = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(take_notes(listener, calls.clone()));
        let apply = Apply {
            tables: engine.tables.clone(),
            updates: Queue::new(&sqs, "http://queue/updates".to_owned()),
            dead_letters: Queue::new(&sqs, "http://queue/dead-letters".to_owned()),
        };
        Self { apply, engine, calls }
    }

    /// Applies the records; returns the message ids that are handed back.
    async fn apply(&self, records: Vec<SqsMessage>) -> Vec<String> {
        let mut event = SqsEvent::default();
        event.records = records;
        let deadline = SystemTime::now() + Duration::from_secs(30);
        let response = self.apply.handle(event, deadline).await.unwrap();
        let mut ids: Vec<_> =
            response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect();
        ids.sort();
        ids
    }

    async fn outcome(&self, id: OperationId) -> Option<Outcome> {
        let outcome = self.engine.tables.outcome(id, host::now()).await.unwrap();
        outcome.map(|record| record.outcome)
    }

    async fn body(&self, user: &str) -> Option<String> {
        let user = self.engine.tables.user(&UserId::new(user).unwrap()).await.unwrap();
        user.map(|user| user.body)
    }

    /// The SQS actions called so far, sorted, with the queue each was for.
    fn calls(&self) -> Vec<String> {
        let mut calls = self.calls.lock().unwrap().clone();
        calls.sort();
        calls
    }
}

/// Answers every SQS call with success and notes it.
async fn take_notes(listener: TcpListener, calls: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut connection, _) = listener.accept().await.unwrap();
        let calls = calls.clone();
        tokio::spawn(async move {
            let mut request = Vec::new();
            loop {
                let mut part = [0; 4096];
                let read = connection.read(&mut part).await.unwrap();
                if read == 0 {
                    return;
                }
                request.extend_from_slice(&part[..read]);
                let text = String::from_utf8_lossy(&request).to_lowercase();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.split("content-length: ").nth(1).unwrap();
                let length: usize = length.lines().next().unwrap().parse().unwrap();
                if body.len() < length {
                    continue;
                }
                let action = head.split("amazonsqs.").nth(1).unwrap().lines().next().unwrap();
                let queue = if body.contains("/dead-letters") { "dead-letters" } else { "updates" };
                calls.lock().unwrap().push(format!("{action} {queue}"));
                request.clear();
                let reply = r#"{"MessageId":"m"}"#;
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0";
                let reply = format!("{head}\r\ncontent-length: {}\r\n\r\n{reply}", reply.len());
                connection.write_all(reply.as_bytes()).await.unwrap();
            }
        });
    }
}

/// An id of the last hour.
fn id(ms: u64) -> OperationId {
    static START: LazyLock<Duration> = LazyLock::new(|| host::now() - Duration::from_secs(3600));
    OperationId::new(Tick::from_unix(*START + Duration::from_millis(ms)), ms)
}

fn record(n: u64, user: &str, body: &str, receives: u32) -> SqsMessage {
    let message = Message {
        id: id(n),
        user: UserId::new(user).unwrap(),
        precondition: Precondition::None,
        body: body.to_owned(),
    };
    let mut record = SqsMessage::default();
    record.message_id = Some(format!("m{n}"));
    record.receipt_handle = Some(format!("r{n}"));
    record.body = Some(body.to_owned());
    record.attributes.insert("ApproximateReceiveCount".to_owned(), receives.to_string());
    for (name, value) in message.attributes() {
        let mut attribute = SqsMessageAttribute::default();
        attribute.string_value = Some(value);
        attribute.data_type = Some("String".to_owned());
        record.message_attributes.insert(name.to_owned(), attribute);
    }
    record
}

#[tokio::test]
async fn a_panic_hands_back_its_own_record_only() {
    let bench = Bench::start().await;
    let handed_back = bench
        .apply(vec![record(1, "a", "{}", 1), record(2, "b", "panic", 1), record(3, "c", "{}", 1)])
        .await;
    assert_eq!(handed_back, ["m2"]);
    assert_eq!(bench.body("a").await.as_deref(), Some("{}"));
    assert_eq!(bench.body("c").await.as_deref(), Some("{}"));
    assert_eq!((bench.body("b").await, bench.outcome(id(2)).await), (None, None));
    assert_eq!(bench.calls(), ["changemessagevisibility updates"]);
}

#[tokio::test]
async fn what_keeps_panicking_is_sent_to_the_dead_letters_at_the_fifth_receive() {
    let bench = Bench::start().await;
    assert_eq!(bench.apply(vec![record(1, "a", "panic", 4)]).await, ["m1"]);
    assert_eq!(bench.calls(), ["changemessagevisibility updates"]);
    assert!(bench.apply(vec![record(1, "a", "panic", 5)]).await.is_empty());
    assert_eq!(bench.calls(), ["changemessagevisibility updates", "sendmessage dead-letters"]);
}

#[tokio::test]
async fn a_suspect_runs_after_the_finished_records_were_deleted() {
    let bench = Bench::start().await;
    let records = vec![record(1, "a", "{}", 4), record(2, "b", "{}", 1), record(3, "c", "{}", 3)];
    assert!(bench.apply(records).await.is_empty());
    assert_eq!(bench.calls(), ["deletemessage updates"; 2]);
    assert_eq!(bench.outcome(id(1)).await, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn of_one_user_only_the_newest_is_written() {
    let bench = Bench::start().await;
    let records = vec![
        record(2, "a", "second", 1),
        record(3, "a", "third", 1),
        record(1, "a", "first", 1),
        record(3, "a", "third", 2),
    ];
    assert!(bench.apply(records).await.is_empty());
    assert_eq!(bench.body("a").await.as_deref(), Some("third"));
    assert_eq!(bench.outcome(id(1)).await, Some(Outcome::Superseded));
    assert_eq!(bench.outcome(id(2)).await, Some(Outcome::Superseded));
    assert_eq!(bench.outcome(id(3)).await, Some(Outcome::Succeeded));
}

#[tokio::test]
async fn a_refused_newest_makes_way_for_the_next_older() {
    let bench = Bench::start().await;
    let records = vec![record(1, "a", "first", 1), record(2, "a", "refuse", 1)];
    assert!(bench.apply(records).await.is_empty());
    assert_eq!(bench.body("a").await.as_deref(), Some("first"));
    assert_eq!(bench.outcome(id(1)).await, Some(Outcome::Succeeded));
    assert_eq!(bench.outcome(id(2)).await, Some(Outcome::Failed));
}

#[tokio::test]
async fn what_there_is_no_time_for_is_handed_back_untouched() {
    let bench = Bench::start().await;
    let mut event = SqsEvent::default();
    event.records = vec![record(1, "a", "{}", 1)];
    let deadline = SystemTime::now() + Duration::from_secs(4);
    let response = bench.apply.handle(event, deadline).await.unwrap();
    assert_eq!(response.batch_item_failures.len(), 1);
    assert_eq!((bench.body("a").await, bench.outcome(id(1)).await), (None, None));
}
