//! The clients of one resource: they send, they listen, and they write down all of it.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use rules::Method;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::plan::{Key, Plan, Step, What, Wish};
use crate::record::{Answer, Cancel, Change, Condition, Get, Mode, Sending, Status, Story};
use crate::rig::Rig;
use crate::rig::gateway::{self, Request, problem_type};
use crate::served;

/// How often a keyed PUT or DELETE is sent again while its outcome is not known.
const MAX_SENDINGS: usize = 6;

/// How long a status is asked for. A message that was parked needs some seconds.
const LONGEST_PENDING: Duration = Duration::from_secs(300);

/// One resource, and what its clients know.
#[derive(Debug)]
pub struct Target {
    rig: Arc<Rig>,
    name: String,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    last_answer_ms: u64,
    versions: Vec<String>,
    changes: Vec<Change>,
    gets: Vec<Get>,
    troubles: Vec<String>,
    polls: Vec<JoinHandle<()>>,
    /// Where the status of each PUT and DELETE is that was accepted.
    locations: Vec<(usize, String)>,
}

impl Target {
    /// A resource that nobody has heard of.
    #[must_use]
    pub fn new(rig: &Arc<Rig>, name: String) -> Arc<Self> {
        Arc::new(Self { rig: Arc::clone(rig), name, known: Mutex::default() })
    }

    /// Carries out a plan, until every client is done and, unless that takes long, all
    /// that was deferred is decided.
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

    /// Waits until nothing about the resource is on its way, and tells its story.
    pub async fn close(self: &Arc<Self>) -> Story {
        self.decided().await;
        self.rig.watch.calm(&self.name);
        let deadline = Instant::now() + LONGEST_PENDING;
        while !self.is_quiet() {
            if Instant::now() > deadline {
                self.trouble(format!(
                    "{} messages never end",
                    self.rig.queues.of_resource(&self.name)
                ));
                break;
            }
            sleep(Duration::from_millis(20)).await;
        }
        // What was final must be so still.
        for (change, location) in self.locations() {
            self.ask("GET", change, &location).await;
        }
        self.get(Duration::ZERO).await;
        let mut known = self.known.lock().unwrap();
        Story {
            resource: self.name.clone(),
            changes: std::mem::take(&mut known.changes),
            gets: std::mem::take(&mut known.gets),
            landed: self.rig.watch.leave(&self.name),
            stored: self.rig.engine.resource(&self.name),
            troubles: std::mem::take(&mut known.troubles),
        }
    }

    /// Each PUT and DELETE that was accepted, and where its status is.
    #[must_use]
    pub fn locations(&self) -> Vec<(usize, String)> {
        self.known.lock().unwrap().locations.clone()
    }

    fn is_quiet(&self) -> bool {
        self.rig.queues.of_resource(&self.name) == 0 && self.rig.watch.is_quiet(&self.name)
    }

    async fn decided(&self) {
        loop {
            let Some(poll) = self.known.lock().unwrap().polls.pop() else { return };
            let mut poll = Some(poll);
            // Change back if this is given up.
            let guard = PutBack { known: &self.known, poll: &mut poll };
            if let Some(poll) = guard.poll.as_mut() {
                let _ = poll.await;
            }
            guard.poll.take();
        }
    }

    async fn take(self: &Arc<Self>, step: &Step) {
        sleep(step.pause).await;
        match step.what {
            What::Get => self.get(step.held_up).await,
            What::Change { method, mode, condition, key, cancel } => {
                let change = self.new_change(method, condition, key);
                let send = |mode, held_up| self.change(change, mode, held_up, cancel);
                match key {
                    Key::Raced(after, other) => {
                        let second = async {
                            sleep(after).await;
                            send(other, Duration::ZERO).await;
                        };
                        tokio::join!(send(mode, step.held_up), second);
                    }
                    Key::None | Key::One => send(mode, step.held_up).await,
                }
                if matches!(key, Key::None) {
                    return;
                }
                for again in 1..MAX_SENDINGS {
                    if !self.is_unknown(change) {
                        break;
                    }
                    sleep(Duration::from_millis(20 << again)).await;
                    send(mode, Duration::ZERO).await;
                }
            }
        }
    }

    fn new_change(&self, method: Method, wish: Wish, key: Key) -> usize {
        let mut known = self.known.lock().unwrap();
        let number = known.changes.len();
        let condition = condition(wish, &known.versions);
        known.changes.push(Change {
            method,
            mark: match method {
                Method::Put => served::body(number + 1),
                Method::Delete => format!("delete-{number}"),
            },
            condition,
            is_keyed: !matches!(key, Key::None),
            sendings: vec![],
            statuses: vec![],
            cancels: vec![],
        });
        number
    }

