//! The log: JSON lines on stdout, for CloudWatch Logs. A line may also be a metric.

use std::io::Write;
use std::time::Duration;

use rules::reply::status::rfc_3339;
use rules::{ProblemType, ResourceId};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use tracing::Level as LibraryLevel;
use world::{Level, Metric, Report};

use crate::environment::{Invalid, one_of, required};

/// The namespace of the metrics in CloudWatch.
pub const NAMESPACE: &str = "async-put";

/// The one dimension of each metric: the stack's name.
pub const DIMENSION: &str = "Stack";

/// The log of a function.
#[derive(Clone, Debug)]
pub struct Log {
    stack: String,
    level: Level,
}

impl Log {
    /// Starts the log of the stack `STACK_NAME` at the level `LOG_LEVEL`. It does not use Lambda's
    /// own log level, since Lambda drops every line below it, including metrics. Libraries log at
    /// WARN and above.
    ///
    /// # Errors
    /// [`Invalid`]
    pub fn start() -> Result<Self, Invalid> {
        let levels = [("INFO", Level::Info), ("WARN", Level::Warn), ("ERROR", Level::Error)];
        let log = Self { stack: required("STACK_NAME")?, level: one_of("LOG_LEVEL", &levels)? };
        let of_libraries = match log.level {
            Level::Info | Level::Warn => LibraryLevel::WARN,
            Level::Error => LibraryLevel::ERROR,
        };
        // A second start in one process, as in tests, keeps the first one's log.
        let lines = tracing_subscriber::fmt().json().flatten_event(true);
        let _ = lines.with_max_level(of_libraries).try_init();
        Ok(log)
    }

    /// Writes a line with the time `now` (since the Unix epoch). A line with metrics is always
    /// written; any other line only at the log level or above.
    pub fn write(&self, report: &Report<'_>, now: Duration) {
        if report.level < self.level && report.metrics.is_empty() {
            return;
        }
        let mut line = line(report, &self.stack, now);
        line.push(b'\n');
        // If the log fails, there is no place to report it.
        let _ = std::io::stdout().lock().write_all(&line);
    }
}

/// The log line for a report of `stack`, with the time `now` (since the Unix epoch).
#[must_use]
pub fn line(report: &Report<'_>, stack: &str, now: Duration) -> Vec<u8> {
    serde_json::to_vec(&Line { report, stack, now }).unwrap_or_default()
}

struct Line<'a> {
    report: &'a Report<'a>,
    stack: &'a str,
    now: Duration,
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { report, stack, now } = self;
        let mut line = serializer.serialize_map(None)?;
        // Lambda uses a line's own time and level if they have these names.
        line.serialize_entry("timestamp", &rfc_3339(*now))?;
        line.serialize_entry("level", level(report.level))?;
        line.serialize_entry("message", report.message)?;
        let mut optional = |name, value: Option<&str>| match value {
            Some(value) => line.serialize_entry(name, value),
            None => Ok(()),
        };
        optional("requestId", Some(report.request_id).filter(|id| !id.is_empty()))?;
        optional("resource", report.resource.map(ResourceId::as_str))?;
        optional("operation", report.operation.map(|id| id.to_string()).as_deref())?;
        optional("messageId", report.message_id)?;
        optional("problem", report.problem.map(ProblemType::slug))?;
        optional("failure", report.failure.map(|failure| format!("{failure:?}")).as_deref())?;
        optional("reason", report.reason.as_deref())?;
        line.serialize_entry(DIMENSION, stack)?;
        if !report.metrics.is_empty() {
            for (metric, value) in &report.metrics {
                line.serialize_entry(metric.name(), value)?;
            }
            line.serialize_entry("_aws", &Metadata::of(report, *now))?;
        }
        line.end()
    }
}

