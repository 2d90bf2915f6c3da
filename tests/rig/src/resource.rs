//! The resource that the functions serve, as `events/resource.json` describes it.

use std::fmt::Display;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

static KNOWN: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../events/resource.json")).expect("it is JSON")
});

fn known(name: &str) -> &'static str {
    KNOWN[name].as_str().expect("events/resource.json has it")
}

/// The name of the parameter, if this segment of the path is one.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The id of the example with another last parameter: a number if it is a number, a UUID if it is a
/// UUID, else some text.
pub fn id(number: u64) -> String {
    let example = known("path").split('/').filter_map(parameter);
    let mut parts: Vec<_> =
        example.map(|name| KNOWN["parameters"][name].as_str().unwrap().to_owned()).collect();
    let last = parts.last_mut().expect("the path has a parameter");
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    let is_uuid = last.len() == 36 && last.bytes().filter(|byte| *byte == b'-').count() == 4;
    *last = match (is_number, is_uuid) {
        (true, _) => format!("{}", 1000 + number),
        (_, true) => format!("00000000-0000-4000-8000-{number:012x}"),
        _ => format!("u{number}"),
    };
    parts.join("/")
}

pub fn path(id: &str) -> String {
    let mut parts = id.split('/');
    let segments = known("path").split('/').map(|segment| match parameter(segment) {
        Some(_) => parts.next().expect("an id has a part for each parameter"),
        None => segment,
    });
    segments.collect::<Vec<_>>().join("/")
}

/// A body that differs from those with another value. It contains blanks: so a test notices a body
/// that was written in another form.
pub fn body(value: impl Display) -> String {
    known("body").replace("VALUE", &value.to_string())
}

/// The route of a path, and its parameters, as the gateway gives them.
pub fn route(path: &str) -> (String, Value) {
    let status = format!("{}/operations/{{receipt}}", known("path"));
    let is_status = path.split('/').count() == status.split('/').count();
    let route = if is_status { status } else { known("path").to_owned() };
    let named = route.split('/').zip(path.split('/'));
    let parameters: Map<_, _> = named
        .filter_map(|(segment, value)| Some((parameter(segment)?.to_owned(), json!(value))))
        .collect();
    (route, parameters.into())
}
