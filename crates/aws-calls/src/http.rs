//! The HTTP client under every AWS client: HTTP/1.1 over TLS, nothing else. The SDK's own
//! brings HTTP/2, proxies and the system's certificates (docs/decisions.md, 19), and does not
//! tell on which connection a call failed.
//!
//! A function thaws with connections that died meanwhile, and a host can be sick. So after a
//! failed call its connection is closed, and with it all that wait to the same host: the
//! repetition goes over a new one, or over one that has answered since.

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

/// Longest time for one call, from its connection to the last byte of the reply. Three calls
/// for one thing, with their pauses, fit into the timeouts of the functions (15, 29 and 30 s).
pub(crate) const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// A client with connections of its own, which the clients of all services share.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    client_over(Connector::trusting(&ROOTS))
}

pub(crate) fn client_over(connector: Connector) -> SharedHttpClient {
    let http = Http(Arc::new(Client { connector, pool: Pool::default() }));
    let connector = SharedHttpConnector::new(http);
    http_client_fn(move |_, _| connector.clone())
}

/// How far a call has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// No connection was made, so that the request cannot have been sent.
    Connecting,
    /// The request went to a connection, one that had served others before or a new one.
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

/// Marks a reply of a failing host that came by a reused connection.
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
                // Which error it is matters to the SDK's retries only, and these are off.
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

    /// The whole reply to a request, and the connection that it came by.
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
                    // Nothing of it was written, since the connection had been closed.
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

/// The host as it is signed: without a port that goes without saying.
pub(crate) fn host(uri: &Uri) -> Result<HeaderValue, BoxError> {
    let host = match (uri.scheme_str(), uri.port_u16()) {
        (Some("https"), Some(443)) | (Some("http"), Some(80)) => uri.host(),
        _ => uri.authority().map(Authority::as_str),
    };
    Ok(HeaderValue::from_str(host.unwrap_or_default())?)
}

/// What the SDK needs to say that a connection must not be used again. Without it the SDK logs
/// an error for each reply that tells of a failing host.
fn metadata(is_unfit: &Arc<AtomicBool>) -> ConnectionMetadata {
    let is_unfit = Arc::clone(is_unfit);
    let poison = move || is_unfit.store(true, Ordering::Relaxed);
    ConnectionMetadata::builder().proxied(false).poison_fn(poison).build()
}
