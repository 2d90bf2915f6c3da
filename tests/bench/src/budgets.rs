//! The budgets, and whether they are met. What is exact must be; times only tell.

use std::fmt::Write;

use crate::contender::FUNCTIONS;
use crate::measure::{Results, Row};
use crate::table::number;

/// A limit for some of what is measured.
struct Budget {
    what: &'static str,
    limit: Limit,
    unit: &'static str,
    /// Whether it is an error if it is not met.
    is_exact: bool,
    /// The number that is limited, of the rows that it limits.
    of: fn(&Row) -> Option<f64>,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

const BUDGETS: &[Budget] = &[
    Budget {
        what: "zip of a function",
        limit: Limit::AtMost(2.2),
        unit: " MB",
        is_exact: true,
        of: |row| {
            let is_zip = row.section == "Size" && row.what == "zip";
            (is_zip && is_function(row)).then_some(row.value.median)
        },
    },
    Budget {
        what: "calls of a plain request",
        limit: Limit::AtMost(1.0),
        unit: "",
        is_exact: true,
        of: |row| {
            let is_plain = ["inline:", "deferred:", "get:", "status:"]
                .iter()
                .any(|kind| row.what.starts_with(kind));
            (row.section.starts_with("Network calls") && is_plain).then_some(row.value.median)
        },
    },
    Budget {
        what: "peak memory, small bodies",
        limit: Limit::AtMost(10.0),
        unit: " MB",
        is_exact: true,
        of: |row| memory(row, false),
    },
    Budget {
        what: "peak memory, bodies of 256 KiB",
        limit: Limit::AtMost(32.0),
        unit: " MB",
        is_exact: true,
        of: |row| memory(row, true),
    },
    Budget {
        what: "start-up, against a bare function",
        limit: Limit::AtMost(1.25),
        unit: " ×",
        is_exact: false,
        of: |row| {
            let is_time = row.section.starts_with("Start-up to") && row.what.ends_with(": time");
            (is_time && is_function(row)).then(|| ratio(row, "bare")).flatten()
        },
    },
    Budget {
        what: "CPU of a warm request, against the bare SDK calls",
        limit: Limit::AtMost(1.05),
        unit: " ×",
        is_exact: false,
        of: |row| {
            let is_warm = row.section == "CPU of a warm request" && is_function(row);
            is_warm.then(|| ratio(row, "bare")).flatten()
        },
    },
    Budget {
        what: "`apply`, batches of 100 at 5 ms",
        limit: Limit::AtLeast(4000.0),
        unit: " operations/s",
        is_exact: false,
        of: |row| is_apply_at_5_ms(row).then_some(row.value.median),
    },
    Budget {
        what: "the same, against one at a time",
        limit: Limit::AtLeast(10.0),
        unit: " ×",
        is_exact: false,
        of: |row| is_apply_at_5_ms(row).then(|| ratio(row, "bare one-at-a-time")).flatten(),
    },
    Budget {
        what: "CPU of `apply` in batches of 100, against partial-batch",
        limit: Limit::AtMost(1.3),
        unit: " ×",
        is_exact: false,
        of: |row| {
            let is_cpu = row.section == "CPU of apply" && row.what.starts_with("batch 100,");
            (is_cpu && is_function(row)).then(|| ratio(row, "bare partial-batch")).flatten()
        },
    },
];

impl Limit {
    fn is_met(self, number: f64) -> bool {
        match self {
            Self::AtMost(limit) => number <= limit,
            Self::AtLeast(limit) => number >= limit,
        }
    }

    /// The number that is farthest from meeting it.
    fn worst<'a>(self, numbers: impl Iterator<Item = (f64, &'a Row)>) -> Option<(f64, &'a Row)> {
        match self {
            Self::AtMost(_) => numbers.max_by(|a, b| a.0.total_cmp(&b.0)),
            Self::AtLeast(_) => numbers.min_by(|a, b| a.0.total_cmp(&b.0)),
        }
    }
}

/// A table of the budgets of which anything was measured, and the errors.
pub fn judge(results: &Results) -> (String, Vec<String>) {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    for Budget { what, limit, unit, is_exact, of } in BUDGETS {
        let numbers = results.rows.iter().filter_map(|row| Some((of(row)?, row)));
        let Some((worst, row)) = limit.worst(numbers) else { continue };
        let limited = match limit {
            Limit::AtMost(limit) => format!("at most {limit}{unit}"),
            Limit::AtLeast(limit) => format!("at least {limit}{unit}"),
        };
        let what_of = row.what.strip_prefix(&format!("{}: ", row.who)).unwrap_or(&row.what);
        let measured = format!("{}{unit} ({}: {what_of})", number(worst), row.who);
        let met = if limit.is_met(worst) { "met" } else { "**not met**" };
        let _ = writeln!(table, "| {what} | {limited} | {measured} | {met} |");
        if *is_exact && !limit.is_met(worst) {
            wrong.push(format!("{what}: {limited}, and it is {measured}"));
        }
    }
    (table, wrong)
}

fn is_function(row: &Row) -> bool {
    FUNCTIONS.contains(&row.who.as_str())
}

fn memory(row: &Row, is_large: bool) -> Option<f64> {
    let is_meant = row.section == "Peak memory" && row.what.contains("256 KiB") == is_large;
    (is_meant && is_function(row)).then_some(row.value.median)
}

fn is_apply_at_5_ms(row: &Row) -> bool {
    let is_meant = row.section == "Throughput of apply" && is_function(row);
    is_meant && row.what == "batch 100, each another resource, 5 ms"
}

/// The median of the ratios to whoever has a name that begins like this.
fn ratio(row: &Row, against: &str) -> Option<f64> {
    let (name, ratio) = row.ratio.as_ref()?;
    name.starts_with(against).then_some(ratio.median)
}
