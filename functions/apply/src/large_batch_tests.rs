//! What a large batch does when the table is slow. Time passes only while every task waits.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use rules::outcome::{Decision, Recorded};
use rules::work::coalesce::SUSPECT_RECEIVES;
use rules::{Failure, Operation, OperationId, Precondition, ResourceId, Tick, Version};
use tests::thing::Thing;
use tests::world::{message, received};
use tokio::time::Instant;
use world::{
    CallError, Host, Inbox, Invocation, Outbox, Outcomes, Report, Resources, Stored, Transaction,
    Write,
};

use crate::{Apply, CONCURRENCY};

/// Calls of one kind: the time that each takes, and what the test saw of them.
struct Calls {
    take: Duration,
    fail: bool,
    made: Cell<usize>,
    under_way: Cell<usize>,
    most_under_way: Cell<usize>,
}

impl Calls {
    fn that_take(ms: u64) -> Self {
        let [made, under_way, most_under_way] = Default::default();
        Self { take: Duration::from_millis(ms), fail: false, made, under_way, most_under_way }
    }

    fn that_fail_after(ms: u64) -> Self {
        Self { fail: true, ..Self::that_take(ms) }
    }

    async fn make(&self) -> Result<(), CallError> {
        self.made.set(self.made.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        self.most_under_way.set(self.most_under_way.get().max(self.under_way.get()));
        tokio::time::sleep(self.take).await;
        self.under_way.set(self.under_way.get() - 1);
        let failure = || CallError::new("a call", Failure::MayHaveLanded, "told to by the test");
        if self.fail { Err(failure()) } else { Ok(()) }
    }
}

/// The world of one invocation, which began at `start`.
struct Slow {
    start: Instant,
    transactions: Calls,
    queue: Calls,
    /// How often each message was hidden.
    hidden: RefCell<Vec<String>>,
}

const BEGAN: Duration = Duration::from_secs(1_800_000_000);

/// The 30 s of an invocation, less the time to answer.
const TIME: Duration = Duration::from_secs(29);

impl Host for &Slow {
    fn now(&self) -> Duration {
        BEGAN + self.start.elapsed()
    }

    fn random(&self) -> u64 {
        0
    }

    async fn sleep(&self, pause: Duration) {
        tokio::time::sleep(pause).await;
    }

    fn report(&self, _: &Report<'_>) {}
}

impl Resources for &Slow {
    async fn read(&self, _: &ResourceId) -> Result<Option<Stored>, CallError> {
        self.transactions.make().await.map(|()| None)
    }

    async fn version(&self, _: &ResourceId) -> Result<Option<Version>, CallError> {
        self.transactions.make().await.map(|()| None)
    }

    async fn look(
        &self,
        _: &Operation,
        _: Duration,
    ) -> Result<(Option<Version>, Option<Recorded>), CallError> {
        self.transactions.make().await.map(|()| (None, None))
    }

    async fn write(&self, _: &Operation) -> Result<Write, CallError> {
        self.transactions.make().await.map(|()| Write::Written { created: true })
    }

    async fn transact(
        &self,
        _: &Operation,
        _: &[OperationId],
        _: Duration,
    ) -> Result<Transaction, CallError> {
        self.transactions.make().await.map(|()| Transaction::Written)
    }
}

impl Outcomes for &Slow {
    async fn recorded(&self, _: OperationId, _: Duration) -> Result<Option<Recorded>, CallError> {
        self.transactions.make().await.map(|()| None)
    }

    async fn record(
        &self,
        _: &ResourceId,
        _: OperationId,
        _: &Recorded,
    ) -> Result<Option<Decision>, CallError> {
        self.transactions.make().await.map(|()| None)
    }
}

impl Outbox for &Slow {
    async fn send(&self, _: &Operation, _: Option<&str>) -> Result<(), CallError> {
        self.queue.make().await
    }

    async fn forward(&self, _: &SqsMessage) -> Result<(), CallError> {
        self.queue.make().await
    }
}

impl Inbox for &Slow {
    async fn delete(&self, _: &str) -> Result<(), CallError> {
        self.queue.make().await
    }

