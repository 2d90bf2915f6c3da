//! The table, in Markdown.

use std::fmt::Write;

use crate::measure::{Results, Row, Spread};

/// All results: first the budgets, then a table for each section.
pub fn markdown(results: &Results, budgets: &str) -> String {
    let mut text = String::new();
    if !budgets.is_empty() {
        let head = "| what | budget | the worst that was measured | |\n|---|---|---|---|\n";
        let _ = write!(text, "\n### Budgets\n\n{head}{budgets}");
    }
    let mut sections: Vec<(&str, Vec<&Row>)> = Vec::new();
    for row in &results.rows {
        match sections.iter_mut().find(|(section, _)| *section == row.section) {
            Some((_, rows)) => rows.push(row),
            None => sections.push((row.section, vec![row])),
        }
    }
    for (section, rows) in sections {
        let head = "| what | of | median (quartiles) | ratio |\n|---|---|---|---|\n";
        let _ = write!(text, "\n### {section}\n\n{head}");
        rows.into_iter().for_each(|row| line(&mut text, row));
    }
    text
}

fn line(text: &mut String, row: &Row) {
    let Row { what, who, unit, value, ratio, .. } = row;
    let ratio = ratio.as_ref().map(|(against, ratio)| format!("{} × {against}", spread(*ratio)));
    let ratio = ratio.unwrap_or_default();
    let _ = writeln!(text, "| {what} | {who} | {} {unit} | {ratio} |", spread(*value));
}

fn spread(Spread { low, median, high }: Spread) -> String {
    if low == high {
        return number(median);
    }
    format!("{} ({} – {})", number(median), number(low), number(high))
}

/// With three significant digits.
pub fn number(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
