//! The way of a request through the gateway to a host and back, which the client may not
//! wait for, and of messages that something else than `put` sends.

use std::rc::Rc;
use std::time::Duration;

use lambda_http::{Body, Response};
use put::{ArrivalClock, Put};
use read::Read;
use rules::request::accept::Mode as DefaultMode;
use rules::{Change, Operation, OperationId, Precondition, ResourceId, Tick};
use tests::thing::{Thing, sample};
use world::Host as _;

use crate::clients::{Mode, PutRequest};
use crate::events::Event;
use crate::history::{Invoked, PutId, SendingId};
use crate::host::Invocation;
use crate::http::{self, Answer, RECEIPTS, receipts};
use crate::mutants::Mutant;
use crate::queue::{message_of, set_attribute};
use crate::queue_calls::QueueCalls;
use crate::resource::{Behaviour, Simulated};
use crate::scheduler::{Lost, MS, Patience, SECOND, Time};
use crate::world::World;

/// Longest time that the gateway waits for a function.
const GATEWAY_PATIENCE: Time = 30 * SECOND;
/// What a longer `wait` is cut to.
const LONGEST_WAIT: Time = 15 * SECOND;
const PUT_TIMEOUT: Time = 29 * SECOND;
const READ_TIMEOUT: Time = 15 * SECOND;

/// Sends a PUT; `None` if its client sees no answer.
pub async fn send(world: &Rc<World>, who: &str, put: PutId, mode: Mode) -> Option<Answer> {
    let sending = world.history().on_request(world.now(), put, mode);
    world.trace(who, || format!("sends #{put} for the {sending}th time, {mode:?}"));
    let patience = match world.fault(world.plan.faults.given_up) {
        true => world.prng().skewed(10 * SECOND).max(10 * MS),
        false => GATEWAY_PATIENCE,
    };
    world.begin();
    let here = Rc::clone(world);
    let way = async move {
        let answer = pass_on(&here, put, sending, mode).await;
        here.finish();
        here.pause(here.plan.longest_delay).await;
        answer
    };
    let answer = world.scheduler.run_process(None, Patience::Leaves(patience), way).await;
    let answer = answer.unwrap_or_else(|_| {
        world.history().on_given_up(world.now(), put, sending);
        world.count(Event::GivenUp);
        None
    });
    let answer = answer.filter(|_| !world.fault(world.plan.faults.answer_lost));
    match answer {
        Some(answer) => world.trace(who, || format!("#{put} {answer:?}")),
        None => world.count(Event::AnswerLost),
    }
    answer
}