/// It tells CloudWatch which members of the line are metrics
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata {
    timestamp: u64,
    cloud_watch_metrics: [Directive; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Directive {
    namespace: &'static str,
    dimensions: [[&'static str; 1]; 1],
    metrics: Vec<Definition>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Definition {
    name: &'static str,
    unit: &'static str,
}

impl Metadata {
    fn of(report: &Report<'_>, now: Duration) -> Self {
        let define = |metric: Metric| Definition { name: metric.name(), unit: metric.unit() };
        let directive = Directive {
            namespace: NAMESPACE,
            dimensions: [[DIMENSION]],
            metrics: report.metrics.iter().map(|(metric, _)| define(*metric)).collect(),
        };
        let timestamp = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        Self { timestamp, cloud_watch_metrics: [directive] }
    }
}

const fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "INFO",
        Level::Warn => "WARN",
        Level::Error => "ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rules::{Failure, OperationId, Tick};
    use serde_json::{Value, json};
    use world::{CallError, Invocation};

    const NOW: Duration = Duration::from_millis(1_700_000_000_123);

    fn invocation() -> Invocation {
        Invocation { request_id: "r-1".to_owned(), deadline: NOW }
    }

    fn written(report: &Report<'_>) -> Value {
        let line = line(report, "prod", NOW);
        assert!(!line.contains(&b'\n'));
        serde_json::from_slice(&line).unwrap()
    }

    #[test]
    fn a_line_is_log_and_metric_at_once() {
        let (invocation, resource) = (invocation(), ResourceId::new("42").unwrap());
        let id = OperationId::new(Tick::from_unix_ms(1), 1);
        let report = Report::info(&invocation, "applied a PUT").resource(&resource).operation(id);
        let report = report.count(Metric::Applied).value(Metric::AcceptToApply, 250);
        let expected = json!({
            "timestamp": "2023-11-14T22:13:20.123Z",
            "level": "INFO",
            "message": "applied a PUT",
            "requestId": "r-1",
            "resource": "42",
            "operation": id.to_string(),
            "Stack": "prod",
            "Applied": 1,
            "AcceptToApply": 250,
            "_aws": {
                "Timestamp": 1_700_000_000_123u64,
                "CloudWatchMetrics": [{
                    "Namespace": "async-put",
                    "Dimensions": [["Stack"]],
                    "Metrics": [
                        { "Name": "Applied", "Unit": "Count" },
                        { "Name": "AcceptToApply", "Unit": "Milliseconds" },
                    ],
                }],
            },
        });
        assert_eq!(written(&report), expected);
    }

    #[test]
    fn a_failure_names_its_reason_and_what_it_leaves_behind() {
        let invocation = Invocation { request_id: String::new(), ..invocation() };
        let error = CallError::new("sqs:SendMessage", Failure::MayHaveLanded, "no \"reply\"");
        let report = Report::error(&invocation, "it failed").failed(&error);
        let report = report.message(Some("m-1")).problem(ProblemType::NotWritten);
        let expected = json!({
            "timestamp": "2023-11-14T22:13:20.123Z",
            "level": "ERROR",
            "message": "it failed",
            "messageId": "m-1",
            "problem": "not-written",
            "failure": "MayHaveLanded",
            "reason": "sqs:SendMessage: no \"reply\"",
            "Stack": "prod",
        });
        assert_eq!(written(&report), expected);
    }

    /// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>
    #[test]
    fn every_metric_makes_a_valid_line() {
        let invocation = invocation();
        for metric in Metric::ALL {
            let line = written(&Report::info(&invocation, "it happened").count(*metric));
            let directive = &line["_aws"]["CloudWatchMetrics"][0];
            let definition = &directive["Metrics"][0];
            assert!(line[definition["Name"].as_str().unwrap()].is_i64(), "{line}");
            assert!(line[directive["Dimensions"][0][0].as_str().unwrap()].is_string(), "{line}");
            let units = ["Count", "Seconds", "Milliseconds"];
            assert!(units.contains(&definition["Unit"].as_str().unwrap()), "{line}");
        }
    }
}
