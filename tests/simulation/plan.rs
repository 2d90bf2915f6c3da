//! What a seed decides before the first step: how many clients and resources there are, how often
//! calls fail, and how wrong the clocks are.

use crate::events::{Event, PerEvent};
use crate::prng::Prng;
use crate::resource::Behaviour;
use crate::scheduler::{DAY, HOUR, MINUTE, MS, SECOND, Time};

const CALM: &[u64] = &[0, 0, 20];
const ROUGH: &[u64] = &[0, 30, 150, 300];

/// What happens by chance. A schedule takes one of these rates in a thousand for each.
const ODDS: &[(Event, &[u64])] = &[
    (Event::Throttled, ROUGH),
    (Event::NoConnection, CALM),
    (Event::NeverLands, CALM),
    (Event::RequestLost, ROUGH),
    (Event::ReplyLost, ROUGH),
    (Event::Late, ROUGH),
    (Event::Doomed, ROUGH),
    (Event::AnswerLost, CALM),
    (Event::Timeless, &[0, 0, 0, 100]),
    (Event::HeldUp, &[0, 0, 100, 300]),
    (Event::GivenUp, &[0, 0, 200, 500]),
    (Event::Foreign, &[0, 0, 0, 100, 300]),
    (Event::Duplicate, ROUGH),
    (Event::PartialReceive, &[300]),
    (Event::DeleteFailed, ROUGH),
    (Event::OddUpdate, &[0, 0, 100, 300]),
    (Event::AskedToDefer, &[375]),
    (Event::AskedToDelete, &[0, 150, 300, 500]),
    (Event::AskedToCancel, &[0, 80, 300]),
    (Event::Conditional, &[0, 300, 600]),
    (Event::Keyed, &[0, 0, 400, 900]),
    (Event::MadeUpTag, &[100, 300]),
];

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
    /// Before this round, whatever made an update panic or refuse is fixed.
    pub fixed_before: usize,
}

pub struct Plan {
    /// How often each of `ODDS` happens, in a thousand.
    pub odds: PerEvent,
    pub resources: usize,
    /// Requests of each client.
    pub clients: Vec<u32>,
    pub gateway_clocks: Vec<Clock>,
    pub put_clocks: Vec<Clock>,
    pub apply_clocks: Vec<Clock>,
    /// How long after an answer a request must be sent to be ordered after it. `None` if the
    /// gateway's clocks are not within the bound that the order assumes.
    pub gap: Option<Time>,
    pub has_update: bool,
    /// What odd updates do.
    pub odd: Vec<Behaviour>,
    pub call_timeout: Time,
    /// Whether a call of `put` or `read` may take longer than the time that its host has left.
    pub is_call_endless: bool,
    pub longest_delay: Time,
    pub longest_lateness: Time,
    pub longest_queueing: Time,
    pub longest_hold_up: Time,
    pub visibility: Time,
    /// `ApplyBatchSize` and `ApplyBatchWindow`.
    pub batch: (usize, Time),
    /// Receives after which the updates queue, and the dead letters, move a message on.
    pub max_receives: (u32, u32),
    /// Whether SQS keeps the count of receives, and the age, of a message that it moves to the dead
    /// letters.
    pub carries_over: bool,
    /// The timeout of `apply`.
    pub apply_timeout: Time,
    /// When the workers begin. The outage may last longer than the queue keeps messages.
    pub workers_from: Time,
    pub redrives_at_the_end: bool,
    pub heals_at_the_end: bool,
    pub days: Option<Days>,
}

/// `maxReceiveCount` of the deployed queues, which only a broken message reaches. Other schedules
/// use smaller numbers in the same ratio, to make dead letters common.
pub const FAR_BACKSTOP: (u32, u32) = (350, 1000);

/// The time of an id is the millisecond of its arrival. It grows by a tick (a quarter of a
/// microsecond) with each step over another id.
const MS_AND_TICKS: Time = MS + 100;

/// No schedule takes longer, so the drift is limited.
const LONGEST: i64 = 200 * DAY as i64;

