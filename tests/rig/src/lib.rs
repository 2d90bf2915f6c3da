//! The service on this machine without an emulator: the real binaries with our own Runtime API and
//! queues, a real DynamoDB engine, and wires between them that fail on purpose. The soak uses all
//! of it, and the benches use parts.

pub mod engine;
pub mod environment;
pub mod fault;
pub mod function;
pub mod gateway;
pub mod http;
mod mapping;
pub mod resource;
pub mod sqs;
pub mod tally;
pub mod watch;
pub mod wire;
pub mod workers;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use environment::Endpoints;
use function::Function;
use gateway::Gateway;
use mapping::Mapping;
use sqs::Sqs;
use tally::Tally;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use watch::Watch;
use wire::{Service, Wire};
use workers::Workers;

/// Everything that runs.
pub struct Rig {
    pub gateway: Gateway,
    /// Shows the state behind the functions.
    pub engine: Engine,
    pub queues: Arc<Sqs>,
    /// What the wires saw.
    pub watch: Arc<Watch>,
    /// What happened, counted.
    pub tally: Arc<Tally>,
    pub workers: Arc<Workers>,
    /// The wires in front of the engine and of the queues.
    pub wires: [Arc<Wire>; 2],
    tasks: Mutex<JoinSet<()>>,
}

impl Rig {
    /// Starts the binaries of a folder, and everything that they need.
    pub async fn start(binaries: &Path, seed: u64) -> Self {
        let tally = Arc::new(Tally::default());
        let (watch, workers) = (Watch::new(seed), Workers::new(&tally));
        let (engine, queues) = (Engine::start().await, Arc::new(Sqs::new(seed)));
        let wire = |service| Wire::new(service, &watch, &workers, &tally);
        let wires = [
            wire(Service::Table(engine.clone())).await,
            wire(Service::Queue(Arc::clone(&queues))).await,
        ];
        let endpoints = Endpoints { dynamodb: wires[0].url(), sqs: wires[1].url() };
        let mut tasks = JoinSet::new();
        for wire in &wires {
            tasks.spawn(Arc::clone(wire).run());
        }
        let mut function = |name, processes, seconds| {
            let function = Function::new(name, Duration::from_secs(seconds));
            for number in 0..processes {
                tasks.spawn(workers.start(&function, binaries, number, &endpoints));
            }
            function
        };
        let gateway = Gateway { put: function("put", 12, 29), read: function("read", 6, 15) };
        let (apply, park) = (function("apply", 4, 30), function("park", 2, 30));
        for (function, queue, batch, pollers) in
            [(apply, "updates", 10, 4), (park, "dead-letters", 1, 2)]
        {
            for number in 0..pollers {
                let (function, queues) = (Arc::clone(&function), Arc::clone(&queues));
                let tally = Arc::clone(&tally);
                let mapping = Mapping { function, queues, queue, batch, tally };
                tasks.spawn(mapping.run(seed ^ number));
            }
        }
        let tasks = Mutex::new(tasks);
        Self { gateway, engine, queues, watch, tally, workers, wires, tasks }
    }

    /// Ends every process, and then all that served them.
    pub async fn stop(&self) {
        self.tasks.lock().await.shutdown().await;
    }
}

/// The command line: pairs of a name, which begins with `--`, and a value.
pub fn options() -> BTreeMap<String, String> {
    let mut words = std::env::args().skip(1);
    let mut options = BTreeMap::new();
    while let Some(name) = words.next() {
        let name = name.strip_prefix("--").unwrap_or_else(|| panic!("{name} is not an option"));
        let value = words.next().unwrap_or_else(|| panic!("--{name} has no value"));
        options.insert(name.to_owned(), value);
    }
    options
}
