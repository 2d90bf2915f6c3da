//! Events in the form of AWS.

use std::error::Error;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use resource::Served;
use rules::{OperationId, ReceiptKey, Resource};
use serde_json::{Map, Value, json};

use crate::example::Sample;

/// The gateway's id of the requests.
pub const REQUEST_ID: &str = "Uc1XEgvCIAMEVtQ=";
/// The stage of the REST API, which its paths contain.
pub const STAGE: &str = "/prod";
const TIME_MS: u64 = 1_795_168_800_000;
const TIME: &str = "20/Nov/2026:10:00:00 +0000";
const API: &str = "a1b2c3d4e5";
const DOMAIN: &str = "a1b2c3d4e5.execute-api.us-east-1.amazonaws.com";
const CLIENT: (&str, &str) = ("192.0.2.44", "curl/8.14.1");

/// A PUT from an HTTP API (payload 2.0).
pub fn put(sample: &Sample, body: &str, deferred: bool) -> Value {
    let mut event = http(sample, "PUT", None);
    event["headers"]["content-type"] = json!("application/json");
    event["headers"]["content-length"] = json!(body.len().to_string());
    if deferred {
        event["headers"]["prefer"] = json!("respond-async");
    }
    event["body"] = json!(body);
    event
}

/// A DELETE of a resource.
pub fn delete(sample: &Sample, deferred: bool) -> Value {
    let mut event = http(sample, "DELETE", None);
    if deferred {
        event["headers"]["prefer"] = json!("respond-async");
    }
    event
}

/// A GET of a resource.
pub fn get(sample: &Sample) -> Value {
    http(sample, "GET", None)
}

/// A request for an operation, with a receipt signed by the key in `env.json`.
pub fn status(
    method: &str,
    sample: &Sample,
    operation: OperationId,
) -> Result<Value, Box<dyn Error>> {
    let environment: Value = serde_json::from_str(include_str!("../env.json"))?;
    let key = environment["Parameters"]["RECEIPT_KEY"].as_str().unwrap_or_default();
    let key = ReceiptKey::new(key.as_bytes()).ok_or("RECEIPT_KEY in env.json is too short")?;
    Ok(http(sample, method, Some(&key.sign(&sample.id, operation))))
}

fn http(sample: &Sample, method: &str, receipt: Option<&str>) -> Value {
    let (mut path, mut route) = (sample.path.clone(), format!("{method} {}", Served::PATH));
    let mut parameters = sample.parameters();
    if let Some(receipt) = receipt {
        path += &format!("/operations/{receipt}");
        route += "/operations/{receipt}";
        parameters.insert("receipt".to_owned(), receipt.into());
    }
    json!({
        "version": "2.0",
        "routeKey": route,
        "rawPath": path,
        "rawQueryString": "",
        "headers": {
            "accept": "*/*",
            "host": DOMAIN,
            "user-agent": CLIENT.1,
            "x-amzn-trace-id": "Root=1-6b01f0a0-5f8a6c3b1d2e4f60718293a4",
            "x-forwarded-for": CLIENT.0,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": API,
            "domainName": DOMAIN,
            "domainPrefix": API,
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": CLIENT.0,
                "userAgent": CLIENT.1,
            },
            "requestId": REQUEST_ID,
            "routeKey": route,
            "stage": "$default",
            "time": TIME,
            "timeEpoch": TIME_MS,
        },
        "pathParameters": parameters,
        "isBase64Encoded": false,
    })
}

