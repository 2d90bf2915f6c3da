//! The environment of a function.

pub const RESOURCES: &str = "resources";
pub const OPERATIONS: &str = "operations";

/// The URLs of the services.
#[derive(Clone, Debug)]
pub struct Endpoints {
    pub dynamodb: String,
    pub sqs: String,
}

/// The environment of the function `name`. The access key shows the wire which process calls.
pub fn environment(
    name: &str,
    access_key: &str,
    endpoints: &Endpoints,
) -> Vec<(&'static str, String)> {
    let Endpoints { dynamodb, sqs } = endpoints;
    let queue = |queue| format!("{sqs}/123456789012/{queue}");
    vec![
        ("AWS_LAMBDA_FUNCTION_NAME", name.to_owned()),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256".to_owned()),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
        ("STACK_NAME", "rig".to_owned()),
        ("LOG_LEVEL", "WARN".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", access_key.to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "rig".to_owned()),
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
    ]
}
