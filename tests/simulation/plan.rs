//! What a seed decides before the first step: how many of what, how much goes wrong,
//! and how far the clocks are off.

use crate::prng::Prng;
use crate::resource::Behaviour;
use crate::scheduler::{DAY, HOUR, MINUTE, MS, SECOND, Time};

/// How often each thing goes wrong, in a thousand.
pub struct Faults {
    pub throttled: u64,
    pub no_connection: u64,
    pub never_lands: u64,
    pub request_lost: u64,
    pub reply_lost: u64,
    pub late: u64,
    pub kill: u64,
    pub delete: u64,
    pub answer_lost: u64,
    pub behaviour: u64,
    /// Requests that are held up between gateway and function.
    pub held_up: u64,
    /// Requests whose time of arrival the gateway does not tell.
    pub timeless: u64,
    /// Requests whose client gives up early.
    pub given_up: u64,
    /// Messages that something else than this version of `put` sends.
    pub foreign: u64,
}

/// A clock's error: where it starts, and how it drifts in parts per billion.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    offset: i64,
    drift: i64,
}

/// What happens over days.
pub struct Days {
    /// The operator's pauses between two rounds of moving messages back.
    pub rounds: Vec<Time>,
    /// The round before which what panicked, or was refused, is fixed.
    pub fixed_before: usize,
}

pub struct Plan {
    pub resources: usize,
    /// Requests of each client.
    pub clients: Vec<u32>,
    pub gateway_clocks: Vec<Clock>,
    pub put_clocks: Vec<Clock>,
    pub apply_clocks: Vec<Clock>,
    /// How long after an answer a request must be sent to be ordered after it: while the
    /// gateway's clocks keep the bound that the order assumes. `None` if they do not.
    pub gap: Option<Time>,
    pub faults: Faults,
    /// Whether the resource has an update.
    pub has_update: bool,
    pub call_timeout: Time,
    /// Whether a call of `put` or `read` may take longer than its host has time.
    pub is_call_endless: bool,
    pub longest_delay: Time,
    pub longest_lateness: Time,
    pub longest_queueing: Time,
    pub longest_hold_up: Time,
    pub visibility: Time,
    /// `ApplyBatchSize` and `ApplyBatchWindow`.
    pub batch: usize,
    pub window: Time,
    pub max_receives: u32,
    pub dead_letter_receives: u32,
    /// Whether SQS carries the count of receives, and the age, over into the dead letters.
    pub carries_over: bool,
    pub invocation: Time,
    pub duplicates: u64,
    /// What odd updates do.
    pub odd: Vec<Behaviour>,
    /// Requests that ask for a later answer, without a wait.
    pub deferred: u64,
    /// Requests that are a DELETE.
    pub deletes: u64,
    /// Requests that cancel an operation.
    pub cancels: u64,
    pub conditional: u64,
    pub keyed: u64,
    pub made_up_tags: u64,
    pub redrives_at_the_end: bool,
    pub heals_at_the_end: bool,
    pub days: Option<Days>,
    /// When the workers begin: an outage that the queue outlives, or not.
    pub workers_from: Time,
    /// How often a receive asks some of the servers only.
    pub partial_receives: u64,
}

/// `maxReceiveCount` of the deployed queues, which a message reaches by its own fault
/// only. Other schedules make do with less, in the same relation, so that dead letters
/// are common.
pub const FAR_BACKSTOP: u32 = 350;
const FAR_DEAD_LETTERS: u32 = 1000;

/// An id's time is its arrival's millisecond, and it grows by a tick (a quarter of a
/// microsecond) where another one is stepped over.
const MS_AND_TICKS: Time = MS + 100;

/// No schedule takes longer, so that drift has a bound.
const LONGEST: i64 = 200 * DAY as i64;

