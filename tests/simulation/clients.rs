//! The clients. Each makes its requests one after another. Only a second sender of the same key
//! does not wait for the first.

use std::rc::Rc;
use std::time::Duration;

use futures_util::future::join3;
use rules::{Change, Method, OperationId, Precondition, ResourceId, Tick};
use tests::thing::sample;

use crate::events::Event;
use crate::gateway;
use crate::history::PutId;
use crate::http::Answer;
use crate::prng::Prng;
use crate::resource::Behaviour;
use crate::scheduler::{HOUR, MS, SECOND, Time};
use crate::world::World;

/// How a sending asks to be carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Inline,
    Deferred,
    /// `respond-async, wait`, for this long.
    Wait(Time),
}

/// What all sendings of a PUT or DELETE have in common. No other PUT has this body.
#[derive(Clone, Debug)]
pub struct PutRequest {
    pub resource: ResourceId,
    pub change: Change,
    pub precondition: Precondition,
    pub key: Option<u32>,
    pub behaviour: Behaviour,
}

impl PutRequest {
    pub fn method(&self) -> Method {
        match self.change {
            Change::Put(_) => Method::Put,
            Change::Delete => Method::Delete,
        }
    }
}

pub struct Client {
    pub world: Rc<World>,
    pub name: String,
    /// The ids that it has learnt, with their resources.
    known: Vec<(ResourceId, OperationId)>,
}

impl Client {
    pub fn new(world: &Rc<World>, name: String) -> Self {
        Self { world: Rc::clone(world), name, known: Vec::new() }
    }

    pub async fn run(mut self, requests: u32) {
        for _ in 0..requests {
            self.pause().await;
            let resource = resource(self.world.prng().index(self.world.plan.resources));
            let kind = self.world.prng().index(10);
            match kind {
                0 => self.read_resource(&resource).await,
                1 => self.read_some_status().await,
                _ if self.world.fails(Event::Foreign) => {
                    gateway::send_foreign(&self.world, resource);
                }
                _ if self.world.happens(Event::AskedToCancel) => {
                    self.cancel_some(|_| true).await;
                }
                _ => self.put(resource).await,
            }
        }
    }

    /// Makes requests without a key.
    pub async fn run_without_keys(mut self, requests: u64) {
        for _ in 0..requests {
            self.pause().await;
            let resource = resource(self.world.prng().index(self.world.plan.resources));
            let request = self.choose(resource, None);
            let put = self.world.history().on_put(request);
            self.world.trace(&self.name, || self.world.history().described(put));
            self.send(put).await;
        }
    }

    /// Repeats PUTs whose keys have expired.
    pub async fn run_late(mut self) {
        let keyed = self.world.history().keyed(|_| true);
        for put in keyed {
            if self.world.prng().chance(600) {
                self.pause().await;
                self.send(put).await;
            }
        }
    }

    async fn pause(&self) {
        let longest = *self.world.prng().pick(&[&(3 * MS), &SECOND, &(10 * SECOND)]);
        self.world.pause(longest).await;
    }

    async fn put(&mut self, resource: ResourceId) {
        let is_keyed = self.world.happens(Event::Keyed);
        let earlier = self.world.history().keyed(|put| put.resource == resource);
        if is_keyed && !earlier.is_empty() && self.world.prng().chance(400) {
            let put = self.world.prng().pick(&earlier);
            return self.send(put).await;
        }
        let request = self.choose(resource, is_keyed.then_some(earlier));
        let put = self.world.history().on_put(request);
        self.world.trace(&self.name, || self.world.history().described(put));
        if is_keyed && self.world.prng().chance(400) {
            self.send_twice(put).await;
        } else {
            self.send(put).await;
        }
    }

    /// Two senders use one key at about the same time.
    async fn send_twice(&mut self, put: PutId) {
        let second = async {
            self.world.pause(SECOND).await;
            self.answer_to(put).await
        };
        let cancels = self.world.happens(Event::AskedToCancel);
        let cancel = async {
            if cancels {
                self.world.pause(SECOND).await;
                self.cancel_some(|of| of == put).await;
            }
        };
        let (first, second, ()) = join3(self.answer_to(put), second, cancel).await;
        self.learn(put, first);
        self.learn(put, second);
    }

    /// Sends a PUT, and sends it again with its key if the answer asks for that.
    async fn send(&mut self, put: PutId) {
        for _ in 0..3 {
            let answer = self.answer_to(put).await;
            self.learn(put, answer);
            let is_open = answer.is_none_or(Answer::is_unknown);
            let is_keyed = self.world.history().request(put).key.is_some();
            if let Some(Answer::Queued { id }) = answer
                && self.world.happens(Event::AskedToCancel)
            {
                self.pause().await;
                let resource = self.world.history().request(put).resource.clone();
                gateway::cancel(&self.world, &self.name, &resource, id).await;
            }
            if !is_open || !is_keyed || self.world.prng().chance(300) {
                break;
            }
            self.pause().await;
        }
        if self.world.prng().chance(300) {
            self.pause().await;
            self.read_some_status().await;
        }
    }

