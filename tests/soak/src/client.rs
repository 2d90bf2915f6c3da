//! The clients of one resource: they send requests and write down all requests and answers.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::future::join_all;
use rig::Rig;
use rig::gateway::{Answer as Reply, Request, unix_ms};
use rig::resource;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::plan::{Key, Plan, Step, What, Wish};
use crate::reading::{answer, status};
use crate::record::{Change, Condition, Fate, Get, Method, Mode, Said, Sending, Story};

/// How often a keyed PUT or DELETE is sent again while its outcome is not known.
const MAX_SENDINGS: usize = 6;

/// How long a client asks for a status. A parked message needs some seconds.
const LONGEST_PENDING: Duration = Duration::from_secs(300);

/// After so many polls in a row without a message or call for the resource, its status never
/// changes again.
const MAX_QUIET_POLLS: u32 = 20;

/// One resource, and what its clients know.
pub struct Target {
    rig: Arc<Rig>,
    name: String,
    known: Mutex<Known>,
    /// Each asks for the status of an accepted PUT or DELETE.
    polls: tokio::sync::Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Known {
    last_answer_ms: u64,
    versions: Vec<String>,
    changes: Vec<Change>,
    gets: Vec<Get>,
    troubles: Vec<String>,
}

impl Target {
    pub fn new(rig: &Arc<Rig>, name: String) -> Arc<Self> {
        let (known, polls) = (Mutex::default(), tokio::sync::Mutex::default());
        Arc::new(Self { rig: Arc::clone(rig), name, known, polls })
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap()
    }

    /// Carries out a plan until every client has finished. Then waits until all deferred operations
    /// are decided, unless that takes long.
    pub async fn play(self: &Arc<Self>, plan: &Plan) {
        self.rig.watch.enter(&self.name, plan.weather, plan.hot, plan.seed);
        let clients = plan.clients.iter().map(|steps| async move {
            for step in steps {
                self.take(step).await;
            }
        });
        join_all(clients).await;
        let _ = timeout(Duration::from_secs(2), self.decided()).await;
    }

