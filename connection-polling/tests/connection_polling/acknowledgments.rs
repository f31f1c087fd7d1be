//! Acknowledgments: before and after their event, foreign ones, many, and how long they last.

use order_model::{EventId, EventIdKey};

use crate::platform::{EventSpec, HOUR, Platform, PollSpec, START, order};

#[tokio::test]
async fn an_acknowledgment_that_beats_its_event_counts() {
    let platform = Platform::start().await;
    let event = EventSpec::new(1, 1, START).build();
    platform.acknowledge("pos", &[event.id]).await;
    platform.index(std::slice::from_ref(&event)).await;
    assert!(platform.poll(&PollSpec::new("pos", [1])).await.events.is_empty());
    assert_eq!(platform.poll(&PollSpec::new("kds", [1])).await.ids(), [event.id]);
}

#[tokio::test]
async fn a_scheduled_orders_event_stays_acknowledged_to_its_end() {
    let platform = Platform::start().await;
    let lives = 13 * 24 * HOUR;
    let event = EventSpec { lives, ..EventSpec::new(1, 1, START) }.build();
    platform.index(std::slice::from_ref(&event)).await;
    platform.acknowledge("pos", &[event.id]).await;
    platform.clock.advance(lives - HOUR);
    let poll = PollSpec::new("pos", [1]);
    assert!(platform.poll(&poll).await.events.is_empty());
    let kds = PollSpec::new("kds", [1]);
    assert_eq!(platform.poll(&kds).await.ids(), [event.id], "the event itself is still there");
}

#[tokio::test]
async fn a_foreign_id_is_answered_and_stored_nowhere() {
    let platform = Platform::start().await;
    let event = EventSpec::new(1, 1, START).build();
    let foreign_key = EventIdKey::from_bytes([8; 16]);
    let forged = EventId::derive(&foreign_key, START, event.merchant, order(1), 1);
    let (_, requests) = platform.requests_during(platform.acknowledge("pos", &[forged])).await;
    assert_eq!(requests, 0);
}

#[tokio::test]
async fn ten_thousand_ids_of_many_merchants_are_acknowledged_at_once_and_one_more_is_refused() {
    let platform = Platform::start().await;
    let id = |number: u32| EventSpec::new(number % 300, number, START).build().id;
    let ids: Vec<EventId> = (0..10_000).map(id).collect();
    let event = EventSpec::new(9_999 % 300, 9_999, START).build();
    platform.index(std::slice::from_ref(&event)).await;
    let (_, requests) = platform.requests_during(platform.acknowledge("pos", &ids)).await;
    println!("acknowledging 10,000 ids of 300 merchants: {requests} requests");
    assert!(platform.poll(&PollSpec::new("pos", [9_999 % 300])).await.events.is_empty());
    let too_many: Vec<EventId> = (0..10_001).map(id).collect();
    let refused = platform.try_acknowledge("pos", &too_many, false).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::InvalidArgument);
}