impl Plan {
    pub fn new(prng: &mut Prng) -> Self {
        let is_within_bound = prng.chance(800);
        let gateway_error = match is_within_bound {
            true => prng.pick(&[0, 0, 300, 5 * MS, 400 * MS]),
            false => prng.pick(&[20 * MS, 900 * MS, 3 * SECOND, 60 * SECOND]),
        };
        let host_errors = [0, 20 * MS, 900 * MS, 3 * SECOND, 20 * SECOND, 60 * SECOND, 10 * MINUTE];
        let host_error = prng.pick(&host_errors);
        let batches = [(1, 0), (10, 0), (10, 0), (10, SECOND), (100, SECOND), (1000, 20 * SECOND)];
        let batch = prng.pick(&batches);
        let is_crowded = batch.0 > 10 && prng.chance(30);
        let (resources, requests) = match is_crowded {
            true => (prng.pick(&[1, 2, 150]), 20..=60),
            false => (prng.pick(&[1, 1, 1, 2, 3]), 1..=4),
        };
        let receives = prng.pick(&[2, 3, 4, 6, 12]);
        let days = prng.chance(120).then(|| Days::new(prng));
        let mut odds: PerEvent = [0; _];
        for (event, choices) in ODDS {
            odds[*event as usize] = prng.pick(choices);
        }
        Self {
            odds,
            resources,
            clients: requests_of(prng.range(2, 4), requests, prng),
            gateway_clocks: Clock::some(2, gateway_error, prng),
            put_clocks: Clock::some(3, host_error, prng),
            apply_clocks: Clock::some(2, host_error, prng),
            gap: is_within_bound.then_some(2 * gateway_error + MS_AND_TICKS),
            has_update: prng.chance(600),
            odd: Behaviour::ODD.to_vec(),
            call_timeout: prng.pick(&[100 * MS, SECOND, 3 * SECOND]),
            is_call_endless: prng.chance(100),
            longest_delay: prng.pick(&[5 * MS, 100 * MS, 2 * SECOND]),
            longest_lateness: prng.pick(&[100 * MS, 5 * SECOND, 100 * SECOND]),
            longest_queueing: prng.pick(&[10 * MS, SECOND, 20 * SECOND]),
            longest_hold_up: prng.pick(&[3 * SECOND, 40 * SECOND, 6 * MINUTE]),
            visibility: prng.pick(&[100 * MS, 5 * SECOND, 200 * SECOND]),
            batch,
            max_receives: match prng.chance(20) {
                true => FAR_BACKSTOP,
                false => (receives, 3 * receives + 8),
            },
            carries_over: prng.chance(500),
            apply_timeout: prng.pick(&[8, 30]) * SECOND,
            workers_from: match &days {
                Some(_) => prng.pick(&[0, 0, 5 * DAY, 13 * DAY, 15 * DAY]),
                None => 0,
            },
            redrives_at_the_end: prng.chance(600),
            heals_at_the_end: prng.chance(800),
            days,
        }
    }

    /// A plan for one of the kinds of stress.
    pub fn stressed(prng: &mut Prng) -> Self {
        let mut plan = Self::new(prng);
        (plan.days, plan.workers_from) = (None, 0);
        plan.draw(
            &[Event::Throttled, Event::RequestLost, Event::ReplyLost, Event::Late],
            CALM,
            prng,
        );
        plan.draw(&[Event::Keyed], &[0, 0, 400], prng);
        match prng.index(3) {
            0 => plan.race(prng),
            1 => plan.outage(prng),
            _ => plan.weeks(prng),
        }
        plan
    }

    fn draw(&mut self, events: &[Event], choices: &[u64], prng: &mut Prng) {
        for event in events {
            self.odds[*event as usize] = prng.pick(choices);
        }
    }

