//! Lambda's event source, which polls a queue and invokes a function: of a batch that
//! returns, what is not handed back is deleted; one that is killed comes back by itself.

use std::rc::Rc;

use apply::Apply;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent, SqsMessage};
use park::Park;
use world::Host as _;

use crate::events::Event;
use crate::host::Invocation;
use crate::mutants::Mutant;
use crate::plan::{Clock, FAR_BACKSTOP};
use crate::queue::{Queue, name_of};
use crate::resource::Simulated;
use crate::scheduler::{Lost, MS, Patience, SECOND, Time};
use crate::world::World;

/// The function behind an event source.
#[derive(Clone, Copy)]
pub struct Source {
    name: &'static str,
    queue: fn(&World) -> &Queue,
    next: fn(&World) -> &Queue,
    clock: Clock,
    /// The function's timeout.
    timeout: Time,
    is_apply: bool,
}

pub fn apply(world: &World, name: &'static str, clock: Clock) -> Source {
    let timeout = world.plan.invocation;
    Source {
        name,
        queue: |world| &world.updates,
        next: |world| &world.dead_letters,
        clock,
        timeout,
        is_apply: true,
    }
}

pub fn park(world: &World) -> Source {
    Source {
        name: "park",
        queue: |world| &world.dead_letters,
        next: |world| &world.parked,
        clock: world.plan.apply_clocks[0],
        timeout: 30 * SECOND,
        is_apply: false,
    }
}

impl Source {
    pub async fn poll(self, world: Rc<World>) {
        if self.is_apply {
            world.scheduler.sleep(world.plan.workers_from).await;
        }
        while !world.is_over.get() {
            let records = self.gather(&world).await;
            if records.is_empty() {
                (self.queue)(&world).wait(&world.scheduler).await;
                let late = world.prng().range(1, 5 * MS);
                world.scheduler.sleep(late).await;
                continue;
            }
            world.trace(self.name, || format!("receives {}", written(&records)));
            world.begin();
            self.invoke(&world, records).await;
            world.finish();
        }
    }

    /// Gathers a batch: what is there, and what comes within the window. The visibility
    /// timeout of what came first runs meanwhile.
    async fn gather(&self, world: &World) -> Vec<SqsMessage> {
        let plan = &world.plan;
        let (most, window) = if self.is_apply { (plan.batch, plan.window) } else { (1, 0) };
        let mut records = self.receive(world, most);
        if window > 0 && !records.is_empty() && records.len() < most {
            world.pause(window).await;
            records.extend(self.receive(world, most - records.len()));
        }
        if records.len() > 10 {
            world.count(Event::LargeBatch);
        }
        records
    }

    /// Receives some messages; what was received too often goes to the next queue.
    fn receive(&self, world: &World, most: usize) -> Vec<SqsMessage> {
        let (plan, now) = (&world.plan, world.now());
        let duplicates = if world.is_calm.get() { 0 } else { plan.duplicates };
        let visibility = if self.is_apply { plan.visibility } else { plan.visibility * 3 };
        let queue = (self.queue)(world);
        if self.is_apply && plan.max_receives >= FAR_BACKSTOP {
            queue.skip_receives(|name| world.history().is_hopeless(name));
        }
        let received = queue.receive(
            now,
            (most, plan.partial_receives),
            visibility,
            duplicates,
            &mut world.prng(),
        );
        let mut history = world.history();
        history.counts.add(Event::Redelivered, received.redelivered);
        history.counts.add(Event::Duplicate, received.duplicates);
        for message in &received.dropped {
            history.on_retention_over(message);
        }
        for message in received.redrive {
            let event = if self.is_apply { Event::DeadLettered } else { Event::ParkedUnstalled };
            history.count(event);
            history.on_moved(now, queue.name, &message);
            let message = message.moved_from(queue.name);
            (self.next)(world).take_over(message, now, plan.carries_over);
        }
        received.records
    }

