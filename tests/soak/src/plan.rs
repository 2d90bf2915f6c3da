//! The plan for one resource, which depends only on the seed and the number of the resource.

use std::time::Duration;

use fastrand::Rng;
use rig::fault::Weather;

use crate::record::{Method, Mode};

/// What a client does next.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub pause: Duration,
    /// How long the gateway holds it up.
    pub held_up: Duration,
    pub what: What,
}

/// A request.
#[derive(Clone, Copy, Debug)]
pub enum What {
    Get,
    Change {
        method: Method,
        mode: Mode,
        condition: Wish,
        key: Key,
        /// It is cancelled after this time, if it was accepted.
        cancel: Option<Duration>,
    },
}

/// A precondition, before the versions are known.
#[derive(Clone, Copy, Debug)]
pub enum Wish {
    None,
    /// The newest version that any client knows.
    Newest,
    /// A known version, chosen by this number. If the number is odd, there is a second one.
    Some(usize),
    /// `If-Match: *`
    Exists,
    /// `If-None-Match: *`
    Absent,
}

/// Whether a PUT or DELETE has an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Key {
    None,
    /// It is sent again only if its answer leaves it open.
    One,
    /// After this time a second sender sends it too, in this mode.
    Raced(Duration, Mode),
}

/// What happens to one resource.
#[derive(Debug)]
pub struct Plan {
    /// What each client does.
    pub clients: Vec<Vec<Step>>,
    /// The faults of its calls.
    pub weather: Weather,
    /// From the start, the table accepts no write of it for this time.
    pub hot: Duration,
    /// The seed for everything random that happens to its calls.
    pub seed: u64,
}

impl Plan {
    /// The plan of the resource `number`.
    pub fn new(seed: u64, number: u64) -> Self {
        let rng = &mut Rng::with_seed(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ number);
        let weather = match rng.u8(..10) {
            0..4 => Weather::Mild,
            4 => Weather::Fair,
            5..7 => Weather::Throttled,
            _ => Weather::Lossy,
        };
        // Long enough for some messages to become dead letters.
        let hot = if rng.u8(..100) == 0 { rng.u64(500..10_000) } else { 0 };
        // Before a message is applied, or after it was parked.
        let latest_cancel = if hot > 0 { 4000 } else { 5 };
        let clients = (0..rng.usize(2..=6))
            .map(|_| (0..rng.usize(3..=8)).map(|_| step(rng, latest_cancel)).collect())
            .collect();
        Self { clients, weather, hot: Duration::from_millis(hot), seed: rng.u64(..) }
    }

    /// The number of its PUTs and DELETEs.
    pub fn changes(&self) -> u64 {
        let steps = self.clients.iter().flatten();
        steps.filter(|step| matches!(step.what, What::Change { .. })).count() as u64
    }
}

fn step(rng: &mut Rng, latest_cancel: u64) -> Step {
    let ms = |rng: &mut Rng, most| Duration::from_millis(rng.u64(..=most));
    let pause = if rng.u8(..10) == 0 { ms(rng, 40) } else { ms(rng, 6) };
    let held_up = match rng.u16(..1000) {
        0..40 => ms(rng, 15),
        40..43 => ms(rng, 1500),
        43 => ms(rng, 3000),
        _ => Duration::ZERO,
    };
    if rng.u8(..100) < 22 {
        return Step { pause, held_up, what: What::Get };
    }
    let method = if rng.u8(..100) < 15 { Method::Delete } else { Method::Put };
    let condition = match (method, wish(rng)) {
        // A DELETE has no If-None-Match.
        (Method::Delete, Wish::Absent) => Wish::None,
        (_, wish) => wish,
    };
    let cancel = (rng.u8(..100) < 10).then(|| ms(rng, latest_cancel));
    let what = What::Change { method, mode: mode(rng), condition, key: key(rng), cancel };
    Step { pause, held_up, what }
}

fn mode(rng: &mut Rng) -> Mode {
    match rng.u8(..100) {
        0..50 => Mode::Inline,
        50..87 => Mode::Deferred,
        _ => Mode::Wait(rng.u8(1..=3)),
    }
}

fn wish(rng: &mut Rng) -> Wish {
    match rng.u8(..100) {
        0..70 => Wish::None,
        70..85 => Wish::Newest,
        85..91 => Wish::Some(rng.usize(..)),
        91..96 => Wish::Exists,
        _ => Wish::Absent,
    }
}

fn key(rng: &mut Rng) -> Key {
    match rng.u8(..100) {
        0..80 => Key::None,
        80..88 => Key::One,
        _ => Key::Raced(Duration::from_micros(rng.u64(..20_000)), mode(rng)),
    }
}
