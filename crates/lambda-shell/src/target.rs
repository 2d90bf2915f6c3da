//! The resource of a request, and its URLs as the client sees them.

use std::borrow::Cow;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use rules::resource::{path_of, segments};
use rules::{Resource, ResourceId};

/// The characters to encode in a path that becomes the value of a header field.
const NOT_IN_A_HEADER: &AsciiSet = &CONTROLS.add(b' ');

/// The path parameter `name` in plain text; empty if there is none.
///
/// An HTTP API (payload 2.0) decodes it; a REST API (1.0) passes it on as it was sent.
#[must_use]
pub fn parameter<'a>(request: &'a Request, name: &str) -> Cow<'a, str> {
    let parameters = request.path_parameters_ref();
    let value = parameters.and_then(|parameters| parameters.first(name)).unwrap_or_default();
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(_)) => {
            percent_decode_str(value).decode_utf8().unwrap_or(Cow::Borrowed(value))
        }
        _ => Cow::Borrowed(value),
    }
}

/// The gateway's id of the request, which the gateway also sends to the client (`apigw-requestid`).
#[must_use]
pub fn request_id(request: &Request) -> Option<String> {
    match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_id.clone(),
        RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
        _ => None,
    }
}

/// The time at which the gateway received the request, in ms since the Unix epoch; `None` if the
/// gateway does not give it.
#[must_use]
pub fn gateway_time_ms(request: &Request) -> Option<u64> {
    let ms = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => context.request_time_epoch,
        RequestContext::ApiGatewayV2(context) => context.time_epoch,
        _ => return None,
    };
    u64::try_from(ms).ok().filter(|ms| *ms > 0)
}

/// The paths of a resource and its operations, as the client sees them: with the stage or base path
/// of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Paths {
    resource: String,
}

impl Paths {
    /// The paths of the resource `id`. The path of the request is `below` segments longer than that
    /// of the resource.
    #[must_use]
    pub fn of<R: Resource>(request: &Request, id: &ResourceId, below: usize) -> Self {
        let path = match request.request_context_ref() {
            Some(RequestContext::ApiGatewayV1(context)) => context.path.as_deref(),
            _ => None,
        };
        let path = path.unwrap_or_else(|| request.raw_http_path());
        let prefix = prefix(path, segments::<R>() + below);
        let prefix = utf8_percent_encode(prefix, NOT_IN_A_HEADER);
        Self { resource: format!("{prefix}{}", path_of::<R>(id)) }
    }

    /// The path of the resource.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    /// The path of the status of the operation with this receipt.
    #[must_use]
    pub fn operation(&self, receipt: &str) -> String {
        format!("{}/operations/{receipt}", self.resource)
    }
}

/// The part of a path before its last `segments`. A gateway may accept a slash at the end.
fn prefix(path: &str, segments: usize) -> &str {
    let path = path.trim_end_matches('/');
    path.rmatch_indices('/').nth(segments - 1).map_or("", |(at, _)| &path[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::tests::{http_request, rest_request};
    use rules::resource::Example;

    struct User;

    impl Resource for User {
        const PATH: &'static str = "/users/{id}";
        const OWNER: &'static str = "id";
        const EXAMPLE: Example = Example { parameters: &["42"], body: "{}" };
    }

    #[test]
    fn a_request_names_its_target() {
        let id = ResourceId::new("ada").unwrap();
        // The context of a REST API gives the path with the stage.
        for (request, expected) in [
            (http_request("PUT", "null"), "/users/ada/operations/r"),
            (rest_request("{}", "null"), "/prod/users/ada/operations/r"),
        ] {
            assert_eq!(
                (&*parameter(&request, "id"), &*parameter(&request, "receipt")),
                ("ada", "")
            );
            assert_eq!(gateway_time_ms(&request), Some(7));
            assert_eq!(Paths::of::<User>(&request, &id, 0).operation("r"), expected);
        }
    }

    #[test]
    fn the_prefix_is_what_stands_before_the_path() {
        for (path, segments, expected) in [
            ("/users/42", 2, ""),
            ("/prod/users/42/", 2, "/prod"),
            ("/users/42/operations/r/", 4, ""),
            ("/v1/users/resources/operations/r", 4, "/v1"),
            ("", 2, ""),
        ] {
            assert_eq!(prefix(path, segments), expected, "{path}");
        }
    }
}