/// To the gateway, which takes down the time, and to a host.
async fn pass_on(world: &Rc<World>, put: PutId, sending: SendingId, mode: Mode) -> Option<Answer> {
    world.pause(world.plan.longest_delay).await;
    let gateway = world.prng().pick(&world.plan.gateway_clocks);
    let gateway_ms = if world.fault(world.plan.faults.timeless) {
        world.count(Event::Timeless);
        None
    } else {
        Some(world.time_by(gateway).as_millis() as u64)
    };
    world.history().on_arrival(world.now(), put, sending, gateway_ms);
    if world.fault(world.plan.faults.held_up) {
        world.count(Event::HeldUp);
        world.pause(world.plan.longest_hold_up).await;
    } else {
        world.pause(world.plan.longest_delay).await;
    }
    let host = world.prng().index(world.plan.put_clocks.len());
    let name = ["put-0", "put-1", "put-2"][host];
    let clock = world.plan.put_clocks[host];
    let mut invocation = Invocation::of_request(world, name, clock, PUT_TIMEOUT);
    invocation.sending = Some((put, sending));
    invocation.wait = match mode {
        Mode::Wait(wait) => Some(Duration::from_micros(wait.min(LONGEST_WAIT))),
        Mode::Inline | Mode::Deferred => None,
    };
    let fuse = world.fuse();
    let request = world.history().request(put).clone();
    let handled = handle(invocation, request, mode, gateway_ms);
    match world.scheduler.run_process(fuse, Patience::Kills(PUT_TIMEOUT), handled).await {
        Ok(answer) => answer,
        Err(Lost::Killed) => {
            world.trace(name, || "is killed".to_owned());
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
    let (begun, host_now) = (world.now(), invocation.now());
    let event = http::put_request(&request, mode, gateway_ms, invocation.context());
    // Boxed, since these futures are large, and would be moved several times.
    let response = match world.plan.has_update && !world.is(Mutant::UpdateIsSkipped) {
        true => Box::pin(put::<true>(&invocation).handle(event)).await,
        false => Box::pin(put::<false>(&invocation).handle(event)).await,
    };
    let mut history = world.history();
    if invocation.is_late() {
        history.violate(|| "deadline: the answer came after it".to_owned());
    }
    match http::read_answer(&request, &response) {
        Ok(answer) => {
            let answer = answer.map_id(|id| invocation.moved(id));
            if let Some(id) = http::named_operation(&request.resource, &response) {
                history.on_named(&invocation, invocation.moved(id));
            }
            let invoked = Invoked { begun, gateway_ms, host_now };
            history.on_answer(world.now(), &invocation, answer, &invoked);
            Some(answer)
        }
        Err(wrong) => {
            history.violate(|| format!("form: the answer to {request:?} has {wrong}"));
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

/// `DELETE` of the status of an operation, which cancels it.
pub async fn cancel(world: &Rc<World>, who: &str, resource: &ResourceId, id: OperationId) {
    world.trace(who, || format!("cancels {id}"));
    world.history().on_cancel(id);
    world.begin();
    let is_held_up = world.fault(world.plan.faults.held_up);
    let plan = &world.plan;
    world.pause(if is_held_up { plan.longest_hold_up } else { plan.longest_delay }).await;
    let host = world.prng().index(plan.put_clocks.len());
    let name = ["put-0", "put-1", "put-2"][host];
    let mut invocation = Invocation::of_request(world, name, plan.put_clocks[host], PUT_TIMEOUT);
    invocation.cancels = Some(id);
    let handled = handle_cancel(invocation, resource.clone(), id);
    let patience = Patience::Kills(PUT_TIMEOUT);
    match world.scheduler.run_process(world.fuse(), patience, handled).await {
        Ok(()) => {}
        Err(Lost::Killed) => world.count(Event::PutKilled),
        Err(Lost::OutOfTime) => {
            world.history().violate(|| format!("deadline: the DELETE of {id}'s status"));
        }
    }
    world.finish();
}

async fn handle_cancel(invocation: Invocation, resource: ResourceId, id: OperationId) {
    let receipt = RECEIPTS.sign(&resource, id);
    let event = http::cancel_request(&resource, &receipt, invocation.context());
    let response = Box::pin(put::<false>(&invocation).handle(event)).await;
    let mut history = invocation.world.history();
    if invocation.is_late() {
        history.violate(|| "deadline: the answer to a cancellation came after it".to_owned());
    }
    match http::read_cancelled(id, &resource, &response) {
        Ok(answer) => {
            invocation.trace(|| format!("answers the cancellation of {id}: {answer:?}"));
            history.on_cancel_answered(&invocation, id, answer);
        }
        Err(wrong) => history.violate(|| format!("form: the cancellation of {id} has {wrong}")),
    }
}

/// `GET` of a resource: the version that was read.
pub async fn read_resource(
    world: &Rc<World>,
    who: &str,
    resource: &ResourceId,
) -> Option<OperationId> {
    let from = world.now();
    let invocation = Invocation::of_request(world, "read", world.plan.put_clocks[0], READ_TIMEOUT);
    let response = read(&invocation, resource, None).await;
    match http::read_resource(&response) {
        Ok(seen) => {
            world.trace(who, || format!("reads {resource} as {seen:?}"));
            let version = seen.as_ref().map(|(_, version)| *version);
            world.history().on_resource_read(from, world.now(), resource, seen);
            version
        }
        Err(_) if response.status() == 503 => None,
        Err(wrong) => {
            world.history().violate(|| format!("form: the GET of {resource} has {wrong}"));
            None
        }
    }
}

/// `GET` of the status of an operation.
pub async fn read_status(world: &Rc<World>, who: &str, resource: &ResourceId, id: OperationId) {
    let from = world.now();
    let invocation = Invocation::of_request(world, "read", world.plan.put_clocks[0], READ_TIMEOUT);
    let receipt = RECEIPTS.sign(resource, id);
    let response = read(&invocation, resource, Some(&receipt)).await;
    match http::read_status(&response) {
        Ok(None) => {}
        Ok(Some(shown)) => {
            world.trace(who, || format!("{id} is {shown:?}"));
            let (now, clock) = (world.now(), invocation.now());
            world.history().on_status_read((from, now), clock, id, shown);
        }
        Err(wrong) => world.history().violate(|| format!("form: the status of {id} has {wrong}")),
    }
}

async fn read(
    invocation: &Invocation,
    resource: &ResourceId,
    receipt: Option<&str>,
) -> Response<Body> {
    let function = Read {
        host: invocation.clone(),
        resources: invocation.clone(),
        operations: invocation.clone(),
        receipts: receipts(),
    };
    let response =
        function.handle::<Thing>(http::get_request(resource, receipt, invocation.context())).await;
    if invocation.is_late() {
        invocation.world.history().violate(|| "deadline: a read was answered after it".to_owned());
    }
    response
}

/// A message that another version of `put` has sent, or nothing that is known.
pub fn send_foreign(world: &Rc<World>, resource: ResourceId) {
    let now = world.now();
    let number = world.history().next_put();
    let kind = world.prng().index(3);
    let body = sample(number);
    let request = PutRequest {
        resource: resource.clone(),
        change: Change::Put(body.clone()),
        precondition: Precondition::None,
        key: None,
        behaviour: Behaviour::Passes,
    };
    let ms = world.time_by(world.plan.gateway_clocks[0]).as_millis() as u64;
    let id = OperationId::new(Tick::from_unix_ms(ms), world.prng().next());
    let operation = Operation::put(id, resource, Precondition::None, body);
    let mut message = message_of(&operation);
    match kind {
        0 => set_attribute(&mut message, "version", "3".to_owned()),
        1 => set_attribute(&mut message, "precondition", "a b".to_owned()),
        _ => {
            let name = world.prng().pick(&["operation", "resource", "version"]);
            message.message_attributes.remove(name);
        }
    }
    world.trace("foreign", || format!("sends {:?}", message.message_attributes));
    let mut history = world.history();
    let put = history.on_put(request);
    let is_known = kind < 2;
    history.on_foreign(now, put, operation.id, ms, is_known);
    history.count(if kind == 0 { Event::OtherVersion } else { Event::Unreadable });
    history.on_sent(now, "updates", &message);
    drop(history);
    world.updates.send(message, now, now);
}
