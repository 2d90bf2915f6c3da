//! The resource that a PUT replaces, as `crates/resource` defines it: its path, its body, and the
//! async function before each write.

use std::time::Duration;

use crate::{Operation, Problem, ResourceId};

/// A kind of resource. `crates/resource` implements it; everything else is generic over it.
#[expect(async_fn_in_trait, reason = "main knows the concrete type, and that its future is Send")]
pub trait Resource {
    /// The path of a resource, such as `/things/{id}` or `/tenants/{tenant}/devices/{id}`.
    /// Its parameters, joined by `/`, are the resource id. The path ends with a parameter;
    /// The name `{receipt}` is reserved.
    const PATH: &'static str;

    /// The parameter of [`Self::PATH`] that a token's `sub` must equal with `AuthMode=jwt`.
    const OWNER: &'static str;

    /// A resource for the sample events, the tests and the first curl command.
    const EXAMPLE: Example;

    /// Whether there is an [`update`](Self::update). If so, each operation costs one more read, so
    /// that the update does not run for an operation that is already refused or decided.
    const HAS_UPDATE: bool = false;

    /// Checks a path parameter beyond the general rule of [`ResourceId`], for example that it
    /// is a UUID.
    ///
    /// # Errors
    /// The reason and the next step, such as "it is not a UUID; send one in lower case". The
    /// client gets 400 `invalid-id`.
    fn check_id(parameter: &str, value: &str) -> Result<(), String> {
        let _ = (parameter, value);
        Ok(())
    }

    /// Checks a body that [`body::check`](crate::body::check) has accepted: a JSON object within
    /// the limits. It is stored and returned byte for byte. [`body::read`](crate::body::read) reads
    /// it into a type.
    ///
    /// # Errors
    /// The problem, such as 422 [`InvalidBody`](crate::ProblemType::InvalidBody) with the
    /// member in `field`.
    fn check(body: &str) -> Result<(), Problem> {
        let _ = body;
        Ok(())
    }

    /// The async function of a PUT or DELETE. It runs before each write, whether the client waits
    /// or not, and nothing is written unless it returns [`Updated::Done`]. `operation.change` is a
    /// PUT with its body, or a DELETE.
    ///
    /// - It may run more than once for one operation, and also for one that is then not written.
    ///   `operation.origin` is the idempotency key for the services that it calls.
    /// - It does not run for an operation that a newer one in the same batch supersedes.
    /// - After `time_left` its future is dropped, with everything that it awaits. That counts as
    ///   [`Updated::TryLater`].
    async fn update(&self, operation: &Operation, time_left: Duration) -> Updated {
        let _ = (operation, time_left);
        Updated::Done
    }
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Updated {
    /// The resource may be written.
    Done,
    /// The operation is refused permanently: nothing is written, and the client gets this
    /// problem, as the answer or in the status. A problem that is not a 4xx becomes 409
    /// [`Refused`](crate::ProblemType::Refused).
    Refused(Problem),
    /// The update cannot be done now, for this reason. A queued operation is tried again later. A
    /// client that waits gets 503 with the reason, or 202 if it sent `wait`.
    TryLater(String),
}

/// A resource for samples and tests.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// A value for each parameter of the path, in order. The tests derive their own ids from the
    /// last value and from the value of [`Resource::OWNER`]: from digits (give nine or more) as
    /// many other digits, from a UUID a new UUID, and from any other text that text, `-` and a
    /// UUID.
    pub parameters: &'static [&'static str],
    /// A body with `VALUE` in a string or a number, at the place where bodies may differ. The tests
    /// replace it by a number from 1 to 999.
    pub body: &'static str,
}

/// The path of a resource as a client sends it (RFC 3986 section 3.3).
#[must_use]
pub fn path_of<R: Resource>(id: &ResourceId) -> String {
    let mut values = id.parameters();
    let mut path = String::new();
    for segment in Checked::<R>::PATH.split('/').skip(1) {
        path.push('/');
        match name_of(segment) {
            Some(_) => path.extend(values.next().map(ResourceId::encoded).into_iter().flatten()),
            None => path.push_str(segment),
        }
    }
    path
}

