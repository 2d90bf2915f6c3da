//! Opens connections: HTTP/1.1 over TLS, within a time limit.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::body::SdkBody;
use http::Uri;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tower_service::Service;

/// Longest time to open a connection, including TLS.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The certificate authorities of Amazon Trust Services
/// (<https://www.amazontrust.com/repository/>). China and the European Sovereign Cloud have other
/// authorities. Three of the ones below cross-sign those of the European Sovereign Cloud; it is not
/// confirmed that this works. Reading the system's whole certificate store takes most of the
/// start-up time, and decoding these certificates from PEM would take a fifth of it.
pub(crate) const ROOTS: [&[u8]; 5] = [
    include_bytes!("roots/AmazonRootCA1.cer"),
    include_bytes!("roots/AmazonRootCA2.cer"),
    include_bytes!("roots/AmazonRootCA3.cer"),
    include_bytes!("roots/AmazonRootCA4.cer"),
    include_bytes!("roots/SFSRootCAG2.cer"),
];

/// Opens connections.
#[derive(Clone, Debug)]
pub(crate) struct Connector(HttpsConnector<TcpConnector>);

impl Connector {
    /// A connector that trusts these certificate authorities.
    pub(crate) fn trusting(roots: &[&[u8]]) -> Self {
        let mut tcp = TcpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let builder = HttpsConnectorBuilder::new().with_tls_config(tls(roots));
        Self(builder.https_or_http().enable_http1().wrap_connector(tcp))
    }

    /// Opens a connection to the host of `uri`, and starts the task that drives it.
    pub(crate) async fn open(&self, uri: Uri) -> Result<SendRequest<SdkBody>, BoxError> {
        let mut https = self.0.clone();
        let open = async {
            poll_fn(|context| https.poll_ready(context)).await?;
            https.call(uri).await
        };
        let stream = tokio::time::timeout(CONNECT_TIMEOUT, open).await??;
        let (sender, connection) = handshake(stream).await?;
        // The error may be dropped: the call on the connection gets it too.
        tokio::spawn(async { drop(connection.await) });
        Ok(sender)
    }
}

#[expect(
    clippy::expect_used,
    reason = "ring has all that TLS 1.2 and 1.3 need; a test reads the roots"
)]
fn tls(roots: &[&[u8]]) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(*root)).expect("a root");
    }
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("both versions")
        .with_root_certificates(store)
        .with_no_client_auth()
}
