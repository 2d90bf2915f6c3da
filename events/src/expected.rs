//! The expected results of the samples. A text `regex:^…$` allows any text that matches.

use rules::OperationId;
use rules::reply::status::rfc_3339;
use serde_json::{Value, json};

use crate::example::Sample;
use crate::payload::{REQUEST_ID, STAGE};

const ID: &str = "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}";
const RECEIPT: &str = "[A-Za-z0-9_-]{38}";
const TIME: &str = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z";

/// The answer to an inline PUT that creates.
pub fn written(sample: &Sample, body: &str) -> Value {
    let headers = json!({
        "content-type": "application/json",
        "content-location": sample.path,
        "cache-control": "no-transform",
        "etag": regex(&format!("\"{ID}\"")),
    });
    http(201, headers, body)
}

/// The answer to one that replaces, through a REST API.
pub fn written_rest(sample: &Sample, body: &str) -> Value {
    let headers = json!({
        "content-type": ["application/json"],
        "content-location": [format!("{STAGE}{}", sample.path)],
        "cache-control": ["no-transform"],
        "etag": [regex(&format!("\"{ID}\""))],
    });
    rest(200, headers, body)
}

/// The answer to an inline DELETE.
pub fn deleted() -> Value {
    let mut answer = http(204, json!({}), "");
    answer.as_object_mut().map(|members| members.remove("body"));
    answer
}

/// The answer to a deferred PUT or DELETE.
pub fn accepted(sample: &Sample) -> Value {
    let location = operation("", sample);
    let headers = json!({
        "content-type": "application/json",
        "location": location,
        "content-location": location,
        "retry-after": "1",
        "preference-applied": "respond-async",
    });
    http(202, headers, &pending("", sample))
}

/// The same through a REST API.
pub fn accepted_rest(sample: &Sample) -> Value {
    let location = operation(STAGE, sample);
    let headers = json!({
        "content-type": ["application/json"],
        "location": [location],
        "content-location": [location],
        "retry-after": ["1"],
        "preference-applied": ["respond-async"],
    });
    rest(202, headers, &pending(STAGE, sample))
}

/// The answer to the malformed body of `put-bad-json`.
pub fn malformed() -> Value {
    let problem = format!(
        r#"{{"type":"tag:async-put.example,2026:malformed-json","title":"The body is not valid JSON","status":400,"detail":"The body was refused at line 2, column 12: expected value; correct the JSON.","field":"body","line":2,"column":12,"requestId":"{REQUEST_ID}"}}"#
    );
    let headers =
        json!({ "content-type": "application/problem+json", "cache-control": "no-store" });
    http(400, headers, &problem)
}

/// The answer to a GET of a resource.
pub fn read(body: &str) -> Value {
    let headers = json!({
        "content-type": "application/json",
        "etag": regex(&format!("\"{ID}\"")),
        "last-modified": regex(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT"),
        "cache-control": "private, no-cache, no-transform",
    });
    http(200, headers, body)
}

/// The answer to a GET of a PUT that was carried out.
pub fn succeeded(sample: &Sample, operation: OperationId) -> Value {
    decided(sample, operation, "succeeded", &format!(r#""etag":"\\"{operation}\\"","#))
}

/// The answer to a DELETE of the status URL of an operation.
pub fn cancelled(sample: &Sample, operation: OperationId) -> Value {
    decided(sample, operation, "cancelled", "")
}

fn decided(sample: &Sample, operation: OperationId, status: &str, etag: &str) -> Value {
    let path = escaped(&sample.path);
    let accepted_at = escaped(&rfc_3339(operation.tick().to_unix()));
    let document = format!(
        r#"\{{"id":"{operation}","self":"{path}/operations/{RECEIPT}","receipt":"{RECEIPT}","status":"{status}","acceptedAt":"{accepted_at}","completedAt":"{TIME}",{etag}"resource":"{path}"\}}"#
    );
    let headers = json!({ "content-type": "application/json", "cache-control": "no-store" });
    http(200, headers, &regex(&document))
}

/// The result of a batch: SQS must deliver these messages again.
pub fn handed_back(messages: &[String]) -> Value {
    let failures: Vec<_> =
        messages.iter().map(|message| json!({ "itemIdentifier": message })).collect();
    json!({ "batchItemFailures": failures })
}

fn operation(stage: &str, sample: &Sample) -> String {
    regex(&format!("{stage}{}/operations/{RECEIPT}", escaped(&sample.path)))
}

fn pending(stage: &str, sample: &Sample) -> String {
    let path = escaped(&sample.path);
    regex(&format!(
        r#"\{{"id":"{ID}","self":"{stage}{path}/operations/{RECEIPT}","receipt":"{RECEIPT}","status":"pending","acceptedAt":"{TIME}","resource":"{stage}{path}"\}}"#
    ))
}

fn http(status: u16, headers: Value, body: &str) -> Value {
    json!({
        "statusCode": status,
        "headers": headers,
        "multiValueHeaders": {},
        "body": body,
        "isBase64Encoded": false,
        "cookies": [],
    })
}

fn rest(status: u16, headers: Value, body: &str) -> Value {
    json!({
        "statusCode": status,
        "headers": {},
        "multiValueHeaders": headers,
        "body": body,
        "isBase64Encoded": false,
    })
}

fn regex(pattern: &str) -> String {
    format!("regex:^{pattern}$")
}

/// A path or time as a regular expression that matches only itself.
fn escaped(text: &str) -> String {
    let mut pattern = String::new();
    for character in text.chars() {
        if !character.is_ascii_alphanumeric() && !matches!(character, '/' | '-' | ':' | '%' | '_') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}
