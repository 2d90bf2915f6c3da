//! Lambda's event source, which polls a queue and invokes a function. When a batch returns, it
//! deletes the messages that were not handed back. If the invocation is killed, the batch comes
//! back by itself.

use std::collections::HashSet;
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
use crate::scheduler::{Lost, MS, SECOND, Time};
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
    let timeout = world.plan.apply_timeout;
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

    /// Gathers a batch: the messages that are there, and those that come within the window. The
    /// visibility timeout of the first messages runs meanwhile.
    async fn gather(&self, world: &World) -> Vec<SqsMessage> {
        let plan = &world.plan;
        let (most, window) = if self.is_apply { plan.batch } else { (1, 0) };
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

    /// Receives some messages. Those that were received too often go to the next queue.
    fn receive(&self, world: &World, most: usize) -> Vec<SqsMessage> {
        let plan = &world.plan;
        let visibility = if self.is_apply { plan.visibility } else { plan.visibility * 3 };
        let queue = (self.queue)(world);
        if self.is_apply && plan.max_receives == FAR_BACKSTOP {
            queue.skip_receives(|name| world.history().is_hopeless(name));
        }
        let (records, redrive) = queue.receive(world, most, visibility);
        for message in redrive {
            world.count(if self.is_apply { Event::DeadLettered } else { Event::ParkedUnstalled });
            world.history().on_moved(world.now(), queue.name, &message);
            let message = message.moved_from(queue.name);
            (self.next)(world).take_over(message, world.now(), plan.carries_over);
        }
        records
    }

    async fn invoke(&self, world: &Rc<World>, records: Vec<SqsMessage>) {
        if world.is(Mutant::DeletedFirst) {
            records.iter().for_each(|record| self.delete(world, record));
        }
        let invocation = Invocation::new(world, self.name, self.clock, self.timeout);
        let (is_apply, mut event) = (self.is_apply, SqsEvent::default());
        invocation.told.is_given(&records);
        event.records.clone_from(&records);
        let (told, begun) = (Rc::clone(&invocation.told), world.now());
        let handler = async move {
            // As in the `main` of the functions.
            let timeout = std::time::Duration::from_secs(30);
            let mut context = lambda_http::Context::default();
            context.deadline = invocation.deadline_ms;
            let run = lambda_shell::invocation(Some(&context), invocation.now(), timeout);
            match (is_apply, invocation.world.plan.has_update) {
                (true, true) => run_apply::<true>(invocation, event, run).await,
                (true, false) => run_apply::<false>(invocation, event, run).await,
                (false, _) => run_park(invocation, event, run).await,
            }
        };
        match world.scheduler.run_process(world.fuse(), self.timeout, handler).await {
            Ok(Ok(response)) => {
                let failed: HashSet<_> =
                    response.batch_item_failures.into_iter().map(|it| it.item_identifier).collect();
                let is_failed = |record: &SqsMessage| {
                    record.message_id.as_ref().is_some_and(|id| failed.contains(id))
                };
                let (handed_back, finished): (Vec<_>, Vec<_>) =
                    records.into_iter().partition(is_failed);
                let is_smooth = told.failed_calls.get() == 0 && world.now() < begun + SECOND;
                world.history().on_batch(begun, &handed_back, &finished, is_smooth);
                self.delete_finished(world, &finished).await;
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

    async fn delete_finished(&self, world: &World, finished: &[SqsMessage]) {
        for record in finished {
            world.pause(world.plan.longest_delay).await;
            if !world.fails(Event::DeleteFailed) {
                self.delete(world, record);
            }
        }
    }

    fn delete(&self, world: &World, record: &SqsMessage) {
        world.trace(self.name, || format!("{:?} is deleted", record.message_id));
        (self.queue)(world).delete(record.receipt_handle.as_deref().unwrap_or_default());
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

/// The messages of records, each with its PUT and the count of its receives.
fn written(records: &[SqsMessage]) -> String {
    let text = |record: &SqsMessage| {
        let id = record.message_id.as_deref().unwrap_or_default();
        format!("{id} {} ({})", name_of(record), lambda_shell::sqs_event::receives(record))
    };
    records.iter().map(text).collect::<Vec<_>>().join(", ")
}
