//! A Lambda function: what is to be done, and the Runtime API by which a process takes it
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};

use crate::rig::http::{HangUp, Reply, json};

/// Why an invocation has no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The function said so.
    Error,
    /// Its process ended.
    Ended,
    /// It took longer than its timeout.
    TimedOut,
}

/// An invocation that waits for a process, or that a process works on.
#[derive(Debug)]
struct Invocation {
    id: u64,
    payload: Bytes,
    deadline: SystemTime,
    reply: oneshot::Sender<Result<Bytes, Failure>>,
}

/// The event that a worker took last.
pub type LastEvent = Arc<Lock<Bytes>>;

/// What a process works on.
#[derive(Debug, Default)]
pub struct Desk {
    invocation: Lock<Option<Invocation>>,
    last: LastEvent,
}

impl Desk {
    /// An empty one, which keeps what it takes in `last`.
    #[must_use]
    pub fn new(last: LastEvent) -> Self {
        Self { last, ..Self::default() }
    }

    /// Ends what the process worked on.
    pub fn clear(&self, failure: Failure) {
        self.answer(None, Err(failure));
    }

    fn put(&self, invocation: Invocation) {
        self.last.lock().unwrap().clone_from(&invocation.payload);
        *self.invocation.lock().unwrap() = Some(invocation);
    }

    fn answer(&self, id: Option<u64>, answer: Result<Bytes, Failure>) {
        let mut desk = self.invocation.lock().unwrap();
        if let Some(invocation) = desk.take_if(|it| id.is_none_or(|id| id == it.id)) {
            // Whoever invoked may have given up.
            let _ = invocation.reply.send(answer);
        }
    }
}

/// A function.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    timeout: Duration,
    next_id: AtomicU64,
    give: UnboundedSender<Invocation>,
    take: Mutex<UnboundedReceiver<Invocation>>,
}

impl Function {
    /// A function without a process.
    #[must_use]
    pub fn new(name: &'static str, timeout: Duration) -> Self {
        let (give, take) = unbounded_channel();
        Self { name, timeout, next_id: AtomicU64::default(), give, take: Mutex::new(take) }
    }

    /// Invokes it.
    ///
    /// # Errors
    /// [`Failure`]
    pub async fn invoke(&self, payload: Bytes) -> Result<Bytes, Failure> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline = SystemTime::now() + self.timeout;
        let _ = self.give.send(Invocation { id, payload, deadline, reply });
        match tokio::time::timeout(self.timeout, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(Failure::Ended),
            Err(_) => Err(Failure::TimedOut),
        }
    }

    /// Serves a request of the process at `desk`.
    pub async fn runtime_api(&self, desk: &Desk, request: Request<Bytes>) -> Result<Reply, HangUp> {
        let path = request.uri().path();
        let path = path.strip_prefix("/2018-06-01/runtime/").unwrap_or_default();
        if path == "invocation/next" {
            return Ok(self.next(desk).await);
        }
        let mut parts = path.trim_start_matches("invocation/").split('/');
        let id = parts.next().and_then(|id| id.parse().ok());
        match (id, parts.next()) {
            (Some(id), Some("response")) => desk.answer(Some(id), Ok(request.into_body())),
            (Some(id), Some("error")) => desk.answer(Some(id), Err(Failure::Error)),
            _ => return Ok(json(404, "{}")),
        }
        Ok(json(202, r#"{"status":"OK"}"#))
    }

    async fn next(&self, desk: &Desk) -> Reply {
        let invocation = loop {
            let next = self.take.lock().await.recv().await;
            // It waited so long that nobody waits for its answer.
            match next.filter(|invocation| !invocation.reply.is_closed()) {
                Some(invocation) => break invocation,
                None => tokio::task::yield_now().await,
            }
        };
        let mut reply = json(200, invocation.payload.clone());
        let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        for (name, value) in [
            // Python's runtime takes anything else for bytes.
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", invocation.id.to_string()),
            ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:us-east-1:123456789012:function:{}", self.name),
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned(),
            ),
        ] {
            reply.headers_mut().insert(name, value.parse().unwrap());
        }
        desk.put(invocation);
        reply
    }
}
