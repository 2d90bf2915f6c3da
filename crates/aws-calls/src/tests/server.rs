//! A server on this machine that treats each request as the test says.

use std::io::ErrorKind;
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

/// A certificate for 127.0.0.1, and its key. It is self-signed in the name of Amazon Root CA 3,
/// which is one of the roots, but with another key.
pub(crate) const CERTIFICATE: &[u8] = include_bytes!("server.cer");
const KEY: &[u8] = include_bytes!("server.key");

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It gets this answer.
    Answered(u16, &'static str),
    /// It gets its answer when this many requests have come.
    Held(usize),
    /// The connection is reset.
    Reset,
    /// Nothing happens.
    Silence,
    /// The head of the reply comes, but not its body.
    HeadOnly,
    /// The head of the reply comes, and then the connection ends.
    Cut,
}

pub(crate) const OK: Fate = Fate::Answered(200, "{}");

/// A request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The number of its connection, from 1.
    pub(crate) connection: usize,
    /// Its head, in lower case.
    pub(crate) head: String,
}

pub(crate) struct Server {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    requests: Vec<Request>,
    /// Those that have not ended.
    connections: Vec<Option<std::net::TcpStream>>,
    /// The fate of a request by the number of its connection.
    fate: Box<dyn Fn(usize) -> Fate + Send>,
}

impl Server {
    /// A server with this fate for every request at first.
    pub(crate) async fn start(tls: bool, fate: Fate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (requests, connections) = (Vec::new(), Vec::new());
        let state = State { requests, connections, fate: Box::new(move |_| fate) };
        let state = Arc::new(Mutex::new(state));
        let server = Self { port, state: Arc::clone(&state) };
        let tls = tls.then(acceptor);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(connect(stream, tls.clone(), Arc::clone(&state)));
            }
        });
        server
    }

    /// Sets the fate of a request, by the number of its connection, from now on.
    pub(crate) fn set_fate(&self, fate: impl Fn(usize) -> Fate + Send + 'static) {
        self.state.lock().unwrap().fate = Box::new(fate);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.state.lock().unwrap().requests.clone()
    }

    /// The number of connections so far, and of those that are open.
    pub(crate) fn connections(&self) -> (usize, usize) {
        let connections = &self.state.lock().unwrap().connections;
        (connections.len(), connections.iter().flatten().count())
    }

    /// Closes every connection before its client can look.
    pub(crate) fn close_all(&self) {
        for connection in self.state.lock().unwrap().connections.iter().flatten() {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn acceptor() -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let key = PrivateKeyDer::try_from(KEY).unwrap();
    let config = config.unwrap().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(vec![CERTIFICATE.into()], key).unwrap()))
}

async fn connect(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<Mutex<State>>) {
    let stream = stream.into_std().unwrap();
    let number = {
        let mut state = state.lock().unwrap();
        state.connections.push(Some(stream.try_clone().unwrap()));
        state.connections.len()
    };
    let stream = TcpStream::from_std(stream).unwrap();
    let served = match tls {
        None => serve(stream, number, &state).await,
        Some(tls) => match tls.accept(stream).await {
            Ok(stream) => serve(stream, number, &state).await,
            Err(_) => Ok(()),
        },
    };
    // The client closed it, or it was cut here.
    drop(served);
    state.lock().unwrap().connections[number - 1] = None;
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    number: usize,
    state: &Mutex<State>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await?);
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        let length = head.split("content-length: ").nth(1).unwrap();
        let mut body = vec![0; length.split("\r\n").next().unwrap().parse().unwrap()];
        stream.read_exact(&mut body).await?;
        let fate = {
            let mut state = state.lock().unwrap();
            state.requests.push(Request { connection: number, head });
            (state.fate)(number)
        };
        match fate {
            Fate::Answered(status, body) => reply(&mut stream, status, body.len(), body).await?,
            Fate::Held(until) => {
                while state.lock().unwrap().requests.len() < until {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                reply(&mut stream, 200, 2, "{}").await?;
            }
            Fate::Reset => {
                let stream = state.lock().unwrap().connections[number - 1].take().unwrap();
                TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
                return Err(ErrorKind::ConnectionReset.into());
            }
            Fate::Silence => std::future::pending().await,
            Fate::HeadOnly => {
                reply(&mut stream, 200, 2, "").await?;
                std::future::pending().await
            }
            Fate::Cut => return reply(&mut stream, 200, 2, "{").await,
        }
    }
}

async fn reply(
    stream: &mut (impl AsyncWrite + Unpin),
    status: u16,
    length: usize,
    body: &str,
) -> std::io::Result<()> {
    let head = format!("HTTP/1.1 {status} .\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all((head + body).as_bytes()).await?;
    stream.flush().await
}
