//! The wire between the functions and a service. It loses, delays and refuses calls, and kills
//! their callers.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http::request::Parts;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::engine::{Engine, Write, writes};
use crate::fault::{Death, Fault, PATIENCE};
use crate::http::{Connection, HangUp, Reply, json, serve};
use crate::sqs::Sqs;
use crate::tally::Tally;
use crate::watch::{UnderWay, Watch};
use crate::workers::Workers;

/// The service at the far end.
#[derive(Clone)]
pub(crate) enum Service {
    Table(Engine),
    Queue(Arc<Sqs>),
}

/// A wire to one service.
pub struct Wire {
    address: SocketAddr,
    is_up: watch::Sender<bool>,
    service: Service,
    watch: Arc<Watch>,
    workers: Arc<Workers>,
    tally: Arc<Tally>,
    /// What has happened to the connections that were open at that time.
    dead: Mutex<Option<(Instant, Death)>>,
}

/// A call on its way.
struct Call {
    parts: Parts,
    /// The operation of the service, such as `UpdateItem`.
    target: String,
    json: Value,
    /// The resource that it is for, if it names one.
    resource: Option<String>,
    /// What it writes to resources if it lands.
    writes: Vec<Write>,
    /// The operation that it queues, or by which it deletes a resource.
    made: Option<String>,
}

impl Wire {
    pub(crate) async fn new(
        service: Service,
        watch: &Arc<Watch>,
        workers: &Arc<Workers>,
        tally: &Arc<Tally>,
    ) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Arc::new(Self {
            address: listener.local_addr().expect("a bound address"),
            is_up: watch::Sender::new(true),
            service,
            watch: Arc::clone(watch),
            workers: Arc::clone(workers),
            tally: Arc::clone(tally),
            dead: Mutex::default(),
        })
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Carries calls while it is up.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut is_up = self.is_up.subscribe();
        loop {
            let Ok(listener) = TcpListener::bind(self.address).await else {
                // An outgoing connection may hold the port for a moment.
                sleep(Duration::from_millis(5)).await;
                continue;
            };
            let wire = Arc::clone(&self);
            let serving = serve(listener, move |request| Arc::clone(&wire).carry(request));
            tokio::select! {
                never = serving => match never {},
                _ = is_up.wait_for(|is_up| !is_up) => {}
            }
            let _ = is_up.wait_for(|is_up| *is_up).await;
        }
    }

    /// Makes every open connection die. Its process notices at its next call.
    pub fn kill_connections(&self, death: Death) {
        *self.dead.lock().unwrap() = Some((Instant::now(), death));
    }

    /// Cuts every connection, and refuses new ones for this time.
    pub async fn cut(&self, time: Duration) {
        self.count("cut off");
        let _ = self.is_up.send(false);
        sleep(time).await;
        let _ = self.is_up.send(true);
    }

    fn count(&self, what: &str) {
        let service = match self.service {
            Service::Table(_) => "table",
            Service::Queue(_) => "queue",
        };
        self.tally.add(&format!("{service} {what}"));
    }

    async fn carry(self: Arc<Self>, request: Request<Bytes>) -> Result<Reply, HangUp> {
        if let Some((connection, death)) = self.death(&request) {
            self.count(&format!("{death:?} on reuse"));
            match death {
                Death::Reset => connection.end_with_reset().map_err(|_| HangUp {})?,
                Death::Silence => sleep(PATIENCE).await,
                Death::Sickness => return Ok(broken()),
            }
            return Err(HangUp {});
        }
        let call = Call::read(request);
        let caller = caller(&call.parts);
        if let (Some(resource), Some(operation)) = (&call.resource, &call.made)
            && let Some(request) = self.workers.request(&caller)
        {
            self.watch.made(resource, operation, request);
        }
        let is_transaction = call.target == "TransactWriteItems";
        let (fault, delay, under_way) =
            self.watch.begin(call.resource.clone(), !call.writes.is_empty());
        if let Some(fault) = fault {
            self.count(&format!("{fault:?}"));
        }
        match fault {
            Some(Fault::Throttled) => return Ok(self.throttled(is_transaction)),
            Some(Fault::Broken) => return Ok(broken()),
            Some(Fault::KilledBefore) => {
                // The call is under way until its caller is dead.
                self.kill(caller).await;
                return Err(HangUp {});
            }
            _ => {}
        }
        // A separate task, so a caller that hangs up does not undo the call.
        let landing = tokio::spawn(Arc::clone(&self).land(call, delay, under_way));
        if fault == Some(Fault::Late) {
            return Err(HangUp {});
        }
        let reply = landing.await.expect("the service answers");
        match fault {
            Some(Fault::BrokenAfter) => Ok(broken()),
            Some(Fault::ReplyLost) => Err(HangUp {}),
            Some(Fault::KilledAfter) => {
                self.kill(caller).await;
                Err(HangUp {})
            }
            _ => Ok(reply),
        }
    }

    /// How the connection of a request died, if it did.
    fn death<'a>(&self, request: &'a Request<Bytes>) -> Option<(&'a Connection, Death)> {
        let connection = request.extensions().get::<Connection>()?;
        let (at, death) = (*self.dead.lock().unwrap())?;
        (connection.opened < at).then_some((connection, death))
    }

    /// Makes a call land. It is under way until then.
    async fn land(self: Arc<Self>, call: Call, delay: Duration, _under_way: UnderWay) -> Reply {
        if !delay.is_zero() {
            sleep(delay).await;
        }
        let Call { parts, target, json: body, writes, .. } = call;
        let called = self.watch.now();
        let (status, body) = match &self.service {
            Service::Table(engine) => engine.call(&parts, body.to_string().into()).await,
            Service::Queue(sqs) => sqs.call(&target, &body),
        };
        if status == 200 {
            writes.into_iter().for_each(|write| self.watch.land(write, called));
        }
        json(status, body)
    }

    async fn kill(&self, worker: String) {
        // A separate task, since the kill cuts the connection of this call.
        let workers = Arc::clone(&self.workers);
        let _ = tokio::spawn(async move { workers.kill(&worker).await }).await;
    }

    fn throttled(&self, is_transaction: bool) -> Reply {
        let body = match (&self.service, is_transaction) {
            (Service::Queue(_), _) => {
                r#"{"__type":"com.amazonaws.sqs#RequestThrottled","message":"Rate exceeded"}"#
            }
            (Service::Table(_), false) => {
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"Rate exceeded"}"#
            }
            (Service::Table(_), true) => {
                r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","Message":"Transaction cancelled","CancellationReasons":[{"Code":"ThrottlingError","Message":"Rate exceeded"},{"Code":"None"}]}"#
            }
        };
        json(400, body)
    }
}

