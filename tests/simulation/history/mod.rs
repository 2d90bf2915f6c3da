//! What really happened, which only the simulation can know, and the checks of all answers against
//! it.
//!
//! The time of every write of the resources table is known, so no search for a linearization is
//! needed. Two things are enough: each acknowledged write took effect once, between its request and
//! its answer, and each read returns what was stored at a moment between its request and its
//! answer. These moments are the linearization points, in the order of the register's own history.
//! A write that was queued, or was answered with `outcome-unknown`, may take effect at any later
//! time, but only once.
//!
//! A PUT is known by its body, which no other PUT has. A DELETE counts as a PUT; it is known by its
//! operation ids, which are learnt from the calls of its invocations. What this module says of PUTs
//! is true of DELETEs too.

mod answers;
mod cancels;
mod effects;
mod end;
mod order;
mod reads;
mod records;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::SqsMessage;
use rules::outcome::Outcome;
use rules::{Change, Method, Operation, OperationId, Precondition, ResourceId, Tick, Version};

pub use records::Kind;

use crate::clients::{Mode, PutRequest};
use crate::events::{Event, PerEvent, TEXTS};
use crate::http::Answer;
use crate::plan::{FAR_BACKSTOP, Plan};
use crate::queue::{Message, name_of};
use crate::resource::Behaviour;
use crate::scheduler::{MS, SECOND, Time};
use crate::told::Look;
use crate::world::written_time;

pub type PutId = usize;
pub type SendingId = usize;

/// A PUT steps over another one that arrives at most this long after it (separate from the
/// constants of `rules`).
const WINDOW: Time = SECOND;

/// Age up to which an operation is carried out (also separate).
const CARRIED_OUT_FOR: Duration = Duration::from_secs(32 * 24 * 3600);

/// One sending of a PUT. Only a PUT with a key has more than one.
#[derive(Default)]
struct Sending {
    mode: Mode,
    requested: Time,
    /// When the gateway took it.
    arrived: Option<Time>,
    /// When, in ms by the gateway's clock.
    gateway_ms: Option<u64>,
    answered: Option<(Time, Answer)>,
    given_up: Option<Time>,
    /// Whether it was sent when an earlier claim of its key had expired.
    is_late: bool,
}

/// A PUT, and what happened to it.
struct Known {
    request: PutRequest,
    sendings: Vec<Sending>,
    /// The id that it was made with, if it has no key.
    origin: Option<OperationId>,
    /// Its writes of the resource.
    effects: Vec<Effect>,
    /// The operations of its key, and whether a late sending learnt each.
    claims: Vec<(OperationId, bool)>,
    /// What clients heard that it will never do.
    refused: Option<Answer>,
    /// Whether something other than `put` sent its message. It has no sendings then.
    is_foreign: bool,
    /// A message of it was too old for a queue to keep.
    is_dropped: bool,
    /// A message of it was moved, or sent, to the dead letters.
    is_dead_lettered: bool,
}

/// A write of a resource.
#[derive(Clone, Copy, Debug)]
struct Effect {
    id: OperationId,
    /// Whether there was a resource before.
    was_live: bool,
}

/// The fate of an operation.
#[derive(Default)]
struct Fate {
    decided: Option<Decided>,
    stalled: Option<Time>,
    /// When its status was first shown as `expired`.
    shown_expired: Option<Time>,
    is_accepted: bool,
    /// Whether a problem has named its status URL.
    is_named: bool,
    /// How often clients asked to cancel it, and how often they heard that this changes nothing.
    cancels: u32,
    vain_cancels: u32,
    /// Whether a client heard that it is cancelled.
    is_told_cancelled: bool,
}

#[derive(Clone, Debug)]
struct Decided {
    at: Time,
    /// By the clock of the host that decided it.
    completed_at: Duration,
    outcome: Outcome,
}

