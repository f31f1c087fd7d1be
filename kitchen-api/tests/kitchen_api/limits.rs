//! RELIABILITY, "Limits": slow and oversized clients, caps on connections. Timeouts are set short; real time passes.

use std::time::Duration;

use kitchen_api::{Config, ServerConfig};

use crate::client::Raw;
use crate::rig::{Rig, config, eventually, merchant};

const SHORT: Duration = Duration::from_millis(150);

fn with(server: ServerConfig) -> Config {
    Config { server, ..config() }
}

#[tokio::test]
async fn a_client_that_sends_its_headers_slowly_is_closed_and_one_between_polls_is_not() {
    let server = ServerConfig { header_timeout: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let mut silent = Raw::connect(rig.handle.address()).await;
    let mut slow = Raw::connect(rig.handle.address()).await;
    slow.send("GET /events/v1.0/events:polling HTTP/1.1\r\nhost: a\r\nx-slow: ").await;
    let mut polite = Raw::connect(rig.handle.address()).await;
    polite.send("GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n").await;
    polite.read_answer().await;
    assert_eq!(silent.read_to_end().await, "", "never said anything");
    assert_eq!(slow.read_to_end().await, "", "never finished its head");
    tokio::time::sleep(SHORT * 2).await;
    polite.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(polite.read_answer().await.starts_with("HTTP/1.1 404"), "the pause between requests may be longer");
    polite.send("GET /nothing HT").await;
    assert_eq!(polite.read_to_end().await, "", "a later head has the same limit");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let server = ServerConfig { idle_timeout: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let mut idle = Raw::connect(rig.handle.address()).await;
    idle.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.read_answer().await;
    assert_eq!(idle.read_to_end().await, "");
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_is_408() {
    let server = ServerConfig { body_timeout: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let token = rig.token("pos").await;
    for (path, chunk) in
        [("/events/v1.0/events/acknowledgment", "[{\"id\":"), ("/authentication/v1.0/oauth/token", "a=b")]
    {
        let mut slow = Raw::connect(rig.handle.address()).await;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 100\r\n\r\n{chunk}"
        );
        slow.send(&head).await;
        let answer = slow.read_answer().await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert!(answer.contains("\"code\":\"RequestTimeout\""), "{answer}");
    }
}

#[tokio::test]
async fn a_request_that_takes_us_too_long_is_503() {
    let server = ServerConfig { request_timeout: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(Config { call_timeout: Duration::from_secs(60), ..with(server) }).await;
    let pos = rig.as_application("pos").await;
    rig.peers.core.hangs.store(true, std::sync::atomic::Ordering::SeqCst);
    let order = order_model::OrderId::from_bytes([1; 16]);
    let answer = pos.get(&format!("/order/v1.0/orders/{order}")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn giant_heads_and_bodies_are_refused_and_others_are_served_meanwhile() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let mut giant = Raw::connect(rig.handle.address()).await;
    giant.send(&format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}", "y".repeat(60 * 1024))).await;
    let _ = tokio::io::AsyncWriteExt::write_all(&mut giant.stream, "y".repeat(10 * 1024).as_bytes()).await;
    assert_refused(&giant.read_to_end().await, 431, "RequestHeaderFieldsTooLarge");
    let mut announced = Raw::connect(rig.handle.address()).await;
    let head = "POST /events/v1.0/events/acknowledgment HTTP/1.1\r\nhost: a\r\n";
    announced.send(&format!("{head}authorization: Bearer {token}\r\ncontent-length: 1073741824\r\n\r\n")).await;
    assert!(announced.read_answer().await.starts_with("HTTP/1.1 413"), "before any of it was sent");
    assert_eq!(rig.client.get("/openapi.json").await.status, 200);
}

/// One whole answer with an error that reads the same in either dialect: the path is not known yet.
fn assert_refused(answer: &str, status: u16, code: &str) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    assert!(head.contains("connection: close") && head.contains("content-type: application/json"), "{answer}");
    let body: serde_json::Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert_eq!((&body["error"]["code"], &body["code"]), (&code.into(), &code.into()));
    assert_eq!((&body["status"], &body["title"]), (&status.into(), &body["message"]));
}

#[tokio::test]
async fn even_what_is_no_request_is_answered_with_json() {
    let rig = Rig::start().await;
    let answer = "GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n";
    let many_headers: String = (0..101).map(|number| format!("x-{number}: y\r\n")).collect();
    let cases = [
        ("nonsense\r\n\r\n".to_owned(), 400, "BadRequest"),
        ("GET /nothing HTTP/1.1\r\nbad header\r\n\r\n".to_owned(), 400, "BadRequest"),
        ("GET /nothing HTTP/9.9\r\nhost: a\r\n\r\n".to_owned(), 400, "BadRequest"),
        (format!("GET / HTTP/1.1\r\nhost: a\r\n{many_headers}\r\n"), 431, "RequestHeaderFieldsTooLarge"),
    ];
    for (nonsense, status, code) in cases {
        let mut first = Raw::connect(rig.handle.address()).await;
        first.send(&nonsense).await;
        assert_refused(&first.read_to_end().await, status, code);

        let mut later = Raw::connect(rig.handle.address()).await;
        later.send(answer).await;
        assert!(later.read_answer().await.starts_with("HTTP/1.1 404"));
        later.send(&nonsense).await;
        assert_refused(&later.read_to_end().await, status, code);

        let mut together = Raw::connect(rig.handle.address()).await;
        together.send(&format!("{answer}{nonsense}")).await;
        assert!(together.read_answer().await.starts_with("HTTP/1.1 404"), "what came before is answered");
        assert_refused(&together.read_to_end().await, status, code);
    }
}

#[tokio::test]
async fn above_the_cap_of_connections_a_client_reads_why() {
    // Neither of the two rests within the test: whoever rests would make place.
    let server = ServerConfig { connections_max: 2, rest_after: Duration::from_secs(60), ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let mut first = Raw::connect(rig.handle.address()).await;
    first.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    first.read_answer().await;
    let mut second = Raw::connect(rig.handle.address()).await;
    second.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    second.read_answer().await;
    let refused = Raw::connect(rig.handle.address()).await.read_to_end().await;
    assert_refused(&refused, 503, "ServiceUnavailable");
    assert!(refused.contains("retry-after: 1"), "{refused}");
    drop(second);
    let mut admitted = false;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !admitted && tokio::time::Instant::now() < deadline {
        let mut again = Raw::connect(rig.handle.address()).await;
        let sent = tokio::io::AsyncWriteExt::write_all(
            &mut again.stream,
            b"GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        );
        admitted = sent.await.is_ok() && again.read_to_end().await.starts_with("HTTP/1.1 404");
    }
    assert!(admitted, "a place that was given back is used again");
}

#[tokio::test]
async fn who_holds_all_connections_and_says_nothing_keeps_no_restaurant_out() {
    let rest_after = Duration::from_millis(20);
    let server = ServerConfig { connections_max: 20, rest_after, ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let mut idle = Vec::new();
    for number in 0..20 {
        let mut one = Raw::connect(rig.handle.address()).await;
        // Half of them have been answered before.
        if number % 2 == 0 {
            one.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
            one.read_answer().await;
        }
        idle.push(one);
    }
    // Long before whoever says nothing is given up on: a place is made as soon as one is seen to rest.
    let deadline = tokio::time::Instant::now() + Duration::from_secs(3);
    let mut served = 0;
    while served < 30 {
        assert!(tokio::time::Instant::now() < deadline, "{served} of 30 restaurants were served");
        let mut restaurant = Raw::connect(rig.handle.address()).await;
        let request = b"GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let sent = tokio::io::AsyncWriteExt::write_all(&mut restaurant.stream, request).await;
        served += usize::from(sent.is_ok() && restaurant.read_to_end().await.starts_with("HTTP/1.1 404"));
    }
    assert_eq!(idle[1].read_to_end().await, "", "whoever rested longest made place");
}

#[tokio::test]
async fn the_cap_per_address_is_off_unless_set() {
    let server = ServerConfig { connections_per_address_max: Some(1), ..ServerConfig::default() };
    let rig = Rig::start_with(with(server)).await;
    let mut first = Raw::connect(rig.handle.address()).await;
    first.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    first.read_answer().await;
    assert!(Raw::connect(rig.handle.address()).await.read_to_end().await.starts_with("HTTP/1.1 503"));
    assert!(ServerConfig::default().connections_per_address_max.is_none());
}

/// Bytes that the system holds of what was sent on the connection with this local and remote port.
#[cfg(target_os = "linux")]
fn held_bytes(local: u16, remote: u16) -> u64 {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next().unwrap(), 16).unwrap();
    let mut rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| port(row[1]) == local && port(row[2]) == remote).unwrap();
    u64::from_str_radix(row[4].split(':').next().unwrap(), 16).unwrap()
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn little_is_copied_of_an_answer_that_nobody_reads() {
    let rig = Rig::start().await;
    let whole = rig.client.get("/openapi.json").await.body.len();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut silent = Raw { stream: socket.connect(rig.handle.address()).await.unwrap() };
    let ports = (rig.handle.address().port(), silent.stream.local_addr().unwrap().port());
    for _ in 0..10 {
        silent.send("GET /openapi.json HTTP/1.1\r\nhost: a\r\n\r\n").await;
    }
    eventually("it is being answered", || held_bytes(ports.0, ports.1) > 0).await;
    for _ in 0..20 {
        let held = held_bytes(ports.0, ports.1);
        assert!(held < 200 * 1024 && held < 5 * whole as u64, "{held} of ten times {whole}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn an_answer_nobody_waits_for_changes_nothing_for_others() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    for _ in 0..20 {
        let mut gone = Raw::connect(rig.handle.address()).await;
        gone.send(&format!(
            "GET /events/v1.0/events:polling HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n"
        ))
        .await;
    }
    eventually("their beats count all the same", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
    assert_eq!(rig.client.with_token(&token).get("/events/v1.0/events:polling").await.status, 204);
}
