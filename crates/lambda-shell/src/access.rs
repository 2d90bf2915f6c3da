//! The callers that the functions answer: the template's `AuthMode`, checked again behind the gateway.
//!
//! The gateway verifies signatures, tokens and policies. This module refuses a request without a
//! verified identity, which may come over a route that was left open, and a token for another
//! owner.

use lambda_http::Request;
use rules::{Problem, ProblemType, ResourceId};

use crate::caller::{Claims, iam_name};
use crate::target::parameter;

/// The callers that the functions answer.
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
        "The token is for another {owner}; send one with the {owner} in the path as its sub."
    );
    Err(refused(detail))
}

fn refused(detail: impl Into<String>) -> Problem {
    Problem::new(ProblemType::Forbidden, detail).field("Authorization")
}

/// A route is open; only an operator can fix this.
fn no_identity() -> Problem {
    let detail = "The gateway sent no identity with the request; tell the operator of this API that the route is open.";
    Problem::new(ProblemType::Forbidden, detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::tests::{http_request, rest_request};

    const IAM: &str = r#"{"iam":{"userArn":"arn:aws:iam::1:user/a"}}"#;

    fn of_token(claims: &str) -> String {
        format!(r#"{{"jwt":{{"claims":{claims}}}}}"#)
    }

    fn jwt() -> Access {
        Access::Jwt { owner: "id", admin_scope: Some("things:admin".to_owned()) }
    }

    #[test]
    fn a_caller_without_the_promised_identity_is_refused() {
        let token = of_token(r#"{"sub":"42"}"#);
        for (access, authorizer, passes) in [
            (Access::Everyone, "null", true),
            (Access::Iam, IAM, true),
            (Access::Iam, "null", false),
            (Access::Iam, r#"{"iam":{"userArn":""}}"#, false),
            (Access::Iam, &token, false),
            (jwt(), &token, true),
            (jwt(), "null", false),
            (jwt(), IAM, false),
            (jwt(), r#"{"lambda":{"sub":"42"}}"#, false),
        ] {
            let checked = access.check(&http_request("PUT", authorizer));
            let kind = checked.as_ref().err().map(Problem::problem_type);
            let expected = (!passes).then_some(ProblemType::Forbidden);
            assert_eq!(kind, expected, "{access:?} {authorizer}");
        }
    }

    #[test]
    fn a_rest_api_hands_the_same_identities_over() {
        let (arn, token) = (r#"{"userArn":"arn:aws:iam::1:user/a"}"#, r#"{"claims":{"sub":"42"}}"#);
        assert!(Access::Iam.check(&rest_request(arn, "null")).is_ok());
        assert!(Access::Iam.check(&rest_request("{}", token)).is_err());
        assert!(jwt().check(&rest_request("{}", token)).is_ok());
        assert!(jwt().check(&rest_request(arn, "null")).is_err());
        assert!(jwt().check(&rest_request("{}", r#"{"claims":{"sub":"43"}}"#)).is_err());
    }

    #[test]
    fn a_token_is_for_the_resource_that_its_sub_names() {
        for (claims, passes) in [
            (r#"{"sub":"42"}"#, true),
            (r#"{"sub":"42","token_use":"access"}"#, true),
            (r#"{"sub":"42","token_use":"id"}"#, false),
            (r#"{"sub":"421"}"#, false),
            (r#"{"sub":" 42"}"#, false),
            (r#"{"sub":"%34%32"}"#, false),
            (r#"{"sub":"43","scope":"resources:write"}"#, false),
            (r#"{"sub":"43","scope":"openid things:admin"}"#, true),
            (r#"{"sub":"43","scp":"[things:admin]"}"#, true),
            (r#"{"sub":"43","scope":"Things:Admin"}"#, false),
            (r#"{"sub":"43","scope":"things:admin","token_use":"id"}"#, false),
            // Nobody's token, whatever else it holds.
            ("{}", false),
            (r#"{"sub":"","scope":"things:admin"}"#, false),
            (r#"{"scope":"things:admin"}"#, false),
        ] {
            let checked = jwt().check(&http_request("PUT", &of_token(claims)));
            assert_eq!(checked.is_ok(), passes, "{claims}");
        }
    }

    #[test]
    fn a_sub_is_compared_letter_by_letter() {
        let of = |sub| {
            let json = serde_json::json!({ "sub": sub });
            let claims = json.as_object().unwrap().iter();
            claims.map(|(name, sub)| (name.clone(), sub.as_str().unwrap().to_owned())).collect()
        };
        for (sub, passes) in [("Ada", true), ("ada", false), ("ADA", false)] {
            let claims = of(sub);
            let checked = check_token(&Claims::Http(&claims), ("id", "Ada"), None);
            assert_eq!(checked.is_ok(), passes, "{sub}");
        }
    }

    #[test]
    fn a_sub_that_cannot_be_an_id_is_named() {
        for (sub, told) in
            [("a b", "' '"), ("a/b", "'/'"), (&"x".repeat(200), "200"), ("43", "another id")]
        {
            let claims = of_token(&format!(r#"{{"sub":"{sub}"}}"#));
            let problem = jwt().check(&http_request("PUT", &claims)).unwrap_err();
            assert!(problem.detail().contains(told), "{problem:?}");
        }
    }

    #[test]
    fn without_an_admin_scope_no_token_is_good_for_every_resource() {
        let access = Access::Jwt { owner: "id", admin_scope: None };
        let foreign = of_token(r#"{"sub":"43","scope":"things:admin"}"#);
        assert!(access.check(&http_request("PUT", &foreign)).is_err());
    }
}