pub struct History {
    puts: Vec<Known>,
    by_body: BTreeMap<String, PutId>,
    /// The PUT of each operation.
    owners: BTreeMap<OperationId, PutId>,
    fates: BTreeMap<OperationId, Fate>,
    /// What was stored of each resource, and since when.
    states: BTreeMap<ResourceId, Vec<(Time, Option<Version>)>>,
    /// The newest operation that was carried out on each resource, even if nothing is left of it.
    newest: BTreeMap<ResourceId, OperationId>,
    gap: Option<Time>,
    /// Whether the queue gives a message up only after as many receives as on AWS.
    is_backstop_far: bool,
    /// Whether keys have expired since their first use.
    pub is_late: bool,
    is_traced: bool,
    pub counts: PerEvent,
    /// The first check that failed.
    pub violation: Option<String>,
}

impl Known {
    /// Whether an operation of it may be made with this id. Its time is an arrival. Or it is that
    /// of a tag, if there is only one, plus a tick, if the tag is not older and not too new.
    fn may_be_made_as(&self, id: OperationId) -> bool {
        let tag = match &self.request.precondition {
            Precondition::OneOf(tags) if tags.len() == 1 => Some(tags[0]),
            _ => None,
        };
        let mut arrivals = self.sendings.iter().filter_map(|sending| sending.gateway_ms);
        arrivals.any(|ms| {
            let (arrival, latest) = (Tick::from_unix_ms(ms), Tick::from_unix_ms(ms + WINDOW / MS));
            let raising = tag.filter(|tag| tag.tick() >= arrival && tag.tick() <= latest);
            let raised = raising.map(|tag| tag.successor(0).tick());
            id.tick() == arrival || Some(id.tick()) == raised
        })
    }
}

impl History {
    pub fn new(plan: &Plan, is_traced: bool) -> Self {
        let (puts, by_body, owners, fates, states, newest) = Default::default();
        Self {
            puts,
            by_body,
            owners,
            fates,
            states,
            newest,
            gap: plan.gap,
            is_backstop_far: plan.max_receives == FAR_BACKSTOP,
            is_late: false,
            is_traced,
            counts: [0; TEXTS.len()],
            violation: None,
        }
    }

