//! What a seed decides before the first step: how many of what, how much goes wrong,
//! and how far the clocks are off.

use crate::prng::Prng;
use crate::scheduler::{MS, SECOND, Time};

/// How often each thing goes wrong, in a thousand.
pub struct Faults {
    pub throttled: u64,
    pub conflict: u64,
    pub no_connection: u64,
    pub never_lands: u64,
    pub request_lost: u64,
    pub reply_lost: u64,
    pub late: u64,
    pub kill: u64,
    pub delete: u64,
    pub answer_lost: u64,
    pub behaviour: u64,
}

/// A clock's error: where it starts, and how it drifts in parts per million.
#[derive(Clone, Copy)]
pub struct Clock {
    pub offset: i64,
    pub drift: i64,
}

pub struct Plan {
    pub users: usize,
    /// Requests of each client.
    pub clients: Vec<u32>,
    pub put_clocks: Vec<Clock>,
    pub apply_clocks: Vec<Clock>,
    /// Whether the clocks obey the assumption that orders deferred PUTs: then two of them
    /// differ by less than `gap`, which passes between an answer and the next request.
    pub is_within_bound: bool,
    pub gap: Time,
    pub checks_clock: bool,
    pub faults: Faults,
    pub call_timeout: Time,
    pub longest_delay: Time,
    pub longest_lateness: Time,
    pub longest_queueing: Time,
    pub visibility: Time,
    pub max_receives: u32,
    pub invocation: Time,
    pub duplicates: u64,
    pub conditional: u64,
    pub redrives_at_the_end: bool,
    pub heals_at_the_end: bool,
}

/// `maxReceiveCount` of the deployed queue, which a message reaches by its own fault only.
/// Other schedules make do with less, so that dead letters are common.
pub const FAR_BACKSTOP: u32 = 350;

/// Ids grow by a tick (a quarter of a microsecond) where two are made in one or one is
/// stepped over, so `gap` must exceed the difference of the clocks by some of them.
const TICKS: Time = 100;

/// No schedule takes longer, so that drift has a bound.
const LONGEST: i64 = 24 * 3600 * SECOND as i64;

impl Plan {
    pub fn new(prng: &mut Prng) -> Self {
        let is_within_bound = prng.chance(700);
        let error = if is_within_bound {
            prng.pick(&[0, 20, 5 * MS as i64, 400 * MS as i64])
        } else {
            prng.pick(&[5 * MS as i64, 900 * MS as i64, 3 * SECOND as i64, 60 * SECOND as i64])
        };
        let mut clocks = |count| (0..count).map(|_| Clock::within(error, prng)).collect::<Vec<_>>();
        let (put_clocks, apply_clocks) = (clocks(3), clocks(2));
        let clients = prng.range(2, 4);
        let calm = [0, 0, 20];
        let rough = [0, 30, 150, 300];
        Self {
            users: prng.pick(&[1, 1, 1, 2, 3]),
            clients: (0..clients).map(|_| prng.range(1, 4) as u32).collect(),
            put_clocks,
            apply_clocks,
            is_within_bound,
            gap: if is_within_bound { 2 * error.unsigned_abs() + TICKS } else { 0 },
            checks_clock: is_within_bound || prng.chance(500),
            faults: Faults {
                throttled: prng.pick(&rough),
                conflict: prng.pick(&rough),
                no_connection: prng.pick(&calm),
                never_lands: prng.pick(&calm),
                request_lost: prng.pick(&rough),
                reply_lost: prng.pick(&rough),
                late: prng.pick(&rough),
                kill: prng.pick(&rough),
                delete: prng.pick(&rough),
                answer_lost: prng.pick(&calm),
                behaviour: prng.pick(&[0, 0, 100, 300]),
            },
            call_timeout: prng.pick(&[100 * MS, SECOND, 3 * SECOND]),
            longest_delay: prng.pick(&[5 * MS, 100 * MS, 2 * SECOND]),
            longest_lateness: prng.pick(&[100 * MS, 5 * SECOND, 100 * SECOND]),
            longest_queueing: prng.pick(&[10 * MS, SECOND, 20 * SECOND]),
            visibility: prng.pick(&[100 * MS, 5 * SECOND, 60 * SECOND]),
            max_receives: prng.pick(&[2, 2, 4, 4, 6, 6, 12, 12, FAR_BACKSTOP]),
            invocation: prng.pick(&[8, 30]) * SECOND,
            duplicates: prng.pick(&rough),
            conditional: prng.pick(&[0, 300, 600]),
            redrives_at_the_end: prng.chance(600),
            heals_at_the_end: prng.chance(800),
        }
    }
}

impl Clock {
    /// A clock that is never off by more than `error`.
    fn within(error: i64, prng: &mut Prng) -> Self {
        let offset = prng.signed(error / 2);
        let fastest = (error / 2).saturating_mul(1_000_000) / LONGEST;
        Self { offset, drift: prng.signed(fastest) }
    }
}