impl Plan {
    pub fn new(prng: &mut Prng) -> Self {
        let is_within_bound = prng.chance(800);
        let gateway_error = if is_within_bound {
            prng.pick(&[0, 0, 300, 5 * MS, 400 * MS])
        } else {
            prng.pick(&[20 * MS, 900 * MS, 3 * SECOND, 60 * SECOND])
        };
        let host_error =
            prng.pick(&[0, 20 * MS, 900 * MS, 3 * SECOND, 20 * SECOND, 60 * SECOND, 10 * MINUTE]);
        let mut clocks =
            |count, error| -> Vec<_> { (0..count).map(|_| Clock::within(error, prng)).collect() };
        let gateway_clocks = clocks(2, gateway_error);
        let (put_clocks, apply_clocks) = (clocks(3, host_error), clocks(2, host_error));
        let clients = prng.range(2, 4);
        let calm = [0, 0, 20];
        let rough = [0, 30, 150, 300];
        let max_receives = prng.pick(&[2, 3, 4, 6, 12]);
        let is_far = prng.chance(20);
        let max_receives = if is_far { FAR_BACKSTOP } else { max_receives };
        let (batch, window) = prng.pick(&[
            (1, 0),
            (10, 0),
            (10, 0),
            (10, SECOND),
            (100, SECOND),
            (1000, 20 * SECOND),
        ]);
        let days = prng.chance(120).then(|| Days::new(prng));
        let is_crowded = batch > 10 && prng.chance(30);
        Self {
            resources: if is_crowded {
                prng.pick(&[1, 2, 150])
            } else {
                prng.pick(&[1, 1, 1, 2, 3])
            },
            clients: (0..clients)
                .map(|_| if is_crowded { prng.range(20, 60) } else { prng.range(1, 4) } as u32)
                .collect(),
            gateway_clocks,
            put_clocks,
            apply_clocks,
            gap: is_within_bound.then_some(2 * gateway_error + MS_AND_TICKS),
            faults: Faults {
                throttled: prng.pick(&rough),
                no_connection: prng.pick(&calm),
                never_lands: prng.pick(&calm),
                request_lost: prng.pick(&rough),
                reply_lost: prng.pick(&rough),
                late: prng.pick(&rough),
                kill: prng.pick(&rough),
                delete: prng.pick(&rough),
                answer_lost: prng.pick(&calm),
                behaviour: prng.pick(&[0, 0, 100, 300]),
                held_up: prng.pick(&[0, 0, 100, 300]),
                timeless: prng.pick(&[0, 0, 0, 100]),
                given_up: prng.pick(&[0, 0, 200, 500]),
                foreign: prng.pick(&[0, 0, 0, 100, 300]),
            },
            has_update: prng.chance(600),
            call_timeout: prng.pick(&[100 * MS, SECOND, 3 * SECOND]),
            is_call_endless: prng.chance(100),
            longest_delay: prng.pick(&[5 * MS, 100 * MS, 2 * SECOND]),
            longest_lateness: prng.pick(&[100 * MS, 5 * SECOND, 100 * SECOND]),
            longest_queueing: prng.pick(&[10 * MS, SECOND, 20 * SECOND]),
            longest_hold_up: prng.pick(&[3 * SECOND, 40 * SECOND, 6 * MINUTE]),
            visibility: prng.pick(&[100 * MS, 5 * SECOND, 200 * SECOND]),
            batch,
            window,
            max_receives,
            dead_letter_receives: if is_far { FAR_DEAD_LETTERS } else { 3 * max_receives + 8 },
            carries_over: prng.chance(500),
            invocation: prng.pick(&[8, 30]) * SECOND,
            duplicates: prng.pick(&rough),
            odd: Behaviour::ODD.to_vec(),
            deferred: 375,
            deletes: prng.pick(&[0, 150, 300, 500]),
            cancels: prng.pick(&[0, 50, 200]),
            conditional: prng.pick(&[0, 300, 600]),
            keyed: prng.pick(&[0, 0, 400, 900]),
            made_up_tags: prng.pick(&[100, 300]),
            redrives_at_the_end: prng.chance(600),
            heals_at_the_end: prng.chance(800),
            workers_from: match &days {
                Some(_) => prng.pick(&[0, 0, 5 * DAY, 13 * DAY, 15 * DAY]),
                None => 0,
            },
            days,
            partial_receives: 300,
        }
    }
}

