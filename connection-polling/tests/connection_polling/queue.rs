//! The consumer: from the queue into the index, duplicates, order, dead letters.

use std::time::Duration;

use message_bus::{OutgoingMessage, Queue};
use tokio_util::sync::CancellationToken;

use crate::platform::{EventSpec, Platform, PollSpec, START, eventually, ids, notified};

async fn send(platform: &Platform, messages: Vec<OutgoingMessage>) {
    assert!(platform.feed.send(messages).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn what_is_queued_is_indexed_deleted_and_shown_and_a_malformed_message_is_buried() {
    let mut platform = Platform::start().await;
    let event = |number: u32| {
        let created_at = START.plus(Duration::from_millis(number.into()));
        EventSpec { sequence: number / 10 + 1, ..EventSpec::new(1, number % 10, created_at) }.build()
    };
    let events: Vec<_> = (0..50).map(event).collect();
    let shuffled = events.iter().rev().chain(events.iter().step_by(3));
    let message = |event| {
        let (body, attributes) = notified(event);
        OutgoingMessage { body, attributes }
    };
    let (_, attributes) = notified(&events[0]);
    let malformed = OutgoingMessage { body: "{}".to_owned(), attributes };
    let mut messages: Vec<_> = shuffled.map(message).collect();
    messages.insert(5, malformed);
    send(&platform, messages).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(platform.service.take().unwrap().run(shutdown.clone()));
    eventually("the queue is empty", || async {
        let depth = platform.feed.depth().await.unwrap();
        depth.visible + depth.in_flight == 0
    })
    .await;
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.id_set(), ids(&events));
    let buried = platform.dead_letters.receive(10, Duration::ZERO, Duration::from_secs(1)).await.unwrap();
    assert_eq!(buried.len(), 1);
    assert_eq!((buried[0].body.as_str(), buried[0].attributes["reason"].as_str()), ("{}", "MALFORMED"));
    shutdown.cancel();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn while_dynamodb_is_gone_no_message_is_used_up_or_buried() {
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let mut platform = Platform::over(&format!("http://{gone}"), None, |_| {});
    let (body, attributes) = notified(&EventSpec::new(1, 1, START).build());
    send(&platform, vec![OutgoingMessage { body, attributes }]).await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(platform.service.take().unwrap().run(shutdown.clone()));
    eventually("tried", || async { platform.handle.readiness().is_err_and(|reason| reason.contains("unavailable")) })
        .await;
    shutdown.cancel();
    running.await.unwrap().unwrap();
    let depth = platform.feed.depth().await.unwrap();
    assert_eq!(depth.visible + depth.in_flight, 1);
    assert_eq!(platform.dead_letters.depth().await.unwrap().visible, 0);
}
