//! The settings of every AWS client.

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::region::Region;

/// The region, credentials and endpoint of calls.
#[derive(Clone, Debug)]
pub struct Account {
    /// The AWS region.
    pub region: String,
    /// The credentials of the function's role.
    pub credentials: Credentials,
    /// An endpoint in place of AWS's own, such as `http://127.0.0.1:4566`.
    pub endpoint_url: Option<String>,
}

/// Settings for AWS clients that use `account` and `http_client`.
///
/// The SDK's own retries are off: the caller must know whether an earlier attempt may have landed,
/// so it makes each attempt itself. The SDK's timeouts are off too: those of the HTTP client show
/// which connection failed.
#[must_use]
pub fn config(account: Account, http_client: SharedHttpClient) -> SdkConfig {
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(account.region))
        .credentials_provider(SharedCredentialsProvider::new(account.credentials))
        .http_client(http_client)
        .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
        .retry_config(RetryConfig::disabled())
        .timeout_config(TimeoutConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    builder.set_endpoint_url(account.endpoint_url);
    builder.build()
}
