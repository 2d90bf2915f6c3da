//! The client as the wire sees it: a real client of the SDK, against a server on this machine.

mod server;

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_sdk_dynamodb::Client;
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use futures_util::future::join_all;
use rules::Failure;
use tokio::time::Instant;
use world::CallError;

use crate::connect::{CONNECT_TIMEOUT, Connector, ROOTS};
use crate::http::{CALL_TIMEOUT, client_over, host};
use crate::pool::{IDLE_TIMEOUT, MAX_IDLE};
use crate::{Account, call_error, config, http_client};
use server::{CERTIFICATE, Fate, OK, Server};

const BROKEN: Fate = Fate::Answered(500, r#"{"__type":"InternalServerError"}"#);

fn client(scheme: &str, server: &Server, http_client: SharedHttpClient) -> Client {
    let account = Account {
        region: "us-east-1".to_owned(),
        credentials: Credentials::new("id", "secret", Some("token-1".to_owned()), None, "test"),
        endpoint_url: Some(format!("{scheme}://127.0.0.1:{}", server.port)),
    };
    Client::new(&config(account, http_client))
}

/// A server with this fate for every request at first, and a client of it.
async fn pair(fate: Fate) -> (Server, Client) {
    let server = Server::start(false, fate).await;
    let client = client("http", &server, http_client());
    (server, client)
}

async fn call(client: &Client) -> Result<(), CallError> {
    let sent = client.list_tables().send().await;
    sent.map(drop).map_err(|error| call_error("dynamodb:ListTables", &error))
}

/// Makes so many calls at a time, each on a separate connection.
async fn burst(server: &Server, client: &Client, size: usize) {
    let so_far = server.requests().len();
    server.set_fate(move |_| Fate::Held(so_far + size));
    for called in join_all((0..size).map(|_| call(client))).await {
        called.unwrap();
    }
}

/// The connection of each request.
fn connections(server: &Server) -> Vec<usize> {
    server.requests().iter().map(|request| request.connection).collect()
}

#[tokio::test]
async fn a_connection_of_a_sick_host_is_not_used_again_and_the_sdk_logs_no_error() {
    let (mut log, writer) = std::io::pipe().unwrap();
    let lines = tracing_subscriber::fmt().with_writer(Arc::new(writer)).finish();
    let logging = tracing::subscriber::set_default(lines);
    // The SDK takes these for the failure of a host, also with other codes.
    let request_timeout = Fate::Answered(400, r#"{"__type":"RequestTimeoutException"}"#);
    for sick in [BROKEN, request_timeout, Fate::Answered(503, "")] {
        let (server, client) = pair(OK).await;
        call(&client).await.unwrap();
        server.set_fate(move |connection| if connection == 1 { sick } else { OK });
        call(&client).await.unwrap_err();
        call(&client).await.unwrap();
        assert_eq!(connections(&server), [1, 1, 2], "{sick:?}");
    }
    tracing::error!("it is read");
    drop(logging);
    let mut lines = String::new();
    log.read_to_string(&mut lines).unwrap();
    assert!(lines.ends_with("it is read\n") && lines.lines().count() == 1, "{lines}");
}

/// When connections that wait for a call die.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Death {
    /// When their next request comes.
    At(Fate),
    /// Before, while the function sleeps.
    Closed,
}

#[tokio::test]
async fn dead_connections_cost_each_call_at_most_one_repetition_and_later_ones_nothing() {
    let deaths = [Fate::Reset, Fate::Cut, BROKEN, Fate::Silence].map(Death::At);
    join_all([Death::Closed].into_iter().chain(deaths).map(async |death| {
        let (server, client) = pair(OK).await;
        burst(&server, &client, MAX_IDLE).await;
        match death {
            Death::At(fate) => {
                server.set_fate(move |connection| if connection <= MAX_IDLE { fate } else { OK });
            }
            Death::Closed => {
                server.set_fate(|_| OK);
                server.close_all();
            }
        }
        let small = join_all((0..5).map(async |_| {
            let Err(error) = call(&client).await else { return };
            assert!(error.is_by_reused_connection, "{death:?}: {error}");
            assert_eq!(error.failure, Failure::MayHaveLanded, "{death:?}: {error}");
            assert_ne!(death, Death::Closed, "{error}");
            let again = call(&client).await;
            again.unwrap_or_else(|error| panic!("{death:?}: {error}"));
        }));
        small.await;
        for called in join_all((0..5).map(|_| call(&client))).await {
            called.unwrap_or_else(|error| panic!("{death:?}: {error}"));
        }
    }))
    .await;
}

#[tokio::test]
async fn what_fails_on_a_new_connection_is_not_put_down_to_an_old_one() {
    for fate in [Fate::Reset, Fate::Cut, BROKEN] {
        let (_server, client) = pair(fate).await;
        let error = call(&client).await.unwrap_err();
        assert!(!error.is_by_reused_connection, "{error}");
        assert_eq!(error.failure, Failure::MayHaveLanded, "{error}");
    }
    // These refusals came from a healthy host.
    let (server, client) = pair(OK).await;
    call(&client).await.unwrap();
    server.set_fate(|_| Fate::Answered(400, r#"{"__type":"ThrottlingException"}"#));
    for _ in 0..2 {
        let error = call(&client).await.unwrap_err();
        assert!(!error.is_by_reused_connection, "{error}");
    }
    assert_eq!(connections(&server), [1, 1, 1]);
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_time() {
    let (server, client) = pair(OK).await;
    burst(&server, &client, MAX_IDLE + 5).await;
    let is_closed = async {
        while server.connections() != (MAX_IDLE + 5, MAX_IDLE) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(CALL_TIMEOUT, is_closed).await.unwrap();
    burst(&server, &client, MAX_IDLE).await;
    server.set_fate(|_| OK);
    let second = Duration::from_secs(1);
    for (idle, opened) in [(IDLE_TIMEOUT - second, MAX_IDLE + 5), (IDLE_TIMEOUT, MAX_IDLE + 6)] {
        tokio::time::pause();
        tokio::time::advance(idle).await;
        tokio::time::resume();
        call(&client).await.unwrap();
        assert_eq!(server.connections().0, opened);
    }
    assert_eq!(IDLE_TIMEOUT, Duration::from_secs(50));
}

/// Each attempt is one of our own calls, so the code knows whether an earlier one may have landed.
#[tokio::test]
async fn the_sdk_makes_each_call_once() {
    let throttled = Fate::Answered(400, r#"{"__type":"ThrottlingException"}"#);
    for fate in [throttled, BROKEN, Fate::Answered(503, ""), Fate::Reset, Fate::Cut] {
        let (server, client) = pair(fate).await;
        call(&client).await.unwrap_err();
        assert_eq!(connections(&server), [1], "{fate:?}");
    }
}

#[tokio::test]
async fn a_call_ends_in_time_and_may_have_landed() {
    join_all([Fate::Silence, Fate::HeadOnly].map(async |fate| {
        let (_server, client) = pair(fate).await;
        let started = Instant::now();
        let error = call(&client).await.unwrap_err();
        let took = started.elapsed();
        assert!(took >= CALL_TIMEOUT && took < CALL_TIMEOUT + CALL_TIMEOUT / 2, "{took:?}");
        assert_eq!(error.failure, Failure::MayHaveLanded, "{fate:?}: {error}");
    }))
    .await;
    assert_eq!(CALL_TIMEOUT, Duration::from_secs(3));
}

#[tokio::test]
async fn a_request_names_its_host_and_the_session() {
    let (server, client) = pair(OK).await;
    call(&client).await.unwrap();
    let head = &server.requests()[0].head;
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nhost: 127.0.0.1:{}\r\n", server.port)), "{head}");
    assert!(head.contains("\r\nx-amz-security-token: token-1\r\n"), "{head}");
    for (uri, expected) in [
        ("https://sqs.eu-west-1.amazonaws.com/", "sqs.eu-west-1.amazonaws.com"),
        ("https://a:443/", "a"),
        ("http://a:80/", "a"),
        ("https://a:80/", "a:80"),
        ("http://a:443/", "a:443"),
    ] {
        assert_eq!(host(&uri.parse().unwrap()).unwrap(), expected);
    }
}

#[tokio::test]
async fn only_a_host_with_a_certificate_of_a_root_is_sent_anything() {
    let server = Server::start(true, OK).await;
    let trusting = client_over(Connector::trusting(&[CERTIFICATE]));
    call(&client("https", &server, trusting)).await.unwrap();
    assert_eq!(connections(&server), [1]);
    let error = call(&client("https", &server, http_client())).await.unwrap_err();
    assert_eq!(error.failure, Failure::NotLanded, "{error}");
    // The root of this name is known, but has another key.
    assert!(error.to_string().contains("BadSignature"), "{error}");
    assert_eq!((connections(&server), server.connections().0), (vec![1], 2));
    assert_eq!(ROOTS.len(), 5);
}

#[tokio::test]
async fn a_connection_is_opened_in_time_tls_included() {
    // It accepts connections but does not answer.
    let server = Server::start(false, Fate::Silence).await;
    let started = Instant::now();
    let error = call(&client("https", &server, http_client())).await.unwrap_err();
    let took = started.elapsed();
    assert!(took >= CONNECT_TIMEOUT && took < CONNECT_TIMEOUT * 2, "{took:?}");
    assert_eq!(error.failure, Failure::NotLanded, "{error}");
    assert_eq!(CONNECT_TIMEOUT, Duration::from_secs(1));
}
