//! HTTP servers with connections that can be cut.

use std::convert::Infallible;
use std::net::SocketAddr;
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
use tokio::task::{JoinHandle, JoinSet};

/// A response that is sent in one piece.
pub type Reply = Response<Full<Bytes>>;

/// The connection is cut instead of an answer. (hyper requires an error with a text.)
pub type HangUp = std::fmt::Error;

/// The connection of a request, as an extension of the request.
#[derive(Clone, Debug)]
pub struct Connection {
    pub opened: Instant,
    socket: Arc<std::net::TcpStream>,
}

impl Connection {
    fn of(stream: TcpStream) -> std::io::Result<(Self, TcpStream)> {
        let stream = stream.into_std()?;
        let socket = Arc::new(stream.try_clone()?);
        Ok((Self { opened: Instant::now(), socket }, TcpStream::from_std(stream)?))
    }

    /// Makes the connection end with a reset.
    pub fn end_with_reset(&self) -> std::io::Result<()> {
        TcpStream::from_std(self.socket.try_clone()?)?.set_zero_linger()
    }
}

/// A server on a free port of 127.0.0.1, which ends when this is dropped.
#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    task: JoinHandle<Infallible>,
}

impl Server {
    pub async fn start<H, F>(handle: H) -> Self
    where
        H: Fn(Request<Bytes>) -> F + Send + Sync + 'static,
        F: Future<Output = Result<Reply, HangUp>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        Self { address, task: tokio::spawn(serve(listener, handle)) }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Serves `listener` until this is dropped, which cuts every connection.
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
        // Without this a small reply waits for the acknowledgement of the previous one.
        let _ = stream.set_nodelay(true);
        let handle = Arc::clone(&handle);
        let service = service_fn(move |request: Request<Incoming>| {
            let (handle, connection) = (Arc::clone(&handle), connection.clone());
            async move {
                let (mut parts, body) = request.into_parts();
                let body = body.collect().await.map_err(|_| HangUp {})?.to_bytes();
                parts.extensions.insert(connection);
                handle(Request::from_parts(parts, body)).await
            }
        });
        // An error means that one side has cut the connection.
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        connections.spawn(async move { drop(connection.await) });
    }
}

/// A response of JSON.
pub fn json(status: u16, body: impl Into<Bytes>) -> Reply {
    let reply = Response::builder().status(status);
    let reply = reply.header("content-type", "application/x-amz-json-1.0");
    reply.body(Full::new(body.into())).expect("a valid response")
}
