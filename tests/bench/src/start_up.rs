//! Start-up: from the start of the process to its first poll of the Runtime API, and to its
//! first answer.

use std::io::Read;
use std::time::{Duration, Instant};

use soak::rig::names::Endpoints as Urls;

use crate::contender::{Contender, Contenders};
use crate::endpoint::Endpoints;
use crate::event;
use crate::measure::Results;
use crate::process::{Process, command, cpu};

/// What is measured of the peers.
const PEERS: &str = "beside peers";

/// Where nothing listens and nothing is called: with `https`, so that TLS is set up.
const TLS: &str = "https://127.0.0.1:9";

pub async fn measure(
    contenders: &Contenders,
    endpoints: &Endpoints,
    starts: usize,
    results: &mut Results,
) {
    let body = event::body(100);
    let first_put = event::put(&body, &[]).to_string();
    let message = event::batch(1, 1, &body, 1).to_string();
    for (name, bare, first) in [
        ("put", "bare-http", &first_put),
        ("read", "bare-http", &event::get().to_string()),
        ("apply", "bare-events", &message),
        ("park", "bare-events", &message),
    ] {
        let pair = [contenders.function(name), contenders.bare(bare, "")];
        first_poll(name, &pair, starts, results).await;
        first_answer(name, &pair, endpoints, first, starts, results).await;
    }
    if !contenders.peers.is_empty() {
        // They take up to a second each, and the ratios are large.
        let (all, starts) = (contenders.peers_and_put(), starts.div_ceil(8));
        first_poll(PEERS, &all, starts, results).await;
        first_answer(PEERS, &all, endpoints, &first_put, starts, results).await;
    }
}

async fn first_poll(what: &str, all: &[Contender], starts: usize, results: &mut Results) {
    let (mut times, mut used) = (names(all), names(all));
    for _ in 0..starts {
        for (number, contender) in all.iter().enumerate() {
            let (time, cpu) = start(contender).await;
            times[number].1.push(time.as_secs_f64() * 1e3);
            used[number].1.push(cpu.as_secs_f64() * 1e3);
        }
    }
    let section = "Start-up to the first poll of the Runtime API";
    results.add(section, &format!("{what}: time"), "ms", &times);
    results.add(section, &format!("{what}: CPU"), "ms", &used);
}

fn names(all: &[Contender]) -> Vec<(String, Vec<f64>)> {
    all.iter().map(|contender| (contender.name.clone(), Vec::new())).collect()
}

/// Starts a process; how long it took to ask for work, and what it used of the processor.
async fn start(contender: &Contender) -> (Duration, Duration) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address").to_string();
    let urls = Urls { dynamodb: TLS.to_owned(), sqs: TLS.to_owned() };
    let mut command = command(contender, &address, &urls);
    // A thread that waits for nothing else, so that nothing delays the time it takes.
    let polled = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a process that starts");
        let read = stream.read(&mut [0; 1024]).expect("a request");
        assert!(read > 0, "the process asks for work");
        (Instant::now(), stream)
    });
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let pid = child.id().expect("it runs");
    let polled = tokio::task::spawn_blocking(move || polled.join().expect("a poll"));
    let (at, _stream) = tokio::select! {
        polled = polled => polled.expect("a poll"),
        ended = child.wait() => {
            // So that the thread ends as well.
            drop(std::net::TcpStream::connect(&address));
            panic!("{contender:?} ended before it asked for work, {ended:?}; BENCH_LOGS=1 shows why")
        }
    };
    let used = cpu(pid);
    child.kill().await.expect("it can be killed");
    (at - started, used)
}

async fn first_answer(
    what: &str,
    all: &[Contender],
    endpoints: &Endpoints,
    event: &str,
    starts: usize,
    results: &mut Results,
) {
    let mut times = names(all);
    for _ in 0..starts {
        for (number, contender) in all.iter().enumerate() {
            let started = Instant::now();
            let process = Process::start(contender, &endpoints.urls).await;
            process.invoke(event.to_owned()).await;
            times[number].1.push(started.elapsed().as_secs_f64() * 1e3);
        }
    }
    results.add("Start-up and first answer", what, "ms", &times);
}
