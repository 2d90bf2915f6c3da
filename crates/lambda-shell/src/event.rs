//! The event of a gateway, without the parts that no function reads. `lambda_http` parses the
//! query, the host, the scheme and a base64 body, and panics if one is malformed.

use http::header::HOST;
use http::{HeaderName, HeaderValue, Method};
use lambda_http::aws_lambda_events::apigw::ApiGatewayV2httpRequest;
use lambda_http::request::LambdaRequest;
use rules::{Problem, ProblemType};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// A request from an HTTP API (payload 2.0) or a REST API (1.0), read from any JSON.
#[derive(Debug)]
pub struct GatewayEvent {
    pub(crate) request: LambdaRequest,
    /// The problem to answer with, if the request is malformed.
    pub(crate) problem: Option<Problem>,
}

/// Longest request path, in bytes, from which the paths in an answer are derived. A gateway accepts
/// 10 KB.
const MAX_PATH: usize = 16 * 1024;

impl<'de> Deserialize<'de> for GatewayEvent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let event = Box::<RawValue>::deserialize(deserializer)?;
        Ok(Self::read(event.get()))
    }
}

impl GatewayEvent {
    fn read(event: &str) -> Self {
        let request = parse(event).or_else(|| parse(&essential(event)?.to_string()));
        let Some(mut request) = request else {
            let request = LambdaRequest::ApiGatewayV2(ApiGatewayV2httpRequest::default());
            let detail = "The request cannot be read; send it as HTTP/1.1 defines it.";
            let problem = Some(Problem::new(ProblemType::MalformedRequest, detail));
            return Self { request, problem };
        };
        let problem = tidy(&mut request).err();
        Self { request, problem }
    }
}

fn parse(event: &str) -> Option<LambdaRequest> {
    let http = || serde_json::from_str(event).map(LambdaRequest::ApiGatewayV2).ok();
    // Every HTTP API begins its events like this, so the other form need not be tried first.
    if event.starts_with(r#"{"version":"2.0""#) {
        return http();
    }
    let rest = serde_json::from_str(event).map(LambdaRequest::ApiGatewayV1).ok();
    rest.or_else(http)
}

/// Drops the parts that no function reads, and decodes the body.
fn tidy(request: &mut LambdaRequest) -> Result<(), Problem> {
    match request {
        LambdaRequest::ApiGatewayV1(request) => {
            // A REST API sends every header field twice: with all its values, and with the last
            // value only. `lambda_http` would use the last value only.
            if !request.multi_value_headers.is_empty() {
                request.headers.clear();
            }
            request.headers.remove(HOST);
            request.multi_value_headers.remove(HOST);
            request.query_string_parameters = Default::default();
            request.multi_value_query_string_parameters = Default::default();
            // `lambda_http` would put the stage before the path, which has it already.
            request.request_context.stage = None;
            request.request_context.domain_name = None;
            tidy_path(&mut request.path);
            decode(&mut request.body, &mut request.is_base64_encoded)
        }
        LambdaRequest::ApiGatewayV2(request) => {
            request.headers.remove(HOST);
            request.raw_query_string = None;
            request.query_string_parameters = Default::default();
            request.cookies = None;
            // `lambda_http` would put the stage before the path, which has it already.
            request.request_context.stage = None;
            request.request_context.domain_name = None;
            tidy_path(&mut request.raw_path);
            decode(&mut request.body, &mut request.is_base64_encoded)
        }
        _ => Ok(()),
    }
}

fn tidy_path(path: &mut Option<String>) {
    let is_sane = |path: &String| path.starts_with('/') && path.len() <= MAX_PATH;
    *path = path.take().filter(is_sane).or_else(|| Some("/".to_owned()));
}

/// Decodes a base64 body. A body that is not UTF-8 stays encoded, and is refused later with the
/// place of the first wrong byte.
fn decode(body: &mut Option<String>, is_base64: &mut bool) -> Result<(), Problem> {
    use base64::Engine;
    let Some(encoded) = body.as_deref().filter(|_| *is_base64) else { return Ok(()) };
    match base64::engine::general_purpose::STANDARD.decode(encoded).map(String::from_utf8) {
        Ok(Ok(text)) => (*body, *is_base64) = (Some(text), false),
        Ok(Err(_)) => {}
        Err(_) => {
            (*body, *is_base64) = (None, false);
            let detail = "The body is marked as base64 but is not base64; send it again.";
            return Err(Problem::new(ProblemType::MalformedRequest, detail).field("body"));
        }
    }
    Ok(())
}