/// A PUT from a REST API (payload 1.0). Unless it is deferred, its body is in base64, as from `sam
/// local generate-event`.
pub fn put_rest(sample: &Sample, body: &str, deferred: bool) -> Value {
    let mut headers: Map<String, Value> = Map::new();
    for (name, value) in [
        ("Accept", "*/*"),
        ("Content-Type", "application/json"),
        ("Host", DOMAIN),
        ("User-Agent", CLIENT.1),
        ("X-Amzn-Trace-Id", "Root=1-6b01f0a0-5f8a6c3b1d2e4f60718293a4"),
        ("X-Forwarded-For", CLIENT.0),
        ("X-Forwarded-Port", "443"),
        ("X-Forwarded-Proto", "https"),
    ] {
        headers.insert(name.to_owned(), value.into());
    }
    if deferred {
        headers.insert("Prefer".to_owned(), "respond-async".into());
    }
    let several: Map<_, _> =
        headers.iter().map(|(name, value)| (name.clone(), json!([value]))).collect();
    json!({
        "resource": Served::PATH,
        "path": sample.path,
        "httpMethod": "PUT",
        "headers": headers,
        "multiValueHeaders": several,
        "queryStringParameters": null,
        "multiValueQueryStringParameters": null,
        "pathParameters": sample.parameters(),
        "stageVariables": null,
        "requestContext": {
            "resourceId": "123456",
            "resourcePath": Served::PATH,
            "httpMethod": "PUT",
            "extendedRequestId": "Uc1XEgvCIAMFxQA=",
            "requestTime": TIME,
            "path": format!("{STAGE}{}", sample.path),
            "accountId": "123456789012",
            "protocol": "HTTP/1.1",
            "stage": STAGE.trim_start_matches('/'),
            "domainPrefix": API,
            "requestTimeEpoch": TIME_MS,
            "requestId": "c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
            "identity": {
                "cognitoIdentityPoolId": null,
                "accountId": null,
                "cognitoIdentityId": null,
                "caller": null,
                "sourceIp": CLIENT.0,
                "principalOrgId": null,
                "accessKey": null,
                "cognitoAuthenticationType": null,
                "cognitoAuthenticationProvider": null,
                "userArn": null,
                "userAgent": CLIENT.1,
                "user": null,
            },
            "domainName": DOMAIN,
            "apiId": API,
        },
        "body": if deferred { body.to_owned() } else { STANDARD.encode(body) },
        "isBase64Encoded": !deferred,
    })
}

/// The id of a message in the batch of `apply`.
pub fn message_id(number: u32) -> String {
    format!("b2c3d4e5-{number:04}-4000-8000-{number:012}")
}

/// A message of the updates queue, with or without the attributes for the resource, the operation
/// and the version of the form.
pub fn record(number: u32, body: &str, of: Option<(&Sample, OperationId, &str)>) -> Value {
    let sent = TIME_MS + u64::from(number) * 1000;
    let text = |value: &str| {
        json!({
            "stringValue": value,
            "stringListValues": [],
            "binaryListValues": [],
            "dataType": "String",
        })
    };
    let mut record = json!({
        "messageId": message_id(number),
        "receiptHandle": format!("AQEB-sample-receipt-handle-{number}"),
        "body": body,
        "attributes": {
            "ApproximateReceiveCount": "1",
            "SentTimestamp": (sent + 20).to_string(),
            "SenderId": "AROAEXAMPLEEXAMPLE123:async-put-PutFunction",
            "ApproximateFirstReceiveTimestamp": (sent + 32).to_string(),
        },
        "messageAttributes": {},
        "md5OfBody": format!("{:x}", md5::compute(body)),
        "eventSource": "aws:sqs",
        "eventSourceARN": arn("UpdatesQueue"),
        "awsRegion": "us-east-1",
    });
    if let Some((sample, operation, version)) = of {
        record["attributes"]["MessageGroupId"] = json!(sample.id.as_str());
        record["messageAttributes"] = json!({
            "version": text(version),
            "operation": text(&operation.to_string()),
            "resource": text(sample.id.as_str()),
        });
    }
    record
}

/// The same message after SQS moved it to the dead letters, after 350 receives.
pub fn dead_letter(body: &str, of: (&Sample, OperationId, &str)) -> Value {
    let mut record = record(1, body, Some(of));
    record["messageId"] = json!("c3d4e5f6-0001-4000-8000-000000000001");
    record["receiptHandle"] = json!("AQEB-sample-receipt-handle-dead");
    record["attributes"]["ApproximateReceiveCount"] = json!("351");
    record["attributes"]["DeadLetterQueueSourceArn"] = record["eventSourceARN"].take();
    record["eventSourceARN"] = arn("DeadLettersQueue").into();
    record
}

fn arn(queue: &str) -> String {
    format!("arn:aws:sqs:us-east-1:123456789012:async-put-{queue}-1A2B3C4D5E6F")
}