    fn is_unknown(&self, change: usize) -> bool {
        let known = self.known.lock().unwrap();
        known.changes[change].sendings.iter().all(|sending| {
            matches!(sending.answer, Answer::OutcomeUnknown | Answer::NotWritten(_) | Answer::None)
        })
    }

    async fn change(
        self: &Arc<Self>,
        change: usize,
        mode: Mode,
        held_up: Duration,
        cancel: Option<Duration>,
    ) {
        let mut request = self.request("PUT", served::path(&self.name), held_up);
        {
            let known = self.known.lock().unwrap();
            let Change { method, mark, condition, is_keyed, .. } = &known.changes[change];
            request.method = method.as_str();
            match method {
                Method::Put => request.body = Some(mark.clone()),
                Method::Delete => request.id.clone_from(mark),
            }
            let mut add = |name, value| request.headers.push((name, value));
            match condition {
                Condition::None => {}
                Condition::Match(tags) => {
                    let tags: Vec<_> = tags.iter().map(|tag| format!("\"{tag}\"")).collect();
                    add("if-match", tags.join(", "));
                }
                Condition::Exists => add("if-match", "*".to_owned()),
                Condition::Absent => add("if-none-match", "*".to_owned()),
            }
            if *is_keyed {
                add("idempotency-key", format!("\"key-{change}\""));
            }
            match mode {
                Mode::Inline => {}
                Mode::Deferred => add("prefer", "respond-async".to_owned()),
                Mode::Wait(seconds) => add("prefer", format!("respond-async, wait={seconds}")),
            }
        }
        let (sent, reply) = self.send(&mut request).await;
        let answer = answer(&reply, request.body.as_deref());
        let mut known = self.known.lock().unwrap();
        match &answer {
            Answer::Written { etag, .. } => known.versions.push(etag.clone()),
            // No version has the id of a DELETE, not even the tombstone that it leaves.
            Answer::Accepted { operation, .. } if request.body.is_none() => {
                known.versions.push(operation.clone());
            }
            _ => {}
        }
        let answered = self.answered(&mut known);
        let sending = Sending { mode, sent, answered, answer: answer.clone() };
        known.changes[change].sendings.push(sending);
        if let Answer::Accepted { location, .. } = answer
            && known.locations.iter().all(|(of, _)| *of != change)
        {
            known.locations.push((change, location.clone()));
            let resource = Arc::clone(self);
            let poll = async move { resource.poll(change, &location, cancel).await };
            known.polls.push(tokio::spawn(poll));
        }
    }

