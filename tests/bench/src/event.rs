//! The events for the functions.

use rig::gateway::{Request, unix_ms};
use rig::resource;
use rig::sqs::Message;
use serde_json::{Value, json};

/// A resource's body, filled to so many bytes with blanks, which are valid in any body.
pub fn body(bytes: usize) -> String {
    let sample = resource::body(1);
    let members = sample.trim_end().strip_suffix('}').expect("a body is a JSON object");
    let blanks = " ".repeat(bytes.saturating_sub(members.len() + 1));
    format!("{members}{blanks}}}")
}

/// A PUT with further header fields.
pub fn put(body: &str, fields: &[(&'static str, &str)]) -> Request {
    let headers = fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    let path = resource::path(&resource::id(1));
    Request { body: Some(body.to_owned()), headers, ..Request::new("PUT", path) }
}

/// A GET of a resource.
pub fn get() -> Request {
    Request::new("GET", resource::path(&resource::id(1)))
}

/// An event of a request that arrives now.
pub fn now(request: &Request) -> String {
    Request { arrival_ms: unix_ms(), ..request.clone() }.event().to_string()
}

/// A batch of deferred PUTs with this body, of so many resources in turns. `batch` makes the
/// operations differ from those of other batches.
pub fn batch(records: usize, resources: usize, body: &str, batch: u64) -> String {
    let records = (0..records).map(|number| {
        let resource = format!("resource-{}", number % resources);
        let serial = batch * 10_000 + number as u64;
        let ms = unix_ms() - 1000;
        let operation = format!("{:08x}-{:04x}-7000-8000-{serial:012x}", ms >> 16, ms & 0xffff);
        let text = |value: &str| json!({ "StringValue": value, "DataType": "String" });
        let attributes = json!({
            "version": text("1"),
            "operation": text(&operation),
            "resource": text(&resource),
        });
        let sent = json!({
            "MessageBody": body,
            "MessageGroupId": resource,
            "MessageAttributes": attributes,
        });
        let mut message = Message::sent(serial, "updates", &sent);
        message.receives = 1;
        message.record()
    });
    json!({ "Records": records.collect::<Vec<Value>>() }).to_string()
}
