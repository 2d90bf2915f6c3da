//! What a large batch does when the table is slow, under a time that passes only where
//! everybody waits.

use std::cell::{Cell, RefCell};
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

/// Calls of one kind: how long each takes, and what was seen of them.
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

/// What is left of the 30 s of an invocation, less the time to answer.
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

    /// Applies a batch; returns how many of its messages are handed back, and when, in ms.
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

/// The first receive of an update of each of so many resources.
fn of_resources(count: u64) -> Vec<SqsMessage> {
    let operation = |n: u64| {
        let id = OperationId::new(Tick::from_unix(BEGAN - Duration::from_secs(60)), n);
        let resource = ResourceId::new(&format!("resource-{n}")).unwrap();
        Operation::put(id, resource, Precondition::None, "{}".to_owned())
    };
    (0..count).map(|n| message(&operation(n))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_resources_take_one_latency_and_a_thousand_take_ten() {
    for (resources, takes_ms) in [(1, 20), (100, 20), (1000, 200)] {
        let slow = Slow::new(Calls::that_take(20), Calls::that_take(10));
        let (handed_back, ms) = slow.apply(of_resources(resources)).await;
        assert_eq!((handed_back, ms / takes_ms), (0, 1), "{resources} resources in {ms} ms");
        assert!(slow.transactions.most_under_way.get() <= CONCURRENCY);
        assert_eq!(slow.queue.made.get(), 0);
    }
}

/// The answer must be there in time, whatever a call takes, and every message that is handed
/// back be hidden by then.
#[tokio::test(start_paused = true)]
async fn what_a_slow_table_leaves_no_time_for_is_handed_back_before_the_deadline() {
    for (takes_ms, in_time) in [(100, 1000), (2900, 900)] {
        let slow = Slow::new(Calls::that_take(takes_ms), Calls::that_take(10));
        let (handed_back, ms) = slow.apply(of_resources(1000)).await;
        assert_eq!(1000 - handed_back, in_time, "calls that take {takes_ms} ms");
        assert_eq!(slow.transactions.made.get(), in_time);
        assert!(ms < TIME.as_millis(), "{ms} ms");
        assert_eq!(slow.hidden.borrow().len(), handed_back);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_is_gone_hands_a_thousand_back_hidden() {
    let slow = Slow::new(Calls::that_fail_after(3000), Calls::that_take(10));
    let (handed_back, ms) = slow.apply(of_resources(1000)).await;
    assert_eq!(handed_back, 1000);
    assert!(ms < TIME.as_millis(), "{ms} ms");
    let mut hidden = slow.hidden.take();
    hidden.sort();
    hidden.dedup();
    assert_eq!(hidden.len(), 1000);
    assert_eq!(slow.queue.most_under_way.get(), CONCURRENCY);
}

/// SQS is as slow as the table then; what could not be hidden comes back by itself.
#[tokio::test(start_paused = true)]
async fn a_queue_that_is_gone_as_well_does_not_hold_the_answer_up() {
    let slow = Slow::new(Calls::that_fail_after(3000), Calls::that_fail_after(3000));
    let (handed_back, ms) = slow.apply(of_resources(1000)).await;
    assert_eq!((handed_back, ms <= TIME.as_millis()), (1000, true), "{ms} ms");
}

/// After an outage every message may be a suspect, and those run alone.
#[tokio::test(start_paused = true)]
async fn suspects_that_there_is_no_time_for_are_handed_back() {
    for (takes_ms, in_time) in [(5, 1000), (20, 1000), (100, 240)] {
        let suspects = of_resources(1000).into_iter().map(|one| received(one, SUSPECT_RECEIVES));
        let slow = Slow::new(Calls::that_take(takes_ms), Calls::that_take(10));
        let (handed_back, ms) = slow.apply(suspects.collect()).await;
        let (done, most) = (1000 - handed_back, slow.transactions.most_under_way.get());
        assert!(done.abs_diff(in_time) <= in_time / 20, "{done} of calls of {takes_ms} ms");
        assert_eq!(most, 1);
        assert!(ms < TIME.as_millis(), "{ms} ms");
    }
}

#[tokio::test(start_paused = true)]
async fn the_finished_are_deleted_a_hundred_at_a_time_before_a_suspect_runs() {
    let mut records = of_resources(1000);
    records[7] = received(records[7].clone(), SUSPECT_RECEIVES);
    let slow = Slow::new(Calls::that_take(5), Calls::that_take(10));
    let (handed_back, ms) = slow.apply(records).await;
    assert_eq!((handed_back, slow.queue.made.get()), (0, 999));
    assert_eq!(slow.queue.most_under_way.get(), CONCURRENCY);
    assert!(ms < 1000, "{ms} ms");
}
