//! The table, in Markdown.

use std::fmt::Write;

use crate::contributors;
use crate::measure::{Results, Row, Spread};

/// All results, the budgets first, then a table for each section.
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
        let _ = write!(text, "\n### {section}\n\n");
        text += &match section {
            contributors::SECTION => crossed(&rows, |row| (row.what.clone(), row.who.clone())),
            _ if section.ends_with("of apply") => crossed(&rows, by_latency),
            _ => list(&rows),
        };
    }
    text
}

fn list(rows: &[&Row]) -> String {
    let mut text = "| what | of | median (quartiles) | ratio |\n|---|---|---|---|\n".to_owned();
    for Row { what, who, unit, value, ratio, .. } in rows {
        let ratio = ratio
            .as_ref()
            .map_or_else(String::new, |(against, ratio)| format!("{} × {against}", spread(*ratio)));
        let _ = writeln!(text, "| {what} | {who} | {} {unit} | {ratio} |", spread(*value));
    }
    text
}

/// With a column for each latency of the table.
fn by_latency(row: &Row) -> (String, String) {
    let (what, latency) = row.what.rsplit_once(", ").unwrap_or((&row.what, ""));
    (format!("{what}: {}", row.who), format!("{latency} table latency"))
}

/// A table whose rows and columns `place` tells.
fn crossed(rows: &[&Row], place: fn(&Row) -> (String, String)) -> String {
    let (mut lines, mut columns) = (Vec::new(), Vec::new());
    for row in rows {
        let (line, column) = place(row);
        lines.push(line);
        columns.push(column);
    }
    let unit = rows.first().map_or("", |row| row.unit);
    let against = rows.iter().find_map(|row| row.ratio.as_ref()).map(|(against, _)| against);
    let cells: Vec<_> = rows.iter().zip(lines.iter().zip(&columns)).collect();
    let (lines, columns) = (once_each(&lines), once_each(&columns));
    let compared = against.map_or_else(String::new, |against| format!(", × {against}"));
    let mut text = format!(
        "| {unit}{compared} | {} |\n|---{}|\n",
        columns.join(" | "),
        "|--:".repeat(columns.len())
    );
    for line in lines {
        let cells = columns.iter().map(|column| {
            let cell = cells.iter().find(|(_, place)| *place == (&line, column));
            cell.map_or_else(String::new, |(row, _)| {
                let ratio = row.ratio.as_ref().filter(|(other, _)| Some(other) == against);
                let ratio = ratio.map(|(_, ratio)| number(ratio.median));
                let ratio = ratio.map_or_else(String::new, |ratio| format!(", {ratio} ×"));
                format!("{}{ratio}", spread(row.value))
            })
        });
        let _ = writeln!(text, "| {line} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

/// Without repetitions, in the order in which they come first.
fn once_each(all: &[String]) -> Vec<String> {
    let mut some: Vec<String> = Vec::new();
    for one in all {
        if !some.contains(one) {
            some.push(one.clone());
        }
    }
    some
}

fn spread(Spread { low, median, high }: Spread) -> String {
    if low == high {
        return number(median);
    }
    format!("{} ({} – {})", number(median), number(low), number(high))
}

/// With three digits that say something.
pub fn number(value: f64) -> String {
    match value {
        _ if value.fract() == 0.0 => format!("{value}"),
        _ if value >= 100.0 => format!("{value:.0}"),
        _ if value >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
