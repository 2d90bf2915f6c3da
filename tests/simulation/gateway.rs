//! How a request flows through the gateway to a host and back, while the client may give up, and
//! messages that something other than `put` sends.

use std::rc::Rc;
use std::time::Duration;

use lambda_http::{Body, Response};
use put::{ArrivalClock, Put};
use read::Read;
use rules::request::accept::Mode as DefaultMode;
use rules::{Change, Operation, OperationId, Precondition, ResourceId, Tick};
use tests::request::Sent;
use tests::thing::{Thing, sample};
use tests::world::{message, set};
use tokio::sync::oneshot;
use world::Host as _;

use crate::clients::{Mode, PutRequest};
use crate::events::Event;
use crate::history::{PutId, SendingId};
use crate::host::Invocation;
use crate::http::{self, Answer, receipts};
use crate::mutants::Mutant;
use crate::queue_calls::QueueCalls;
use crate::resource::{Behaviour, Simulated};
use crate::scheduler::{Lost, MS, SECOND, Time};
use crate::world::World;

/// Longest time that the gateway waits for a function.
const GATEWAY_PATIENCE: Time = 30 * SECOND;
/// A longer `wait` is cut to this.
const LONGEST_WAIT: Time = 15 * SECOND;
const PUT_TIMEOUT: Time = 29 * SECOND;
const READ_TIMEOUT: Time = 15 * SECOND;

/// Sends a PUT; `None` if its client sees no answer.
pub async fn send(world: &Rc<World>, who: &str, put: PutId, mode: Mode) -> Option<Answer> {
    let sending = world.history().on_request(world.now(), put, mode);
    world.trace(who, || format!("sends #{put} for the {sending}th time, {mode:?}"));
    let patience = match world.fails(Event::GivenUp) {
        true => world.prng().skewed(10 * SECOND).max(10 * MS),
        false => GATEWAY_PATIENCE,
    };
    world.begin();
    let (here, (answers, answered)) = (Rc::clone(world), oneshot::channel());
    world.scheduler.spawn(async move {
        let answer = pass_on(&here, put, sending, mode).await;
        here.finish();
        here.pause(here.plan.longest_delay).await;
        let _ = answers.send(answer);
    });
    let answer = match world.scheduler.within(patience, answered).await {
        Some(answer) => answer.expect("it is not killed"),
        None => {
            world.history().on_given_up(world.now(), put, sending);
            None
        }
    };
    let answer = answer.filter(|_| !world.fails(Event::AnswerLost));
    world.trace(who, || format!("#{put} {answer:?}"));
    answer
}

/// An invocation of `put` on one of its hosts.
fn on_some_host(world: &Rc<World>) -> Invocation {
    let host = world.prng().index(world.plan.put_clocks.len());
    let name = ["put-0", "put-1", "put-2"][host];
    Invocation::of_request(world, name, world.plan.put_clocks[host], PUT_TIMEOUT)
}

/// How long a request takes from the gateway to a host.
async fn reach_host(world: &World) {
    let is_held_up = world.fails(Event::HeldUp);
    let plan = &world.plan;
    world.pause(if is_held_up { plan.longest_hold_up } else { plan.longest_delay }).await;
}

/// Sends the request to the gateway, which records the time, and on to a host.
async fn pass_on(world: &Rc<World>, put: PutId, sending: SendingId, mode: Mode) -> Option<Answer> {
    world.pause(world.plan.longest_delay).await;
    let gateway = world.prng().pick(&world.plan.gateway_clocks);
    let is_timeless = world.fails(Event::Timeless);
    let gateway_ms = (!is_timeless).then(|| world.time_by(gateway).as_millis() as u64);
    world.history().on_arrival(world.now(), put, sending, gateway_ms);
    reach_host(world).await;
    let mut invocation = on_some_host(world);
    invocation.sending = Some((put, sending));
    invocation.wait = match mode {
        Mode::Wait(wait) => Some(Duration::from_micros(wait.min(LONGEST_WAIT))),
        Mode::Inline | Mode::Deferred => None,
    };
    let request = world.history().request(put).clone();
    let handled = handle(invocation, request, mode, gateway_ms);
    match world.scheduler.run_process(world.fuse(), PUT_TIMEOUT, handled).await {
        Ok(answer) => answer,
        Err(Lost::Killed) => {
            world.count(Event::PutKilled);
            // The gateway answers 502.
            world.history().on_given_up(world.now(), put, sending);
            None
        }
        Err(Lost::OutOfTime) => {
            world.history().violate(|| format!("deadline: #{put} got no answer in time"));
            None
        }
    }
}

/// The invocation of `put` itself.
async fn handle(
    invocation: Invocation,
    request: PutRequest,
    mode: Mode,
    gateway_ms: Option<u64>,
) -> Option<Answer> {
    let world = Rc::clone(&invocation.world);
    let event = http::put_request(&request, mode, gateway_ms, invocation.deadline());
    // Boxed, since these futures are large and would be moved several times.
    let response = match world.plan.has_update && !world.is(Mutant::UpdateIsSkipped) {
        true => Box::pin(put::<true>(&invocation).handle(event)).await,
        false => Box::pin(put::<false>(&invocation).handle(event)).await,
    };
    invocation.is_in_time();
    let mut history = world.history();
    match http::read_answer(&request, response) {
        Ok((answer, named)) => {
            if let Some(id) = named {
                history.on_named(&invocation, id);
            }
            history.on_answer(world.now(), &invocation, answer);
            Some(answer)
        }
        Err(wrong) => {
            history.violate(|| format!("form: {request:?} got {wrong}"));
            None
        }
    }
}

