//! A soak: resource after resource, while processes die and the wires are cut.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::check::{Finding, Verdict, account, linearizable};
use crate::client::{Target, ask};
use crate::plan::Plan;
use crate::record::{Answer, Mode, Status, Story};
use crate::rig::Rig;
use crate::rig::fault::{Death, LATEST, Weather};
use crate::rig::worker::ENDED;
use crate::served;

/// What the command line chose.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Chooses the plan.
    pub seed: u64,
    /// How many PUTs and DELETEs.
    pub changes: u64,
    /// When it ends, though fewer were sent.
    pub time: Duration,
    /// How many resources at a time.
    pub resources: usize,
    /// Only the resource of this number.
    pub only: Option<u64>,
    /// Where the stories are written that something is wrong with.
    pub folder: PathBuf,
}

/// What a soak has found.
#[derive(Debug, Default)]
pub struct Found {
    /// What is wrong, with the resource.
    pub findings: Vec<(String, Finding)>,
    /// Histories that are linearizable, that are not, and that are not decided.
    pub histories: [u64; 3],
    /// PUTs, DELETEs and GETs in them.
    pub operations: u64,
    /// A status of each resource, to be asked for once more at the end.
    statuses: Vec<(String, String, Status)>,
    /// Statuses that were asked for once more at the end.
    pub asked_again: u64,
}

/// Runs a soak.
pub async fn soak(rig: &Arc<Rig>, settings: &Settings) -> Found {
    let found = Arc::new(Mutex::new(Found::default()));
    let is_over = Arc::new(AtomicBool::new(false));
    let villains = [
        tokio::spawn(kill(Arc::clone(rig), settings.seed, Arc::clone(&is_over))),
        tokio::spawn(cut(Arc::clone(rig), settings.seed, Arc::clone(&is_over))),
        tokio::spawn(kill_connections(Arc::clone(rig), settings.seed, Arc::clone(&is_over))),
    ];
    let operator = tokio::spawn(operate(Arc::clone(rig)));
    play(rig, settings, &found).await;
    is_over.store(true, Ordering::Relaxed);
    for villain in villains {
        let _ = villain.await;
    }
    // Nothing may move any more.
    rig.watch.set_others(Weather::FAIR);
    sleep(LATEST).await;
    operator.abort();
    ask_again(rig, &found).await;
    let mut found = std::mem::take(&mut *found.lock().unwrap());
    for (resource, landed) in rig.watch.strays() {
        let text = format!("landed after all was quiet: {landed:?}");
        found.findings.push((resource, Finding { word: "LIE", text }));
    }
    for (name, count) in rig.tally.counts() {
        if name.ends_with(ENDED) {
            let finding = Finding { word: "CRASHED", text: format!("{count} times") };
            found.findings.push((name, finding));
        }
    }
    found
}

async fn play(rig: &Arc<Rig>, settings: &Settings, found: &Arc<Mutex<Found>>) {
    let started = Instant::now();
    let seats = Arc::new(Semaphore::new(settings.resources));
    let sent = Arc::new(AtomicU64::new(0));
    let mut resources = JoinSet::new();
    let mut said = Instant::now();
    for number in settings.only.unwrap_or(0).. {
        // Where the machine is slow, more of them would keep it busy with their polls alone.
        while resources.len() >= 4 * settings.resources {
            resources.join_next().await;
        }
        let seat = Arc::clone(&seats).acquire_owned().await.expect("it is open");
        let so_far = sent.load(Ordering::Relaxed);
        let is_enough = so_far >= settings.changes || started.elapsed() > settings.time;
        if is_enough || settings.only.is_some_and(|only| number > only) {
            break;
        }
        if said.elapsed() > Duration::from_secs(15) {
            said = Instant::now();
            let (seconds, wrong) =
                (started.elapsed().as_secs(), found.lock().unwrap().findings.len());
            eprintln!(
                "[{seconds:5} s] {so_far} PUTs and DELETEs, {} resources under way, {wrong} findings",
                resources.len()
            );
        }
        let (rig, sent, found) = (Arc::clone(rig), Arc::clone(&sent), Arc::clone(found));
        let settings = settings.clone();
        resources.spawn(async move {
            let plan = Plan::new(settings.seed, number);
            let resource = Target::new(&rig, served::id(number).to_string());
            resource.play(&plan).await;
            drop(seat);
            let story = resource.close().await;
            let count: usize = story.changes.iter().map(|change| change.sendings.len()).sum();
            sent.fetch_add(count as u64, Ordering::Relaxed);
            count_answers(&rig, &story);
            let locations = resource.locations();
            let checked = tokio::task::spawn_blocking(move || {
                let found = (account(&story), linearizable(&story));
                (story, found)
            });
            let (story, (findings, verdict)) = checked.await.expect("the check ends");
            let location = locations.into_iter().next();
            found.lock().unwrap().add(&story, findings, verdict, location, &settings);
        });
        while resources.try_join_next().is_some() {}
    }
    while resources.join_next().await.is_some() {}
}