    fn learn(&mut self, put: PutId, answer: Option<Answer>) {
        if let Some(id) = answer.and_then(Answer::id) {
            let resource = self.world.history().request(put).resource.clone();
            self.known.push((resource, id));
        }
    }

    async fn answer_to(&self, put: PutId) -> Option<Answer> {
        let wait = self.world.prng().pick(&[1, 2, 5, 15, 29]) * SECOND;
        let is_deferred = self.world.happens(Event::AskedToDefer);
        let mode = match self.world.prng().index(5) {
            _ if is_deferred => Mode::Deferred,
            0..=2 => Mode::Inline,
            _ => Mode::Wait(wait),
        };
        gateway::send(&self.world, &self.name, put, mode).await
    }

    /// A PUT for `resource`. If `others` with a key are given, this one has a key too, and may
    /// reuse one of theirs.
    fn choose(&self, resource: ResourceId, keyed: Option<Vec<PutId>>) -> PutRequest {
        let world = &self.world;
        let is_delete = world.happens(Event::AskedToDelete);
        let is_conditional = world.happens(Event::Conditional);
        let precondition = match is_conditional {
            true => match self.precondition(&resource) {
                // On a DELETE it is a mistake.
                Precondition::Absent if is_delete => Precondition::Exists,
                precondition => precondition,
            },
            false => Precondition::None,
        };
        let is_odd = world.plan.has_update && world.fails(Event::OddUpdate);
        let odd = world.prng().pick(&world.plan.odd);
        let behaviour = if is_odd { odd } else { Behaviour::Passes };
        let number = world.history().next_put();
        let reused = keyed.as_ref().filter(|keyed| !keyed.is_empty() && world.prng().chance(150));
        let reused = reused.and_then(|keyed| world.history().request(keyed[0]).key);
        let change = if is_delete { Change::Delete } else { Change::Put(sample(number)) };
        let key = keyed.map(|_| reused.unwrap_or(number as u32));
        let mut request = PutRequest { resource, change, precondition, key, behaviour };
        // A second DELETE with the same key would be the first one.
        if is_delete && reused.is_some() && world.history().has_same(&request) {
            request.key = Some(number as u32);
        } else if reused.is_some() {
            world.count(Event::KeyReused);
        }
        request
    }

    fn precondition(&self, resource: &ResourceId) -> Precondition {
        let is_made_up = self.world.happens(Event::MadeUpTag);
        let (now, mut prng) = (self.world.true_time(), self.world.prng());
        let own: Vec<_> = self.known.iter().filter(|(of, _)| of == resource).collect();
        match prng.index(5) {
            0 => Precondition::Absent,
            1 => Precondition::Exists,
            _ => {
                let count = if prng.chance(700) { 1 } else { own.len() };
                let mut tags: Vec<_> = own.iter().rev().take(count).map(|(_, id)| *id).collect();
                if is_made_up {
                    tags.push(made_up_tag(now, &mut prng));
                }
                Precondition::OneOf(tags)
            }
        }
    }

    async fn read_resource(&mut self, resource: &ResourceId) {
        let seen = gateway::read_resource(&self.world, &self.name, resource).await;
        self.known.extend(seen.map(|seen| (resource.clone(), seen)));
    }

    async fn read_some_status(&self) {
        let located = self.world.history().located(|_| true);
        if !located.is_empty() {
            let (resource, id) = self.world.prng().pick(&located);
            gateway::read_status(&self.world, &self.name, &resource, id).await;
        }
    }

    async fn cancel_some(&self, is_it: impl Fn(PutId) -> bool) {
        let located = self.world.history().located(is_it);
        if !located.is_empty() {
            let (resource, id) = self.world.prng().pick(&located);
            gateway::cancel(&self.world, &self.name, &resource, id).await;
        }
    }
}

pub fn resource(index: usize) -> ResourceId {
    ResourceId::new(&format!("u{index}")).expect("a resource id")
}

/// A tag that no host has made: less than a second ahead, an hour ahead, or at the end of time.
fn made_up_tag(now: Duration, prng: &mut Prng) -> OperationId {
    let ahead = Duration::from_micros(prng.range(0, SECOND));
    let near = now + ahead;
    let at = prng.pick(&[near, near, now + Duration::from_micros(HOUR), Duration::MAX]);
    OperationId::new(Tick::from_unix(at), prng.next())
}
