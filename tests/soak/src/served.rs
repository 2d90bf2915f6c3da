//! The resource that the functions serve, as requests for it are made.

use std::fmt::Display;

use resource::Served;
use rules::ResourceId;
use rules::resource::{Resource, path_of};
use serde_json::{Map, Value, json};

/// The id of the example with another last parameter: a number where that is one, a UUID where
/// that is one, else some text.
///
/// # Panics
/// If the example is not a resource.
#[must_use]
pub fn id(number: u64) -> ResourceId {
    let (last, owners) = Served::EXAMPLE.parameters.split_last().expect("the path has a parameter");
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit());
    let is_uuid = last.len() == 36 && last.bytes().filter(|byte| *byte == b'-').count() == 4;
    let last = match (is_number, is_uuid) {
        (true, _) => format!("{}", 1000 + number),
        (_, true) => format!("00000000-0000-4000-8000-{number:012x}"),
        _ => format!("u{number}"),
    };
    let id: Vec<_> = owners.iter().copied().chain([last.as_str()]).collect();
    ResourceId::new(&id.join("/")).expect("the example is a resource id")
}

/// The path of a resource.
///
/// # Panics
/// If it is not one.
#[must_use]
pub fn path(id: &str) -> String {
    path_of::<Served>(&ResourceId::new(id).expect("a resource id"))
}

/// A body that differs from those with another value. It has blanks, so that a body that was
/// written in another form is found.
#[must_use]
pub fn body(value: impl Display) -> String {
    Served::EXAMPLE.body.replace("VALUE", &value.to_string())
}

/// The route of a path, and its parameters, as the gateway gives them.
#[must_use]
pub fn route(path: &str) -> (String, Value) {
    let status = format!("{}/operations/{{receipt}}", Served::PATH);
    let is_status = path.split('/').count() == status.split('/').count();
    let route = if is_status { status } else { Served::PATH.to_owned() };
    let named = route.split('/').zip(path.split('/')).filter_map(|(name, value)| {
        let name = name.strip_prefix('{')?.strip_suffix('}')?;
        Some((name.to_owned(), json!(value)))
    });
    let parameters: Map<_, _> = named.collect();
    (route, parameters.into())
}