impl Plan {
    /// A plan for stress, of one kind or the other.
    pub fn stressed(prng: &mut Prng) -> Self {
        if prng.chance(500) { Self::after_an_outage(prng) } else { Self::race(prng) }
    }

    /// Many PUTs of one resource at about the same time, few of which are deferred.
    fn race(prng: &mut Prng) -> Self {
        let plan = Self::new(prng);
        let clients = prng.range(6, 12);
        let calm = [0, 0, 20];
        Self {
            resources: 1,
            clients: (0..clients).map(|_| prng.range(1, 2) as u32).collect(),
            faults: Faults {
                throttled: prng.pick(&calm),
                request_lost: prng.pick(&calm),
                reply_lost: prng.pick(&calm),
                late: prng.pick(&calm),
                behaviour: prng.pick(&[0, 0, 100]),
                held_up: prng.pick(&[0, 300, 500]),
                ..plan.faults
            },
            call_timeout: 3 * SECOND,
            longest_delay: prng.pick(&[100 * MS, SECOND, 2 * SECOND]),
            longest_hold_up: 3 * SECOND,
            conditional: prng.pick(&[0, 0, 300]),
            deferred: 100,
            keyed: prng.pick(&[0, 0, 400]),
            days: None,
            workers_from: 0,
            ..plan
        }
    }

    /// A plan for what comes back again and again: most updates are odd, the few resources have
    /// several writers, and the queue gives a message up as late as the deployed one.
    fn after_an_outage(prng: &mut Prng) -> Self {
        let plan = Self::new(prng);
        let clients = prng.range(2, 4);
        let calm = [0, 0, 20];
        Self {
            resources: prng.pick(&[1, 1, 2]),
            clients: (0..clients).map(|_| prng.range(1, 3) as u32).collect(),
            faults: Faults {
                throttled: prng.pick(&calm),
                request_lost: prng.pick(&calm),
                reply_lost: prng.pick(&calm),
                late: prng.pick(&calm),
                kill: prng.pick(&calm),
                behaviour: prng.pick(&[200, 400, 700]),
                ..plan.faults
            },
            has_update: true,
            longest_queueing: prng.pick(&[10 * MS, 10 * MS, SECOND]),
            batch: 10,
            max_receives: FAR_BACKSTOP,
            dead_letter_receives: FAR_DEAD_LETTERS,
            duplicates: prng.pick(&calm),
            odd: match prng.chance(500) {
                true => vec![Behaviour::EndsTheProcess],
                false => Behaviour::ODD.to_vec(),
            },
            deferred: 800,
            keyed: prng.pick(&[0, 0, 400]),
            days: None,
            workers_from: prng.pick(&[0, MINUTE, MINUTE]),
            partial_receives: prng.pick(&[0, 300]),
            ..plan
        }
    }
}

impl Days {
    fn new(prng: &mut Prng) -> Self {
        if prng.chance(250) {
            // At the end the oldest operations are nearly too old to be carried out, and the first
            // tombstones nearly old enough to be removed.
            let last = prng.pick(&[4 * DAY + 18 * HOUR, 5 * DAY + 20 * HOUR]);
            return Self { rounds: vec![13 * DAY, 13 * DAY, last], fixed_before: 2 };
        }
        let rounds = prng.range(0, 5);
        Self {
            rounds: (0..rounds)
                .map(|_| prng.pick(&[HOUR, 5 * DAY, 10 * DAY, 13 * DAY, 13 * DAY, 15 * DAY]))
                .collect(),
            fixed_before: prng.index(6),
        }
    }
}

impl Clock {
    /// A clock that is never off by more than `error`.
    fn within(error: Time, prng: &mut Prng) -> Self {
        let error = error as i64;
        let offset = prng.signed(error / 2);
        let fastest = (error / 2).saturating_mul(1_000_000_000) / LONGEST;
        Self { offset, drift: prng.signed(fastest) }
    }

    /// How far it is ahead at a time, in microseconds.
    pub fn error_at(self, now: Time) -> i64 {
        self.offset + (now as i64 / 1000).saturating_mul(self.drift) / 1_000_000
    }
}
