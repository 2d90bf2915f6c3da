//! The service on this machine without an emulator: the real binaries under a Runtime API
//! and a queue of our own, a real DynamoDB engine, and a wire between them that fails on
//! purpose. A soak and a bench drive it alike.

pub mod engine;
pub mod fault;
pub mod function;
pub mod gateway;
pub mod http;
pub mod mapping;
pub mod names;
pub mod queue;
pub mod sqs;
pub mod tally;
pub mod watch;
pub mod wire;
pub mod worker;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use engine::Engine;
use function::Function;
use gateway::Gateway;
use mapping::Mapping;
use names::{Endpoints, binaries};
use queue::{Queue, Redrive};
use sqs::Sqs;
use tally::Tally;
use tokio::task::JoinHandle;
use watch::Watch;
use wire::{Backend, Wire};
use worker::Workers;

/// How many processes each function has, and how the queues behave.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    /// Processes of `put`.
    pub put: usize,
    /// Processes of `read`.
    pub read: usize,
    /// Processes of `apply`.
    pub apply: usize,
    /// Processes of `park`.
    pub park: usize,
    /// How often the updates queue delivers a message before it is a dead letter.
    pub receives: u32,
    /// What makes the queue hide a message for a shorter time than it was told to.
    pub haste: u32,
    /// How long the queue hides a message that it delivered.
    pub visibility: Duration,
    /// Whether queues deliver twice, late and in any order and lose deletions, and calls
    /// that name no resource fail at times. A bench wants none of it.
    pub mischief: bool,
}

/// Everything that runs.
#[derive(Debug)]
pub struct Rig {
    /// The HTTP API.
    pub gateway: Gateway,
    /// The database, for looking past the functions.
    pub engine: Engine,
    /// The queues.
    pub queues: Arc<Sqs>,
    /// What the wire saw.
    pub watch: Arc<Watch>,
    /// What was done to whom, counted.
    pub tally: Arc<Tally>,
    /// The processes.
    pub workers: Arc<Workers>,
    /// The wires in front of the database and of the queues.
    pub wires: [Arc<Wire>; 2],
    tasks: Vec<JoinHandle<()>>,
}

impl Rig {
    /// Starts the binaries of the folder `from`, and all that they need.
    ///
    /// # Panics
    /// If something of it cannot start.
    pub async fn start(from: &Path, setup: Setup, seed: u64) -> Self {
        let tally = Arc::new(Tally::default());
        let watch = Arc::new(Watch::new(seed, setup.mischief));
        let workers = Arc::new(Workers::new(Arc::clone(&tally)));
        let engine = Engine::start().await;
        let queues = Arc::new(Sqs::new(
            setup.mischief,
            [
                Queue::new(
                    "updates",
                    setup,
                    Some(Redrive { to: "dead-letters", after: setup.receives }),
                ),
                Queue::new("dead-letters", setup, Some(Redrive { to: "parked", after: 1000 })),
                Queue::new("parked", setup, None),
            ],
        ));
        let wire = async |backend| {
            let wire = Wire::new(backend, &watch, &workers, &tally).await;
            Arc::new(wire)
        };
        let wires = [
            wire(Backend::DynamoDb(Box::new(engine.clone()))).await,
            wire(Backend::Sqs(Arc::clone(&queues))).await,
        ];
        let [dynamodb, sqs] = [&wires[0], &wires[1]].map(|wire| wire.url());
        let endpoints = Endpoints { dynamodb, sqs };
        let paths = binaries(from);
        let mut tasks: Vec<_> = wires.iter().map(|wire| wire.open()).collect();
        let mut function = |name, count, seconds| {
            let function = Arc::new(Function::new(name, Duration::from_secs(seconds)));
            for number in 0..count {
                tasks.push(workers.start(&function, &paths[name], number, &endpoints));
            }
            function
        };
        let gateway =
            Gateway { put: function("put", setup.put, 29), read: function("read", setup.read, 15) };
        let (apply, park) = (function("apply", setup.apply, 30), function("park", setup.park, 30));
        for (function, queue, batch, count) in
            [(apply, "updates", 10, setup.apply), (park, "dead-letters", 1, setup.park)]
        {
            for number in 0..count {
                let mapping = Mapping {
                    function: Arc::clone(&function),
                    queues: Arc::clone(&queues),
                    queue,
                    batch,
                    mischief: setup.mischief,
                    tally: Arc::clone(&tally),
                };
                tasks.push(tokio::spawn(mapping.run(seed ^ number as u64)));
            }
        }
        Self { gateway, engine, queues, watch, tally, workers, wires, tasks }
    }

    /// Ends every process, and all that served them.
    pub async fn stop(&self) {
        self.workers.stop().await;
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}