    async fn hide(&self, receipt_handle: &str, _: Duration) -> Result<(), CallError> {
        self.hidden.borrow_mut().push(receipt_handle.to_owned());
        self.queue.make().await
    }
}

impl Slow {
    fn new(transactions: Calls, queue: Calls) -> Self {
        Self { start: Instant::now(), transactions, queue, hidden: RefCell::default() }
    }

    /// Applies a batch; returns how many of its messages are handed back, and after how many ms.
    async fn apply(&self, records: Vec<SqsMessage>) -> (usize, u128) {
        let apply = Apply {
            host: self,
            resource: Thing,
            resources: self,
            operations: self,
            updates: self,
            dead_letters: self,
        };
        let mut event = SqsEvent::default();
        event.records = records;
        let invocation = Invocation { deadline: BEGAN + TIME, ..Invocation::default() };
        let response = Box::pin(apply.handle(event, &invocation)).await.unwrap();
        (response.batch_item_failures.len(), self.start.elapsed().as_millis())
    }
}

/// One update of each of so many resources; the first of them are suspects.
fn records(resources: usize, suspects: usize) -> Vec<SqsMessage> {
    let record = |n: usize| {
        let id = OperationId::new(Tick::from_unix(BEGAN - Duration::from_secs(60)), n as u64);
        let resource = ResourceId::new(&format!("resource-{n}")).unwrap();
        let operation = Operation::put(id, resource, Precondition::None, "{}".to_owned());
        received(message(&operation), if n < suspects { SUSPECT_RECEIVES } else { 1 })
    };
    (0..resources).map(record).collect()
}

/// A hundred resources take the table's latency once, and a thousand take it ten times. However
/// long the calls take, the answer is in time, and every message that is handed back is hidden by
/// then.
#[tokio::test(start_paused = true)]
async fn a_batch_of_a_thousand_is_answered_in_time() {
    let (ok, fails) = (Calls::that_take, Calls::that_fail_after);
    let in_time = TIME.as_millis();
    for (resources, suspects, table, queue, done, ends_ms, at_a_time) in [
        (1, 0, ok(20), ok(10), 1, 20..=21, 1),
        (100, 0, ok(20), ok(10), 100, 20..=21, 100),
        (1000, 0, ok(20), ok(10), 1000, 200..=210, 100),
        (1000, 0, ok(100), ok(10), 1000, 1000..=1010, 100),
        // The table is slow or fails, and SQS may fail too.
        (1000, 0, ok(2900), ok(10), 900, 26_000..=in_time, 100),
        (1000, 0, fails(3000), ok(10), 0, 20_000..=in_time, 100),
        (1000, 0, fails(3000), fails(3000), 0, 20_000..=in_time, 100),
        // Suspects run alone: after an outage every message may be one.
        (1000, 1000, ok(5), ok(10), 1000, 5000..=7000, 1),
        (1000, 1000, ok(100), ok(10), 241, 24_000..=in_time, 1),
        // Finished messages are deleted, a hundred at a time, before a suspect runs.
        (1000, 1, ok(5), ok(10), 1000, 150..=200, 100),
    ] {
        let slow = Slow::new(table, queue);
        let (handed_back, ms) = slow.apply(records(resources, suspects)).await;
        let row = format!("{resources} {suspects} {handed_back} in {ms} ms");
        assert_eq!(resources - handed_back, done, "{row}");
        assert!(ends_ms.contains(&ms), "{row}");
        assert_eq!(slow.transactions.most_under_way.get(), at_a_time, "{row}");
        assert!(slow.queue.most_under_way.get() <= CONCURRENCY, "{row}");
        let hidden: BTreeSet<_> = slow.hidden.take().into_iter().collect();
        let deleted = if suspects == 1 { 999 } else { 0 };
        // A message that cannot be hidden comes back by itself.
        let made = if slow.queue.fail { hidden.len() } else { handed_back + deleted };
        assert_eq!((hidden.len() + deleted, slow.queue.made.get()), (made, made), "{row}");
    }
}
