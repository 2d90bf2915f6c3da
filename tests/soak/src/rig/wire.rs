//! The wire between the functions and a service: it loses, delays and refuses calls, and
//! kills their callers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::rig::engine::{Engine, Write, writes};
use crate::rig::fault::{Death, Fault, PATIENCE};
use crate::rig::http::{Connection, HangUp, Reply, json, serve};
use crate::rig::sqs::Sqs;
use crate::rig::tally::Tally;
use crate::rig::watch::{UnderWay, Watch};
use crate::rig::worker::Workers;

/// The service at the far end.
#[derive(Clone, Debug)]
pub enum Backend {
    /// The tables.
    DynamoDb(Box<Engine>),
    /// The queues.
    Sqs(Arc<Sqs>),
}

/// A wire to one service.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    is_up: watch::Sender<bool>,
    ends: Ends,
}

/// What a call needs on its way.
#[derive(Clone, Debug)]
struct Ends {
    backend: Backend,
    watch: Arc<Watch>,
    workers: Arc<Workers>,
    tally: Arc<Tally>,
    /// What has happened to the connections that were open then.
    dead: Arc<Mutex<Option<(Instant, Death)>>>,
}

/// A call on its way.
struct Call {
    parts: Parts,
    body: Bytes,
    /// The operation of the service, such as `UpdateItem`.
    target: String,
    /// Whom it is about, if it says so.
    resource: Option<String>,
    /// What it writes to resources if it lands.
    writes: Vec<Write>,
    /// The operation that it deletes a resource by, or queues.
    made: Option<String>,
}

impl Wire {
    pub(crate) async fn new(
        backend: Backend,
        watch: &Arc<Watch>,
        workers: &Arc<Workers>,
        tally: &Arc<Tally>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let ends = Ends {
            backend,
            watch: Arc::clone(watch),
            workers: Arc::clone(workers),
            tally: Arc::clone(tally),
            dead: Arc::default(),
        };
        Self { address, is_up: watch::Sender::new(true), ends }
    }

    /// Where its near end listens.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn open(self: &Arc<Self>) -> JoinHandle<()> {
        let (address, ends, mut is_up) = (self.address, self.ends.clone(), self.is_up.subscribe());
        tokio::spawn(async move {
            loop {
                let Ok(listener) = TcpListener::bind(address).await else {
                    // An outgoing connection may hold the port for a moment.
                    sleep(Duration::from_millis(5)).await;
                    continue;
                };
                let ends = ends.clone();
                let serving = serve(listener, move |request| ends.clone().carry(request));
                tokio::select! {
                    never = serving => match never {},
                    _ = is_up.wait_for(|is_up| !is_up) => {}
                }
                let _ = is_up.wait_for(|is_up| *is_up).await;
            }
        })
    }

    /// Lets every open connection die, of which its process hears at its next call.
    pub fn kill_connections(&self, death: Death) {
        *self.ends.dead.lock().unwrap() = Some((Instant::now(), death));
    }

    /// Cuts every connection, and refuses new ones for so long.
    pub async fn cut(&self, time: Duration) {
        let _ = self.is_up.send(false);
        sleep(time).await;
        let _ = self.is_up.send(true);
    }
}

impl Ends {
    async fn carry(self, request: Request<Bytes>) -> Result<Reply, HangUp> {
        if let Some((connection, death)) = self.death(&request) {
            self.tally.add(&format!("{} {}", self.service(), death.name()));
            match death {
                Death::Reset => connection.end_with_reset().map_err(|_| HangUp)?,
                Death::Silence => sleep(PATIENCE).await,
                Death::Sickness => return Ok(broken()),
            }
            return Err(HangUp);
        }
        let call = Call::read(request);
        let caller = caller(&call.parts);
        if let (Some(resource), Some(operation)) = (&call.resource, &call.made)
            && let Some(request) = self.workers.request(&caller)
        {
            self.watch.made(resource, operation, request);
        }
        // Until the call has landed, or never will.
        let (fault, under_way) = self.watch.begin(call.resource.clone(), !call.writes.is_empty());
        if let Some(name) = fault.name() {
            self.tally.add(&format!("{} {name}", self.service()));
        }
        let is_transaction = call.target == "TransactWriteItems";
        let hang_up = |_| Err(HangUp);
        match fault {
            Fault::None => Ok(self.land(call, under_way).await),
            Fault::Slow(time) => {
                sleep(time).await;
                Ok(self.land(call, under_way).await)
            }
            Fault::Throttled => Ok(self.throttled(is_transaction)),
            Fault::Broken => Ok(broken()),
            Fault::BrokenAfter => {
                self.land(call, under_way).await;
                Ok(broken())
            }
            Fault::ReplyLost => hang_up(self.land(call, under_way).await),
            Fault::Late(by) => {
                tokio::spawn(async move {
                    sleep(by).await;
                    self.land(call, under_way).await;
                });
                Err(HangUp)
            }
            Fault::Hung => {
                // Landed by a task of its own, since the caller hangs up meanwhile.
                let landing = tokio::spawn(async move {
                    sleep(PATIENCE).await;
                    self.land(call, under_way).await
                });
                landing.await.map_err(|_| HangUp)
            }
            Fault::KilledBefore => {
                self.kill(caller).await;
                Err(HangUp)
            }
            Fault::KilledAfter => {
                self.land(call, under_way).await;
                self.kill(caller).await;
                Err(HangUp)
            }
        }
    }

