//! TLS by setting: HTTP/1.1 and HTTP/2 over it, and clear words about what cannot be used.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kitchen_api::{Config, ServerConfig, Service, TlsConfig};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Raw, read_answer};
use crate::peers::Peers;
use crate::rig::{InMemoryApplications, Rig, TestClock, config, dependencies};

fn certificate() -> (TlsConfig, CertificateDer<'static>) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let config = TlsConfig { certificates_pem: made.cert.pem(), key_pem: made.signing_key.serialize_pem().into() };
    (config, made.cert.der().clone())
}

async fn connect(rig: &Rig, certificate: &CertificateDer<'static>, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
    try_connect(rig, certificate, protocols).await.unwrap()
}

/// As [`connect`], where the server may refuse.
async fn try_connect(
    rig: &Rig,
    certificate: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(rig.handle.address()).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(client)).connect(name, stream).await
}

#[tokio::test]
async fn both_protocols_are_spoken_over_tls_and_the_client_chooses() {
    let (tls, certificate) = certificate();
    let rig = Rig::start_with(Config { tls: Some(tls), ..config() }).await;
    let request = || {
        Request::get("https://localhost/openapi.json").header("host", "localhost").body(Empty::<Bytes>::new()).unwrap()
    };

    let stream = connect(&rig, &certificate, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut sender = over_http2(stream).await;
    let mut answers = Vec::new();
    for _ in 0..3 {
        answers.push(sender.send_request(request()));
    }
    for answer in futures::future::join_all(answers).await {
        assert_eq!(answer.unwrap().status(), 200);
    }

    let stream = connect(&rig, &certificate, &[b"http/1.1"]).await;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let answer = sender.send_request(request()).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(!answer.into_body().collect().await.unwrap().to_bytes().is_empty());

    rig.shutdown.cancel();
    rig.running.await.unwrap().unwrap();
}

fn nothing() -> Request<Empty<Bytes>> {
    Request::get("https://localhost/nothing").header("host", "localhost").body(Empty::new()).unwrap()
}

async fn over_http2(stream: TlsStream<TcpStream>) -> http2::SendRequest<Empty<Bytes>> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn over_http1(stream: TlsStream<TcpStream>) -> hyper::Result<StatusCode> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    Ok(sender.send_request(nothing()).await?.status())
}

fn resting_soon(tls: TlsConfig, connections_max: usize) -> Config {
    let rest_after = Duration::from_millis(20);
    let server = ServerConfig { connections_max, rest_after, ..ServerConfig::default() };
    Config { tls: Some(tls), server, ..config() }
}

