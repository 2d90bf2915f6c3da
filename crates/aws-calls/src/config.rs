//! The settings of every AWS client.

use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// Longest time to open a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest time for one call. Three calls for one thing, with their pauses, fit into the
/// timeouts of the functions (15, 29 and 30 s).
const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// The certificate authorities of every AWS endpoint outside China (Amazon Trust
/// Services). Reading the whole store of the system takes most of a start-up.
const ROOTS: &[u8] = include_bytes!("amazon-trust-services.pem");

/// Where calls go, and as whom.
#[derive(Clone, Debug)]
pub struct Account {
    /// The AWS region.
    pub region: String,
    /// The credentials of the function's role.
    pub credentials: Credentials,
    /// Another endpoint than AWS's own, such as `http://127.0.0.1:4566`.
    pub endpoint_url: Option<String>,
}

/// Settings for the clients of `account`.
///
/// The SDK's own retries are off: whoever calls must know whether an earlier attempt
/// may have landed, so each attempt is a call of its own.
#[must_use]
pub fn config(account: Account) -> SdkConfig {
    let is_plain = account.endpoint_url.as_ref().is_some_and(|url| url.starts_with("http://"));
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(CALL_TIMEOUT);
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(account.region))
        .credentials_provider(SharedCredentialsProvider::new(account.credentials))
        .http_client(http_client(is_plain))
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts.build())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    builder.set_endpoint_url(account.endpoint_url);
    builder.build()
}

fn http_client(is_plain: bool) -> SharedHttpClient {
    let client = aws_smithy_http_client::Builder::new();
    if is_plain {
        return client.build_http();
    }
    let roots = TrustStore::empty().with_pem_certificate(ROOTS);
    let client = client.tls_provider(Provider::Rustls(CryptoMode::Ring));
    match TlsContext::builder().with_trust_store(roots).build() {
        Ok(context) => client.tls_context(context).build_https(),
        Err(error) => unreachable!("the embedded certificates are valid: {error}"),
    }
}