type SimulatedPut<const HAS_UPDATE: bool> =
    Put<Invocation, Simulated<HAS_UPDATE>, Invocation, Invocation, QueueCalls>;

fn put<const HAS_UPDATE: bool>(invocation: &Invocation) -> SimulatedPut<HAS_UPDATE> {
    Put {
        host: invocation.clone(),
        resource: Simulated(invocation.clone()),
        resources: invocation.clone(),
        operations: invocation.clone(),
        updates: invocation.updates(),
        receipts: receipts(),
        default_mode: DefaultMode::Inline,
        arrival_clock: match invocation.world.is(Mutant::ArrivalFromHost) {
            true => ArrivalClock::Host,
            false => ArrivalClock::Gateway,
        },
    }
}

/// `DELETE` of the status of an operation, which cancels the operation.
pub async fn cancel(world: &Rc<World>, who: &str, resource: &ResourceId, id: OperationId) {
    world.trace(who, || format!("cancels {id}"));
    world.history().on_cancel(id);
    world.begin();
    reach_host(world).await;
    let mut invocation = on_some_host(world);
    invocation.cancels = Some(id);
    let handled = handle_cancel(invocation, resource.clone(), id);
    match world.scheduler.run_process(world.fuse(), PUT_TIMEOUT, handled).await {
        Ok(()) => {}
        Err(Lost::Killed) => world.count(Event::PutKilled),
        Err(Lost::OutOfTime) => {
            world.history().violate(|| format!("deadline: the DELETE of {id}'s status"));
        }
    }
    world.finish();
}

async fn handle_cancel(invocation: Invocation, resource: ResourceId, id: OperationId) {
    let sent = Sent::delete(&http::path(&resource, Some(id)), 1).until(invocation.deadline());
    let response = Box::pin(put::<false>(&invocation).handle(sent.request())).await;
    invocation.is_in_time();
    let mut history = invocation.world.history();
    match http::read_cancelled(&resource, id, response) {
        Ok(answer) => history.on_cancel_answered(&invocation, id, answer),
        Err(wrong) => history.violate(|| format!("form: the cancellation of {id} got {wrong}")),
    }
}

/// `GET` of a resource; returns the version that was read.
pub async fn read_resource(
    world: &Rc<World>,
    who: &str,
    resource: &ResourceId,
) -> Option<OperationId> {
    let from = world.now();
    let (_, response) = read(world, &http::path(resource, None)).await;
    let seen = http::read_resource(response);
    world.trace(who, || format!("reads {resource} as {seen:?}"));
    world.history().on_resource_read(from, world.now(), resource, seen)
}

/// `GET` of the status of an operation.
pub async fn read_status(world: &Rc<World>, who: &str, resource: &ResourceId, id: OperationId) {
    let from = world.now();
    let (invocation, response) = read(world, &http::path(resource, Some(id))).await;
    match http::read_status(response) {
        Ok(None) => {}
        Ok(Some(shown)) => {
            world.trace(who, || format!("{id} is {shown:?}"));
            let (now, clock) = (world.now(), invocation.now());
            world.history().on_status_read((from, now), clock, id, shown);
        }
        Err(wrong) => world.history().violate(|| format!("form: the status of {id} is {wrong}")),
    }
}

async fn read(world: &Rc<World>, path: &str) -> (Invocation, Response<Body>) {
    let invocation = Invocation::of_request(world, "read", world.plan.put_clocks[0], READ_TIMEOUT);
    let function = Read {
        host: invocation.clone(),
        resources: invocation.clone(),
        operations: invocation.clone(),
        receipts: receipts(),
    };
    let sent = Sent::get(path).until(invocation.deadline());
    let response = function.handle::<Thing>(sent.request()).await;
    invocation.is_in_time();
    (invocation, response)
}

/// A message that another version of `put` has sent, or one that no version knows.
pub fn send_foreign(world: &Rc<World>, resource: ResourceId) {
    let now = world.now();
    let kind = world.prng().index(3);
    let body = sample(world.history().next_put());
    let request = PutRequest {
        resource: resource.clone(),
        change: Change::Put(body.clone()),
        precondition: Precondition::None,
        key: None,
        behaviour: Behaviour::Passes,
    };
    let ms = world.time_by(world.plan.gateway_clocks[0]).as_millis() as u64;
    let id = OperationId::new(Tick::from_unix_ms(ms), world.prng().next());
    let mut message = message(&Operation::put(id, resource, Precondition::None, body));
    match kind {
        0 => set(&mut message, "version", "3"),
        1 => set(&mut message, "precondition", "a b"),
        _ => {
            let name = world.prng().pick(&["operation", "resource", "version"]);
            message.message_attributes.remove(name);
        }
    }
    world.trace("foreign", || format!("sends {:?}", message.message_attributes));
    world.count(if kind == 0 { Event::OtherVersion } else { Event::Unreadable });
    let mut history = world.history();
    let put = history.on_put(request);
    history.on_foreign(now, put, id, ms, kind < 2);
    history.on_sent(now, "updates", &message);
    drop(history);
    world.updates.send(message, now, now);
}
