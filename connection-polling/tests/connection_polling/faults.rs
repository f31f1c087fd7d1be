//! DynamoDB gone, silent or missing its table, and more polls than the service takes.

use std::time::Duration;

use proto::connection_polling::ReadFencesRequest;
use tokio::net::TcpListener;
use tonic::Code;

use crate::platform::{EventSpec, Platform, PollSpec, START, eventually};

async fn everything_is_unavailable_within(platform: &Platform, limit: Duration) {
    let ids = [EventSpec::new(1, 1, START).build().id];
    let poll = PollSpec::new("pos", [1]);
    let started = tokio::time::Instant::now();
    let (polled, acknowledged, read) =
        tokio::join!(platform.try_poll(&poll), platform.try_acknowledge("pos", &ids, false), async {
            platform.client.clone().read_fences(ReadFencesRequest {}).await
        },);
    assert_eq!(polled.unwrap_err().code(), Code::Unavailable);
    assert_eq!(acknowledged.unwrap_err().code(), Code::Unavailable);
    assert_eq!(read.unwrap_err().code(), Code::Unavailable);
    assert!(started.elapsed() < limit, "took {:?}", started.elapsed());
}

#[tokio::test]
async fn dynamodb_gone_is_unavailable_at_once() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let platform = Platform::over(&format!("http://{address}"), None, |_| {});
    everything_is_unavailable_within(&platform, Duration::from_secs(1)).await;
}

#[tokio::test]
async fn dynamodb_silent_is_unavailable_in_bounded_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silence = tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok(connection) = listener.accept().await {
            connections.push(connection);
        }
    });
    let platform = Platform::over(&format!("http://{address}"), None, |_| {});
    everything_is_unavailable_within(&platform, Duration::from_secs(4)).await;
    silence.abort();
}

#[tokio::test]
async fn beyond_its_places_polls_are_refused_at_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let platform = Platform::over(&format!("http://{address}"), None, |config| {
        config.polls_max = 2;
        config.polls_waiting_max = 1;
        config.poll_wait_max = Duration::from_millis(50);
    });
    let poll = PollSpec::new("pos", [1]);
    let polls = futures::future::join_all((0..5).map(|_| platform.try_poll(&poll))).await;
    let refused =
        |code| polls.iter().filter(|result| result.as_ref().is_err_and(|status| status.code() == code)).count();
    assert_eq!((refused(Code::Unavailable), refused(Code::ResourceExhausted)), (2, 3), "{polls:?}");
}

#[tokio::test]
async fn readiness_says_why_not_and_a_stopped_service_has_drained() {
    let mut platform = Platform::start().await;
    assert!(platform.handle.readiness().unwrap_err().contains("not been asked"));
    let shutdown = tokio_util::sync::CancellationToken::new();
    let running = tokio::spawn(platform.service.take().unwrap().run(shutdown.clone()));
    eventually("ready", || async { platform.handle.readiness().is_ok() }).await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    assert_eq!(platform.handle.readiness().unwrap_err(), "stopping");
}
