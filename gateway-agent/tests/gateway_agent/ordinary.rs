//! What happens on a good day.

use std::time::Duration;

use gateway_agent::Config;
use message_bus::Queue;
use proto::gateway_core::submit_request::Content;

use crate::bed::{Bed, TRACEPARENT, eventually, order, order_id, update};

#[tokio::test(start_paused = true)]
async fn an_order_reaches_the_core_and_leaves_the_queue() {
    let bed = Bed::start();
    bed.send([order(1)]).await;
    bed.until_empty().await;
    let requests = bed.core.requests();
    assert_eq!(requests.len(), 1);
    let request = &requests[0];
    assert_eq!((request.source.as_str(), request.message_id.as_str()), ("app", "order-1"));
    assert_eq!(request.body_digest.len(), 32);
    assert!(TRACEPARENT.contains(&format!("{:032x}", u128::from_be_bytes(request.trace_id[..].try_into().unwrap()))));
    let Some(Content::Place(place)) = &request.content else { panic!("{:?}", request.message_id) };
    assert!(order(1).contains(std::str::from_utf8(&place.body).unwrap()), "verbatim");
    let facts = place.facts.as_ref().unwrap();
    assert_eq!((facts.order_type.as_str(), facts.is_test, facts.delivered_by.as_str()), ("TAKEOUT", false, ""));
    assert_eq!(facts.promised_at_ms - request.occurred_at_ms, 30 * 60 * 1000);
    assert_eq!(bed.handle.readiness(), Ok(()));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_messages_are_committed_once_each() {
    let bed = Bed::start();
    bed.send((0..500).map(order)).await;
    bed.send((0..500).map(|number| update(&format!("update-{number}"), number))).await;
    bed.send((0..500).map(order)).await;
    bed.until_empty().await;
    assert_eq!(bed.core.committed(), 1000);
    assert!(bed.dead_letters().await.is_empty());
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_that_overtakes_its_order_waits_for_it() {
    let bed = Bed::start();
    bed.send([update("update", 1)]).await;
    eventually("the update was tried", async || bed.core.calls("update") >= 3).await;
    bed.send([order(1)]).await;
    bed.until_empty().await;
    assert_eq!((bed.core.committed(), bed.dead_letters().await.len()), (2, 0));
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_update_without_an_order_is_dead_after_ten_minutes() {
    let bed = Bed::start();
    let started = tokio::time::Instant::now();
    bed.send([update("update", 1)]).await;
    bed.until_empty().await;
    let took_s = started.elapsed().as_secs();
    assert!((600..630).contains(&took_s), "{took_s}");
    let dead = bed.dead_letters().await;
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].body.as_str(), dead[0].attributes["reason"].as_str()),
        (update("update", 1).as_str(), "UNKNOWN_ORDER")
    );
    assert_eq!(
        (dead[0].attributes["detail"].as_str(), dead[0].attributes["traceparent"].as_str()),
        ("because", TRACEPARENT)
    );
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_hopeless_is_dead_at_once_with_its_reason() {
    let bed = Bed::start();
    let too_large = format!("\"{}\"", "x".repeat(255 * 1024));
    let hopeless = [
        ("MALFORMED", "no JSON".to_owned()),
        ("UNKNOWN_TYPE", update("u", 1).replace("CON", "NEW")),
        ("TOO_LARGE", too_large),
        ("ILLEGAL_TRANSITION", update("illegal", 1)),
    ];
    bed.send(hopeless.iter().map(|(_, body)| body.clone())).await;
    let started = tokio::time::Instant::now();
    bed.until_empty().await;
    assert!(started.elapsed() < Duration::from_secs(1));
    let mut dead: Vec<_> =
        bed.dead_letters().await.into_iter().map(|dead| (dead.attributes["reason"].clone(), dead.body)).collect();
    let mut expected = hopeless.map(|(reason, body)| (reason.to_owned(), body));
    dead.sort();
    expected.sort();
    assert_eq!(dead, expected);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_held_for_long_stays_hidden() {
    let config = Config { submit_deadline: Duration::from_secs(90), ..Config::default() };
    let bed = Bed::start_with(config);
    bed.core.fail("order-1", tonic::Code::DeadlineExceeded);
    bed.send([order(1)]).await;
    eventually("it is submitted", async || bed.core.calls("order-1") == 1).await;
    tokio::time::sleep(Duration::from_secs(80)).await;
    assert_eq!(bed.core.calls("order-1"), 1, "longer than its visibility of 30 s, yet it did not come back");
    assert_eq!(bed.orders.depth().await.unwrap().in_flight, 1);
    bed.stop().await;
}

#[tokio::test(start_paused = true)]
async fn draining_finishes_what_is_quick_and_gives_back_the_rest() {
    let config = Config { submit_deadline: Duration::from_secs(60), ..Config::default() };
    let bed = Bed::start_with(config);
    bed.core.hang();
    bed.send((0..40).map(order)).await;
    eventually("all are submitted", async || bed.core.calls_of_all() == 40).await;
    let orders = bed.orders.clone();
    let took = bed.stop().await;
    assert!(took <= Duration::from_secs(10), "{took:?}");
    let depth = orders.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight), (40, 0), "visible at once, not after a visibility timeout");
    let again = orders.receive(1, Duration::ZERO, Duration::from_secs(1)).await.unwrap();
    assert!(again[0].body.contains(&order_id(0)[..20]));
}

#[tokio::test(start_paused = true)]
async fn an_idle_agent_stops_at_once() {
    let bed = Bed::start();
    eventually("it runs", async || bed.handle.readiness().is_ok()).await;
    assert!(bed.stop().await < Duration::from_secs(1));
}
