//! The HTTP client under every AWS client: HTTP/1.1 over TLS, nothing else. The SDK's own
//! brings HTTP/2, proxies and the system's certificates (ARCHITECTURE.md, decision 19).

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

/// Longest time to open a connection, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The certificate authorities of Amazon Trust Services
/// (<https://www.amazontrust.com/repository/>). Those of China and of the European Sovereign Cloud
/// are others; the latter's are cross-signed by three of these (not confirmed to work). Reading
/// the whole store of the system takes most of a start-up, and decoding these from PEM would take a
/// fifth.
const ROOTS: [&[u8]; 5] = [
    include_bytes!("roots/AmazonRootCA1.cer"),
    include_bytes!("roots/AmazonRootCA2.cer"),
    include_bytes!("roots/AmazonRootCA3.cer"),
    include_bytes!("roots/AmazonRootCA4.cer"),
    include_bytes!("roots/SFSRootCAG2.cer"),
];

/// A client with connections of its own, which the clients of all services share.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    let mut client = Client::builder(TokioExecutor::new());
    let client = client.pool_timer(TokioTimer::new()).build(Connect(connector()));
    let connector = SharedHttpConnector::new(Http(client));
    http_client_fn(move |_, _| connector.clone())
}

fn connector() -> HttpsConnector<TcpConnector> {
    let mut tcp = TcpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    HttpsConnectorBuilder::new()
        .with_tls_config(tls())
        .https_or_http()
        .enable_http1()
        .wrap_connector(tcp)
}

#[expect(
    clippy::expect_used,
    reason = "ring has all that TLS 1.2 and 1.3 need; a test reads the roots"
)]
fn tls() -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for root in ROOTS {
        roots.add(CertificateDer::from(root)).expect("a root");
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// The SDK's view of the client.
#[derive(Debug)]
struct Http(Client<Connect, SdkBody>);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let reply = match request.try_into_http1x() {
            Ok(request) => self.0.request(request),
            Err(error) => {
                return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into())));
            }
        };
        HttpConnectorFuture::new(async move {
            // Which error it is matters to the SDK's retries only, and these are off.
            let reply = reply.await.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(reply.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// Opens connections, in time.
#[derive(Clone, Debug)]
struct Connect(HttpsConnector<TcpConnector>);

impl Service<Uri> for Connect {
    type Response = <HttpsConnector<TcpConnector> as Service<Uri>>::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let opened = tokio::time::timeout(CONNECT_TIMEOUT, self.0.call(uri));
        Box::pin(async move { opened.await? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_read() {
        let _ = tls();
    }
}
