//! The one request that a call of the SDK makes.

use std::sync::{Arc, Mutex};

use aws_calls::Account;
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_types::SdkConfig;
use serde_json::Value;

/// Keeps the request and fails the call.
#[derive(Clone, Debug, Default)]
struct Capture(Arc<Mutex<Option<HttpRequest>>>);

impl HttpConnector for Capture {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        *self.0.lock().unwrap() = Some(request);
        HttpConnectorFuture::ready(Err(ConnectorError::other("captured".into(), None)))
    }
}

/// The action and the parameters of the one request that `call` makes.
pub async fn request_of<F: Future>(call: impl FnOnce(SdkConfig) -> F) -> (String, Value) {
    let capture = Capture::default();
    let connector = SharedHttpConnector::new(capture.clone());
    let account = Account {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new("test", "test", None, None, "test"),
        endpoint_url: Some("http://127.0.0.1:1".to_owned()),
    };
    call(aws_calls::config(account, http_client_fn(move |_, _| connector.clone()))).await;
    let request = capture.0.lock().unwrap().take().unwrap();
    let target = request.headers().get("x-amz-target").unwrap();
    let action = target.rsplit('.').next().unwrap().to_owned();
    (action, serde_json::from_slice(request.body().bytes().unwrap()).unwrap())
}