    /// How the connection died that a request came by, if it did.
    fn death<'a>(&self, request: &'a Request<Bytes>) -> Option<(&'a Connection, Death)> {
        let connection = request.extensions().get::<Connection>()?;
        let (at, death) = (*self.dead.lock().unwrap())?;
        (connection.opened < at).then_some((connection, death))
    }

    /// Lets a call land, by a task of its own: a caller that hangs up does not undo it.
    async fn land(&self, call: Call, under_way: UnderWay) -> Reply {
        let ends = self.clone();
        let landing = tokio::spawn(async move {
            let Call { parts, body, target, writes, .. } = call;
            let called = ends.watch.now();
            let (status, body) = match &ends.backend {
                Backend::DynamoDb(engine) => engine.call(&parts, body).await,
                Backend::Sqs(sqs) => sqs.call(&target, &body),
            };
            if status == 200 {
                writes.into_iter().for_each(|write| ends.watch.land(write, called));
            }
            drop(under_way);
            json(status, body)
        });
        landing.await.expect("the service answers")
    }

    async fn kill(&self, worker: String) {
        // By a task of its own: the kill cuts the connection that this call came by.
        let workers = Arc::clone(&self.workers);
        let _ = tokio::spawn(async move { workers.kill(&worker).await }).await;
    }

    fn throttled(&self, is_transaction: bool) -> Reply {
        let body = match (&self.backend, is_transaction) {
            (Backend::Sqs(_), _) => {
                r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}"#
            }
            (Backend::DynamoDb(_), false) => {
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"Rate exceeded"}"#
            }
            (Backend::DynamoDb(_), true) => {
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled","CancellationReasons":[{"Code":"ThrottlingError","Message":"Rate exceeded"},{"Code":"None"}]}"#
            }
        };
        json(400, body)
    }

    fn service(&self) -> &'static str {
        match self.backend {
            Backend::DynamoDb(_) => "table",
            Backend::Sqs(_) => "queue",
        }
    }
}

impl Call {
    fn read(request: Request<Bytes>) -> Self {
        let (parts, mut body) = request.into_parts();
        let target = parts.headers.get("x-amz-target").and_then(|target| target.to_str().ok());
        let target = target.and_then(|target| target.rsplit('.').next()).unwrap_or_default();
        let target = target.to_owned();
        let mut call: Value = serde_json::from_slice(&body).unwrap_or_default();
        // Each attempt of a function is a call of its own with a token of its own, and the
        // engine looks through those of ten minutes at every transaction.
        let token = call.as_object_mut().and_then(|call| call.remove("ClientRequestToken"));
        if token.is_some() {
            body = call.to_string().into();
        }
        let writes = writes(&target, &call);
        let group = call["MessageGroupId"].as_str().map(str::to_owned);
        let owner = call["Item"]["resource"]["S"].as_str().map(str::to_owned);
        let write = writes.first();
        let resource = write.map(|write| write.resource.clone()).or(group).or(owner);
        let queued = call["MessageAttributes"]["operation"]["StringValue"].as_str();
        let deletion = write.filter(|write| write.body.is_none());
        let made = deletion.map(|write| write.operation.as_str()).or(queued).map(str::to_owned);
        Self { parts, body, target, resource, writes, made }
    }
}

fn broken() -> Reply {
    json(500, r#"{"__type":"InternalServerError","message":"Internal server error"}"#)
}

/// The process that made a call: its name is its access key.
fn caller(parts: &Parts) -> String {
    let authorization = parts.headers.get("authorization").and_then(|text| text.to_str().ok());
    let credential = authorization.and_then(|text| text.split_once("Credential="));
    let key = credential.and_then(|(_, rest)| rest.split('/').next());
    key.unwrap_or_default().to_owned()
}
