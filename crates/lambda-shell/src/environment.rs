//! The environment variables of a function, set by `template.yaml` and by Lambda.

use std::env;
use std::fmt;

pub use aws_calls::http_client;
use aws_calls::{Account, config};
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::SdkConfig;
use rules::{ReceiptKey, ReceiptKeys, Resource};

use crate::Access;

/// A variable is missing or has no valid value.
#[derive(Debug)]
pub struct Invalid {
    name: String,
    reason: &'static str,
}

impl Invalid {
    /// The variable `name` is not valid, for this reason, such as "must be a URL".
    #[must_use]
    pub fn new(name: &str, reason: &'static str) -> Self {
        Self { name: name.to_owned(), reason }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, reason } = self;
        write!(
            f,
            "environment variable {name} {reason}; template.yaml and .local/stack.env show what it must be"
        )
    }
}

impl std::error::Error for Invalid {}

/// The value of `name`.
///
/// # Errors
/// [`Invalid`] if it is missing or empty.
pub fn required(name: &str) -> Result<String, Invalid> {
    optional(name).ok_or_else(|| Invalid::new(name, "is missing or empty"))
}

/// The value of `name`, which must be one of the `choices`.
///
/// # Errors
/// [`Invalid`]
pub fn one_of<T: Copy>(name: &str, choices: &[(&str, T)]) -> Result<T, Invalid> {
    let value = required(name)?;
    let chosen = choices.iter().find(|(text, _)| *text == value);
    chosen.map(|(_, choice)| *choice).ok_or_else(|| Invalid::new(name, "has an unknown value"))
}

/// The keys of receipts: `RECEIPT_KEY` signs, and `OTHER_RECEIPT_KEY`, if it is set, is the next or
/// the previous signing key.
///
/// # Errors
/// [`Invalid`]
pub fn receipt_keys() -> Result<ReceiptKeys, Invalid> {
    let name = "OTHER_RECEIPT_KEY";
    let other = optional(name).map(|secret| key(name, &secret)).transpose()?;
    Ok(ReceiptKeys { current: key("RECEIPT_KEY", &required("RECEIPT_KEY")?)?, other })
}

/// Who may call the functions, from `AUTH_MODE` and `ADMIN_SCOPE`.
///
/// # Errors
/// [`Invalid`]
pub fn access<R: Resource>() -> Result<Access, Invalid> {
    let (owner, admin_scope) = (R::OWNER, optional("ADMIN_SCOPE"));
    match required("AUTH_MODE")?.as_str() {
        "iam" => Ok(Access::Iam),
        "jwt" => Ok(Access::Jwt { owner, admin_scope }),
        "none" => Ok(Access::Everyone),
        _ => Err(Invalid::new("AUTH_MODE", "has an unknown value")),
    }
}

/// Settings for the client of a service over `http_client`, from the variables that Lambda sets.
///
/// `AWS_ENDPOINT_URL_<SERVICE>` or `AWS_ENDPOINT_URL` replaces AWS's own endpoint
/// (<https://docs.aws.amazon.com/sdkref/latest/guide/feature-ss-endpoints.html>). The SDK's own
/// default chain would also read files and ask the instance's metadata service; a function has
/// neither.
///
/// # Errors
/// [`Invalid`]
pub fn aws(service: &str, http_client: &SharedHttpClient) -> Result<SdkConfig, Invalid> {
    let region = optional("AWS_REGION").or_else(|| optional("AWS_DEFAULT_REGION"));
    let credentials = Credentials::new(
        required("AWS_ACCESS_KEY_ID")?,
        required("AWS_SECRET_ACCESS_KEY")?,
        optional("AWS_SESSION_TOKEN"),
        None,
        "environment",
    );
    let endpoint_url = optional(&format!("AWS_ENDPOINT_URL_{service}"));
    let account = Account {
        region: region.ok_or_else(|| Invalid::new("AWS_REGION", "is missing or empty"))?,
        credentials,
        endpoint_url: endpoint_url.or_else(|| optional("AWS_ENDPOINT_URL")),
    };
    Ok(config(account, http_client.clone()))
}

fn key(name: &str, secret: &str) -> Result<ReceiptKey, Invalid> {
    ReceiptKey::new(secret.as_bytes()).ok_or_else(|| Invalid::new(name, "is shorter than 32 bytes"))
}

/// The value of `name`; `None` if it is missing or empty.
#[must_use]
pub fn optional(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}