    /// Asks for the status until it is final, and after so long cancels first.
    async fn poll(self: Arc<Self>, change: usize, location: &str, cancel: Option<Duration>) {
        let mut cancel = cancel.map(|after| Instant::now() + after);
        let deadline = Instant::now() + LONGEST_PENDING;
        let mut pause = Duration::from_millis(40);
        while Instant::now() < deadline {
            let next = Instant::now() + pause;
            if let Some(at) = cancel.take_if(|at| *at < next) {
                sleep_until(at).await;
                // The second must be answered the same.
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

    /// Asks for a status, or by a DELETE to cancel; whether the status is final.
    async fn ask(&self, method: &'static str, change: usize, location: &str) -> bool {
        let mut request = self.request(method, location.to_owned(), Duration::ZERO);
        let (sent, reply) = self.send(&mut request).await;
        let mut known = self.known.lock().unwrap();
        let at = self.answered(&mut known);
        let status = if method == "DELETE" {
            let answer = match reply.is_ours {
                true => format!("{} {}", reply.status, reply.problem()).trim_end().to_owned(),
                false => "none".to_owned(),
            };
            known.changes[change].cancels.push(Cancel { sent, answer });
            cancelled(&reply)
        } else {
            status(&reply)
        };
        let Some(status) = status else { return false };
        if let Status::Succeeded(etag) = &status {
            known.versions.extend(etag.clone());
        }
        let is_final = status.is_final();
        let statuses = &mut known.changes[change].statuses;
        if statuses.last().is_none_or(|(_, last)| *last != status) {
            statuses.push((at, status));
        }
        is_final
    }

    async fn get(&self, held_up: Duration) {
        let mut request = self.request("GET", served::path(&self.name), held_up);
        let (sent, reply) = self.send(&mut request).await;
        let seen = match reply.status {
            200 => {
                let etag = reply.header("etag").unwrap_or_default().trim_matches('"').to_owned();
                Some((etag, reply.body))
            }
            404 if reply.problem() == "not-found" => None,
            503 if reply.problem() == "not-read" => return,
            500 if !reply.is_ours => return,
            status => return self.trouble(format!("a GET was answered {status} {}", reply.body)),
        };
        let mut known = self.known.lock().unwrap();
        known.versions.extend(seen.iter().map(|(etag, _)| etag.clone()));
        let answered = self.answered(&mut known);
        known.gets.push(Get { sent, answered, seen });
    }

    fn request(&self, method: &'static str, path: String, held_up: Duration) -> Request {
        Request { method, id: "r".to_owned(), path, held_up, ..Request::default() }
    }

    /// Sends a request, and tells when that was. Its millisecond is later than that of any
    /// answer before it: the one thing that the order by arrival asks of clients.
    async fn send(&self, request: &mut Request) -> (Duration, gateway::Answer) {
        let sent = loop {
            {
                let known = self.known.lock().unwrap();
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

    fn trouble(&self, text: String) {
        self.known.lock().unwrap().troubles.push(text);
    }
}

/// A poll that goes back to the others where nobody waited for its end.
struct PutBack<'a> {
    known: &'a Mutex<Known>,
    poll: &'a mut Option<JoinHandle<()>>,
}

impl Drop for PutBack<'_> {
    fn drop(&mut self) {
        if let Some(poll) = self.poll.take() {
            self.known.lock().unwrap().polls.push(poll);
        }
    }
}

/// Asks for the status at `location`, of any resource.
pub async fn ask(rig: &Rig, location: String) -> Option<Status> {
    let arrival_ms = unix_ms();
    let id = "r".to_owned();
    let request = Request { method: "GET", id, path: location, arrival_ms, ..Request::default() };
    status(&rig.gateway.send(&request).await)
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

fn answer(reply: &gateway::Answer, body: Option<&str>) -> Answer {
    let problem = reply.problem();
    let header = |name| reply.header(name).unwrap_or_default();
    match reply.status {
        200 | 201 if Some(reply.body.as_str()) == body && reply.header("etag").is_some() => {
            let etag = header("etag").trim_matches('"').to_owned();
            Answer::Written { etag, created: reply.status == 201 }
        }
        204 if body.is_none() && reply.header("etag").is_none() => Answer::Deleted,
        202 => match status(reply) {
            // Of a DELETE it is known that it was written.
            Some(Status::Pending | Status::Succeeded(Some(_))) => Answer::Accepted {
                is_written: reply.json()["status"] == "succeeded",
                operation: reply.json()["id"].as_str().unwrap_or_default().to_owned(),
                location: header("location").to_owned(),
            },
            status => Answer::Unexpected(format!("202 {status:?}")),
        },
        412 => Answer::PreconditionFailed,
        409 => Answer::Refused(problem),
        503 if problem == "outcome-unknown" => Answer::OutcomeUnknown,
        503 if problem == "not-written" || problem == "clock-skew" => Answer::NotWritten(problem),
        500 if !reply.is_ours => Answer::None,
        status => Answer::Unexpected(format!("{status} {}", reply.body)),
    }
}

/// What the answer to a cancel says of the status. `None` if it need not say it.
fn cancelled(reply: &gateway::Answer) -> Option<Status> {
    match (reply.status, status(reply)?) {
        (200, Status::Cancelled) => Some(Status::Cancelled),
        (409, _) if reply.problem() == "already-decided" => Some(Status::AlreadyDecided),
        (code, _) => Some(Status::Unexpected(format!("{code} {} to a cancel", reply.body))),
    }
}

/// `None` if the answer is no status document and need not be one.
fn status(reply: &gateway::Answer) -> Option<Status> {
    if reply.status == 503 || !reply.is_ours {
        return None;
    }
    let document = reply.json();
    let is_provisional = document["provisional"] == true;
    Some(match document["status"].as_str() {
        Some("pending") => Status::Pending,
        Some("stalled") => Status::Stalled,
        // What `stalled` was called before.
        Some("failed") if is_provisional => Status::Stalled,
        Some("succeeded") => {
            let etag = document["etag"].as_str();
            Status::Succeeded(etag.map(|etag| etag.trim_matches('"').to_owned()))
        }
        Some("cancelled") => Status::Cancelled,
        Some("superseded") => Status::Superseded,
        Some("failed") => Status::Failed(problem_type(&document["error"])),
        _ => Status::Unexpected(format!("{} {}", reply.status, reply.body)),
    })
}

fn unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}
