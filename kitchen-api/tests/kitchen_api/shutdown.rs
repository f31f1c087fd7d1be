//! Draining: no new connections, requests in flight finish, idle connections close, and all of it in time.

use std::time::Duration;

use kitchen_api::{Config, Service};
use order_model::OrderId;
use tokio::net::TcpStream;

use crate::client::Raw;
use crate::peers::Peers;
use crate::rig::{InMemoryApplications, Rig, TestClock, config, dependencies, eventually};

#[tokio::test]
async fn requests_in_flight_finish_and_idle_connections_close() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let mut idle = Raw::connect(rig.handle.address()).await;
    idle.send("GET /nothing HTTP/1.1\r\nhost: a\r\n\r\n").await;
    idle.read_answer().await;
    let mut busy = Raw::connect(rig.handle.address()).await;
    let head = format!(
        "POST /order/v1.0/orders/{}/confirm HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 2\r\nexpect: 100-continue\r\n\r\n",
        OrderId::from_bytes([1; 16])
    );
    rig.peers.core.put(OrderId::from_bytes([1; 16]), crate::rig::merchant(1), "{}");
    busy.send(&head).await;
    assert!(busy.read_answer().await.starts_with("HTTP/1.1 100"), "the request is in flight");
    rig.shutdown.cancel();
    assert_eq!(idle.read_to_end().await, "");
    eventually("it says that it drains", || rig.handle.readiness().is_err_and(|why| why.contains("shutting down")))
        .await;
    let address = rig.handle.address();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(address).await.is_ok() {
        assert!(tokio::time::Instant::now() < deadline, "still accepting");
    }
    busy.send("{}").await;
    let answer = busy.read_to_end().await;
    assert!(answer.starts_with("HTTP/1.1 202"), "{answer}");
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
    rig.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_does_not_finish_is_cut_at_the_deadline() {
    let rig = Rig::start_with(Config { drain_timeout: Duration::from_millis(200), ..config() }).await;
    let mut stuck = Raw::connect(rig.handle.address()).await;
    let head = "POST /authentication/v1.0/oauth/token HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n";
    stuck.send(&format!("{head}expect: 100-continue\r\n\r\n")).await;
    assert!(stuck.read_answer().await.starts_with("HTTP/1.1 100"), "the request is in flight");
    rig.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), rig.running).await.unwrap().unwrap().unwrap();
    assert_eq!(stuck.read_to_end().await, "");
}

#[tokio::test]
async fn a_port_in_use_and_a_wrong_key_are_found_before_anything_runs() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let build = |config| async move {
        let given =
            dependencies(&Peers::default(), std::sync::Arc::new(InMemoryApplications::default()), TestClock::new());
        Service::build(config, given).await.err().unwrap()
    };
    let error = build(Config { address: taken.local_addr().unwrap(), ..config() }).await;
    assert_eq!(error.to_string(), format!("cannot listen on {}", taken.local_addr().unwrap()));
    assert!(error.is_retryable());
    let mut wrong = config();
    wrong.tokens.signing_key_pem = "nonsense".into();
    let error = build(wrong).await;
    assert!(!error.is_retryable());
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "a token signing key is not PEM with a PRIVATE KEY block");
}