impl Found {
    fn add(
        &mut self,
        story: &Story,
        mut findings: Vec<Finding>,
        verdict: Verdict,
        location: Option<(usize, String)>,
        settings: &Settings,
    ) {
        self.histories[verdict as usize] += 1;
        self.operations += (story.changes.len() + story.gets.len()) as u64;
        if verdict == Verdict::No {
            let text = "its history is none of one register".to_owned();
            findings.push(Finding { word: "NOT LINEARIZABLE", text });
        }
        if let Some((change, location)) = location
            && let Some((_, status)) = story.changes[change].statuses.last()
        {
            self.statuses.push((story.resource.clone(), location, status.clone()));
        }
        if !findings.is_empty() {
            let name = format!("{}-{}.txt", settings.seed, story.resource);
            let text = format!("{findings:#?}\n{story:#?}\n");
            let _ = std::fs::create_dir_all(&settings.folder);
            let _ = std::fs::write(settings.folder.join(name), text);
        }
        self.findings.extend(findings.into_iter().map(|finding| (story.resource.clone(), finding)));
    }
}

fn count_answers(rig: &Rig, story: &Story) {
    for change in &story.changes {
        let key = if change.is_keyed { ", key" } else { "" };
        for sending in &change.sendings {
            let mode = match sending.mode {
                Mode::Inline => "inline",
                Mode::Deferred => "deferred",
                Mode::Wait(_) => "wait",
            };
            let method = change.method.as_str();
            rig.tally.add(&format!("{method} {mode}{key}: {}", name(&sending.answer)));
        }
        for cancel in &change.cancels {
            rig.tally.add(&format!("cancel: {}", cancel.answer));
        }
        if let Some((_, status)) = change.statuses.last() {
            let stalled = change.statuses.iter().any(|(_, status)| *status == Status::Stalled);
            let stalled = if stalled { ", once stalled" } else { "" };
            let status = match status {
                Status::Succeeded(_) => "Succeeded".to_owned(),
                status => format!("{status:?}"),
            };
            rig.tally.add(&format!("status {status}{stalled}"));
        }
    }
    rig.tally.add_many("GET answered", story.gets.len() as u64);
    rig.tally.add_many("writes of resources", story.landed.len() as u64);
}

fn name(answer: &Answer) -> String {
    match answer {
        Answer::Written { created: true, .. } => "201".to_owned(),
        Answer::Written { .. } => "200".to_owned(),
        Answer::Deleted => "204".to_owned(),
        Answer::Accepted { is_written: true, .. } => "202 succeeded".to_owned(),
        Answer::Accepted { .. } => "202".to_owned(),
        Answer::PreconditionFailed => "412".to_owned(),
        Answer::Refused(problem) => format!("409 {problem}"),
        Answer::NotWritten(problem) => format!("503 {problem}"),
        Answer::OutcomeUnknown => "503 outcome-unknown".to_owned(),
        Answer::None => "none".to_owned(),
        Answer::Unexpected(_) => "unexpected".to_owned(),
    }
}

/// Kills a process about once a second, whatever it does.
async fn kill(rig: Arc<Rig>, seed: u64, is_over: Arc<AtomicBool>) {
    let mut rng = Rng::with_seed(!seed);
    let names = rig.workers.names();
    while !is_over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(rng.u64(..2000))).await;
        rig.workers.kill(&names[rng.usize(..names.len())]).await;
    }
}

/// Cuts a wire some times a minute: connections are reset and refused.
async fn cut(rig: Arc<Rig>, seed: u64, is_over: Arc<AtomicBool>) {
    let mut rng = Rng::with_seed(seed);
    while !is_over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(rng.u64(..20_000))).await;
        let wire = rng.usize(..2);
        rig.tally.add(["table cut off", "queue cut off"][wire]);
        rig.wires[wire].cut(Duration::from_millis(rng.u64(10..300))).await;
    }
}

/// Lets the connections of a wire die some times a minute, as those of functions that slept.
async fn kill_connections(rig: Arc<Rig>, seed: u64, is_over: Arc<AtomicBool>) {
    let mut rng = Rng::with_seed(seed.rotate_left(32));
    let deaths = [Death::Reset, Death::Reset, Death::Sickness, Death::Sickness, Death::Silence];
    while !is_over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(rng.u64(..10_000))).await;
        rig.wires[rng.usize(..2)].kill_connections(deaths[rng.usize(..deaths.len())]);
    }
}

/// The operator moves back what is parked.
async fn operate(rig: Arc<Rig>) {
    loop {
        sleep(Duration::from_millis(1500)).await;
        let count = rig.queues.redrive_parked();
        rig.tally.add_many("messages moved back by the operator", count as u64);
    }
}

/// Asks for some statuses once more: what was final must be so still.
async fn ask_again(rig: &Rig, found: &Mutex<Found>) {
    let statuses = std::mem::take(&mut found.lock().unwrap().statuses);
    let step = statuses.len().div_ceil(5000).max(1);
    for (resource, location, then) in statuses.into_iter().step_by(step) {
        let now = ask(rig, location).await;
        let mut found = found.lock().unwrap();
        found.asked_again += 1;
        if now.as_ref() != Some(&then) {
            let text = format!("its status was {then:?}, and at the end {now:?}");
            found.findings.push((resource, Finding { word: "LIE", text }));
        }
    }
}
