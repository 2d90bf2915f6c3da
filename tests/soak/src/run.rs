//! A soak: resource after resource, while processes die and the wires are cut.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use fastrand::Rng;
use rig::fault::{Death, LATEST};
use rig::gateway::Request;
use rig::watch::OTHERS;
use rig::workers::ENDED;
use rig::{Rig, resource};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::check::{Finding, Verdict, account, linearizable};
use crate::client::Target;
use crate::plan::Plan;
use crate::reading;
use crate::record::{Method, Said, Story};

/// The settings from the command line.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The seed of the plans.
    pub seed: u64,
    /// How many PUTs and DELETEs.
    pub changes: u64,
    /// How many resources at a time.
    pub resources: usize,
    /// Only the resource of this number.
    pub only: Option<u64>,
    /// Where stories with findings are written.
    pub folder: PathBuf,
}

/// The results of a soak.
#[derive(Debug, Default)]
pub struct Found {
    /// PUTs and DELETEs, counted once for each sending.
    pub sent: u64,
    /// The findings, each with its resource.
    pub findings: Vec<(String, Finding)>,
    /// Histories that are linearizable, not linearizable, and undecided.
    pub histories: [u64; 3],
    /// PUTs, DELETEs and GETs in them.
    pub operations: u64,
    /// One status of each resource, with its URL and method, to ask for once more at the end.
    statuses: Vec<(String, String, Method, Said)>,
    /// Statuses that were asked for once more at the end.
    pub asked_again: u64,
}

impl Found {
    fn add(&mut self, resource: impl Into<String>, word: &'static str, text: String) {
        self.findings.push((resource.into(), Finding { word, text }));
    }
}

/// Runs a soak.
pub async fn soak(rig: &Arc<Rig>, settings: &Settings) -> Found {
    let is_over = Arc::new(AtomicBool::new(false));
    let villain = tokio::spawn(disturb(Arc::clone(rig), settings.seed, Arc::clone(&is_over)));
    let operator = tokio::spawn(operate(Arc::clone(rig)));
    let mut found = play(rig, settings).await;
    is_over.store(true, Ordering::Relaxed);
    villain.await.expect("it ends");
    // Nothing may change any more.
    rig.watch.calm(OTHERS);
    sleep(LATEST).await;
    operator.abort();
    ask_again(rig, &mut found).await;
    for (resource, landed) in rig.watch.strays() {
        found.add(resource, "LIE", format!("landed after all was quiet: {landed:?}"));
    }
    for (name, count) in rig.tally.counts() {
        if name.ends_with(ENDED) {
            found.add(name, "CRASHED", format!("{count} times"));
        }
    }
    found
}

async fn play(rig: &Arc<Rig>, settings: &Settings) -> Found {
    let started = Instant::now();
    let seats = Arc::new(Semaphore::new(settings.resources));
    let found = Arc::new(Mutex::new(Found::default()));
    let mut resources = JoinSet::new();
    let (mut planned, mut reported) = (0, Instant::now());
    for number in settings.only.unwrap_or(0).. {
        // On a slow machine, the polls of more resources would keep it busy.
        while resources.len() >= 4 * settings.resources {
            resources.join_next().await;
        }
        let seat = Arc::clone(&seats).acquire_owned().await.expect("it is open");
        if planned >= settings.changes || settings.only.is_some_and(|only| number > only) {
            break;
        }
        let plan = Plan::new(settings.seed, number);
        planned += plan.changes();
        if reported.elapsed() > Duration::from_secs(15) {
            reported = Instant::now();
            let seconds = started.elapsed().as_secs();
            let (under_way, wrong) = (resources.len(), found.lock().unwrap().findings.len());
            eprintln!(
                "[{seconds:5} s] {planned} PUTs and DELETEs begun, {under_way} resources under way, {wrong} findings"
            );
        }
        let (rig, found) = (Arc::clone(rig), Arc::clone(&found));
        let settings = settings.clone();
        resources.spawn(async move {
            let target = Target::new(&rig, resource::id(number));
            target.play(&plan).await;
            drop(seat);
            let story = target.close().await;
            rig.tally.add_many("writes of resources", story.landed.len() as u64);
            let judged = tokio::task::spawn_blocking(move || judge(&story, &settings, &found));
            judged.await.expect("the check ends");
        });
        while resources.try_join_next().is_some() {}
    }
    resources.join_all().await;
    std::mem::take(&mut *found.lock().unwrap())
}

/// Adds everything that is wrong with a story.
fn judge(story: &Story, settings: &Settings, found: &Mutex<Found>) {
    let (mut findings, verdict) = (account(story), linearizable(story));
    let mut found = found.lock().unwrap();
    found.histories[verdict as usize] += 1;
    found.sent += story.changes.iter().map(|change| change.sendings.len() as u64).sum::<u64>();
    found.operations += (story.changes.len() + story.gets.len()) as u64;
    if verdict == Verdict::No {
        let text = "no single register has this history".to_owned();
        findings.push(Finding { word: "NOT LINEARIZABLE", text });
    }
    let accepted = story.changes.iter().find_map(|change| Some((change, change.location.clone()?)));
    if let Some((change, location)) = accepted
        && let Some((_, said)) = change.statuses.last()
    {
        found.statuses.push((story.resource.clone(), location, change.method, said.clone()));
    }
    if !findings.is_empty() {
        let name = format!("{}-{}.txt", settings.seed, story.resource.replace('/', "-"));
        let text = format!("{findings:#?}\n{story:#?}\n");
        let _ = std::fs::create_dir_all(&settings.folder);
        let _ = std::fs::write(settings.folder.join(name), text);
    }
    found.findings.extend(findings.into_iter().map(|finding| (story.resource.clone(), finding)));
}

/// Kills a process about once a second, whatever it does. A few times a minute, cuts a wire or
/// makes its connections die, as those of sleeping functions do.
async fn disturb(rig: Arc<Rig>, seed: u64, is_over: Arc<AtomicBool>) {
    let mut rng = Rng::with_seed(!seed);
    let names = rig.workers.names();
    while !is_over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(rng.u64(..1600))).await;
        let wire = &rig.wires[rng.usize(..2)];
        match rng.u8(..16) {
            0..2 => wire.cut(Duration::from_millis(rng.u64(10..300))).await,
            2 => wire.kill_connections(Death::Silence),
            3 => wire.kill_connections(Death::Reset),
            4 => wire.kill_connections(Death::Sickness),
            _ => rig.workers.kill(&names[rng.usize(..names.len())]).await,
        }
    }
}

/// The operator moves parked messages back.
async fn operate(rig: Arc<Rig>) {
    loop {
        sleep(Duration::from_millis(1500)).await;
        let count = rig.queues.redrive_parked();
        rig.tally.add_many("messages moved back by the operator", count as u64);
    }
}

/// Asks for some statuses once more: a final status must be unchanged.
async fn ask_again(rig: &Rig, found: &mut Found) {
    let statuses = std::mem::take(&mut found.statuses);
    let step = statuses.len().div_ceil(5000).max(1);
    for (resource, location, method, said) in statuses.into_iter().step_by(step) {
        let reply = rig.gateway.send(&Request::new("GET", location)).await;
        let now = reading::status(&reply, method, false);
        found.asked_again += 1;
        if now.as_ref() != Some(&said) {
            found.add(resource, "LIE", format!("at the end {now:?}, after {said:?}"));
        }
    }
}
