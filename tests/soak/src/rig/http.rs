//! HTTP servers whose connections can be cut.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A response that is sent whole.
pub type Reply = Response<Full<Bytes>>;

/// The connection is cut instead of an answer.
#[derive(Clone, Copy, Debug)]
pub struct HangUp;

impl fmt::Display for HangUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up on purpose")
    }
}

impl std::error::Error for HangUp {}

/// The connection that a request came by, as an extension of it.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Since when it has been open.
    pub opened: Instant,
    socket: Arc<std::net::TcpStream>,
}

impl Connection {
    fn of(stream: TcpStream) -> std::io::Result<(Self, TcpStream)> {
        let stream = stream.into_std()?;
        let socket = Arc::new(stream.try_clone()?);
        Ok((Self { opened: Instant::now(), socket }, TcpStream::from_std(stream)?))
    }

    /// Makes its end a reset.
    ///
    /// # Errors
    /// Those of the system.
    pub fn end_with_reset(&self) -> std::io::Result<()> {
        TcpStream::from_std(self.socket.try_clone()?)?.set_zero_linger()
    }
}

/// Serves `listener` until it is dropped, which cuts every connection.
pub async fn serve<H, F>(listener: TcpListener, handle: H) -> Infallible
where
    H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
    F: Future<Output = Result<Reply, HangUp>> + Send,
{
    let handle = Arc::new(handle);
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            Ok((stream, _)) = listener.accept() => stream,
            Some(_) = connections.join_next() => continue,
        };
        let Ok((connection, stream)) = Connection::of(stream) else { continue };
        // Without this a small reply waits for the acknowledgement of the one before.
        let _ = stream.set_nodelay(true);
        let handle = Arc::clone(&handle);
        let service = service_fn(move |request: Request<Incoming>| {
            let (handle, connection) = (Arc::clone(&handle), connection.clone());
            async move {
                let (mut parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| HangUp)?.to_bytes();
                parts.extensions.insert(connection);
                handle(Request::from_parts(parts, body)).await
            }
        });
        let mut server = http1::Builder::new();
        server.pipeline_flush(true);
        connections.spawn(async move {
            // An error is a connection that one side has cut.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// A response of JSON.
#[must_use]
pub fn json(status: u16, body: impl Into<Bytes>) -> Reply {
    let mut reply = Response::new(Full::new(body.into()));
    *reply.status_mut() = http::StatusCode::from_u16(status).unwrap_or_default();
    let json = http::HeaderValue::from_static("application/x-amz-json-1.0");
    reply.headers_mut().insert(http::header::CONTENT_TYPE, json);
    reply
}
