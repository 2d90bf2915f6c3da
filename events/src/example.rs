//! The resources and bodies of the samples, made from the example in `crates/resource`.

use resource::Served;
use rules::resource::{self as paths, Example, path_of};
use rules::{Problem, Resource, ResourceId};
use serde_json::{Map, Value};

/// The resource's path, the owner in it, and whether it has an update.
pub const OF_THE_CRATE: (&str, &str, bool) = (Served::PATH, Served::OWNER, Served::HAS_UPDATE);

/// The example in `crates/resource`.
pub const fn example() -> Example {
    Served::EXAMPLE
}

/// A body of the resource. Bodies with different values differ.
pub fn body(value: u32) -> String {
    example().body.replace("VALUE", &value.to_string())
}

/// Checks that the example, and the ids and bodies made from it, are valid for the resource.
///
/// # Errors
/// The reason, if the resource's own checks refuse one.
pub fn check() -> Result<(), String> {
    for number in 0..3 {
        let parameters = Sample::new(number).parameters();
        let parameter = |name: &str| parameters[name].as_str().unwrap_or_default().into();
        ResourceId::of_request::<Served>(parameter).map_err(|problem| told(&problem))?;
    }
    for value in [1, 999] {
        let body = body(value);
        rules::body::check(body.as_bytes()).and_then(Served::check).map_err(|it| told(&it))?;
    }
    Ok(())
}

fn told(problem: &Problem) -> String {
    format!("Resource::EXAMPLE in crates/resource is refused: {}", problem.detail())
}

/// The path's parameters with the values of the example.
pub fn parameters() -> Map<String, Value> {
    named(example().parameters.iter().copied())
}

/// A resource in the samples.
#[derive(Debug)]
pub struct Sample {
    /// Its id.
    pub id: ResourceId,
    /// Its path.
    pub path: String,
}

impl Sample {
    /// Number 0 is the example itself; the others differ from it in the last parameter.
    pub fn new(number: u8) -> Self {
        let mut values: Vec<_> = example().parameters.iter().map(ToString::to_string).collect();
        if let Some(last) = values.last_mut() {
            *last = other(last, number);
        }
        #[expect(clippy::expect_used, reason = "the crate's example is no id: say so and end")]
        let id = ResourceId::new(&values.join("/")).expect("Resource::EXAMPLE must be a valid id");
        let path = path_of::<Served>(&id);
        Self { id, path }
    }

    /// The path's parameters.
    pub fn parameters(&self) -> Map<String, Value> {
        named(self.id.parameters())
    }
}

/// A value of the same form as in the example. A number or UUID gets another last digit; any other
/// text gets longer.
fn other(value: &str, number: u8) -> String {
    let last = value.chars().last().and_then(|last| last.to_digit(16));
    let is_number = value.bytes().all(|byte| byte.is_ascii_digit());
    let is_uuid = value.len() == 36 && value.split('-').count() == 5;
    match last {
        _ if number == 0 => value.to_owned(),
        Some(digit) if is_number || is_uuid => {
            let base = if is_number { 10 } else { 16 };
            format!("{}{:x}", &value[..value.len() - 1], (digit + u32::from(number)) % base)
        }
        _ => format!("{value}-{}", number + 1),
    }
}

fn named<'a>(values: impl Iterator<Item = &'a str>) -> Map<String, Value> {
    let names = paths::parameters::<Served>().map(str::to_owned);
    names.zip(values.map(Value::from)).collect()
}
