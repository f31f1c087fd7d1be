//! Confirm timeout, conclusion and disputes, in real time with short deadlines.

use std::time::Duration;

use gateway_core::Config;
use order_model::EventCode;
use proto::gateway_core::Action;

use crate::platform::{Platform, config, order_id, placing, updating};

fn short() -> Config {
    Config { confirm_deadline: Duration::from_millis(1_500), conclude_after: Duration::from_secs(2), ..config() }
}

#[tokio::test]
async fn an_order_that_nobody_confirms_is_cancelled_and_says_why() {
    let platform = Platform::start().await;
    let core = platform.core(short());
    core.report_serving().await;
    let reporting = core.keep_reporting();
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    core.wait_for_state(order, "CANCELLED").await;
    let published = platform.published_until(|all| all.len() == 2).await;
    let (placed, cancelled) = (&published[0].event, &published[1].event);
    assert!(cancelled.created_at.since(placed.created_at) >= Duration::from_millis(1_500));
    assert_eq!(published[1].json()["metadata"]["TIMEOUT_EVENT"], true);
    assert_eq!(cancelled.trace, placed.trace);
    reporting.abort();
    core.stop().await;
}

#[tokio::test]
async fn a_confirmation_that_commits_first_wins_and_the_order_is_concluded_in_the_end() {
    let platform = Platform::start().await;
    let core = platform.core(short());
    core.report_serving().await;
    let reporting = core.keep_reporting();
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    assert!(core.act(order, Action::Confirm).await.unwrap().conflict.is_none());
    core.wait_for_state(order, "CONCLUDED").await;
    let codes: Vec<_> = core.events(order).await.iter().map(|event| event.code).collect();
    assert_eq!(codes, [EventCode::Placed, EventCode::Confirmed, EventCode::Concluded]);
    reporting.abort();
    core.stop().await;
}

#[tokio::test]
async fn confirmations_and_timeouts_that_race_never_both_happen() {
    let platform = Platform::start().await;
    let cores = [platform.core(short()), platform.core(short())];
    cores[0].report_serving().await;
    let reporting = cores[0].keep_reporting();
    let orders: Vec<_> = (0..24).map(|_| order_id()).collect();
    for order in &orders {
        cores[0].submit(placing(*order, &order.to_string(), 1)).await;
    }
    let racing = orders.iter().enumerate().map(|(position, order)| {
        let core = &cores[position % 2];
        async move {
            tokio::time::sleep(Duration::from_millis(1_000 + 80 * position as u64)).await;
            core.act(*order, Action::Confirm).await.unwrap().conflict.is_none()
        }
    });
    let confirmed = futures::future::join_all(racing).await;
    assert!(confirmed.contains(&true) && confirmed.contains(&false), "no race: {confirmed:?}");
    for (order, confirmed) in orders.iter().zip(confirmed) {
        let codes: Vec<_> = cores[0].events(*order).await.iter().map(|event| event.code).collect();
        let second = if confirmed { EventCode::Confirmed } else { EventCode::Cancelled };
        assert_eq!(codes.get(1), Some(&second), "answered {confirmed}, stored {codes:?}");
        assert!(!(codes.contains(&EventCode::Confirmed) && codes.contains(&EventCode::Cancelled)), "{codes:?}");
    }
    reporting.abort();
    for core in cores {
        core.stop().await;
    }
}

#[tokio::test]
async fn time_without_served_polls_does_not_count() {
    let platform = Platform::start().await;
    let core = platform.core(short());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    // Nobody has ever reported that polls are served: twice the deadline passes and nothing happens.
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(core.get(order).await.unwrap().state, "PLACED");
    core.report_serving().await;
    let served_from = tokio::time::Instant::now();
    let reporting = core.keep_reporting();
    core.wait_for_state(order, "CANCELLED").await;
    assert!(served_from.elapsed() >= Duration::from_millis(1_400), "{:?}", served_from.elapsed());
    reporting.abort();
    core.stop().await;
}

#[tokio::test]
async fn an_order_whose_event_is_not_published_is_not_cancelled() {
    let platform = Platform::start().await;
    let core = platform.core(short());
    core.report_serving().await;
    let reporting = core.keep_reporting();
    platform.topic.set_faults(message_bus::in_memory::Faults { unavailable: true, ..Default::default() });
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    tokio::time::sleep(Duration::from_millis(3_500)).await;
    assert_eq!(core.get(order).await.unwrap().state, "PLACED");
    platform.topic.set_faults(message_bus::in_memory::Faults::default());
    core.wait_for_state(order, "CANCELLED").await;
    let events = core.events(order).await;
    assert!(
        events[1].created_at.since(events[0].created_at) >= Duration::from_millis(5_000),
        "counted from publication"
    );
    reporting.abort();
    core.stop().await;
}

#[tokio::test]
async fn under_a_clock_that_is_wrong_no_deadline_is_acted_on() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    core.report_serving().await;
    let reporting = core.keep_reporting();
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    core.act(order, Action::Confirm).await.unwrap();
    platform.published_until(|all| all.len() == 2).await;
    platform.clock.jump(2 * 24 * 3_600 * 1_000);
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(core.handle.notes().iter().any(|note| note.contains("clock")), "{:?}", core.handle.notes());
    assert_eq!(core.events(order).await.len(), 2, "two days ahead, and still not concluded");
    platform.clock.jump(-2 * 24 * 3_600 * 1_000);
    assert!(core.act(order, Action::Dispatch).await.unwrap().conflict.is_none());
    assert!(core.handle.notes().is_empty());
    reporting.abort();
    core.stop().await;
}

#[tokio::test]
async fn a_dispute_that_nobody_answers_ends_as_it_says() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    core.act(order, Action::Confirm).await.unwrap();
    let metadata = r#"{"disputeId":"d-1","expiresAt":"2026-01-01T00:00:00Z","timeoutAction":"ACCEPT_CANCELLATION"}"#;
    core.submit(updating(order, "2", EventCode::HandshakeDispute, metadata)).await;
    core.wait_for_state(order, "CANCELLED").await;
    let codes: Vec<_> = core.events(order).await.iter().map(|event| event.code).collect();
    let expected = [
        EventCode::Placed,
        EventCode::Confirmed,
        EventCode::HandshakeDispute,
        EventCode::HandshakeSettlement,
        EventCode::Cancelled,
    ];
    assert_eq!(codes, expected);
    core.stop().await;
}
