//! The clients: each makes its requests one after another.

use std::rc::Rc;
use std::time::Duration;

use rules::status::{OutcomeRecord, State};
use rules::{OperationId, Precondition, Tick};

use crate::events::Event;
use crate::history::{Answer, Behaviour, Mode, Put, PutId, UserIndex};
use crate::prng::Prng;
use crate::put::Handler;
use crate::scheduler::SECOND;
use crate::world::{Host, PATIENCE, World};

pub struct Client {
    pub world: Rc<World>,
    pub name: String,
    pub put_hosts: Vec<Rc<Host>>,
    pub read_host: Rc<Host>,
    /// The ids it has been told of, with their users.
    pub known: Vec<(UserIndex, OperationId)>,
    /// The PUTs that were accepted.
    pub accepted: Vec<(PutId, OperationId)>,
}

impl Client {
    pub async fn run(mut self, requests: u32) {
        for _ in 0..requests {
            self.pause().await;
            let user = self.world.prng().index(self.world.plan.users);
            let kind = self.world.prng().index(10);
            match kind {
                0 | 1 => self.read_user(user).await,
                2 => self.read_status().await,
                _ => self.put(user).await,
            }
        }
    }

    /// At least the bound of the clocks, so that what follows is in order by them.
    async fn pause(&self) {
        let longest = *self.world.prng().pick(&[&1000, &SECOND, &(10 * SECOND)]);
        let pause = self.world.plan.gap + self.world.prng().skewed(longest);
        self.world.scheduler.sleep(pause).await;
    }

    async fn put(&mut self, user: UserIndex) {
        let put = self.choose(user);
        let world = Rc::clone(&self.world);
        let number = world.history().on_request(world.now(), put.clone());
        world.trace(&self.name, || format!("#{number} {put:?}"));
        let Some(answer) = self.answer_to(number, put).await else {
            world.trace(&self.name, || format!("#{number} gets no answer"));
            return world.count(Event::AnswerLost);
        };
        world.trace(&self.name, || format!("#{number} {answer:?}"));
        match answer {
            Answer::Written { id, .. } => self.known.push((user, id)),
            Answer::Accepted { id } => {
                self.known.push((user, id));
                self.accepted.push((number, id));
                if world.prng().chance(500) {
                    self.pause().await;
                    self.read_status().await;
                }
            }
            _ => {}
        }
    }

    /// Through the gateway to a host and back. The host may be killed, the answer lost.
    async fn answer_to(&self, number: PutId, put: Put) -> Option<Answer> {
        let world = Rc::clone(&self.world);
        let host = world.prng().pick(&self.put_hosts);
        let (gateway, fuse) = (world.true_time(), world.fuse());
        let arrives = world.delay();
        let has_future_tag = |host: &Host| {
            let now = world.time_of(host);
            put.precondition.clone().without_future_tags(now) != put.precondition
        };
        let is_future = has_future_tag(&host);
        let handler =
            Handler { world: Rc::clone(&world), host: Rc::clone(&host), number, put: put.clone() };
        let handled = async move {
            handler.world.scheduler.sleep(arrives).await;
            let answer = handler.handle(gateway).await;
            let now = handler.world.now();
            handler.world.history().on_answer(now, number, answer, is_future);
            answer
        };
        let started = world.now();
        let answer = world.scheduler.run_process(fuse, Some(PATIENCE), handled).await;
        if answer.is_none() && world.now() < started + PATIENCE {
            world.trace(&host.name, || "is killed".to_owned());
            world.count(Event::PutKilled);
            host.restart();
        }
        let back = world.delay();
        world.scheduler.sleep(back).await;
        answer.filter(|_| !world.fault(world.plan.faults.answer_lost))
    }

    fn choose(&self, user: UserIndex) -> Put {
        let mut made_up = false;
        let mut prng = self.world.prng();
        let wait = prng.pick(&[1, 2, 5]) * SECOND / prng.pick(&[1, 10]);
        let mode = match prng.index(8) {
            0..=2 => Mode::Inline,
            3..=5 => Mode::Deferred,
            _ => Mode::Wait(wait),
        };
        let is_conditional = prng.chance(self.world.plan.conditional);
        let own: Vec<_> = self.known.iter().filter(|(of, _)| *of == user).collect();
        let precondition = match prng.index(4) {
            _ if !is_conditional => Precondition::None,
            0 => Precondition::Absent,
            1 => Precondition::Exists,
            _ => {
                let count = if prng.chance(700) { 1 } else { own.len() };
                let mut tags: Vec<_> = own.iter().rev().take(count).map(|(_, id)| *id).collect();
                if prng.chance(100) {
                    made_up = true;
                    tags.push(made_up_tag(self.world.true_time(), &mut prng));
                }
                Precondition::OneOf(tags)
            }
        };
        let is_odd = prng.chance(self.world.plan.faults.behaviour);
        let behaviour = match prng.index(4) {
            _ if !is_odd => Behaviour::Passes,
            0 => Behaviour::Refuses,
            1 => Behaviour::RefusesAtTimes,
            2 => Behaviour::Panics,
            _ => Behaviour::EndsTheProcess,
        };
        if made_up {
            self.world.count(Event::MadeUpTag);
        }
        Put { user, mode, precondition, behaviour }
    }

    /// `Read::user`
    async fn read_user(&mut self, user: UserIndex) {
        let (world, from) = (&self.world, self.world.now());
        let timeout = world.plan.call_timeout;
        let read =
            world.on_tables(&self.read_host.name, timeout, move |tables, _, _| tables.user(user));
        let Ok(seen) = read.await else { return };
        world.history().on_user_read(from, world.now(), user, seen);
        world.trace(&self.name, || format!("reads user {user}: {seen:?}"));
        self.known.extend(seen.map(|seen| (user, seen.op)));
    }

    /// `Read::operation`
    async fn read_status(&self) {
        if self.accepted.is_empty() {
            return;
        }
        let (world, from) = (&self.world, self.world.now());
        let (put, id) = world.prng().pick(&self.accepted);
        let timeout = world.plan.call_timeout;
        let read =
            world.on_tables(&self.read_host.name, timeout, move |tables, _, _| tables.outcome(id));
        let Ok(item) = read.await else { return };
        let now = world.time_of(&self.read_host);
        let record = item.map(|item| OutcomeRecord {
            outcome: item.outcome,
            completed_at: now,
            problem: None,
            is_provisional: item.is_provisional,
        });
        let state = State::derive(id, record, now);
        world.history().on_status_read(from, put, &state);
        world.trace(&self.name, || format!("#{put} is {state:?}"));
    }
}

/// A tag that no host has made: an hour ahead, or at the end of all time.
fn made_up_tag(now: Duration, prng: &mut Prng) -> OperationId {
    let at = prng.pick(&[now + Duration::from_secs(3600), Duration::MAX]);
    OperationId::new(Tick::from_unix(at), prng.next())
}
