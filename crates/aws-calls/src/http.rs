//! The HTTP client of every AWS client: HTTP/1.1 over TLS, nothing else. The SDK's own client
//! includes HTTP/2, proxies and the system's certificates (docs/decisions.md, 19), and does not
//! tell which connection failed.
//!
//! When a function thaws, its connections may be dead, and a host can be sick. So a failed call
//! closes its connection and all idle connections to the same host. The retry then uses a new
//! connection, or one that has answered since.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use http::header::HOST;
use http::uri::Authority;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::BodyExt;
use tokio::time::timeout;

use crate::connect::{Connector, ROOTS};
use crate::pool::{Connection, Origin, Pool};

/// Longest time for one call, from opening its connection to the last byte of the reply. Three
/// calls with their pauses fit into the timeouts of the functions (15, 29 and 30 s).
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// An HTTP client with its own connections. The clients of all services share it.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    client_over(Connector::trusting(&ROOTS))
}

pub(crate) fn client_over(connector: Connector) -> SharedHttpClient {
    let http = Http(Arc::new(Client { connector, pool: Pool::default() }));
    let connector = SharedHttpConnector::new(http);
    http_client_fn(move |_, _| connector.clone())
}

/// How far a call got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// There was no connection, so the request cannot have been sent.
    Connecting,
    /// The request was sent on a connection, either new or reused.
    Sent { reused: bool },
}

/// A call got no reply.
#[derive(Debug)]
pub(crate) struct NoReply {
    pub(crate) stage: Stage,
    source: BoxError,
}

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.stage {
            Stage::Connecting => "no connection",
            Stage::Sent { reused: false } => "no reply on a new connection",
            Stage::Sent { reused: true } => "no reply on a reused connection",
        })
    }
}

impl Error for NoReply {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}

/// Marks a server error that came on a reused connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ByReusedConnection;

/// The SDK's view of the client.
#[derive(Clone, Debug)]
struct Http(Arc<Client>);

impl HttpConnector for Http {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = Arc::clone(&self.0);
        HttpConnectorFuture::new(async move { client.call(request).await })
    }
}

#[derive(Debug)]
struct Client {
    connector: Connector,
    pool: Pool,
}

impl Client {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let capture = request.extension::<CaptureSmithyConnection>().cloned();
        let request = request.try_into_http1x();
        let request = request.map_err(|error| ConnectorError::user(error.into()))?;
        let origin = origin(request.uri());
        let origin = origin.ok_or_else(|| ConnectorError::user("the URI names no host".into()))?;
        let mut stage = Stage::Connecting;
        let exchange = timeout(CALL_TIMEOUT, self.exchange(&origin, request, &mut stage)).await;
        let (connection, mut reply) = match exchange.unwrap_or_else(|late| Err(late.into())) {
            Ok(exchanged) => exchanged,
            Err(source) => {
                if stage != Stage::Connecting {
                    self.pool.close(&origin);
                }
                // The kind of error matters only for the SDK's retries, which are off.
                return Err(ConnectorError::io(NoReply { stage, source }.into()));
            }
        };
        if let Some(capture) = capture {
            let is_unfit = Arc::clone(&connection.is_unfit);
            capture.set_connection_retriever(move || Some(metadata(&is_unfit)));
        }
        if reply.status().is_server_error() {
            self.pool.close(&origin);
            if stage == (Stage::Sent { reused: true }) {
                reply.extensions_mut().insert(ByReusedConnection);
            }
        } else {
            self.pool.keep(connection);
        }
        HttpResponse::try_from(reply).map_err(|error| ConnectorError::other(error.into(), None))
    }

    /// The whole reply to a request, and its connection.
    async fn exchange(
        &self,
        origin: &Origin,
        mut request: Request<SdkBody>,
        stage: &mut Stage,
    ) -> Result<(Connection, Response<SdkBody>), BoxError> {
        let uri = std::mem::take(request.uri_mut());
        request.headers_mut().insert(HOST, host(&uri)?);
        *request.uri_mut() = uri.path_and_query().cloned().map(Uri::from).unwrap_or_default();
        loop {
            let idle = self.pool.take(origin);
            let reused = idle.is_some();
            let mut connection = match idle {
                Some(connection) => connection,
                None => Connection {
                    origin: origin.clone(),
                    sender: self.connector.open(uri.clone()).await?,
                    is_unfit: Arc::default(),
                },
            };
            if reused && connection.sender.ready().await.is_err() {
                continue;
            }
            *stage = Stage::Sent { reused };
            let reply = match connection.sender.try_send_request(request).await {
                Ok(reply) => reply,
                Err(mut error) => {
                    // Nothing was sent, since the connection was closed before.
                    if let Some(unsent) = error.take_message() {
                        *stage = Stage::Connecting;
                        if reused {
                            request = unsent;
                            continue;
                        }
                    }
                    return Err(error.into_error().into());
                }
            };
            let (head, body) = reply.into_parts();
            let body = body.collect().await?.to_bytes();
            return Ok((connection, Response::from_parts(head, SdkBody::from(body))));
        }
    }
}

fn origin(uri: &Uri) -> Option<Origin> {
    Some((uri.scheme()?.clone(), uri.authority()?.clone()))
}

/// The host as it is signed: without the default port.
pub(crate) fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let host = match (uri.scheme_str(), uri.port_u16()) {
        (Some("https"), Some(443)) | (Some("http"), Some(80)) => uri.host(),
        _ => uri.authority().map(Authority::as_str),
    };
    Ok(HeaderValue::from_str(host.unwrap_or_default())?)
}

/// The SDK uses this to mark a connection as unusable. Without it the SDK logs an error for each
/// 5xx reply.
fn metadata(is_unfit: &Arc<AtomicBool>) -> ConnectionMetadata {
    let is_unfit = Arc::clone(is_unfit);
    let poison = move || is_unfit.store(true, Ordering::Relaxed);
    ConnectionMetadata::builder().proxied(false).poison_fn(poison).build()
}
