//! The table, in Markdown.

use std::fmt::Write;

use crate::measure::{Results, Row, Spread};

/// All results, a table for each section.
pub fn markdown(results: &Results) -> String {
    let mut text = String::new();
    let mut section = "";
    for row in &results.rows {
        if row.section != section {
            section = row.section;
            let _ = write!(
                text,
                "\n### {section}\n\n| what | of | median (quartiles) | ratio |\n|---|---|---|---|\n"
            );
        }
        let _ = writeln!(text, "{}", line(row));
    }
    text
}

fn line(row: &Row) -> String {
    let Row { what, who, unit, value, ratio, .. } = row;
    let ratio = ratio
        .as_ref()
        .map_or_else(String::new, |(against, ratio)| format!("{} × {against}", spread(*ratio)));
    format!("| {what} | {who} | {} {unit} | {ratio} |", spread(*value))
}

fn spread(Spread { low, median, high }: Spread) -> String {
    if low == high {
        return number(median);
    }
    format!("{} ({} – {})", number(median), number(low), number(high))
}

/// With three digits that say something.
fn number(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
