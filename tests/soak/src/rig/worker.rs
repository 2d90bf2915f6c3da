//! The processes of the functions: started, killed, started again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::rig::function::{Desk, Failure, Function};
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
    orders: Mutex<BTreeMap<String, mpsc::Sender<Order>>>,
    tally: Arc<Tally>,
}

/// One of them.
#[derive(Debug)]
struct Worker {
    name: String,
    function: Arc<Function>,
    binary: PathBuf,
    endpoints: Endpoints,
    tally: Arc<Tally>,
}

impl Workers {
    pub(crate) fn new(tally: Arc<Tally>) -> Self {
        Self { orders: Mutex::default(), tally }
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
        self.orders.lock().unwrap().insert(name.clone(), order);
        let worker = Worker {
            name,
            function: Arc::clone(function),
            binary: binary.to_owned(),
            endpoints: endpoints.clone(),
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
        self.orders.lock().unwrap().keys().cloned().collect()
    }

    /// Kills all of them for good.
    pub async fn stop(&self) {
        for name in self.names() {
            self.order(&name, Order::Stop).await;
        }
    }

    async fn order(&self, name: &str, order: impl Fn(oneshot::Sender<()>) -> Order) {
        let orders = self.orders.lock().unwrap().get(name).cloned();
        let (done, is_done) = oneshot::channel();
        if let Some(orders) = orders
            && orders.send(order(done)).await.is_ok()
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
            let desk = Arc::new(Desk::default());
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
