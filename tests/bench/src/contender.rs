//! Who is measured: programs and the environment that each needs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The functions of the project.
pub const FUNCTIONS: [&str; 4] = ["put", "read", "apply", "park"];

/// A program, as it is started.
#[derive(Clone, Debug)]
pub struct Contender {
    /// What the table calls it.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<PathBuf>,
    /// What of the environment is its own.
    pub settings: BTreeMap<String, String>,
}

impl Contender {
    fn new(name: &str, program: PathBuf) -> Self {
        Self { name: name.to_owned(), command: vec![program], settings: BTreeMap::new() }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }
}

/// The same PUT written plainly with other tools, as `tests/bench/peers` has built it.
#[derive(Clone, Debug, Deserialize)]
pub struct Peer {
    /// What the table calls it.
    name: String,
    /// What is deployed: a folder or a program.
    pub package: PathBuf,
    command: Vec<PathBuf>,
    environment: BTreeMap<String, String>,
}

impl Peer {
    /// As it is started.
    pub fn contender(&self) -> Contender {
        let (name, command) = (self.name.clone(), self.command.clone());
        // What Lambda sets as well, and their runtimes ask for.
        Contender { name, command, settings: self.environment.clone() }
            .with("AWS_DEFAULT_REGION", "us-east-1")
            .with("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench")
            .with("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
    }
}

/// Where the programs are.
#[derive(Debug)]
pub struct Contenders {
    functions: PathBuf,
    bare: PathBuf,
    /// None, if they are not to be measured.
    pub peers: Vec<Peer>,
}

impl Contenders {
    /// With the peers that a file lists, if there is one.
    pub fn new(functions: &Path, bare: &Path, peers: Option<&Path>) -> Self {
        let peers = peers.map_or_else(Vec::new, |path| {
            let text = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
        });
        Self { functions: functions.to_owned(), bare: bare.to_owned(), peers }
    }

    /// The peers, and `put` at the end, which they stand against.
    pub fn peers_and_put(&self) -> Vec<Contender> {
        let peers = self.peers.iter().map(Peer::contender);
        peers.chain([self.function("put")]).collect()
    }

    /// A function of the project, by its name.
    pub fn function(&self, name: &str) -> Contender {
        Contender::new(name, self.functions.join(name))
    }

    /// A bare program; `what` chooses what it does.
    pub fn bare(&self, program: &str, what: &str) -> Contender {
        let name = if what.is_empty() { program.to_owned() } else { format!("bare {what}") };
        Contender::new(&name, self.bare.join(program)).with("BARE", what)
    }
}
