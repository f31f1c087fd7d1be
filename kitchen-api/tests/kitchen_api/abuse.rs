//! What nobody sends by mistake: bodies that nest without end, that are compressed, connections that rest, answers that nobody fetches.
//! How others fare meanwhile is measured by `.ci/abuse.py`.

use std::time::Duration;

use kitchen_api::{Config, ServerConfig};
use tokio::io::AsyncReadExt;

use crate::client::Raw;
use crate::rig::{Rig, config, merchant};

const SHORT: Duration = Duration::from_millis(20);

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    rig
}

/// Every operation that reads JSON strictly.
fn strict() -> [(&'static str, String); 6] {
    let store = format!("/merchant/v1.0/merchants/{}", merchant(1));
    let catalog = format!("/catalog/v2.0/merchants/{}", merchant(1));
    [
        ("POST", format!("{store}/interruptions")),
        ("PUT", format!("{store}/opening-hours")),
        ("POST", "/merchant/v1.0/merchants/checkin-qrcode".to_owned()),
        ("POST", format!("{catalog}/categories")),
        ("PUT", format!("{catalog}/items")),
        ("PATCH", format!("{catalog}/items/price")),
    ]
}

#[tokio::test]
async fn json_that_nests_without_end_is_400_and_nobody_falls_over() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (method, path) in strict() {
        for deep in [
            "[".repeat(200_000),
            r#"{"name":"#.repeat(20_000),
            format!("{}1{}", "[".repeat(50_000), "]".repeat(50_000)),
        ] {
            let answer = pos.send(method, &path, &[], deep).await;
            assert_eq!(answer.status, 400, "{method} {path}");
        }
    }
    for tolerant in ["/events/v1.0/events/acknowledgment", "/v1/events/acknowledgment"] {
        let answer = pos.post(tolerant, "[".repeat(200_000)).await;
        assert!([202, 400].contains(&answer.status.as_u16()), "{tolerant}: {}", answer.status);
    }
    assert_eq!(pos.get("/events/v1.0/events:polling").await.status, 204);
}

#[tokio::test]
async fn what_is_compressed_is_never_unpacked() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    // The start of a gzip stream; behind it may be as much as one likes.
    let bomb = [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3][..], &[0; 10_000]].concat();
    for (method, path) in strict() {
        let answer = pos.send(method, &path, &[("content-encoding", "gzip")], bomb.clone()).await;
        assert_eq!(answer.status, 400, "{method} {path}");
    }
    let headers = [("content-type", "application/x-www-form-urlencoded"), ("content-encoding", "gzip")];
    let token = rig.client.send("POST", "/authentication/v1.0/oauth/token", &headers, bomb).await;
    assert_eq!(token.status, 400);
}

#[tokio::test]
async fn a_connection_that_has_rested_goes_on_where_it_was() {
    let server = ServerConfig { rest_after: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(Config { server, ..config() }).await;
    let mut pos = Raw::connect(rig.handle.address()).await;
    for _ in 0..3 {
        pos.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(pos.read_answer().await.starts_with("HTTP/1.1 404"));
        tokio::time::sleep(SHORT * 4).await;
    }
    pos.send("GET /nothing HTTP/1.1\r\n").await;
    tokio::time::sleep(SHORT * 4).await;
    pos.send("host: a\r\n\r\n").await;
    assert!(pos.read_answer().await.starts_with("HTTP/1.1 404"), "a head in two parts");
    tokio::time::sleep(SHORT * 4).await;
    pos.send(&"GET /nothing HTTP/1.1\r\nhost: a\r\nconnection: keep-alive\r\n\r\n".repeat(2)).await;
    let mut both = String::new();
    while both.matches("HTTP/1.1 404").count() < 2 {
        both.push_str(&pos.read_answer().await);
    }
}

#[tokio::test]
async fn an_answer_that_is_fetched_slowly_is_fetched_whole() {
    let server = ServerConfig { rest_after: SHORT, ..ServerConfig::default() };
    let rig = Rig::start_with(Config { server, ..config() }).await;
    let path = "/docs/swagger-ui-bundle.js";
    let length = rig.client.get(path).await.body.len();
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    // So little that the answer waits in the server.
    socket.set_recv_buffer_size(4096).unwrap();
    let mut slow = Raw { stream: socket.connect(rig.handle.address()).await.unwrap() };
    slow.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
    tokio::time::sleep(SHORT * 10).await;
    let mut read = Vec::new();
    slow.stream.read_to_end(&mut read).await.unwrap();
    let head = read.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(read.len() - head, length);
}
