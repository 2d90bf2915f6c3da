//! The events that the functions are invoked with, made from the samples in `events/`.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use soak::served;

/// A resource's body of so many bytes, if it has fewer without the blanks that fill it: they are
/// right whatever a body may be.
pub fn body(bytes: usize) -> String {
    let sample = served::body(1);
    let members = sample.trim_end().strip_suffix('}').expect("a body is a JSON object");
    let blanks = " ".repeat(bytes.saturating_sub(members.len() + 1));
    format!("{members}{blanks}}}")
}

/// A PUT that arrives now, with further header fields.
pub fn put(body: &str, fields: &[(&str, &str)]) -> Value {
    let mut event = sample(include_str!("../../../events/put-inline.json"));
    event["headers"]["content-length"] = json!(body.len().to_string());
    for (name, value) in fields {
        event["headers"][*name] = json!(value);
    }
    event["body"] = json!(body);
    event
}

/// A GET of a resource.
pub fn get() -> Value {
    sample(include_str!("../../../events/get-resource.json"))
}

/// A GET of the operation at `path`, which a 202 told.
pub fn status(path: &str) -> Value {
    let mut event = sample(include_str!("../../../events/get-operation.json"));
    event["rawPath"] = json!(path);
    event["requestContext"]["http"]["path"] = json!(path);
    event["pathParameters"] = served::route(path).1;
    event
}

fn sample(text: &str) -> Value {
    let mut event: Value = serde_json::from_str(text).expect("a sample event is JSON");
    event["requestContext"]["timeEpoch"] = json!(now_ms());
    event
}

/// A batch of deferred PUTs with this body, of as many resources as are given in turns. `batch`
/// makes its operations other ones than those of the batch before.
pub fn batch(records: usize, resources: usize, body: &str, batch: u64) -> Value {
    let records: Vec<_> = (0..records)
        .map(|number| {
            let resource = format!("resource-{}", number % resources);
            let serial = batch * 10_000 + number as u64;
            let ms = now_ms() - 1000;
            let operation = format!("{:08x}-{:04x}-7000-8000-{serial:012x}", ms >> 16, ms & 0xffff);
            let text = |value: &str| json!({ "stringValue": value, "dataType": "String" });
            json!({
                "messageId": format!("b2c3d4e5-0001-4000-8000-{serial:012x}"),
                "receiptHandle": format!("AQEB-{serial}"),
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": ms.to_string(),
                    "SenderId": "AROAEXAMPLEEXAMPLE123:async-put-PutFunction",
                    "ApproximateFirstReceiveTimestamp": ms.to_string(),
                    "MessageGroupId": resource,
                },
                "messageAttributes": {
                    "version": text("1"),
                    "operation": text(&operation),
                    "resource": text(&resource),
                },
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:updates",
                "awsRegion": "us-east-1",
            })
        })
        .collect();
    json!({ "Records": records })
}

/// Milliseconds since 1970.
pub fn now_ms() -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or(Duration::ZERO);
    now.as_millis().try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_sample_and_as_long_as_it_should_be() {
        let sample: Value = serde_json::from_str(&served::body(1)).unwrap();
        for bytes in [300, 900, 256 * 1024] {
            let body = body(bytes);
            assert_eq!(body.len(), bytes);
            assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), sample);
        }
    }
}
