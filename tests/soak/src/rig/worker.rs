//! The processes of the functions: started, killed, started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::rig::function::{Desk, Failure, Function, LastEvent};
use crate::rig::http::serve;
use crate::rig::names::{Endpoints, environment};
use crate::rig::tally::Tally;

/// How the account calls a process that was not killed and ended all the same.
pub const ENDED: &str = "ended by itself";

/// A life that is shorter is none.
const SHORT_LIFE: Duration = Duration::from_secs(1);

/// How many of these one worker may have.
const MAX_SHORT_LIVES: u32 = 5;

/// What a process is told.
#[derive(Debug)]
enum Order {
    /// Die, and start again; the sender is told when it is dead.
    Die(oneshot::Sender<()>),
    /// Die.
    Stop(oneshot::Sender<()>),
}

/// All processes, by name.
#[derive(Debug)]
pub struct Workers {
    handles: Mutex<BTreeMap<String, Handle>>,
    tally: Arc<Tally>,
}

/// What one of them is reached by, over all its lives.
#[derive(Clone, Debug)]
struct Handle {
    orders: mpsc::Sender<Order>,
    last: LastEvent,
}

/// One of them.
#[derive(Debug)]
struct Worker {
    name: String,
    function: Arc<Function>,
    binary: PathBuf,
    endpoints: Endpoints,
    last: LastEvent,
    tally: Arc<Tally>,
}

impl Workers {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self { handles: Mutex::default(), tally }
    }

    pub(crate) fn start(
        &self,
        function: &Arc<Function>,
        binary: &Path,
        number: usize,
        endpoints: &Endpoints,
    ) -> JoinHandle<()> {
        let name = format!("{}-{number}", function.name);
        let (order, orders) = mpsc::channel(8);
        let last = LastEvent::default();
        let handle = Handle { orders: order, last: Arc::clone(&last) };
        self.handles.lock().unwrap().insert(name.clone(), handle);
        let worker = Worker {
            name,
            function: Arc::clone(function),
            binary: binary.to_owned(),
            endpoints: endpoints.clone(),
            last,
            tally: Arc::clone(&self.tally),
        };
        tokio::spawn(worker.run(orders))
    }

    /// Kills a process; returns when it is dead. Another takes its place.
    pub async fn kill(&self, name: &str) {
        self.order(name, Order::Die).await;
        self.tally.add(&format!("killed {}", name.split('-').next().unwrap_or_default()));
    }

    /// The names of all.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        self.handles.lock().unwrap().keys().cloned().collect()
    }

    /// The gateway's id of the request that a process took last. It took none after it died,
    /// and what it sent before that may still be on its way.
    #[must_use]
    pub fn request(&self, name: &str) -> Option<String> {
        let last = Arc::clone(&self.handles.lock().unwrap().get(name)?.last);
        let event: Value = serde_json::from_slice(&last.lock().unwrap()).ok()?;
        Some(event["requestContext"]["requestId"].as_str()?.to_owned())
    }

    /// Kills all of them for good.
    pub async fn stop(&self) {
        for name in self.names() {
            self.order(&name, Order::Stop).await;
        }
    }

    async fn order(&self, name: &str, order: impl Fn(oneshot::Sender<()>) -> Order) {
        let handle = self.handles.lock().unwrap().get(name).cloned();
        let (done, is_done) = oneshot::channel();
        if let Some(handle) = handle
            && handle.orders.send(order(done)).await.is_ok()
        {
            let _ = is_done.await;
        }
    }
}

impl Worker {
    async fn run(self, mut orders: mpsc::Receiver<Order>) {
        let mut short_lives = 0;
        loop {
            let born = Instant::now();
            let desk = Arc::new(Desk::new(Arc::clone(&self.last)));
            // A listener of its own for each life: what a dead process asked for must
            // not be handed to it.
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let address = listener.local_addr().expect("a bound address").to_string();
            let (function, at) = (Arc::clone(&self.function), Arc::clone(&desk));
            let mut child = self.spawn(&address);
            let order = {
                let serving = serve(listener, move |request| {
                    let (function, desk) = (Arc::clone(&function), Arc::clone(&at));
                    async move { function.runtime_api(&desk, request).await }
                });
                tokio::select! {
                    never = serving => match never {},
                    status = child.wait() => {
                        self.tally.add(&format!("{} {ENDED}", self.function.name));
                        short_lives += u32::from(born.elapsed() < SHORT_LIFE);
                        if short_lives == MAX_SHORT_LIVES {
                            // It cannot start at all, and whoever waits for it would wait for ever.
                            eprintln!("{:?} does not stay: {status:?}; SOAK_LOGS=1 shows its log", self.binary);
                            std::process::exit(2);
                        }
                        None
                    }
                    order = orders.recv() => {
                        let _ = child.start_kill();
                        let _ = child.wait().await;
                        order
                    }
                }
            };
            desk.clear(Failure::Ended);
            match order {
                None => {}
                Some(Order::Die(done)) => drop(done.send(())),
                Some(Order::Stop(done)) => {
                    let _ = done.send(());
                    return;
                }
            }
        }
    }

    fn spawn(&self, runtime_api: &str) -> Child {
        let environment = environment(self.function.name, &self.name, runtime_api, &self.endpoints);
        let mut command = Command::new(&self.binary);
        command.env_clear().envs(environment).stdin(Stdio::null()).stdout(Stdio::null());
        if std::env::var_os("SOAK_LOGS").is_some() {
            command.stdout(Stdio::inherit());
        }
        command.kill_on_drop(true).spawn().expect("the binary starts")
    }
}
