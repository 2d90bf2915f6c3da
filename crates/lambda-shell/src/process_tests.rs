//! What a process reads from its environment and writes to its log. Each test starts itself as a
//! process, since nothing may change the environment of a running process.

#![expect(clippy::print_stdout, reason = "a process prints what its test then reads")]

use rules::Resource;
use rules::resource::Example;
use std::fmt::Debug;
use std::process::Command;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::ProvideCredentials;
use aws_types::SdkConfig;
use serde_json::Value;
use world::{Host, Invocation, Metric, Report};

use crate::LambdaHost;
use crate::environment::{Invalid, access, aws, http_client, receipt_keys};

/// Runs `child` in a process with only this environment, and returns what it prints. Returns `None`
/// in that process itself, after `child`.
fn printed(test: &str, environment: &[(&str, &str)], child: impl Fn()) -> Option<String> {
    const CHILD: &str = "IS_CHILD_OF_A_TEST";
    if std::env::var_os(CHILD).is_some() {
        // Ends the line that the test harness may have begun.
        println!();
        child();
        return None;
    }
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", "--nocapture", &format!("process_tests::{test}")]).env_clear();
    let output = process.env(CHILD, "1").envs(environment.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).unwrap())
}

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

#[test]
fn the_environment_names_the_log_and_what_is_measured_is_always_written() {
    let log = || {
        let host = match LambdaHost::start() {
            Ok(host) => host,
            Err(error) => return println!("{error}"),
        };
        let invocation = Invocation::default();
        host.report(&Report::info(&invocation, "info"));
        host.report(&Report::info(&invocation, "measured").count(Metric::Applied));
        host.report(&Report::warn(&invocation, "warn"));
        host.report(&Report::error(&invocation, "error"));
        tracing::info!("library info");
        tracing::warn!("library warn");
        tracing::error!("library error");
    };
    let unknown = "environment variable LOG_LEVEL has an unknown value";
    let missing = "environment variable STACK_NAME is missing or empty";
    for (stack, level, expected) in [
        ("s", "INFO", "info measured warn error library warn library error"),
        ("s", "WARN", "measured warn error library warn library error"),
        ("s", "ERROR", "measured error library error"),
        ("s", "warn", unknown),
        ("s", "", "environment variable LOG_LEVEL is missing or empty"),
        ("", "INFO", missing),
    ] {
        let test = "the_environment_names_the_log_and_what_is_measured_is_always_written";
        let started = now();
        let environment = [("STACK_NAME", stack), ("LOG_LEVEL", level)];
        let Some(printed) = printed(test, &environment, log) else { return };
        let lines = printed.lines().filter(|line| line.starts_with('{'));
        let lines: Vec<Value> = lines.map(|line| serde_json::from_str(line).unwrap()).collect();
        let messages: Vec<_> = lines.iter().map(|line| line["message"].as_str().unwrap()).collect();
        if expected.starts_with("environment") {
            assert!(printed.contains(expected) && messages.is_empty(), "{printed}");
            continue;
        }
        assert_eq!(messages.join(" "), expected, "{level}");
        let measured = lines.iter().find(|line| line["message"] == "measured").unwrap();
        assert_eq!((&measured["Stack"], &measured["Applied"]), (&"s".into(), &1.into()));
        let at = Duration::from_millis(measured["_aws"]["Timestamp"].as_u64().unwrap());
        assert!(at + Duration::from_millis(1) > started && at <= now(), "{at:?}");
    }
}

/// The variables that Lambda and the template set for a function.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("AWS_ACCESS_KEY_ID", "id"),
    ("AWS_SECRET_ACCESS_KEY", "secret"),
    ("AWS_SESSION_TOKEN", "token"),
    ("AWS_REGION", "eu-west-1"),
    ("AUTH_MODE", "iam"),
    ("RECEIPT_KEY", "a-key-of-at-least-32-characters."),
];

struct Thing;

impl Resource for Thing {
    const PATH: &'static str = "/things/{id}";
    const OWNER: &'static str = "id";
    const EXAMPLE: Example = Example { parameters: &["42"], body: "{}" };
}

#[test]
fn the_environment_gives_the_account_the_callers_and_the_keys() {
    fn show<T: Debug>(value: Result<T, Invalid>) {
        println!("read: {}", value.map_or_else(|error| error.to_string(), |it| format!("{it:?}")));
    }
    let read = || {
        show(aws("SQS", &http_client()).map(|config| account(&config)));
        show(access::<Thing>());
        show(receipt_keys().map(|keys| 1 + usize::from(keys.other.is_some())));
    };
    // The variables that differ, and what the function then reads; an empty variable counts as
    // missing.
    for (changed, expected) in [
        (vec![], ["id secret token eu-west-1 -", "Iam", "1"]),
        (vec![("AWS_SESSION_TOKEN", "")], ["id secret - eu-west-1 -", "", ""]),
        (vec![("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "b")], ["id secret token b -", "", ""]),
        (vec![("AWS_DEFAULT_REGION", "b")], ["id secret token eu-west-1 -", "", ""]),
        (vec![("AWS_ENDPOINT_URL", "http://a")], ["id secret token eu-west-1 http://a", "", ""]),
        (
            vec![("AWS_ENDPOINT_URL", "http://a"), ("AWS_ENDPOINT_URL_SQS", "http://b")],
            ["id secret token eu-west-1 http://b", "", ""],
        ),
        (vec![("AWS_REGION", "")], ["variable AWS_REGION is missing", "", ""]),
        (vec![("AWS_ACCESS_KEY_ID", "")], ["variable AWS_ACCESS_KEY_ID is missing", "", ""]),
        (vec![("AUTH_MODE", "jwt")], ["", r#"Jwt { owner: "id", admin_scope: None }"#, ""]),
        (
            vec![("AUTH_MODE", "jwt"), ("ADMIN_SCOPE", "all")],
            ["", r#"Jwt { owner: "id", admin_scope: Some("all") }"#, ""],
        ),
        (vec![("AUTH_MODE", "none")], ["", "Everyone", ""]),
        (vec![("AUTH_MODE", "IAM")], ["", "variable AUTH_MODE has an unknown value", ""]),
        (vec![("AUTH_MODE", "")], ["", "variable AUTH_MODE is missing", ""]),
        (vec![("OTHER_RECEIPT_KEY", ENVIRONMENT[5].1)], ["", "", "2"]),
        (vec![("OTHER_RECEIPT_KEY", "short")], ["", "", "variable OTHER_RECEIPT_KEY is shorter"]),
        (vec![("RECEIPT_KEY", "")], ["", "", "variable RECEIPT_KEY is missing"]),
    ] {
        let environment: Vec<_> = ENVIRONMENT.iter().chain(&changed).copied().collect();
        let test = "the_environment_gives_the_account_the_callers_and_the_keys";
        let Some(printed) = printed(test, &environment, read) else { return };
        let lines: Vec<_> = printed.lines().filter(|line| line.starts_with("read: ")).collect();
        assert_eq!(lines.len(), 3, "{printed}");
        for (line, expected) in lines.into_iter().zip(expected) {
            assert!(line.contains(expected), "{changed:?}: {line}");
        }
    }
}

/// The credentials, the region and the endpoint.
fn account(config: &SdkConfig) -> String {
    let credentials = config.credentials_provider().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let credentials = runtime.block_on(credentials.provide_credentials()).unwrap();
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    let token = credentials.session_token().unwrap_or("-");
    let (region, url) = (config.region().unwrap(), config.endpoint_url().unwrap_or("-"));
    format!("{id} {secret} {token} {region} {url}")
}
