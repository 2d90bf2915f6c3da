//! The budgets of the exact numbers, and whether they are met. Times are only shown.

use std::fmt::Write;

use crate::contender::FUNCTIONS;
use crate::instructions::{BATCH, BEYOND, REQUEST, START_UP};
use crate::measure::{Results, Row};
use crate::table::number;

/// A budget: its name, the beginning of the section's name, the rows that it limits, the limit and
/// the unit. The unit ` ×` limits the ratio.
type Budget = (&'static str, &'static str, fn(&str) -> bool, f64, &'static str);

const BUDGETS: [Budget; 6] = [
    ("zip of a function", "Size", |what| what == "zip", 2.2, " MB"),
    ("calls of a plain request", "Network calls", is_plain, 1.0, ""),
    ("peak memory, small bodies", "Peak memory", |what| !is_large(what), 10.0, " MB"),
    ("peak memory, bodies of 256 KiB", "Peak memory", is_large, 32.0, " MB"),
    ("instructions of a start-up, against a bare function", START_UP, |_| true, 1.65, " ×"),
    ("instructions of `apply`, against a plain batch", BATCH, |_| true, 1.25, " ×"),
];

fn is_plain(what: &str) -> bool {
    ["inline:", "deferred:", "get:", "status:"].iter().any(|kind| what.starts_with(kind))
}

fn is_large(what: &str) -> bool {
    what.contains("256 KiB")
}

/// Thousands of instructions that a kind of request may take beyond the bare SDK calls: the count,
/// plus 4 for differences between runs. That is less than a second check of a small body.
const BEYOND_CALLS: [(&str, f64); 6] = [
    ("inline", 68.0),
    ("deferred", 96.0),
    ("wait", 94.0),
    ("keyed", 147.0),
    ("get", 12.0),
    ("status", 30.0),
];

/// A table of the budgets that were measured, and the errors.
pub fn judge(results: &Results) -> (String, Vec<String>) {
    let (mut table, mut wrong) = (String::new(), Vec::new());
    let mut judge = |what: &str, most, unit, numbers: Vec<(f64, &Row)>| {
        let worst = numbers.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((worst, row)) = worst else { return };
        let measured = format!("{}{unit} ({}: {})", number(worst), row.who, row.what);
        let met = if worst <= most { "met" } else { "**not met**" };
        let _ = writeln!(table, "| {what} | at most {most}{unit} | {measured} | {met} |");
        if worst > most {
            wrong.push(format!("{what}: at most {most}{unit}, and it is {measured}"));
        }
    };
    let is_of = |row: &&Row, section: &str| {
        row.section.starts_with(section) && FUNCTIONS.contains(&row.who.as_str())
    };
    for (what, section, is_meant, most, unit) in BUDGETS {
        let rows = results.rows.iter().filter(|row| is_of(row, section) && is_meant(&row.what));
        let numbers = rows.filter_map(|row| match unit {
            " ×" => Some((row.ratio.as_ref()?.1.median, row)),
            _ => Some((row.value.median, row)),
        });
        judge(what, most, unit, numbers.collect());
    }
    for (kind, most) in BEYOND_CALLS {
        let what = format!("{kind}, {BEYOND}");
        let rows = results.rows.iter().filter(|row| is_of(row, REQUEST) && row.what == what);
        let numbers = rows.map(|row| (row.value.median, row)).collect();
        judge(&format!("instructions of {what}"), most, " thousand", numbers);
    }
    (table, wrong)
}
