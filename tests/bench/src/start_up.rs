//! Start-up: the time from the start of the process to its first poll of the Runtime API, and to
//! its first answer.

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use rig::environment::Endpoints;
use tokio::process::Child;

use crate::contender::{Contender, Contenders, FUNCTIONS, Process, cpu, pid};
use crate::endpoint::Canned;
use crate::event;
use crate::measure::{Results, samples_of};

/// An endpoint where nothing listens and nothing is called. It has `https`, so the process sets up
/// TLS.
const TLS: &str = "https://127.0.0.1:9";

pub async fn measure(
    contenders: &Contenders,
    canned: &Canned,
    starts: usize,
    results: &mut Results,
) {
    let body = event::body(100);
    let first_put = event::now(&event::put(&body, &[]));
    for name in FUNCTIONS {
        let pair = [contenders.function(name), contenders.function(bare_of(name))];
        let first = match name {
            "put" => first_put.clone(),
            "read" => event::now(&event::get()),
            _ => event::batch(1, 1, &body, 1),
        };
        start(name, &pair, canned, &first, starts, results).await;
    }
    if !contenders.peers.is_empty() {
        // They take up to a second each, and the ratios are large.
        let (all, starts) = (contenders.peers_and_put(), starts.div_ceil(8));
        start("beside peers", &all, canned, &first_put, starts, results).await;
    }
}

/// The bare function to compare a function with.
pub fn bare_of(name: &str) -> &'static str {
    if ["put", "read"].contains(&name) { "bare-http" } else { "bare-events" }
}

/// Starts contenders in turns.
async fn start(
    what: &str,
    all: &[Contender],
    canned: &Canned,
    event: &str,
    starts: usize,
    results: &mut Results,
) {
    let [mut times, mut used, mut answers] = [samples_of(all), samples_of(all), samples_of(all)];
    for number in (0..starts).flat_map(|_| 0..all.len()) {
        let (mut child, time, _polled) = poll(&all[number]).await;
        times[number].1.push(time.as_secs_f64() * 1e3);
        used[number].1.push(cpu(pid(child.id())).as_secs_f64() * 1e3);
        child.kill().await.expect("it can be killed");
        let started = Instant::now();
        let process = Process::start(&all[number], &canned.endpoints).await;
        process.invoke(event.to_owned()).await;
        answers[number].1.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let section = "Start-up to the first poll of the Runtime API";
    results.add(section, &format!("{what}: time"), "ms", &times);
    results.add(section, &format!("{what}: CPU"), "ms", &used);
    results.add("Start-up and first answer", what, "ms", &answers);
}

/// Starts a process and waits until it asks for work; returns the time that this took, and the
/// connection on which it waits.
pub async fn poll(contender: &Contender) -> (Child, Duration, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("a bound address");
    let mut command =
        contender.command(&Endpoints { dynamodb: TLS.to_owned(), sqs: TLS.to_owned() });
    command.env("AWS_LAMBDA_RUNTIME_API", address.to_string());
    // A thread that waits for nothing else measures the time without delay.
    let polled = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a process that starts");
        let read = stream.read(&mut [0; 1024]).expect("a request");
        assert!(read > 0, "the process asks for work");
        (Instant::now(), stream)
    });
    let started = Instant::now();
    let mut child = command.spawn().expect("the program starts");
    let polled = tokio::task::spawn_blocking(move || polled.join().expect("a poll"));
    tokio::select! {
        polled = polled => {
            let (at, stream) = polled.expect("a poll");
            (child, at - started, stream)
        }
        ended = child.wait() => {
            // This ends the thread as well.
            drop(TcpStream::connect(address));
            panic!("{contender:?} ended before it asked for work, {ended:?}; BENCH_LOGS=1 shows why")
        }
    }
}
