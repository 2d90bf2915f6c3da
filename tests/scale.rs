//! The table of docs/scale.md: how the backlog of deferred PUTs grows and drains around an outage
//! of the tables that lasts an hour. `cargo test --package tests --test scale -- --nocapture`
//! prints it.
//!
//! The model advances second by second. It has quantities instead of single messages, and no
//! chance. It includes the receives that SQS counts and the back-off of `apply`, that suspects run
//! one at a time, the limit of messages in flight, the growth of Lambda's pollers, the share of a
//! CPU that the memory buys, and the capacity of the tables. It leaves out cold starts, delays
//! of SQS and Lambda beyond a fixed time for each batch, and several updates of one resource in a
//! batch, which would cost one write and drain faster.

use std::collections::HashMap;
use std::fmt::Write as _;

use rules::work::backoff::{MAX_FAILED_CALLS, visibility};
use rules::work::coalesce::SUSPECT_RECEIVES;

const OUTAGE: usize = 3600;
/// Seconds before the outage, in the normal state.
const CALM: usize = 600;
/// A backlog that has not drained by then does not drain.
const LONGEST: usize = 6 * 3600;

// From the code and the template.
const RESOURCES_AT_A_TIME: f64 = 100.0;
/// 30 s of an invocation, less 1 s for the answer and 5 s for a last call.
const TIME_TO_BEGIN_CALLS: f64 = 24.0;

// Documented by AWS: docs/scale.md has the sources.
const IN_FLIGHT: f64 = 120_000.0;
const FIRST_INVOCATIONS: f64 = 5.0;
const MORE_INVOCATIONS_A_SECOND: f64 = 300.0 / 60.0;
const MEMORY_OF_A_CPU: f64 = 1769.0;
const MEMORY: f64 = 256.0;

// Measured (see docs/performance.md) or assumed.
const CPU_OF_AN_OPERATION: f64 = 0.00015;
const TABLE_LATENCY: f64 = 0.005;
const DELIVERY: f64 = 0.010;
/// The throttled calls and the two pauses between them.
const THROTTLED: f64 = MAX_FAILED_CALLS as f64 * TABLE_LATENCY + 0.0375 + 0.075;

/// After more receives the back-off stays the same: 2^10 s is over 15 min.
const MOST_RECEIVES: usize = 40;
/// A message with this many receives is a suspect at its next receive.
const LAST_TIME_BEFORE: usize = SUSPECT_RECEIVES as usize - 1;

/// A load, and the parameters of the template.
struct Setting {
    rate: f64,
    batch: f64,
    concurrency: f64,
    /// The capacity of the tables, in multiples of the load.
    tables: f64,
}

#[derive(Default)]
struct Drain {
    backlog: f64,
    suspects: f64,
    most_in_flight: f64,
    most_receives: usize,
    minutes: Option<usize>,
}

/// The messages by the number of their receives.
#[derive(Default)]
struct Queue {
    visible: Vec<f64>,
    hidden: Vec<f64>,
    /// How many come back each second, and how that number changes at later seconds.
    coming: Vec<f64>,
    changes: HashMap<usize, Vec<(usize, f64)>>,
}

impl Queue {
    /// Shows the messages again after their back-off.
    fn tick(&mut self, now: usize) {
        for (receives, change) in self.changes.remove(&now).unwrap_or_default() {
            self.coming[receives] += change;
        }
        for receives in 0..=MOST_RECEIVES {
            let back = self.coming[receives].max(0.0).min(self.hidden[receives]);
            self.hidden[receives] -= back;
            self.visible[receives] += back;
        }
    }

    /// Takes messages at random.
    fn receive(&mut self, count: f64) -> Vec<f64> {
        let total = sum(&self.visible);
        let share = if total > 0.0 { (count / total).min(1.0) } else { 0.0 };
        let taken: Vec<_> = self.visible.iter().map(|visible| visible * share).collect();
        self.visible.iter_mut().zip(&taken).for_each(|(visible, out)| *visible -= out);
        taken
    }

    /// Hides messages after this many receives, for between half and all of the doubled time.
    fn hide(&mut self, now: usize, receives: usize, count: f64) {
        let receives = receives.min(MOST_RECEIVES);
        let shortest = visibility(receives as u32, 0).as_secs() as usize;
        let (first, last) = (now + shortest, now + 2 * shortest);
        let each = count / (last - first) as f64;
        self.hidden[receives] += count;
        self.changes.entry(first).or_default().push((receives, each));
        self.changes.entry(last).or_default().push((receives, -each));
    }

    /// All messages except those that are being applied.
    fn size(&self) -> f64 {
        sum(&self.visible) + sum(&self.hidden)
    }
}

fn sum(counts: &[f64]) -> f64 {
    counts.iter().sum()
}