/// The number of segments in the path of a resource.
#[must_use]
pub fn segments<R: Resource>() -> usize {
    Checked::<R>::PATH.split('/').count() - 1
}

/// The names of the parameters in the path of a resource.
pub fn parameters<R: Resource>() -> impl Iterator<Item = &'static str> {
    Checked::<R>::PATH.split('/').filter_map(name_of)
}

/// The name of the parameter, if the segment of a path is one.
fn name_of(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// A resource with a path that is checked at compile time.
struct Checked<R>(R);

impl<R: Resource> Checked<R> {
    const PATH: &'static str = {
        let parameters = check_path(R::PATH.as_bytes(), R::OWNER.as_bytes());
        assert!(
            R::EXAMPLE.parameters.len() == parameters,
            "Resource::EXAMPLE must have a value for each parameter of Resource::PATH"
        );
        R::PATH
    };
}

/// Checks the path, and returns the number of its parameters.
const fn check_path(path: &[u8], owner: &[u8]) -> usize {
    assert!(!path.is_empty() && path[0] == b'/', "Resource::PATH must begin with a slash");
    let (mut at, mut parameters) = (0, 0);
    let (mut has_owner, mut last_is_parameter) = (false, false);
    while at < path.len() {
        at += 1;
        let start = at;
        while at < path.len() && path[at] != b'/' {
            let is_plain = path[at].is_ascii_alphanumeric()
                || matches!(path[at], b'-' | b'.' | b'_' | b'~' | b'{' | b'}');
            assert!(is_plain, "Resource::PATH contains a character that a URL would encode");
            at += 1;
        }
        assert!(at > start, "Resource::PATH has an empty segment, or ends with a slash");
        last_is_parameter = path[start] == b'{';
        if last_is_parameter {
            assert!(path[at - 1] == b'}', "a parameter of Resource::PATH must end with a brace");
            assert!(at - start > 2, "a parameter of Resource::PATH has no name");
            assert!(
                !is_at(path, start + 1, at - 1, b"receipt"),
                "Resource::PATH may not call a parameter receipt: the status URL uses that name"
            );
            has_owner |= is_at(path, start + 1, at - 1, owner);
            parameters += 1;
        }
    }
    assert!(last_is_parameter, "Resource::PATH must end with a parameter");
    assert!(has_owner, "Resource::OWNER must name a parameter of Resource::PATH");
    parameters
}

const fn is_at(path: &[u8], start: usize, end: usize, name: &[u8]) -> bool {
    let mut i = 0;
    while i < name.len() && start + i < end && path[start + i] == name[i] {
        i += 1;
    }
    i == name.len() && end - start == name.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_cannot_work_is_found_with_its_reason() {
        for (path, owner, reason) in [
            ("users/{id}", "id", "begin with a slash"),
            ("/users/{id}/", "id", "empty segment"),
            ("/users//{id}", "id", "empty segment"),
            ("/users", "id", "end with a parameter"),
            ("/{id}/users", "id", "end with a parameter"),
            ("/us ers/{id}", "id", "would encode"),
            ("/users/{id", "id", "must end with a brace"),
            ("/users/{}", "id", "no name"),
            ("/users/{receipt}", "receipt", "may not call"),
            ("/users/{id}", "i", "OWNER"),
            ("/users/{id}", "idd", "OWNER"),
        ] {
            let check = || check_path(path.as_bytes(), owner.as_bytes());
            let panic = std::panic::catch_unwind(check).unwrap_err();
            let told = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let told = told.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap();
            assert!(told.contains(reason), "{path}: {told}");
        }
        assert_eq!(check_path(b"/v1/tenants/{tenant}/devices/{id}", b"tenant"), 2);
    }
}