#[tokio::test]
async fn an_encrypted_connection_that_rested_is_served_again() {
    let (tls, certificate) = certificate();
    let rig = Rig::start_with(resting_soon(tls, 10)).await;
    let mut stream = connect(&rig, &certificate, &[b"http/1.1"]).await;
    for round in 0..3 {
        // Every other time in two pieces, the first of which is not even a whole head.
        let (first, second) =
            if round % 2 == 0 { ("GET /nothing HTTP", "/1.1\r\nhost: a\r\n\r\n") } else { (REQUEST, "") };
        stream.write_all(first.as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
        stream.write_all(second.as_bytes()).await.unwrap();
        assert!(read_answer(&mut stream).await.starts_with("HTTP/1.1 404"));
        // Longer than twice the time after which it rests.
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The end of a connection that rests is said in TLS's own words, not by a reset.
    rig.shutdown.cancel();
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
}

const REQUEST: &str = "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn who_holds_all_encrypted_connections_and_says_nothing_keeps_no_restaurant_out() {
    let (tls, certificate) = certificate();
    let rig = Rig::start_with(resting_soon(tls, 9)).await;
    let mut idle = Vec::new();
    let mut shaking = Vec::new();
    for _ in 0..3 {
        let mut sender = over_http2(connect(&rig, &certificate, &[b"h2"]).await).await;
        assert_eq!(sender.send_request(nothing()).await.unwrap().status(), 404);
        let silent = connect(&rig, &certificate, &[b"http/1.1"]).await;
        idle.push((sender, silent));
        shaking.push(TcpStream::connect(rig.handle.address()).await.unwrap());
    }
    // Long before whoever says nothing is given up on.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(4);
    let mut served = 0;
    while served < 20 {
        assert!(tokio::time::Instant::now() < deadline, "{served} of 20 restaurants were served");
        let Ok(stream) = try_connect(&rig, &certificate, &[b"http/1.1"]).await else { continue };
        served += usize::from(over_http1(stream).await.is_ok_and(|status| status == 404));
    }
}

async fn asked(
    sender: &mut http2::SendRequest<Full<Bytes>>,
    request: http::request::Builder,
    body: &str,
) -> (u16, Bytes) {
    let request = request.body(Full::from(body.to_owned())).unwrap();
    let answer = sender.send_request(request).await.unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn where_strangers_hold_many_http2_connections_others_speak_http1_and_who_has_shown_a_token_stays() {
    let (tls, certificate) = certificate();
    let server = ServerConfig { strangers_max: 2, ..ServerConfig::default() };
    let rig = Rig::start_with(Config { tls: Some(tls), server, ..config() }).await;
    let (mut pos, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(connect(&rig, &certificate, &[b"h2"]).await))
            .await
            .unwrap();
    tokio::spawn(connection);
    let form = "grantType=client_credentials&clientId=pos&clientSecret=pos-secret";
    let request = Request::post("https://localhost/authentication/v1.0/oauth/token")
        .header("content-type", "application/x-www-form-urlencoded");
    let (status, token) = asked(&mut pos, request, form).await;
    assert_eq!(status, 200);
    let token: serde_json::Value = serde_json::from_slice(&token).unwrap();
    let bearer = format!("Bearer {}", token["accessToken"].as_str().unwrap());
    let poll = || Request::get("https://localhost/events/v1.0/events:polling").header("authorization", &bearer);
    assert_eq!(asked(&mut pos, poll(), "").await.0, 204);

    let offer: [&[u8]; 2] = [b"h2", b"http/1.1"];
    let mut strangers = Vec::new();
    for _ in 0..2 {
        let stream = connect(&rig, &certificate, &offer).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let mut stranger = over_http2(stream).await;
        assert_eq!(stranger.send_request(nothing()).await.unwrap().status(), 404);
        strangers.push(stranger);
    }
    let third = connect(&rig, &certificate, &offer).await;
    assert_eq!(third.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]), "which takes less when it rests");
    assert_eq!(over_http1(third).await.unwrap(), 404);
    assert!(try_connect(&rig, &certificate, &[b"h2"]).await.is_err(), "there is no other way for this one");
    assert!(strangers.iter().all(|stranger| !stranger.is_closed()));
    strangers.pop();
    let connected = async {
        while try_connect(&rig, &certificate, &[b"h2"]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(4), connected).await.expect("there is room again");
    assert_eq!(asked(&mut pos, poll(), "").await.0, 204, "on the connection of before");
}

#[tokio::test]
async fn too_large_headers_over_http2_are_431_in_our_words() {
    let (tls, certificate) = certificate();
    let rig = Rig::start_with(Config { tls: Some(tls), ..config() }).await;
    let mut sender = over_http2(connect(&rig, &certificate, &[b"h2"]).await).await;
    let request = Request::get("https://localhost/nothing").header("x", "y".repeat(40 * 1024));
    let answer = sender.send_request(request.body(Empty::new()).unwrap()).await.unwrap();
    assert_eq!(answer.status(), 431);
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "RequestHeaderFieldsTooLarge");
}

#[tokio::test]
async fn cleartext_on_a_tls_port_is_closed_and_http2_on_a_cleartext_port_is_refused() {
    let (tls, _) = certificate();
    let rig = Rig::start_with(Config { tls: Some(tls), ..config() }).await;
    let mut cleartext = Raw::connect(rig.handle.address()).await;
    cleartext.send("GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut bytes = Vec::new();
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut cleartext.stream, &mut bytes).await;
    assert!(!bytes.starts_with(b"HTTP"));
    let plain = Rig::start().await;
    let mut preface = Raw::connect(plain.handle.address()).await;
    preface.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert_eq!(preface.read_to_end().await, "", "closed, and no HTTP/2 settings sent");
}

#[tokio::test]
async fn what_cannot_be_used_is_named_and_nothing_of_the_key_is_shown() {
    let (good, _) = certificate();
    let (other, _) = certificate();
    let cases = [
        (TlsConfig { certificates_pem: "nonsense".to_owned(), ..good.clone() }, "certificate file is not PEM"),
        (TlsConfig { key_pem: "nonsense".into(), ..good.clone() }, "key file is not PEM"),
        (TlsConfig { key_pem: other.key_pem, ..good }, "cannot be used together"),
    ];
    for (tls, expected) in cases {
        let given = dependencies(&Peers::default(), Arc::new(InMemoryApplications::default()), TestClock::new());
        let error = Service::build(Config { tls: Some(tls), ..config() }, given).await.err().unwrap();
        assert_eq!(error.to_string(), "the TLS settings cannot be used");
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(expected), "{source}");
    }
}
