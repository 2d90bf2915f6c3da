//! Compares the template's alarms and dashboard with the metrics of the code and with
//! docs/operations.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use lambda_shell::log::{DIMENSION, NAMESPACE};
use world::Metric;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The template's resources of this type, each with its name and its text.
fn resources(template: &str, of_type: &str) -> Vec<(String, String)> {
    let resources = template.split("\nResources:\n").nth(1).unwrap();
    let resources = resources.split("\nOutputs:\n").next().unwrap();
    let mut found: Vec<(String, String)> = Vec::new();
    for line in resources.lines() {
        let name = line.strip_prefix("  ").and_then(|line| line.strip_suffix(':'));
        match name.filter(|name| name.bytes().all(|b| b.is_ascii_alphanumeric())) {
            Some(name) => found.push((name.to_owned(), String::new())),
            None if found.is_empty() || line.trim_start().starts_with('#') => {}
            None => found.last_mut().unwrap().1.extend([line, "\n"]),
        }
    }
    let of_type = format!("    Type: {of_type}\n");
    found.retain(|(_, text)| text.contains(&of_type));
    found
}

/// The texts between backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn every_alarm_has_its_heading_and_every_heading_its_alarm() {
    let (template, page) = (read("template.yaml"), read("docs/operations.md"));
    let alarms = resources(&template, "AWS::CloudWatch::Alarm");
    let alarms: BTreeSet<_> = alarms.iter().map(|(name, _)| name.as_str()).collect();
    let chapter = page.split("\n## Alarms\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut headings = BTreeSet::new();
    for section in chapter.split("\n### ").skip(1) {
        let (heading, text) = section.split_once('\n').unwrap();
        headings.extend(quoted(heading));
        for part in ["**Means**", "**Look**", "**Do**"] {
            assert!(text.contains(part), "{heading} has no {part}");
        }
    }
    assert_eq!(alarms, headings);
    assert!(alarms.len() >= 15, "{alarms:?}");
}

#[test]
fn every_alarm_pages_or_makes_a_ticket_and_takes_missing_data_for_no_breach() {
    for (name, text) in resources(&read("template.yaml"), "AWS::CloudWatch::Alarm") {
        assert!(text.contains("TreatMissingData: notBreaching\n"), "{name}");
        for actions in ["AlarmActions: ", "OKActions: "] {
            let value = text.split(actions).nth(1).unwrap_or_default();
            let known = ["*page\n", "&page !If", "*ticket\n", "&ticket !If"];
            assert!(known.iter().any(|topic| value.starts_with(topic)), "{name}");
        }
    }
}

/// An alarm on a metric that the code never writes would never go off.
#[test]
fn every_metric_of_ours_that_is_watched_is_one_that_the_code_writes() {
    let template = read("template.yaml");
    let names: BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
    let mut watched = 0;
    for (name, text) in resources(&template, "AWS::CloudWatch::Alarm") {
        for part in text.split(&format!("Namespace: {NAMESPACE}\n")).skip(1) {
            let mut lines = part.lines().map(str::trim);
            let metric = lines.next().and_then(|line| line.strip_prefix("MetricName: ")).unwrap();
            assert!(names.contains(metric), "{name}: {metric}");
            let dimension =
                format!("Dimensions: [{{ Name: {DIMENSION}, Value: !Ref AWS::StackName }}]");
            assert_eq!(lines.next(), Some(dimension.as_str()), "{name}");
            watched += 1;
        }
    }
    let (_, dashboard) = &resources(&template, "AWS::CloudWatch::Dashboard")[0];
    for part in dashboard.split(&format!("[\"{NAMESPACE}\", \"")).skip(1) {
        let (metric, rest) = part.split_once("\", \"").unwrap();
        assert!(names.contains(metric), "the dashboard: {metric}");
        assert!(rest.starts_with(&format!("{DIMENSION}\", \"${{AWS::StackName}}\"")), "{metric}");
        watched += 1;
    }
    // The description in the template contains the same word as the namespace.
    let description = template.split("\nParameters:\n").next().unwrap();
    let mentions = template.matches(NAMESPACE).count() - description.matches(NAMESPACE).count();
    assert_eq!(watched, mentions);
}

#[test]
fn the_dashboard_shows_every_metric_of_ours() {
    let template = read("template.yaml");
    let (_, dashboard) = &resources(&template, "AWS::CloudWatch::Dashboard")[0];
    for metric in Metric::ALL {
        assert!(
            dashboard.contains(&format!("[\"{NAMESPACE}\", \"{}\"", metric.name())),
            "{metric:?}"
        );
    }
    let body = dashboard.split("DashboardBody: !Sub |\n").nth(1).unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(body["widgets"].as_array().unwrap().len() > 10);
}

#[test]
fn the_dashboard_shows_fields_of_our_log() {
    let (template, log) = (read("template.yaml"), read("crates/lambda-shell/src/log.rs"));
    let fields = template.split("| fields ").nth(1).unwrap().split(" | ").next().unwrap();
    for field in fields.split(", ").filter(|field| !field.starts_with('@')) {
        assert!(log.contains(&format!("(\"{field}\", ")), "no line has {field}");
    }
}

#[test]
fn every_metric_is_documented_with_its_unit() {
    let page = read("docs/operations.md");
    let chapter = page.split("\n## Metrics\n").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut documented = BTreeSet::new();
    for line in chapter.lines() {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let [_, name, unit, _, _] = cells[..] else { continue };
        documented.extend(quoted(name).map(|name| (name.to_owned(), unit.to_owned())));
    }
    let written =
        Metric::ALL.iter().map(|metric| (metric.name().to_owned(), metric.unit().to_owned()));
    assert_eq!(documented, written.collect());
}

/// Lambda drops lines below its level, and with them the metrics in them.
#[test]
fn no_line_is_dropped_by_lambda() {
    let template = read("template.yaml");
    assert!(template.contains("      LogFormat: JSON\n"));
    assert_eq!(template.matches("ApplicationLogLevel: TRACE\n").count(), 1);
    assert_eq!(template.matches("ApplicationLogLevel").count(), 1);
}

#[test]
fn the_log_of_the_api_holds_no_resource_and_no_address() {
    let template = read("template.yaml");
    let format = template.split("AccessLogSettings:").nth(1).unwrap().split("\n\n").next().unwrap();
    let format = format.split(">-\n").nth(1).unwrap();
    let logged: BTreeSet<_> =
        format.split("$context.").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    let expected = [
        "authorizer.error",
        "integration.requestId",
        "integrationErrorMessage",
        "requestId",
        "responseLatency",
        "routeKey",
        "status",
    ];
    assert_eq!(logged, BTreeSet::from(expected));
    assert!(serde_json::from_str::<serde_json::Value>(format).is_ok());
}

#[test]
fn every_function_may_write_the_traces_that_it_is_told_to() {
    let template = read("template.yaml");
    assert!(template.contains("    Tracing: !Ref Tracing\n"));
    let roles = resources(&template, "AWS::IAM::Role");
    let functions = resources(&template, "AWS::Serverless::Function");
    for (name, text) in &functions {
        let role = text.split("Role: !GetAtt ").nth(1).unwrap().split('.').next().unwrap();
        let (_, role) = roles.iter().find(|(of, _)| of == role).unwrap();
        assert!(role.contains("- *may-trace\n") || role.contains("- &may-trace\n"), "{name}");
    }
    assert_eq!(functions.len(), 4);
}
