//! Compares `rules::body::check` with serde_json, on whatever bytes libFuzzer finds.
//! `make -C tests fuzz SECONDS=60` runs it.

#![no_main]

use std::collections::HashSet;
use std::fmt;

use libfuzzer_sys::fuzz_target;
use rules::{ProblemType, body as rule};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

fuzz_target!(|body: &[u8]| {
    let refused = rule::check(body).err().map(|problem| problem.problem_type());
    let shown = String::from_utf8_lossy(body);
    match serde_json::from_slice::<Shape>(body) {
        // RFC 8259 allows numbers outside the range of a double, and more depth than serde_json's
        // 127.
        Err(error) if ["out of range", "recursion limit"].iter().any(|limit| error.to_string().contains(limit)) => {}
        // The first fault is reported.
        Err(error) => assert!(refused.is_some(), "taken, but {error}: {shown}"),
        Ok(shape) => assert_eq!(refused, expected(&shape, body), "{shown}"),
    }
});

/// The reason why a JSON text is refused, if it has at most one fault.
fn expected(shape: &Shape, body: &[u8]) -> Option<ProblemType> {
    use ProblemType::{BodyTooLarge, DuplicateMember, ForbiddenCharacter, InvalidBody, TooDeep};
    let is_deep = shape.depth > rule::MAX_DEPTH;
    match () {
        () if body.len() > rule::MAX_BYTES => Some(BodyTooLarge),
        () if !shape.is_object => Some(InvalidBody),
        // Of two faults, either may come first.
        () if is_deep && shape.has_duplicate => rule::check(body).err().map(|problem| problem.problem_type()),
        () if is_deep => Some(TooDeep),
        () if shape.has_duplicate => Some(DuplicateMember),
        () if String::from_utf8_lossy(body).contains(['\u{FFFE}', '\u{FFFF}']) => Some(ForbiddenCharacter),
        () => None,
    }
}

/// Everything that matters in a JSON value.
#[derive(Default)]
struct Shape {
    is_object: bool,
    depth: usize,
    has_duplicate: bool,
}

impl Shape {
    fn hold(&mut self, inner: &Self) {
        self.depth = self.depth.max(inner.depth + 1);
        self.has_duplicate |= inner.has_duplicate;
    }
}

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ShapeVisitor)
    }
}

struct ShapeVisitor;

macro_rules! scalars {
    ($($visit:ident: $scalar:ty),*) => {
        $(fn $visit<E>(self, _: $scalar) -> Result<Shape, E> {
            Ok(Shape::default())
        })*
    };
}

impl<'de> Visitor<'de> for ShapeVisitor {
    type Value = Shape;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Shape, E> {
        Ok(Shape::default())
    }

    scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Shape, A::Error> {
        let mut shape = Shape { depth: 1, ..Shape::default() };
        while let Some(item) = items.next_element::<Shape>()? {
            shape.hold(&item);
        }
        Ok(shape)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Shape, A::Error> {
        let mut shape = Shape { is_object: true, depth: 1, has_duplicate: false };
        let mut names = HashSet::new();
        while let Some((name, member)) = members.next_entry::<String, Shape>()? {
            shape.has_duplicate |= !names.insert(name);
            shape.hold(&member);
        }
        Ok(shape)
    }
}