    /// Waits until nothing for the resource is on its way, and returns its story.
    pub async fn close(self: &Arc<Self>) -> Story {
        self.decided().await;
        self.rig.watch.calm(&self.name);
        let deadline = Instant::now() + LONGEST_PENDING;
        while !self.is_quiet() {
            if Instant::now() > deadline {
                let count = self.rig.queues.of_resource(&self.name);
                self.known().troubles.push(format!("{count} messages never end"));
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        // A final status must be unchanged.
        let changes = self.known().changes.len();
        for change in 0..changes {
            let location = self.known().changes[change].location.clone();
            if let Some(location) = location {
                self.ask("GET", change, &location).await;
            }
        }
        self.get(Duration::ZERO).await;
        let mut known = self.known();
        Story {
            resource: self.name.clone(),
            changes: std::mem::take(&mut known.changes),
            gets: std::mem::take(&mut known.gets),
            landed: self.rig.watch.leave(&self.name),
            stored: self.rig.engine.resource(&self.name),
            troubles: std::mem::take(&mut known.troubles),
        }
    }

    fn is_quiet(&self) -> bool {
        self.rig.watch.is_quiet(&self.name) && self.rig.queues.of_resource(&self.name) == 0
    }

    async fn decided(&self) {
        let mut polls = self.polls.lock().await;
        while polls.join_next().await.is_some() {}
    }

    async fn take(self: &Arc<Self>, step: &Step) {
        sleep(step.pause).await;
        let What::Change { method, mode, condition, key, cancel } = step.what else {
            return self.get(step.held_up).await;
        };
        let change = self.new_change(method, condition, key);
        let send = |mode, held_up| self.change(change, mode, held_up, cancel);
        if let Key::Raced(after, other) = key {
            let second = async {
                sleep(after).await;
                send(other, Duration::ZERO).await;
            };
            tokio::join!(send(mode, step.held_up), second);
        } else {
            send(mode, step.held_up).await;
        }
        let is_unknown = || {
            let known = self.known();
            known.changes[change].sendings.iter().all(|sending| sending.said.is_unknown())
        };
        for again in 1..MAX_SENDINGS {
            if key == Key::None || !is_unknown() {
                break;
            }
            sleep(Duration::from_millis(20 << again)).await;
            send(mode, Duration::ZERO).await;
        }
    }

    fn new_change(&self, method: Method, wish: Wish, key: Key) -> usize {
        let mut known = self.known();
        let number = known.changes.len();
        let condition = condition(wish, &known.versions);
        known.changes.push(Change {
            method,
            mark: match method {
                Method::Put => resource::body(number + 1),
                Method::Delete => format!("delete-{number}"),
            },
            condition,
            is_keyed: key != Key::None,
            sendings: vec![],
            location: None,
            statuses: vec![],
            cancels: vec![],
        });
        number
    }

    async fn change(
        self: &Arc<Self>,
        change: usize,
        mode: Mode,
        held_up: Duration,
        cancel: Option<Duration>,
    ) {
        let mut request = self.request(&self.known().changes[change], change, mode);
        request.held_up = held_up;
        let (sent, reply) = self.send(&mut request).await;
        let said = answer(&reply, request.body.as_deref());
        let Some(location) = self.heard(change, mode, sent, said, &reply) else { return };
        let target = Arc::clone(self);
        let poll = async move { target.poll(change, &location, cancel).await };
        self.polls.lock().await.spawn(poll);
    }

    /// Writes down an answer; returns the URL of the status, if this is the first answer that has
    /// one.
    fn heard(
        &self,
        number: usize,
        mode: Mode,
        sent: Duration,
        said: Said,
        reply: &Reply,
    ) -> Option<String> {
        let mut guard = self.known();
        let known = &mut *guard;
        let answered = self.answered(known);
        let change = &mut known.changes[number];
        let key = if change.is_keyed { ", key" } else { "" };
        self.rig.tally.add(&format!("{:?} {mode:?}{key}: {}", change.method, said.text));
        // No version has the id of a DELETE, not even its tombstone. The plan uses it in
        // preconditions nevertheless.
        if said.fate == Fate::Written || change.method == Method::Delete {
            known.versions.extend(said.operation.clone());
        }
        let is_accepted = said.is_accepted();
        change.sendings.push(Sending { sent, answered, said });
        if !is_accepted || change.location.is_some() {
            return None;
        }
        change.location = Some(reply.header("location").unwrap_or_default().to_owned());
        change.location.clone()
    }

    fn request(&self, change: &Change, number: usize, mode: Mode) -> Request {
        let mut request = Request::new("PUT", resource::path(&self.name));
        match change.method {
            Method::Put => request.body = Some(change.mark.clone()),
            Method::Delete => (request.method, request.id) = ("DELETE", change.mark.clone()),
        }
        let mut add = |name, value| request.headers.push((name, value));
        match &change.condition {
            Condition::None => {}
            Condition::Match(tags) => {
                let tags: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
                add("if-match", tags.join(", "));
            }
            Condition::Exists => add("if-match", "*".to_owned()),
            Condition::Absent => add("if-none-match", "*".to_owned()),
        }
        if change.is_keyed {
            add("idempotency-key", format!("\"key-{number}\""));
        }
        match mode {
            Mode::Inline => {}
            Mode::Deferred => add("prefer", "respond-async".to_owned()),
            Mode::Wait(seconds) => add("prefer", format!("respond-async, wait={seconds}")),
        }
        request
    }

    /// Asks for the status until it is final. If `cancel` is given, cancels after that time.
    async fn poll(&self, change: usize, location: &str, cancel: Option<Duration>) {
        let mut cancel = cancel.map(|after| Instant::now() + after);
        let deadline = Instant::now() + LONGEST_PENDING;
        let (mut pause, mut quiet_polls) = (Duration::from_millis(40), 0);
        while Instant::now() < deadline && quiet_polls < MAX_QUIET_POLLS {
            quiet_polls = if self.is_quiet() { quiet_polls + 1 } else { 0 };
            let next = Instant::now() + pause;
            if let Some(at) = cancel.take_if(|at| *at < next) {
                sleep_until(at).await;
                // The second cancel must get the same answer.
                for _ in 0..2 {
                    self.ask("DELETE", change, location).await;
                }
            } else {
                sleep_until(next).await;
            }
            pause = pause.mul_f64(1.5).min(Duration::from_secs(1));
            if self.ask("GET", change, location).await {
                return;
            }
        }
    }

    /// Asks for a status, or cancels with a DELETE; returns whether the status is final.
    async fn ask(&self, method: &'static str, change: usize, location: &str) -> bool {
        let mut request = Request::new(method, location.to_owned());
        let (sent, reply) = self.send(&mut request).await;
        let mut guard = self.known();
        let known = &mut *guard;
        let at = self.answered(known);
        let change = &mut known.changes[change];
        let is_cancel = method == "DELETE";
        if is_cancel {
            self.rig.tally.add(&format!("cancel: {}", reply.brief()));
        }
        if is_cancel && reply.brief() != "503 not-written" {
            change.cancels.push(sent);
        }
        let Some(said) = status(&reply, change.method, is_cancel) else { return false };
        known.versions.extend(said.operation.clone());
        let is_final = said.is_final();
        if change.statuses.last().is_none_or(|(_, last)| *last != said) {
            self.rig.tally.add(&format!("status {}", said.text));
            change.statuses.push((at, said));
        }
        is_final
    }

    async fn get(&self, held_up: Duration) {
        let mut request = Request::new("GET", resource::path(&self.name));
        request.held_up = held_up;
        let (sent, reply) = self.send(&mut request).await;
        let seen = match (reply.status, reply.problem().as_str()) {
            (200, _) => Some((reply.etag().unwrap_or_default(), reply.body)),
            (404, "not-found") => None,
            (503, "not-read") => return,
            (500, _) if !reply.is_functions_own => return,
            (status, _) => {
                let trouble = format!("a GET: {status} {}", reply.body);
                return self.known().troubles.push(trouble);
            }
        };
        let mut known = self.known();
        known.versions.extend(seen.iter().map(|(etag, _)| etag.clone()));
        let answered = self.answered(&mut known);
        self.rig.tally.add("GET answered");
        known.gets.push(Get { sent, answered, seen });
    }

    /// Sends a request; returns the time and the reply. Its millisecond is later than that of any
    /// earlier answer. That is all that the order by arrival asks of clients.
    async fn send(&self, request: &mut Request) -> (Duration, Reply) {
        let sent = loop {
            {
                let known = self.known();
                request.arrival_ms = unix_ms();
                if request.arrival_ms > known.last_answer_ms {
                    break self.rig.watch.now();
                }
            }
            sleep(Duration::from_millis(1)).await;
        };
        (sent, self.rig.gateway.send(request).await)
    }

    fn answered(&self, known: &mut Known) -> Duration {
        known.last_answer_ms = unix_ms();
        self.rig.watch.now()
    }
}

fn condition(wish: Wish, versions: &[String]) -> Condition {
    let some = |choice: usize| versions[choice % versions.len()].clone();
    match wish {
        Wish::Exists => Condition::Exists,
        Wish::Absent => Condition::Absent,
        Wish::Newest if !versions.is_empty() => {
            Condition::Match(versions.iter().max().cloned().into_iter().collect())
        }
        Wish::Some(choice) if !versions.is_empty() => {
            let beside = (choice % 2 == 1).then(|| some(choice / 7));
            Condition::Match(std::iter::once(some(choice)).chain(beside).collect())
        }
        Wish::None | Wish::Newest | Wish::Some(_) => Condition::None,
    }
}