    /// Many PUTs of one resource at about the same time. Few of them are deferred.
    fn race(&mut self, prng: &mut Prng) {
        self.resources = 1;
        self.clients = requests_of(prng.range(6, 12), 1..=2, prng);
        self.draw(&[Event::OddUpdate], &[0, 0, 100], prng);
        self.draw(&[Event::HeldUp], &[0, 300, 500], prng);
        self.draw(&[Event::Conditional], &[0, 0, 300], prng);
        self.draw(&[Event::AskedToDefer], &[100], prng);
        self.call_timeout = 3 * SECOND;
        self.longest_delay = prng.pick(&[100 * MS, SECOND, 2 * SECOND]);
        self.longest_hold_up = prng.pick(&[1300 * MS, 3 * SECOND]);
    }

    /// Messages that come back again and again: most updates are odd, each of the few resources has
    /// several writers, and the queue gives a message up as late as the deployed one.
    fn outage(&mut self, prng: &mut Prng) {
        self.resources = prng.pick(&[1, 1, 2]);
        self.clients = requests_of(prng.range(2, 4), 1..=3, prng);
        self.draw(&[Event::Doomed, Event::Duplicate], CALM, prng);
        self.draw(&[Event::PartialReceive], &[0, 300], prng);
        self.draw(&[Event::OddUpdate], &[200, 400, 700], prng);
        self.draw(&[Event::AskedToDefer], &[800], prng);
        self.has_update = true;
        if prng.chance(500) {
            self.odd = vec![Behaviour::EndsTheProcess];
        }
        self.longest_queueing = prng.pick(&[10 * MS, 10 * MS, SECOND]);
        self.batch = (10, 0);
        self.max_receives = FAR_BACKSTOP;
        self.workers_from = prng.pick(&[0, MINUTE, MINUTE]);
    }

    /// PUTs and DELETEs of one resource that are carried out one by one when they are nearly too
    /// old. Their tombstones are nearly too old too.
    fn weeks(&mut self, prng: &mut Prng) {
        self.resources = 1;
        self.clients = requests_of(2, 2..=4, prng);
        self.draw(&[Event::OddUpdate], &[500, 800], prng);
        self.draw(&[Event::AskedToDelete], &[500], prng);
        self.draw(&[Event::AskedToDefer], &[800], prng);
        self.draw(&[Event::Conditional, Event::AskedToCancel], &[0, 0, 80], prng);
        self.has_update = true;
        self.odd = vec![Behaviour::TriesLater, Behaviour::Panics, Behaviour::EndsTheProcess];
        self.batch = (1, 0);
        self.days = Some(Days::until_nearly_too_old(5 * DAY + 20 * HOUR));
    }
}

fn requests_of(clients: u64, requests: std::ops::RangeInclusive<u64>, prng: &mut Prng) -> Vec<u32> {
    (0..clients).map(|_| prng.range(*requests.start(), *requests.end()) as u32).collect()
}

impl Days {
    fn new(prng: &mut Prng) -> Self {
        if prng.chance(250) {
            return Self::until_nearly_too_old(4 * DAY + 18 * HOUR);
        }
        let pauses = [HOUR, 5 * DAY, 10 * DAY, 13 * DAY, 13 * DAY, 15 * DAY];
        let rounds = (0..prng.range(0, 5)).map(|_| prng.pick(&pauses)).collect();
        Self { rounds, fixed_before: prng.index(6) }
    }

    /// At the end the oldest operations are nearly too old to be carried out, and the first
    /// tombstones are nearly old enough to be removed.
    fn until_nearly_too_old(last: Time) -> Self {
        Self { rounds: vec![13 * DAY, 13 * DAY, last], fixed_before: 2 }
    }
}

impl Clock {
    /// Clocks that are never off by more than `error`.
    fn some(count: usize, error: Time, prng: &mut Prng) -> Vec<Self> {
        let error = error as i64;
        let fastest = (error / 2).saturating_mul(1_000_000_000) / LONGEST;
        let clocks = (0..count)
            .map(|_| Self { offset: prng.signed(error / 2), drift: prng.signed(fastest) });
        clocks.collect()
    }

    /// How far the clock is ahead at a time, in microseconds.
    pub fn error_at(self, now: Time) -> i64 {
        self.offset + (now as i64 / 1000).saturating_mul(self.drift) / 1_000_000
    }
}
