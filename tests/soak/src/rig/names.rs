//! What the functions are called and what they find in their environment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Name of the resources table.
pub const RESOURCES: &str = "resources";
/// Name of the operations table.
pub const OPERATIONS: &str = "operations";

/// Where a function finds its services.
#[derive(Clone, Debug)]
pub struct Endpoints {
    /// Of DynamoDB.
    pub dynamodb: String,
    /// Of SQS.
    pub sqs: String,
}

/// The binaries in a folder, by the name that they have here: as cargo leaves them, or as
/// cargo-lambda does.
///
/// # Panics
/// If one is missing.
#[must_use]
pub fn binaries(folder: &Path) -> BTreeMap<&'static str, PathBuf> {
    // `bury` is what `park` was called before.
    let found = |names: &[&'static str]| {
        let paths = names.iter().map(|name| folder.join(name));
        let mut paths = paths.flat_map(|path| [path.join("bootstrap"), path]);
        let path = paths.find(|path| path.is_file());
        (names[0], path.unwrap_or_else(|| panic!("{names:?} must be built into {folder:?}")))
    };
    [&["put"][..], &["read"], &["apply"], &["park", "bury"]].map(found).into()
}

/// The URL of a queue.
#[must_use]
pub fn queue_url(endpoint: &str, queue: &str) -> String {
    format!("{endpoint}/123456789012/{queue}")
}

/// The environment of the function `name`, whose process `worker` asks for work at
/// `runtime_api`. The worker's name is its access key, by which the wire knows the caller.
#[must_use]
pub fn environment(
    name: &str,
    worker: &str,
    runtime_api: &str,
    endpoints: &Endpoints,
) -> Vec<(&'static str, String)> {
    let Endpoints { dynamodb, sqs } = endpoints;
    let queue = |queue| queue_url(sqs, queue);
    vec![
        ("AWS_LAMBDA_RUNTIME_API", runtime_api.to_owned()),
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("STACK_NAME", "soak".to_owned()),
        ("LOG_LEVEL", "WARN".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", worker.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "soak".to_owned()),
        ("AWS_ENDPOINT_URL_DYNAMODB", dynamodb.clone()),
        ("AWS_ENDPOINT_URL_SQS", sqs.clone()),
        ("RESOURCES_TABLE", RESOURCES.to_owned()),
        ("OPERATIONS_TABLE", OPERATIONS.to_owned()),
        ("UPDATES_QUEUE_URL", queue("updates")),
        ("DEAD_LETTERS_QUEUE_URL", queue("dead-letters")),
        ("PARKED_QUEUE_URL", queue("parked")),
        ("RECEIPT_KEY", "k".repeat(64)),
        ("DEFAULT_MODE", "inline".to_owned()),
        ("ARRIVAL_CLOCK", "gateway".to_owned()),
        ("AUTH_MODE", "none".to_owned()),
        // What ARRIVAL_CLOCK was called before.
        ("CLOCK_CHECK", "on".to_owned()),
    ]
}
