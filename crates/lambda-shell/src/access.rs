//! Who may call the functions: checks the template's `AuthMode` again, behind the gateway.
//!
//! The gateway verifies signatures, tokens and policies. This module refuses a request without a
//! verified identity, since a route may have been left open. It also refuses a token for another
//! owner.

use lambda_http::Request;
use rules::{Problem, ProblemType, ResourceId};

use crate::caller::{Claims, iam_name};
use crate::target::parameter;

/// Who may call the functions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Access {
    /// Callers with AWS credentials. Their policies say which resources they may use.
    Iam,
    /// Callers with a token, each for the resources of its `sub`.
    Jwt {
        /// The path parameter that `sub` must equal.
        owner: &'static str,
        /// A token with this scope may act on every resource.
        admin_scope: Option<String>,
    },
    /// Every caller.
    Everyone,
}

impl Access {
    /// Checks whether the caller may send a request for the resource in its path.
    ///
    /// # Errors
    /// [`ProblemType::Forbidden`]
    pub(crate) fn check(&self, request: &Request) -> Result<(), Problem> {
        match self {
            Self::Everyone => Ok(()),
            Self::Iam => iam_name(request).map(drop).ok_or_else(no_identity),
            Self::Jwt { owner, admin_scope } => {
                let claims = Claims::of(request).ok_or_else(no_identity)?;
                check_token(&claims, (owner, &parameter(request, owner)), admin_scope.as_deref())
            }
        }
    }
}

fn check_token(
    claims: &Claims<'_>,
    (owner, value): (&str, &str),
    admin_scope: Option<&str>,
) -> Result<(), Problem> {
    // The gateway does not distinguish Amazon Cognito's ID tokens, which are only for the client
    // itself, from its access tokens.
    if !matches!(claims.get("token_use"), "" | "access") {
        return Err(refused("The token is not an access token; send an access token."));
    }
    let subject = claims.get("sub");
    if subject.is_empty() {
        return Err(refused("The token has no sub; send a token that has one."));
    }
    if value == subject || admin_scope.is_some_and(|scope| claims.grant(scope)) {
        return Ok(());
    }
    if let Err(reason) = ResourceId::check_parameter(subject) {
        let detail = format!("The token's sub cannot be the {owner} in a path: {reason}.");
        return Err(refused(detail));
    }
    let detail = format!(
        "The token is for another {owner}; send one with a sub that equals the {owner} in the path."
    );
    Err(refused(detail))
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::Forbidden, detail).field("Authorization")
}

/// The problem of a request without an identity. A route is open; only an operator can fix this.
fn no_identity() -> Problem {
    let detail = "The gateway sent no identity with the request; tell the operator of this API that the route is open.";
    Problem::new(ProblemType::Forbidden, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::tests::{http_request, rest_request};

    const ARN: &str = r#"{"userArn":"arn:aws:iam::1:user/a"}"#;
    const NONE: &str = "null";

    fn jwt(admin_scope: Option<&str>) -> Access {
        Access::Jwt { owner: "id", admin_scope: admin_scope.map(str::to_owned) }
    }

    #[test]
    fn a_caller_without_the_promised_identity_is_refused() {
        let (iam, token) = (format!(r#"{{"iam":{ARN}}}"#), r#"{"claims":{"sub":"ada"}}"#);
        let http = |authorizer: &str| http_request("PUT", authorizer);
        let of_token = http(&format!(r#"{{"jwt":{token}}}"#));
        for (access, request, passes) in [
            (Access::Everyone, &http(NONE), true),
            (Access::Iam, &http(&iam), true),
            (Access::Iam, &http(NONE), false),
            (Access::Iam, &http(r#"{"iam":{"userArn":""}}"#), false),
            (Access::Iam, &of_token, false),
            (Access::Iam, &rest_request(ARN, NONE), true),
            (Access::Iam, &rest_request("{}", token), false),
            (jwt(None), &of_token, true),
            (jwt(None), &http(NONE), false),
            (jwt(None), &http(&iam), false),
            (jwt(None), &http(r#"{"lambda":{"sub":"ada"}}"#), false),
            (jwt(None), &rest_request("{}", token), true),
            (jwt(None), &rest_request(ARN, NONE), false),
            (jwt(None), &rest_request("{}", r#"{"claims":{"sub":"eve"}}"#), false),
        ] {
            let kind = access.check(request).err().map(|problem| problem.problem_type());
            let expected = (!passes).then_some(ProblemType::Forbidden);
            assert_eq!(kind, expected, "{access:?} {request:?}");
        }
    }

    #[test]
    fn a_token_is_for_the_resource_that_its_sub_names() {
        let long = format!(r#"{{"sub":"{}"}}"#, "x".repeat(200));
        for (claims, told) in [
            (r#"{"sub":"ada"}"#, None),
            (r#"{"sub":"ada","token_use":"access"}"#, None),
            (r#"{"sub":"ada","token_use":"id"}"#, Some("not an access token")),
            (r#"{"sub":"Ada"}"#, Some("another id")),
            (r#"{"sub":"adam"}"#, Some("another id")),
            (r#"{"sub":" ada"}"#, Some("' '")),
            (r#"{"sub":"a%64a"}"#, Some("'%'")),
            (&long, Some("200")),
            (r#"{"sub":"eve","scope":"openid all:admin"}"#, None),
            (r#"{"sub":"eve","scp":"all:admin"}"#, None),
            (r#"{"sub":"eve","scp":"[openid all:admin]"}"#, None),
            (r#"{"sub":"eve","scope":"all:admins call:admin s/all:admin"}"#, Some("another id")),
            (r#"{"sub":"eve","scope":"All:Admin"}"#, Some("another id")),
            (r#"{"sub":"eve","scope":""}"#, Some("another id")),
            (r#"{"sub":"eve","scope":"all:admin","token_use":"id"}"#, Some("access token")),
            // It belongs to no user, whatever else it contains.
            ("{}", Some("no sub")),
            (r#"{"sub":"","scope":"all:admin"}"#, Some("no sub")),
        ] {
            let request = http_request("PUT", &format!(r#"{{"jwt":{{"claims":{claims}}}}}"#));
            let checked = jwt(Some("all:admin")).check(&request);
            let detail = checked.err().map(|problem| problem.detail().to_owned());
            let is_told = detail.as_ref().zip(told).is_some_and(|(it, told)| it.contains(told));
            assert!(is_told || detail.is_none() && told.is_none(), "{claims}: {detail:?}");
            let is_own = claims.starts_with(r#"{"sub":"ada""#) && told.is_none();
            assert_eq!(jwt(None).check(&request).is_ok(), is_own, "{claims}");
        }
    }
}