impl Setting {
    /// The seconds that a full batch takes, and the share of its suspects that fit into them.
    fn batch_time(&self, share_of_suspects: f64, is_down: bool) -> (f64, f64) {
        let cpu = CPU_OF_AN_OPERATION * MEMORY_OF_A_CPU / MEMORY;
        let call = if is_down { THROTTLED } else { TABLE_LATENCY };
        let suspects = self.batch * share_of_suspects;
        let others = self.batch - suspects;
        let rounds = ((others * 1e6).round() / 1e6 / RESOURCES_AT_A_TIME).ceil();
        let together = (rounds * call).max(others * cpu);
        let alone = suspects * (call + cpu);
        let time_left = (TIME_TO_BEGIN_CALLS - together).max(0.0);
        let in_time = if alone > 0.0 { (time_left / alone).min(1.0) } else { 1.0 };
        (DELIVERY + together + alone * in_time, in_time)
    }

    fn run(&self) -> Drain {
        let none = vec![0.0; MOST_RECEIVES + 1];
        let (visible, hidden, coming) = (none.clone(), none.clone(), none);
        let mut queue = Queue { visible, hidden, coming, ..Queue::default() };
        let (mut drain, mut invocations) = (Drain::default(), 0.0_f64);
        for now in 0..LONGEST {
            let is_down = (CALM..CALM + OUTAGE).contains(&now);
            queue.tick(now);
            queue.visible[0] += self.rate;
            let total = sum(&queue.visible);
            let share = sum(&queue.visible[LAST_TIME_BEFORE..]) / total;
            let (seconds, in_time) = self.batch_time(share, is_down);
            let grown = invocations.max(FIRST_INVOCATIONS) + MORE_INVOCATIONS_A_SECOND;
            let wanted = (total * seconds / self.batch).ceil().max(FIRST_INVOCATIONS);
            invocations = grown.min(self.concurrency).min(wanted);
            // In flight are the hidden messages, and those that are being applied.
            let room = (IN_FLIGHT - sum(&queue.hidden)).max(0.0);
            let working = (invocations * self.batch).min(total).min(room);
            let capacity = if is_down { 0.0 } else { self.tables * self.rate };
            let received = queue.receive((working / seconds).min(capacity + room - working));
            drain.most_in_flight = drain.most_in_flight.max(sum(&queue.hidden) + working);
            let begun: Vec<_> = (0..)
                .zip(&received)
                .map(
                    |(receives, count)| {
                        if receives >= LAST_TIME_BEFORE { count * in_time } else { *count }
                    },
                )
                .collect();
            let all = sum(&begun);
            let landed = if all > 0.0 { (capacity / all).min(1.0) } else { 0.0 };
            for (receives, (count, begun)) in received.iter().zip(&begun).enumerate() {
                let back = count - begun * landed;
                if back > 0.0 {
                    queue.hide(now, receives + 1, back);
                }
                if back >= 1.0 {
                    drain.most_receives = drain.most_receives.max(receives + 1);
                }
            }
            if now == CALM + OUTAGE - 1 {
                let waiting =
                    [&queue.visible, &queue.hidden].map(|of| sum(&of[LAST_TIME_BEFORE..]));
                (drain.backlog, drain.suspects) = (queue.size(), sum(&waiting) / queue.size());
            }
            // The messages of two seconds: clients wait hardly longer than without the outage.
            if now >= CALM + OUTAGE && queue.size() <= 2.0 * self.rate {
                drain.minutes = Some((now + 1 - CALM - OUTAGE).div_ceil(60));
                break;
            }
        }
        drain
    }
}

/// A whole number with commas.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn table(settings: &[Setting]) -> String {
    let mut text = String::from(
        "| PUT/s | `ApplyBatchSize` | `ApplyMaximumConcurrency` | the invocations can apply \
         | the tables can write | backlog after the hour | suspects in it | most in flight \
         | most receives | drained after |\n|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    for setting in settings {
        let Setting { rate, batch, concurrency, tables } = setting;
        let drain = setting.run();
        let applied = concurrency * batch / setting.batch_time(0.0, false).0;
        let minutes = drain.minutes.map_or("never".to_owned(), |minutes| format!("{minutes} min"));
        writeln!(
            text,
            "| {} | {} | {} | {}/s | {}/s | {:.1} million | {:.1}% | {} | {} | {minutes} |",
            grouped(*rate),
            grouped(*batch),
            grouped(*concurrency),
            grouped((applied / 100.0).round() * 100.0),
            grouped(tables * rate),
            drain.backlog / 1e6,
            drain.suspects * 100.0,
            grouped(drain.most_in_flight),
            drain.most_receives,
        )
        .unwrap();
    }
    text
}

#[test]
fn the_page_shows_the_table_of_the_model() {
    let settings = [
        (1_000.0, 10.0, 5.0, 2.0),
        (1_000.0, 10.0, 50.0, 2.0),
        (1_000.0, 100.0, 10.0, 2.0),
        (1_000.0, 100.0, 50.0, 4.0),
        (50_000.0, 10.0, 5.0, 2.0),
        (50_000.0, 100.0, 100.0, 2.0),
        (50_000.0, 100.0, 1_000.0, 2.0),
        (50_000.0, 100.0, 1_000.0, 4.0),
    ];
    let settings = settings.map(|(rate, batch, concurrency, tables)| Setting {
        rate,
        batch,
        concurrency,
        tables,
    });
    let table = table(&settings);
    println!("{table}");
    assert!(include_str!("../docs/scale.md").contains(&format!("\n\n{table}\n")));
}
