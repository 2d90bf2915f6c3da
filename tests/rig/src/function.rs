//! A Lambda function, and the Runtime API from which its processes take invocations
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::Request;
use tokio::process::{Child, Command};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Mutex, oneshot};

use crate::http::{HangUp, Reply, Server, json};

#[derive(Debug)]
struct Invocation {
    id: u64,
    payload: Bytes,
    deadline: SystemTime,
    reply: oneshot::Sender<Option<Bytes>>,
}

/// A function with the invocations that wait for a process.
#[derive(Debug)]
pub struct Function {
    pub name: &'static str,
    timeout: Duration,
    next_id: AtomicU64,
    give: UnboundedSender<Invocation>,
    take: Mutex<UnboundedReceiver<Invocation>>,
}

impl Function {
    pub fn new(name: &'static str, timeout: Duration) -> Arc<Self> {
        let (give, take) = unbounded_channel();
        let (next_id, take) = (AtomicU64::default(), Mutex::new(take));
        Arc::new(Self { name, timeout, next_id, give, take })
    }

    /// Invokes it. There is no response if the function reports an error, its process ends or the
    /// time is over.
    pub async fn invoke(&self, payload: Bytes) -> Option<Bytes> {
        let (reply, answer) = oneshot::channel();
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let deadline = SystemTime::now() + self.timeout;
        let _ = self.give.send(Invocation { id, payload, deadline, reply });
        tokio::time::timeout(self.timeout, answer).await.ok()?.ok()?
    }

    async fn next(&self) -> Invocation {
        loop {
            let next = self.take.lock().await.recv().await;
            // The caller has given up an invocation that waited too long.
            match next.filter(|invocation| !invocation.reply.is_closed()) {
                Some(invocation) => return invocation,
                None => tokio::task::yield_now().await,
            }
        }
    }
}

/// A process of a function. When this is dropped, the process is killed and its invocation ends.
#[derive(Debug)]
pub struct Process {
    // Dropped first, so that the process does not report the end of the server.
    pub child: Child,
    _server: Server,
}

/// The event that a process took last.
pub type LastEvent = Arc<Lock<Bytes>>;

impl Process {
    /// Starts it with its own Runtime API, so it does not get an invocation that a dead process
    /// asked for.
    pub async fn start(mut command: Command, function: &Arc<Function>, last: &LastEvent) -> Self {
        let desk =
            Desk { function: function.clone(), last: last.clone(), current: Lock::default() };
        let desk = Arc::new(desk);
        let server = Server::start(move |request| {
            let desk = Arc::clone(&desk);
            async move { desk.answer(request).await }
        });
        let server = server.await;
        command.env("AWS_LAMBDA_RUNTIME_API", server.address.to_string()).kill_on_drop(true);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self { child, _server: server }
    }
}

/// The Runtime API of one process.
struct Desk {
    function: Arc<Function>,
    last: LastEvent,
    current: Lock<Option<Invocation>>,
}

impl Desk {
    async fn answer(&self, request: Request<Bytes>) -> Result<Reply, HangUp> {
        let path = request.uri().path();
        let path = path.strip_prefix("/2018-06-01/runtime/invocation/").unwrap_or_default();
        if path == "next" {
            return Ok(self.next().await);
        }
        let answer = match path.split_once('/') {
            Some((_, "response")) => Some(request.body().clone()),
            Some((_, "error")) => None,
            _ => return Ok(json(404, "{}")),
        };
        let current = self.current.lock().unwrap().take();
        if let Some(invocation) = current {
            // The invoker may have given up.
            let _ = invocation.reply.send(answer);
        }
        Ok(json(202, r#"{"status":"OK"}"#))
    }

    async fn next(&self) -> Reply {
        let invocation = self.function.next().await;
        let mut reply = json(200, invocation.payload.clone());
        let deadline = invocation.deadline.duration_since(UNIX_EPOCH).unwrap_or_default();
        let name = self.function.name;
        for (name, value) in [
            // Python's runtime takes any other content type for bytes.
            ("content-type", "application/json".to_owned()),
            ("lambda-runtime-aws-request-id", invocation.id.to_string()),
            ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
            (
                "lambda-runtime-invoked-function-arn",
                format!("arn:aws:lambda:us-east-1:123456789012:function:{name}"),
            ),
            (
                "lambda-runtime-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0".to_owned(),
            ),
        ] {
            reply.headers_mut().insert(name, value.parse().expect("a header field"));
        }
        self.last.lock().unwrap().clone_from(&invocation.payload);
        *self.current.lock().unwrap() = Some(invocation);
        reply
    }
}