    async fn invoke(&self, world: &Rc<World>, records: Vec<SqsMessage>) {
        if world.is(Mutant::DeletedFirst) {
            for record in &records {
                delete(world, (self.queue)(world), &Received::of(record));
            }
        }
        let invocation = Invocation::new(world, self.name, self.clock, self.timeout);
        let (is_apply, mut event) = (self.is_apply, SqsEvent::default());
        let received: Vec<_> = records.iter().map(Received::of).collect();
        invocation.told.is_given(&records);
        event.records = records;
        let (told, begun) = (Rc::clone(&invocation.told), world.now());
        let handler = async move {
            // As in the functions' main.
            let timeout = std::time::Duration::from_secs(30);
            let context = invocation.context();
            let run = lambda_shell::invocation(Some(&context), invocation.now(), timeout);
            match (is_apply, invocation.world.plan.has_update) {
                (true, true) => run_apply::<true>(invocation, event, run).await,
                (true, false) => run_apply::<false>(invocation, event, run).await,
                (false, _) => run_park(invocation, event, run).await,
            }
        };
        let fuse = world.fuse();
        let patience = Patience::Kills(self.timeout);
        match world.scheduler.run_process(fuse, patience, handler).await {
            Ok(Ok(response)) => {
                let is_smooth = told.failed_calls.get() == 0
                    && world.now() < begun + SECOND
                    && received.iter().all(|one| world.history().always_passes(&one.name));
                if is_smooth {
                    self.check_handed_back(world, begun, &received, &response);
                }
                self.delete_finished(world, received, &response).await;
            }
            Ok(Err(error)) => {
                world.history().violate(|| format!("batch: {} failed: {error}", self.name));
            }
            Err(lost) => {
                world.trace(self.name, || format!("is lost: {lost:?}"));
                world.count(if self.is_apply { Event::ApplyKilled } else { Event::ParkKilled });
                if lost == Lost::OutOfTime {
                    let name = self.name;
                    world.history().violate(|| format!("deadline: {name} was cut off half-way"));
                }
                world.pause(world.plan.longest_delay).await;
            }
        }
    }

    /// Nothing kept the function from what it was to do with each message.
    fn check_handed_back(
        &self,
        world: &World,
        begun: Time,
        received: &[Received],
        response: &SqsBatchResponse,
    ) {
        for failure in &response.batch_item_failures {
            let is_it = |one: &&Received| one.message_id == failure.item_identifier;
            if let Some(one) = received.iter().find(is_it) {
                world.history().on_handed_back(begun, &one.name);
            }
        }
    }

    async fn delete_finished(
        &self,
        world: &World,
        received: Vec<Received>,
        response: &SqsBatchResponse,
    ) {
        let handed_back = &response.batch_item_failures;
        for record in received {
            if handed_back.iter().any(|failure| failure.item_identifier == record.message_id) {
                world.count(Event::HandedBack);
                continue;
            }
            world.pause(world.plan.longest_delay).await;
            if world.fault(world.plan.faults.delete) {
                world.count(Event::DeleteFailed);
            } else {
                delete(world, (self.queue)(world), &record);
            }
        }
    }
}

async fn run_apply<const HAS_UPDATE: bool>(
    invocation: Invocation,
    event: SqsEvent,
    run: world::Invocation,
) -> Result<SqsBatchResponse, lambda_http::Error> {
    let apply = Apply {
        updates: invocation.updates(),
        dead_letters: invocation.dead_letters(),
        host: invocation.clone(),
        resources: invocation.clone(),
        operations: invocation.clone(),
        resource: Simulated::<HAS_UPDATE>(invocation),
    };
    Box::pin(apply.handle(event, &run)).await
}

async fn run_park(
    invocation: Invocation,
    event: SqsEvent,
    run: world::Invocation,
) -> Result<SqsBatchResponse, lambda_http::Error> {
    let park =
        Park { parked: invocation.parked(), host: invocation.clone(), operations: invocation };
    Box::pin(park.handle(event, &run)).await
}

/// What the event source needs of a message that it has handed to a function.
struct Received {
    message_id: String,
    receipt_handle: String,
    name: String,
}

impl Received {
    fn of(record: &SqsMessage) -> Self {
        let (id, handle) = (record.message_id.clone(), record.receipt_handle.clone());
        let (message_id, receipt_handle) = (id.unwrap_or_default(), handle.unwrap_or_default());
        Self { message_id, receipt_handle, name: name_of(record).to_owned() }
    }
}

fn delete(world: &World, queue: &Queue, received: &Received) {
    queue.delete(&received.receipt_handle);
    world.trace("queues", || format!("{} is deleted", received.message_id));
}

/// The messages of records, and what they are of, with the count of their receives.
fn written(records: &[SqsMessage]) -> String {
    let text = |record: &SqsMessage| {
        let id = record.message_id.as_deref().unwrap_or_default();
        format!("{id} {} ({})", name_of(record), lambda_shell::sqs_event::receives(record))
    };
    records.iter().map(text).collect::<Vec<_>>().join(", ")
}