/// The parts of an event that the functions read, in a form that can be parsed. This is for an
/// event in which a header field, a claim or another part does not have the form that AWS
/// documents.
fn essential(event: &str) -> Option<Value> {
    let event: Value = serde_json::from_str(event).ok()?;
    let context = &event["requestContext"];
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let method = text(&event["httpMethod"]).or_else(|| text(&context["http"]["method"]));
    let method = method.filter(|method| Method::from_bytes(method.as_bytes()).is_ok())?;
    let multi_value = event["multiValueHeaders"].as_object().into_iter().flatten();
    let multi_value: Map<_, _> =
        multi_value.map(|(name, values)| (name.clone(), valid_values(name, values))).collect();
    let headers = event["headers"].as_object().into_iter().flatten();
    let headers: Map<_, _> = headers
        .filter(|(name, value)| value.as_str().is_some_and(|value| is_valid(name, value)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let multi_value: Map<_, _> =
        multi_value.into_iter().filter(|(name, _)| is_valid(name, "")).collect();
    let parameters: Map<_, _> = texts(&event["pathParameters"]);
    let is_base64 = event["isBase64Encoded"].as_bool().unwrap_or_default();
    let (stage, request_id) = (text(&context["stage"]), text(&context["requestId"]));
    let authorizer = &context["authorizer"];
    if event["httpMethod"].is_string() {
        let identity = texts(&context["identity"]);
        let keep = |name: &&str| identity.contains_key(*name);
        let named = ["cognitoIdentityId", "userArn"].into_iter().filter(keep);
        let identity: Map<_, _> =
            named.map(|name| (name.to_owned(), identity[name].clone())).collect();
        return Some(json!({
            "httpMethod": method, "path": text(&event["path"]), "headers": headers,
            "multiValueHeaders": multi_value, "pathParameters": parameters,
            "body": text(&event["body"]), "isBase64Encoded": is_base64,
            "requestContext": {
                "httpMethod": method, "path": text(&context["path"]), "stage": stage,
                "requestId": request_id, "identity": identity,
                "requestTimeEpoch": context["requestTimeEpoch"].as_i64().unwrap_or_default(),
                "authorizer": {
                    "principalId": text(&authorizer["principalId"]),
                    "claims": texts(&authorizer["claims"]),
                },
            },
        }));
    }
    let cognito = text(&authorizer["iam"]["cognitoIdentity"]["identityId"]);
    let iam = json!({
        "userArn": text(&authorizer["iam"]["userArn"]),
        "cognitoIdentity": cognito.map(|id| json!({ "amr": [], "identityId": id })),
    });
    let jwt = json!({ "claims": texts(&authorizer["jwt"]["claims"]) });
    let principal = json!({ "principalId": text(&authorizer["lambda"]["principalId"]) });
    let given = |name: &str, value: Value| authorizer[name].is_object().then_some(value);
    Some(json!({
        "version": "2.0", "rawPath": text(&event["rawPath"]), "headers": headers,
        "pathParameters": parameters, "body": text(&event["body"]), "isBase64Encoded": is_base64,
        "requestContext": {
            "stage": stage, "requestId": request_id,
            "timeEpoch": context["timeEpoch"].as_i64().unwrap_or_default(),
            "http": { "method": method, "path": text(&context["http"]["path"]) },
            "authorizer": {
                "iam": given("iam", iam), "jwt": given("jwt", jwt),
                "lambda": given("lambda", principal),
            },
        },
    }))
}

fn is_valid(name: &str, value: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok()
}

fn valid_values(name: &str, values: &Value) -> Value {
    let values = values.as_array().into_iter().flatten();
    let is_valid = |value: &&Value| value.as_str().is_some_and(|value| is_valid(name, value));
    values.filter(is_valid).cloned().collect()
}

/// The members of an object as strings. A claim may be a number, a boolean or a list; a list is
/// written as an HTTP API writes it, `[a b]`.
fn texts(object: &Value) -> Map<String, Value> {
    let text = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(list) => {
            let list: Vec<_> = list.iter().filter_map(Value::as_str).collect();
            Some(format!("[{}]", list.join(" ")))
        }
        Value::Null | Value::Object(_) => None,
    };
    let members = object.as_object().into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), text(value)?.into()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(event: &Value) -> GatewayEvent {
        GatewayEvent::read(&event.to_string())
    }

    #[test]
    fn claims_that_are_not_text_are_read_as_text() {
        let event = json!({
            "version": "2.0", "rawPath": "/things/42", "headers": { "a": "b", "c d": "e" },
            "requestContext": {
                "http": { "method": "PUT", "path": "/things/42" }, "timeEpoch": 7,
                "authorizer": { "jwt": { "claims": {
                    "sub": "42", "email_verified": true, "exp": 7, "scp": ["a", "b"], "x": null,
                } } },
            },
        });
        let event = read(&event);
        assert!(event.problem.is_none(), "{event:?}");
        let LambdaRequest::ApiGatewayV2(request) = event.request else { panic!() };
        let jwt = request.request_context.authorizer.unwrap().jwt.unwrap();
        let claims: Vec<_> = ["sub", "email_verified", "exp", "scp", "x"]
            .map(|name| jwt.claims.get(name).map(String::as_str))
            .into();
        assert_eq!(claims, [Some("42"), Some("true"), Some("7"), Some("[a b]"), None]);
        assert_eq!(request.headers.len(), 1);
    }

    #[test]
    fn a_body_that_is_not_base64_is_a_problem() {
        for (body, expected) in [("e30=", Some("{}")), ("e30", None), ("=", None), ("{}", None)] {
            let event = json!({
                "httpMethod": "PUT", "path": "/things/42", "headers": {}, "body": body,
                "multiValueHeaders": {}, "isBase64Encoded": true,
                "requestContext": { "httpMethod": "PUT" },
            });
            let event = read(&event);
            assert_eq!(event.problem.is_some(), expected.is_none(), "{body}: {event:?}");
            let LambdaRequest::ApiGatewayV1(request) = event.request else { panic!() };
            assert_eq!((request.body.as_deref(), request.is_base64_encoded), (expected, false));
        }
    }

    #[test]
    fn anything_else_is_unreadable() {
        for event in [json!(null), json!([]), json!({}), json!({ "httpMethod": "G T" })] {
            let problem = read(&event).problem.map(|problem| problem.problem_type());
            assert_eq!(problem, Some(ProblemType::MalformedRequest), "{event}");
        }
    }
}
