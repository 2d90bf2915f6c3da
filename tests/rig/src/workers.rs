//! The processes of the functions, which are started, killed and started again.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::process::Command;
use tokio::sync::{mpsc, oneshot};

use crate::environment::{Endpoints, environment};
use crate::function::{Function, LastEvent, Process};
use crate::tally::Tally;

/// The account's name for a process that ended without being killed.
pub const ENDED: &str = "ended by itself";

/// One worker may have this many lives of less than a second.
const MAX_SHORT_LIVES: u32 = 5;

/// All processes, by name.
#[derive(Debug, Default)]
pub struct Workers {
    workers: Mutex<BTreeMap<String, Worker>>,
    tally: Arc<Tally>,
}

/// One of them, over all its lives.
#[derive(Clone, Debug)]
struct Worker {
    /// Kills it; the sender hears when it is dead.
    kill: mpsc::Sender<oneshot::Sender<()>>,
    last: LastEvent,
}

impl Workers {
    pub(crate) fn new(tally: &Arc<Tally>) -> Arc<Self> {
        Arc::new(Self { tally: Arc::clone(tally), ..Self::default() })
    }

    /// Runs processes of the function, one after another, from the binary with its name.
    pub(crate) fn start(
        &self,
        function: &Arc<Function>,
        binaries: &Path,
        number: usize,
        endpoints: &Endpoints,
    ) -> impl Future<Output = ()> + use<> {
        let name = format!("{}-{number}", function.name);
        let (kill, kills) = mpsc::channel(8);
        let worker = Worker { kill, last: LastEvent::default() };
        let (binary, environment) =
            (binaries.join(function.name), environment(function.name, &name, endpoints));
        let command = move || {
            let mut command = Command::new(&binary);
            command.env_clear().envs(environment.clone()).stdin(Stdio::null());
            if std::env::var_os("SOAK_LOGS").is_none() {
                command.stdout(Stdio::null());
            }
            command
        };
        let last = Arc::clone(&worker.last);
        self.workers.lock().unwrap().insert(name, worker);
        live(command, Arc::clone(function), last, kills, Arc::clone(&self.tally))
    }

    /// Kills a process; returns when it is dead. Another process takes its place.
    pub async fn kill(&self, name: &str) {
        let kill = self.workers.lock().unwrap().get(name).map(|worker| worker.kill.clone());
        let (dead, is_dead) = oneshot::channel();
        if let Some(kill) = kill
            && kill.send(dead).await.is_ok()
        {
            let _ = is_dead.await;
        }
        self.tally.add(&format!("killed {}", name.split('-').next().unwrap_or_default()));
    }

    pub fn names(&self) -> Vec<String> {
        self.workers.lock().unwrap().keys().cloned().collect()
    }

    /// The gateway's id of the request that a process took last. A dead process took no other, and
    /// what it sent before may still be on its way.
    pub(crate) fn request(&self, name: &str) -> Option<String> {
        let last = Arc::clone(&self.workers.lock().unwrap().get(name)?.last);
        let event: Value = serde_json::from_slice(&last.lock().unwrap()).ok()?;
        Some(event["requestContext"]["requestId"].as_str()?.to_owned())
    }
}

/// Starts a process again and again.
async fn live(
    command: impl Fn() -> Command,
    function: Arc<Function>,
    last: LastEvent,
    mut kills: mpsc::Receiver<oneshot::Sender<()>>,
    tally: Arc<Tally>,
) {
    let mut short_lives = 0;
    loop {
        let born = Instant::now();
        let mut process = Process::start(command(), &function, &last).await;
        tokio::select! {
            status = process.child.wait() => {
                tally.add(&format!("{} {ENDED}", function.name));
                short_lives += u32::from(born.elapsed() < Duration::from_secs(1));
                if short_lives == MAX_SHORT_LIVES {
                    // It cannot start, and the soak would wait for it forever.
                    eprintln!("{} ends at once: {status:?}; SOAK_LOGS=1 shows its log", function.name);
                    std::process::exit(2);
                }
            }
            Some(dead) = kills.recv() => {
                let _ = process.child.kill().await;
                drop(process);
                let _ = dead.send(());
            }
        }
    }
}
