//! The caller of a request, as the gateway's authorizer identified it.

use std::collections::HashMap;

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};
use serde_json::Value;

/// The name of the caller for its idempotency keys; empty without an authorizer.
///
/// For AWS credentials it is the Amazon Cognito identity or, without one, the ARN. The session of
/// an assumed role is left out, since a program gets a new session when it restarts. For a token it
/// is the issuer and the subject.
#[must_use]
pub fn caller(request: &Request) -> String {
    if let Some(name) = iam_name(request) {
        return name;
    }
    if let Some(claims) = Claims::of(request) {
        return format!("{} {}", claims.get("iss"), claims.get("sub"));
    }
    principal(request).unwrap_or_default().to_owned()
}

/// The name of the caller, if the request is signed with AWS credentials.
pub(crate) fn iam_name(request: &Request) -> Option<String> {
    let (cognito_identity, arn) = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => {
            let identity = &context.identity;
            (identity.cognito_identity_id.as_deref(), identity.user_arn.as_deref())
        }
        RequestContext::ApiGatewayV2(context) => {
            let iam = context.authorizer.as_ref()?.iam.as_ref()?;
            let cognito = iam.cognito_identity.as_ref();
            (cognito.and_then(|cognito| cognito.identity_id.as_deref()), iam.user_arn.as_deref())
        }
        _ => return None,
    };
    let named = |name: &&str| !name.is_empty();
    cognito_identity
        .filter(named)
        .or_else(|| arn.filter(named).map(without_session))
        .map(str::to_owned)
}

/// `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION` up to the role.
fn without_session(arn: &str) -> &str {
    match arn.rsplit_once('/') {
        Some((role, _)) if arn.contains(":assumed-role/") => role,
        _ => arn,
    }
}

/// The claims of the token that the gateway verified.
#[derive(Debug)]
pub(crate) enum Claims<'a> {
    /// In the form of an HTTP API.
    Http(&'a HashMap<String, String>),
    /// In the form of a REST API, for Amazon Cognito.
    Rest(&'a Value),
}

impl<'a> Claims<'a> {
    pub(crate) fn of(request: &'a Request) -> Option<Self> {
        match request.request_context_ref()? {
            RequestContext::ApiGatewayV1(context) => {
                context.authorizer.fields.get("claims").map(Self::Rest)
            }
            RequestContext::ApiGatewayV2(context) => {
                let jwt = context.authorizer.as_ref()?.jwt.as_ref()?;
                Some(Self::Http(&jwt.claims))
            }
            _ => None,
        }
    }

    /// The text of a claim; empty if it is absent.
    pub(crate) fn get(&self, name: &str) -> &'a str {
        let claim = match self {
            Self::Http(claims) => claims.get(name).map(String::as_str),
            Self::Rest(claims) => claims[name].as_str(),
        };
        claim.unwrap_or_default()
    }

    /// Whether a scope was granted, in the claim `scope` or `scp`.
    pub(crate) fn grant(&self, scope: &str) -> bool {
        ["scope", "scp"].into_iter().any(|name| {
            let text = self.get(name);
            // The gateway writes an array as [a b].
            let array = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            array.unwrap_or(text).split_ascii_whitespace().any(|granted| granted == scope)
        })
    }
}

/// The name that a Lambda authorizer gave the caller.
fn principal(request: &Request) -> Option<&str> {
    let authorizer = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => &context.authorizer,
        RequestContext::ApiGatewayV2(context) => context.authorizer.as_ref()?,
        _ => return None,
    };
    authorizer.fields.get("principalId")?.as_str()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A request for the resource ada from an HTTP API, with this authorizer.
    pub(crate) fn http_request(method: &str, authorizer: &str) -> Request {
        let event = format!(
            r#"{{"version":"2.0","routeKey":"{method} /users/{{id}}","rawPath":"/users/ada","rawQueryString":"",
            "headers":{{}},"requestContext":{{"stage":"$default","timeEpoch":7,"authorizer":{authorizer},
            "http":{{"method":"{method}","path":"/users/ada","protocol":"HTTP/1.1","sourceIp":"::1","userAgent":""}}}},
            "pathParameters":{{"id":"ada"}},"isBase64Encoded":false}}"#
        );
        lambda_http::request::from_str(&event).unwrap()
    }

    /// The same from a REST API, with this identity too.
    pub(crate) fn rest_request(identity: &str, authorizer: &str) -> Request {
        let event = format!(
            r#"{{"resource":"/users/{{id}}","path":"/users/ada","httpMethod":"PUT","headers":{{}},
            "multiValueHeaders":{{}},"queryStringParameters":{{}},"multiValueQueryStringParameters":{{}},
            "pathParameters":{{"id":"ada"}},"stageVariables":{{}},"body":"","isBase64Encoded":false,
            "requestContext":{{"httpMethod":"PUT","path":"/prod/users/ada","requestTimeEpoch":7,
            "identity":{identity},"authorizer":{authorizer}}}}}"#
        );
        lambda_http::request::from_str(&event).unwrap()
    }

    #[test]
    fn the_authorizer_names_the_caller() {
        let arn = "arn:aws:sts::1:assumed-role/r";
        let assumed = format!(r#"{{"userArn":"{arn}/session","cognitoIdentity":null}}"#);
        let cognito = format!(
            r#"{{"userArn":"{arn}/s","cognitoIdentityId":"eu-west-1:7","cognitoIdentity":{{"amr":[],"identityId":"eu-west-1:7"}}}}"#
        );
        let user = r#"{"userArn":"arn:aws:iam::1:user/a/b"}"#;
        for (identity, expected) in
            [(&*assumed, arn), (&cognito, "eu-west-1:7"), (user, "arn:aws:iam::1:user/a/b")]
        {
            let http = http_request("PUT", &format!(r#"{{"iam":{identity}}}"#));
            let rest = rest_request(identity, "null");
            assert_eq!([caller(&http), caller(&rest)], [expected; 2], "{identity}");
        }
        let token = r#"{"claims":{"iss":"https://i","sub":"s"}}"#;
        for (of_http, of_rest, expected) in [
            ("null", "null", ""),
            (&*format!(r#"{{"jwt":{token}}}"#), token, "https://i s"),
            (r#"{"lambda":{"principalId":"p"}}"#, r#"{"principalId":"p"}"#, "p"),
        ] {
            let (http, rest) = (http_request("PUT", of_http), rest_request("{}", of_rest));
            assert_eq!([caller(&http), caller(&rest)], [expected; 2], "{of_http}");
        }
    }
}