    fn trace(&self, now: Time, what: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{} tables    {}", written_time(now), what());
        }
    }

    pub fn count(&mut self, event: Event) {
        self.counts[event as usize] += 1;
    }

    fn check(&mut self, is_true: bool, says: impl FnOnce() -> String) {
        if !is_true {
            self.violate(says);
        }
    }

    pub fn violate(&mut self, says: impl FnOnce() -> String) {
        if self.violation.is_none() {
            self.violation = Some(says());
        }
    }

    pub fn next_put(&self) -> PutId {
        self.puts.len()
    }

    pub fn request(&self, put: PutId) -> &PutRequest {
        &self.puts[put].request
    }

    pub fn described(&self, put: PutId) -> String {
        format!("#{put} is {:?}", self.request(put))
    }

    /// The PUTs with a key that clients have sent.
    pub fn keyed(&self, is_it: impl Fn(&PutRequest) -> bool) -> Vec<PutId> {
        let all = self.puts.iter().enumerate();
        let keyed = all.filter(|(_, put)| put.request.key.is_some() && is_it(&put.request));
        keyed.map(|(number, _)| number).collect()
    }

    /// Whether an earlier request was equal in everything that its key covers.
    pub fn has_same(&self, request: &PutRequest) -> bool {
        self.puts.iter().map(|put| &put.request).any(|other| {
            other.key == request.key
                && other.resource == request.resource
                && other.change == request.change
                && other.precondition == request.precondition
        })
    }

    /// The operations of some PUTs whose status URLs clients know, with their resources.
    pub fn located(&self, is_it: impl Fn(PutId) -> bool) -> Vec<(ResourceId, OperationId)> {
        let located = self.fates.iter().filter(|(_, fate)| fate.is_accepted || fate.is_named);
        let with_resource = located.filter_map(|(id, _)| {
            let put = self.owner(*id).filter(|put| is_it(*put))?;
            Some((self.puts[put].request.resource.clone(), *id))
        });
        with_resource.collect()
    }

    pub fn behaviour_of(&self, operation: &Operation) -> Behaviour {
        let put = self.put_of(operation);
        put.map_or(Behaviour::Passes, |put| self.puts[put].request.behaviour)
    }

    /// The PUT that an operation is of.
    fn put_of(&self, operation: &Operation) -> Option<PutId> {
        match operation.body() {
            Some(body) => self.by_body.get(body).copied(),
            None => self.owner(operation.id),
        }
    }

    /// All operation ids that a PUT has had.
    fn ids_of(&self, put: PutId) -> impl Iterator<Item = OperationId> {
        self.owners.iter().filter(move |(_, owner)| **owner == put).map(|(id, _)| *id)
    }

    /// The final outcome of an operation, so far.
    fn decided(&self, id: OperationId) -> Option<&Decided> {
        self.fates.get(&id)?.decided.as_ref()
    }

    fn owner(&self, id: OperationId) -> Option<PutId> {
        self.owners.get(&id).copied()
    }

    /// The PUT that a message of this name is of.
    fn named(&self, name: &str) -> Option<PutId> {
        self.by_body.get(name).copied().or_else(|| self.owner(name.parse().ok()?))
    }

    /// The name of the messages of the PUT that has this operation.
    fn name(&self, put: PutId, id: OperationId) -> String {
        match &self.puts[put].request.change {
            Change::Put(body) => body.clone(),
            Change::Delete => id.to_string(),
        }
    }

    fn method(&self, put: PutId) -> Method {
        self.puts[put].request.method()
    }

    pub fn on_put(&mut self, request: PutRequest) -> PutId {
        let number = self.puts.len();
        if let Change::Put(body) = &request.change {
            self.by_body.insert(body.clone(), number);
        }
        self.puts.push(Known {
            request,
            sendings: Vec::new(),
            origin: None,
            effects: Vec::new(),
            claims: Vec::new(),
            refused: None,
            is_foreign: false,
            is_dropped: false,
            is_dead_lettered: false,
        });
        number
    }

    pub fn on_request(&mut self, now: Time, put: PutId, mode: Mode) -> SendingId {
        let is_late = self.is_late && !self.puts[put].sendings.is_empty();
        let Known { sendings, refused, .. } = &mut self.puts[put];
        if is_late {
            // From now on its key belongs to another operation.
            *refused = None;
        }
        sendings.push(Sending { mode, requested: now, is_late, ..Sending::default() });
        sendings.len() - 1
    }

    pub fn on_arrival(
        &mut self,
        now: Time,
        put: PutId,
        sending: SendingId,
        gateway_ms: Option<u64>,
    ) {
        let sending = &mut self.puts[put].sendings[sending];
        (sending.arrived, sending.gateway_ms) = (Some(now), gateway_ms);
    }

    pub fn on_given_up(&mut self, now: Time, put: PutId, sending: SendingId) {
        self.puts[put].sendings[sending].given_up.get_or_insert(now);
    }

    /// A message of `put` that another version has sent, for an operation that its client knows if
    /// `is_known`.
    pub fn on_foreign(
        &mut self,
        now: Time,
        put: PutId,
        id: OperationId,
        gateway_ms: u64,
        is_known: bool,
    ) {
        self.owners.insert(id, put);
        self.puts[put].is_foreign = true;
        self.fates.entry(id).or_default().is_accepted = is_known;
        self.puts[put].sendings.push(Sending {
            mode: Mode::Deferred,
            requested: now,
            arrived: Some(now),
            gateway_ms: Some(gateway_ms),
            answered: is_known.then_some((now, Answer::Queued { id })),
            given_up: Some(now),
            is_late: false,
        });
    }

    /// The key of a PUT belongs to `id`.
    pub fn on_claim(&mut self, put: PutId, sending: SendingId, id: OperationId) {
        self.owners.entry(id).or_insert(put);
        let is_late = self.puts[put].sendings[sending].is_late;
        let claims = &mut self.puts[put].claims;
        let known = claims.iter().find(|(claimed, _)| *claimed == id).copied();
        let of_time = claims.iter().find(|(_, of_late)| *of_late == is_late).copied();
        if known.is_none() {
            claims.push((id, is_late));
        }
        self.check(of_time.is_none_or(|(claimed, _)| claimed == id), || {
            format!("key: #{put} is {id}, but its key belonged to {of_time:?}")
        });
        if is_late {
            self.count(Event::KeyExpired);
            self.check(known.is_none_or(|(_, of_late)| of_late), || {
                format!("key: #{put} is still {id}, though its key has expired")
            });
        }
    }

    /// An invocation makes a call that would carry an operation out.
    pub fn on_operation(&mut self, operation: &Operation, by_put: Option<PutId>) {
        let by_method = by_put.filter(|_| operation.method() == Method::Delete);
        let Some(put) = by_method.or_else(|| self.put_of(operation)) else {
            return self.violate(|| format!("operation: nobody's, {operation:?}"));
        };
        let owner = *self.owners.entry(operation.id).or_insert(put);
        let request = &self.puts[put].request;
        let is_same = request.resource == operation.resource
            && request.precondition == operation.precondition
            && request.change == operation.change;
        self.check(is_same && by_put.is_none_or(|by| by == put), || {
            format!("operation: #{put} is carried out as {operation:?}")
        });
        self.check(owner == put, || format!("id: #{put} uses {} of #{owner}", operation.id));
        let made_as = operation.origin;
        let known = &mut self.puts[put];
        let first = match known.request.key {
            Some(_) => operation.id,
            None => *known.origin.get_or_insert(made_as),
        };
        self.check(made_as == first, || format!("origin: #{put} was {first}, now {made_as}"));
        let is_made_then = self.puts[put].may_be_made_as(made_as);
        self.check(is_made_then, || format!("arrival: #{put} uses {made_as}"));
    }

    /// The update of an operation is about to run, after a look.
    pub fn on_update(&mut self, operation: &Operation, look: Option<Look>, by_put: Option<PutId>) {
        self.on_operation(operation, by_put);
        let Operation { id, precondition, change, .. } = operation;
        let is_open = look.is_some_and(|look| {
            let is_of_it = look.of.is_none_or(|of| of == *id);
            let is_older = look.stored.is_none_or(|stored| stored.written_by < *id);
            let is_writable = is_true(precondition, look.stored) && is_older;
            is_of_it && is_writable && !look.is_decided
        });
        self.check(is_open, || format!("update: that of {change:?} ({id}) runs after {look:?}"));
    }

    /// Whether an operation has no outcome yet, and is not too old at `now` to get one.
    pub fn is_open(&self, id: OperationId, now: Duration) -> bool {
        self.decided(id).is_none() && now.saturating_sub(id.tick().to_unix()) <= CARRIED_OUT_FOR
    }

    /// Whether a PUT may be received as often as the deployed queue allows: it is broken itself, or
    /// its precondition may depend on an older broken one that always comes with it.
    pub fn may_be_given_up(&self, put: PutId) -> bool {
        let Known { request: PutRequest { resource, precondition, .. }, .. } = &self.puts[put];
        let is_broken = |put: PutId| {
            let known = &self.puts[put];
            (known.is_foreign || known.request.behaviour.is_broken()) && !self.is_decided(put)
        };
        let newest = self.ids_of(put).max();
        let mut older = self.owners.iter().filter(|(id, _)| Some(**id) < newest);
        let is_behind = *precondition != Precondition::None
            && older.any(|(_, older)| {
                self.puts[*older].request.resource == *resource && is_broken(*older)
            });
        self.is_decided(put) || is_broken(put) || is_behind
    }

    /// The same for the PUT of a message, which has no outcome.
    pub fn is_hopeless(&self, message: &str) -> bool {
        let put = self.named(message);
        put.is_some_and(|put| self.may_be_given_up(put) && !self.is_decided(put))
    }

    /// Whether some operation of a PUT has an outcome.
    fn is_decided(&self, put: PutId) -> bool {
        self.ids_of(put).any(|id| self.decided(id).is_some())
    }

    /// Whether a PUT was written.
    pub fn has_effect(&self, put: Option<PutId>) -> bool {
        put.is_some_and(|put| !self.puts[put].effects.is_empty())
    }

    /// A message was sent to a queue.
    pub fn on_sent(&mut self, now: Time, queue: &'static str, message: &SqsMessage) {
        self.trace(now, || format!("{queue} takes {}", name_of(message)));
        if queue == "updates" {
            return;
        }
        let sent_on = self.named(name_of(message));
        match sent_on {
            Some(put) if queue == "dead-letters" => {
                self.count(Event::Poison);
                self.puts[put].is_dead_lettered = true;
                let Known { request, is_foreign, .. } = &self.puts[put];
                let is_poison = *is_foreign || request.behaviour == Behaviour::Panics;
                self.check(is_poison, || format!("poison: #{put} is none"));
            }
            Some(_) => {}
            None => self.violate(|| format!("message: {queue} takes a changed {message:?}")),
        }
    }

    /// SQS moves a message on.
    pub fn on_moved(&mut self, now: Time, queue: &'static str, message: &Message) {
        self.trace(now, || format!("{} is moved on from {queue}", message.name()));
        if let Some(put) = self.named(message.name()) {
            self.puts[put].is_dead_lettered = true;
            let is_early = queue == "updates" && self.is_backstop_far;
            self.check(!is_early || self.may_be_given_up(put), || {
                format!("poison: #{put} is given up without a reason")
            });
        }
        let was_tried = queue != "dead-letters" || message.receives_here > 0;
        self.check(was_tried, || {
            format!("parked: {} without ever having been with park", message.name())
        });
    }

    /// A batch that began at `begun` has handed some messages back. `is_smooth` says that nothing
    /// kept the function from its work.
    pub fn on_batch(
        &mut self,
        begun: Time,
        handed_back: &[SqsMessage],
        finished: &[SqsMessage],
        is_smooth: bool,
    ) {
        self.counts[Event::HandedBack as usize] += handed_back.len() as u64;
        let always_passes = |message: &SqsMessage| {
            let put = self.named(name_of(message));
            put.is_none_or(|put| self.puts[put].request.behaviour == Behaviour::Passes)
        };
        if !is_smooth || !handed_back.iter().chain(finished).all(always_passes) {
            return;
        }
        for message in handed_back {
            let Some(put) = self.named(name_of(message)) else { continue };
            let is_one = self.puts[put].claims.len() < 2 && !self.puts[put].is_foreign;
            let mut decided = self.ids_of(put).filter_map(|id| self.decided(id));
            let was_decided = is_one && decided.any(|by| by.at < begun);
            drop(decided);
            self.check(!was_decided, || format!("redelivery: #{put} was decided before"));
        }
    }

    /// A queue deletes a message that it has kept long enough.
    pub fn on_retention_over(&mut self, message: &SqsMessage) {
        self.count(Event::RetentionOver);
        if let Some(put) = self.named(name_of(message)) {
            self.puts[put].is_dropped = true;
        }
    }
}

/// What the preconditions mean, written independently of `rules`.
fn is_true(precondition: &Precondition, state: Option<Version>) -> bool {
    match (precondition, resource_at(state)) {
        (Precondition::None, _) | (Precondition::Exists, Some(_)) => true,
        (Precondition::Absent, resource) => resource.is_none(),
        (Precondition::OneOf(tags), Some(resource)) => tags.contains(&resource),
        (Precondition::Exists | Precondition::OneOf(_), None) => false,
    }
}

/// The entity tag of a resource, if there is one and not a tombstone.
fn resource_at(state: Option<Version>) -> Option<OperationId> {
    state.filter(|state| state.is_live).map(|state| state.written_by)
}
