//! The log: JSON lines on stdout, for CloudWatch Logs.

use std::io::Write;
use std::time::Duration;

use serde_json::json;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use world::Metric;

use crate::environment::optional;

/// Starts the log of the function `function`: its own events at
/// `AWS_LAMBDA_LOG_LEVEL` (INFO by default), those of libraries from WARN on.
pub fn start(function: &'static str) {
    let level = optional("AWS_LAMBDA_LOG_LEVEL").and_then(|level| level.parse().ok());
    let targets = Targets::new()
        .with_default(Level::WARN)
        // Spans that carry the request id.
        .with_target("lambda_runtime", Level::INFO)
        .with_target(function, level.unwrap_or(Level::INFO))
        .with_target("world", level.unwrap_or(Level::INFO));
    // Lambda adds no time of its own to a line that is JSON already.
    let lines =
        tracing_subscriber::fmt::layer().json().flatten_event(true).with_current_span(false);
    // A second start in one process, as in tests, keeps the first one's log.
    let _ = tracing_subscriber::registry().with(lines).with(targets).try_init();
}

/// Puts a value of `metric` at `now` since the Unix epoch into the CloudWatch namespace
/// `async-put`, through the log
/// (<https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>).
pub(crate) fn measure(metric: Metric, value: i64, now: Duration) {
    let unit = match metric {
        Metric::ClockLead => "Milliseconds",
        Metric::ClockRefusals | Metric::ClockSkews | Metric::Expired | Metric::Parked => "Count",
    };
    let name = format!("{metric:?}");
    let line = json!({
        "_aws": {
            "Timestamp": u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
            "CloudWatchMetrics": [{
                "Namespace": "async-put",
                "Dimensions": [[]],
                "Metrics": [{ "Name": name, "Unit": unit }],
            }],
        },
        name: value,
    });
    // A log that cannot be written is nowhere to be told.
    let _ = writeln!(std::io::stdout(), "{line}");
}