fn header<'a>(parts: &'a Parts, name: &str) -> &'a str {
    parts.headers.get(name).and_then(|text| text.to_str().ok()).unwrap_or_default()
}

/// The operation of an AWS service that a request calls, such as `UpdateItem`.
pub fn target(parts: &Parts) -> &str {
    header(parts, "x-amz-target").rsplit('.').next().unwrap_or_default()
}

impl Call {
    fn read(request: Request<Bytes>) -> Self {
        let (parts, body) = request.into_parts();
        let target = target(&parts).to_owned();
        let mut json: Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(call) = json.as_object_mut() {
            // Each attempt of a function is a separate call with its own token, and at every
            // transaction the engine searches the tokens of the last ten minutes.
            call.remove("ClientRequestToken");
        }
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let writes = writes(&target, &json);
        let write = writes.first();
        let resource = write.map(|write| write.resource.clone());
        let resource = resource.or_else(|| text(&json["MessageGroupId"]));
        let resource = resource.or_else(|| text(&json["Item"]["resource"]["S"]));
        let deletion = write.filter(|write| write.body.is_none());
        let deleted = deletion.map(|write| write.operation.clone());
        let queued = || text(&json["MessageAttributes"]["operation"]["StringValue"]);
        let made = deleted.or_else(queued);
        Self { parts, target, json, resource, writes, made }
    }
}

fn broken() -> Reply {
    json(500, r#"{"__type":"InternalServerError","message":"Internal server error"}"#)
}

/// The process that made a call: its name is its access key.
fn caller(parts: &Parts) -> String {
    let credential = header(parts, "authorization").split_once("Credential=");
    let key = credential.and_then(|(_, rest)| rest.split('/').next());
    key.unwrap_or_default().to_owned()
}
