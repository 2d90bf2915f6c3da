//! The programs that are measured, and their processes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::signal::{Signal, kill};
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use rig::environment::{Endpoints, environment};
use rig::function::{self, Function, LastEvent};
use serde::Deserialize;
use tokio::process::{Child, Command};

/// The functions of the project.
pub const FUNCTIONS: [&str; 4] = ["put", "read", "apply", "park"];

/// A program and how it is started. `tests/bench/peers` describes the peers in this form: the same
/// PUT, written plainly with other tools.
#[derive(Clone, Debug, Deserialize)]
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    /// The folder or the program that is deployed.
    pub package: PathBuf,
    /// Program and arguments.
    pub command: Vec<PathBuf>,
    /// Its own environment variables.
    environment: BTreeMap<String, String>,
}

/// Where the programs are.
#[derive(Debug)]
pub struct Contenders {
    folder: PathBuf,
    /// Empty, if they are not measured.
    pub peers: Vec<Contender>,
}

impl Contender {
    /// The command without the Runtime API.
    pub fn command(&self, endpoints: &Endpoints) -> Command {
        let mut command = Command::new(&self.command[0]);
        let output = match std::env::var_os("BENCH_LOGS") {
            Some(_) => Stdio::inherit(),
            None => Stdio::null(),
        };
        command
            .args(&self.command[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .envs(environment(&self.name, "bench", endpoints))
            // Lambda sets these too, and the runtimes of the peers require them.
            .env("AWS_DEFAULT_REGION", "us-east-1")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/bench")
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "bench")
            .envs(&self.environment)
            .stdin(Stdio::null())
            .stdout(output)
            .kill_on_drop(true);
        command
    }
}

impl Contenders {
    /// The programs of a folder, and the peers that a file lists, if there is one.
    pub fn new(folder: &Path, peers: Option<&Path>) -> Self {
        let peers = peers.map_or_else(Vec::new, |path| {
            let text = std::fs::read(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
            serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
        });
        Self { folder: folder.to_owned(), peers }
    }

    /// The peers, and at the end `put`, with which they are compared.
    pub fn peers_and_put(&self) -> Vec<Contender> {
        self.peers.iter().cloned().chain([self.function("put")]).collect()
    }

    /// A function of the project, or a bare one, by its name.
    pub fn function(&self, name: &str) -> Contender {
        let package = self.folder.join(name);
        let (name, command) = (name.to_owned(), vec![package.clone()]);
        Contender { name, package, command, environment: BTreeMap::new() }
    }

    /// A bare program; `what` selects what it does.
    pub fn bare(&self, program: &str, what: &str) -> Contender {
        let environment = [("BARE".to_owned(), what.to_owned())].into();
        Contender { name: format!("bare {what}"), environment, ..self.function(program) }
    }
}

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    function: Arc<Function>,
    process: function::Process,
}

impl Process {
    pub async fn start(contender: &Contender, endpoints: &Endpoints) -> Self {
        let function = Function::new("bench", Duration::from_secs(60));
        let command = contender.command(endpoints);
        let process = function::Process::start(command, &function, &LastEvent::default()).await;
        Self { function, process }
    }

    /// The response to an event.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> Bytes {
        let answer = self.function.invoke(event.into()).await;
        answer.expect("it answers; BENCH_LOGS=1 shows why not")
    }

    /// The CPU time that it has used so far, in user and system mode.
    pub fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    fn pid(&self) -> Pid {
        pid(self.process.child.id())
    }

    /// Ends it, and leaves it the time to write what a tool around it has counted.
    pub async fn terminate(mut self) {
        terminate(&mut self.process.child).await;
    }

    /// Its peak resident memory, in MB.
    pub fn peak_memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.expect("Linux has it") * 1024.0 / 1e6
    }
}

/// Ends a process by a signal that it can handle.
pub async fn terminate(child: &mut Child) {
    kill(pid(child.id()), Signal::SIGTERM).expect("it runs");
    child.wait().await.expect("it ends");
}

/// The id of a child that runs.
pub fn pid(child: Option<u32>) -> Pid {
    Pid::from_raw(child.expect("it runs").try_into().expect("a process id"))
}

/// The CPU time that a process has used so far, in user and system mode.
pub fn cpu(pid: Pid) -> Duration {
    let clock = clock_getcpuclockid(pid).expect("it runs");
    let used = clock.now().expect("the clock runs");
    Duration::from_nanos(used.num_nanoseconds().try_into().unwrap_or_default())
}
