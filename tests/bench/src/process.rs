//! A process of a function under a Runtime API, and what the system says of it.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nix::sys::time::TimeValLike;
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;
use soak::rig::function::{Desk, Function};
use soak::rig::http::serve;
use soak::rig::names;
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::contender::Contender;

/// A running process. It is killed when this is dropped.
#[derive(Debug)]
pub struct Process {
    function: Arc<Function>,
    child: Child,
    server: JoinHandle<()>,
}

/// The command of a contender, which asks for work at `runtime_api`.
pub fn command(contender: &Contender, runtime_api: &str, endpoints: &names::Endpoints) -> Command {
    let mut command = Command::new(&contender.command[0]);
    command
        .args(&contender.command[1..])
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(names::environment(&contender.name, "bench", runtime_api, endpoints))
        .envs(&contender.settings)
        .stdin(Stdio::null())
        .stdout(if std::env::var_os("BENCH_LOGS").is_some() {
            Stdio::inherit()
        } else {
            Stdio::null()
        })
        .kill_on_drop(true);
    command
}

impl Process {
    pub async fn start(contender: &Contender, endpoints: &names::Endpoints) -> Self {
        let function = Arc::new(Function::new("bench", Duration::from_secs(60)));
        let desk = Arc::new(Desk::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address").to_string();
        let serving = Arc::clone(&function);
        let server = tokio::spawn(async move {
            let never = serve(listener, move |request| {
                let (function, desk) = (Arc::clone(&serving), Arc::clone(&desk));
                async move { function.runtime_api(&desk, request).await }
            });
            match never.await {}
        });
        let child = command(contender, &address, endpoints).spawn();
        let child = child.unwrap_or_else(|error| panic!("{:?}: {error}", contender.command));
        Self { function, child, server }
    }

    /// The response to an event.
    pub async fn invoke(&self, event: impl Into<Bytes>) -> Bytes {
        let answer = self.function.invoke(event.into()).await;
        answer.unwrap_or_else(|failure| panic!("no answer: {failure:?}; BENCH_LOGS=1 shows why"))
    }

    fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// What it has used of the processors so far, in user and system mode.
    pub fn cpu(&self) -> Duration {
        cpu(self.pid())
    }

    /// The most that was ever resident of it, in MB.
    pub fn peak_memory(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        kib.expect("Linux tells it") * 1024.0 / 1e6
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // First, so that it does not complain of the server's end.
        let _ = self.child.start_kill();
        self.server.abort();
    }
}

/// What the process `pid` has used of the processors so far, in user and system mode.
pub fn cpu(pid: u32) -> Duration {
    let pid = Pid::from_raw(pid.try_into().expect("a process id"));
    let clock = clock_getcpuclockid(pid).expect("it runs");
    let used = clock.now().expect("the clock runs");
    Duration::from_nanos(used.num_nanoseconds().try_into().unwrap_or_default())
}
