//! A world for the tests of one function: a real engine behind it, and faults that the test chooses
//! call by call.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::{SqsMessage, SqsMessageAttribute};
use rules::outcome::{Decision, Recorded};
use rules::request::key::Claim;
use rules::{Failure, Operation, OperationId, ResourceId, Version};
use serde_json::Value;
use tokio::sync::Semaphore;
use world::{
    CallError, Claims, Host, Inbox, Metric, Outbox, Outcomes, Report, Resources, Stored,
    Transaction, Write,
};

/// Everything that was recorded so far.
#[derive(Clone, Debug)]
pub(crate) struct Notes<T>(Arc<Mutex<Vec<T>>>);

impl<T> Default for Notes<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T: Clone> Notes<T> {
    pub(crate) fn add(&self, note: T) {
        self.0.lock().unwrap().push(note);
    }

    pub(crate) fn all(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

/// A host with a clock that differs from this machine's. It remembers the lines of its log.
#[derive(Clone, Debug, Default)]
pub struct TestHost {
    /// How far its clock is ahead of this machine's, in ms.
    pub ahead_ms: i64,
    randoms: Arc<AtomicU64>,
    measured: Notes<Metric>,
    lines: Notes<String>,
    pauses: Notes<Duration>,
}

impl TestHost {
    /// A host whose clock is ahead by this many ms.
    pub fn ahead(ahead_ms: i64) -> Self {
        Self { ahead_ms, ..Self::default() }
    }

    /// The metrics so far.
    pub fn measured(&self) -> Vec<Metric> {
        self.measured.all()
    }

    /// The longest pause so far between two calls. A pause of more than a second is the time that
    /// is left for a call.
    pub fn longest_pause(&self) -> Duration {
        let short = self.pauses.all().into_iter().filter(|pause| pause.as_secs() == 0);
        short.max().unwrap_or_default()
    }

    /// The log lines with metrics so far, each without its time and without the members that make
    /// it a metric.
    pub fn measuring_lines(&self) -> Vec<Value> {
        let lines = self.lines();
        let lines = lines.iter().map(|line| serde_json::from_str(line).expect("JSON"));
        let mut measuring: Vec<Value> =
            lines.filter(|line: &Value| line.get("_aws").is_some()).collect();
        for line in &mut measuring {
            line.as_object_mut()
                .expect("an object")
                .retain(|name, _| name != "_aws" && name != "timestamp");
        }
        measuring
    }

    /// The lines of the log so far.
    pub fn lines(&self) -> Vec<String> {
        self.lines.all()
    }
}

impl Host for TestHost {
    fn now(&self) -> Duration {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
        let ahead = Duration::from_millis(self.ahead_ms.unsigned_abs());
        if self.ahead_ms < 0 { now - ahead } else { now + ahead }
    }

    fn random(&self) -> u64 {
        // It differs for each host of a test, since they share one engine.
        let own = Arc::as_ptr(&self.randoms).addr() as u64;
        let count = self.randoms.fetch_add(1, Ordering::Relaxed);
        // splitmix64
        let mut mixed = own.wrapping_add(count.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    async fn sleep(&self, pause: Duration) {
        self.pauses.add(pause);
        tokio::time::sleep(pause).await;
    }

    fn report(&self, report: &Report<'_>) {
        report.metrics.iter().for_each(|(metric, _)| self.measured.add(*metric));
        let line = lambda_shell::log::line(report, "test", self.now());
        self.lines.add(String::from_utf8(line).unwrap());
    }
}

/// The fate of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is made.
    Passes,
    /// It fails without being made, with this failure.
    Fails(Failure),
    /// It fails without being made, since its connection had died.
    LosesConnection,
    /// It is made, and its reply is lost.
    LosesReply,
    /// It is made when [`Faults::release`] is called.
    IsHeld,
    /// It is never answered.
    Hangs,
}

/// The fates of the calls of each name, in order. Calls without a fate pass.
#[derive(Clone, Debug)]
pub struct Faults {
    planned: Arc<Mutex<VecDeque<(&'static str, Fate)>>>,
    calls: Notes<&'static str>,
    released: Arc<Semaphore>,
    held: Arc<Semaphore>,
}

impl Default for Faults {
    fn default() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        let (planned, calls) = Default::default();
        Self { planned, calls, released: none(), held: none() }
    }
}

impl Faults {
    /// The next `times` calls of this name that have no fate yet get this one.
    pub fn plan(&self, name: &'static str, times: usize, fate: Fate) {
        self.planned.lock().unwrap().extend(vec![(name, fate); times]);
    }

    /// The names of the calls so far.
    pub fn calls(&self) -> Vec<&'static str> {
        self.calls.all()
    }

    /// Waits until a call is held.
    pub async fn is_held(&self) {
        self.held.acquire().await.unwrap().forget();
    }

    /// Releases one held call.
    pub fn release(&self) {
        self.released.add_permits(1);
    }

    async fn meet<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, CallError> {
        // Boxed, since the SDK's futures are large and a fate needs only one of them.
        let call = Box::pin(call);
        self.calls.add(name);
        let fate = {
            let mut planned = self.planned.lock().unwrap();
            let at = planned.iter().position(|(of, _)| *of == name);
            at.and_then(|at| planned.remove(at)).map_or(Fate::Passes, |(_, fate)| fate)
        };
        match fate {
            Fate::Passes => call.await,
            Fate::Fails(failure) => Err(CallError::new(name, failure, "told to by the test")),
            Fate::LosesConnection => {
                let error = CallError::new(name, Failure::MayHaveLanded, "reset by the test");
                Err(error.by_reused_connection())
            }
            Fate::LosesReply => {
                call.await?;
                Err(CallError::new(name, Failure::MayHaveLanded, "reply lost by the test"))
            }
            Fate::IsHeld => {
                self.held.add_permits(1);
                self.released.acquire().await.unwrap().forget();
                call.await
            }
            Fate::Hangs => std::future::pending().await,
        }
    }
}

/// The table of resources of a real engine, behind faults.
#[derive(Clone, Debug)]
pub struct FaultyResources {
    /// The table of the engine.
    pub table: tables::Resources,
    /// The fates of the calls.
    pub faults: Faults,
}

impl Resources for FaultyResources {
    async fn read(&self, resource: &ResourceId) -> Result<Option<Stored>, CallError> {
        self.faults.meet("read", self.table.read(resource)).await
    }

    async fn version(&self, resource: &ResourceId) -> Result<Option<Version>, CallError> {
        self.faults.meet("version", self.table.version(resource)).await
    }

    async fn look(
        &self,
        operation: &Operation,
        now: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError> {
        self.faults.meet("look", self.table.look(operation, now)).await
    }

    async fn write(&self, operation: &Operation) -> Result<Write, CallError> {
        self.faults.meet("write", self.table.write(operation)).await
    }

    async fn transact(
        &self,
        operation: &Operation,
        superseded: &[OperationId],
        now: Duration,
    ) -> Result<Transaction, CallError> {
        self.faults.meet("transact", self.table.transact(operation, superseded, now)).await
    }
}

/// The table of outcomes and claims of a real engine, behind faults.
#[derive(Clone, Debug)]
pub struct FaultyOperations {
    /// The table of the engine.
    pub table: tables::Operations,
    /// The fates of the calls.
    pub faults: Faults,
}

impl Outcomes for FaultyOperations {
    async fn recorded(
        &self,
        id: OperationId,
        now: Duration,
    ) -> Result<Option<Recorded>, CallError> {
        self.faults.meet("recorded", self.table.recorded(id, now)).await
    }

    async fn record(
        &self,
        resource: &ResourceId,
        id: OperationId,
        recorded: &Recorded,
    ) -> Result<Option<Decision>, CallError> {
        self.faults.meet("record", self.table.record(resource, id, recorded)).await
    }
}

impl Claims for FaultyOperations {
    async fn claim(&self, claim: &Claim, now: Duration) -> Result<Claim, CallError> {
        self.faults.meet("claim", self.table.claim(claim, now)).await
    }
}

/// A queue that only records what is sent, behind faults.
#[derive(Clone, Debug, Default)]
pub struct TestQueue {
    /// The fates of the calls.
    pub faults: Faults,
    sent: Notes<SqsMessage>,
    hidden: Notes<Duration>,
}

impl TestQueue {
    /// The messages that are in the queue.
    pub fn messages(&self) -> Vec<SqsMessage> {
        self.sent.all()
    }

    /// The times for which messages were hidden, in order.
    pub fn hidden(&self) -> Vec<Duration> {
        self.hidden.all()
    }

    async fn take(&self, message: SqsMessage) -> Result<(), CallError> {
        self.sent.add(message);
        Ok(())
    }
}

impl Outbox for TestQueue {
    async fn send(&self, operation: &Operation, _: Option<&str>) -> Result<(), CallError> {
        self.faults.meet("send", self.take(message(operation))).await
    }

    async fn forward(&self, message: &SqsMessage) -> Result<(), CallError> {
        self.faults.meet("forward", self.take(message.clone())).await
    }
}

impl Inbox for TestQueue {
    async fn delete(&self, _: &str) -> Result<(), CallError> {
        self.faults.meet("delete", async { Ok(()) }).await
    }

    async fn hide(&self, _: &str, timeout: Duration) -> Result<(), CallError> {
        self.hidden.add(timeout);
        self.faults.meet("hide", async { Ok(()) }).await
    }
}

/// The message of an operation as SQS delivers it the first time.
pub fn message(operation: &Operation) -> SqsMessage {
    let mut message = SqsMessage::default();
    message.message_id = Some(format!("message {}", operation.id));
    message.receipt_handle = Some(format!("handle {}", operation.id));
    message.body = Some(queues::message::body(operation).to_owned());
    for (name, value) in queues::message::attributes(operation) {
        set(&mut message, name, &value);
    }
    received(message, 1)
}

/// The message at its `count`th receive.
pub fn received(mut message: SqsMessage, count: u32) -> SqsMessage {
    message.attributes.insert("ApproximateReceiveCount".to_owned(), count.to_string());
    message
}

/// Sets an attribute of a message.
pub fn set(message: &mut SqsMessage, name: &str, value: &str) {
    let mut attribute = SqsMessageAttribute::default();
    attribute.string_value = Some(value.to_owned());
    attribute.data_type = Some("String".to_owned());
    message.message_attributes.insert(name.to_owned(), attribute);
}
