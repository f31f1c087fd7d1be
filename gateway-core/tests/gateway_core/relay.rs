//! Every committed event is published, whatever happens between commit and topic.

use std::time::Duration;

use message_bus::in_memory::Faults;
use order_model::EventCode;

use crate::platform::{Platform, config, order_id, placing, updating};

#[tokio::test]
async fn a_core_that_dies_between_commit_and_publish_is_repaired_by_the_next() {
    let platform = Platform::start().await;
    let dying = platform.idle_core(config());
    let order = order_id();
    let reply = dying.submit(placing(order, "1", 1)).await;
    dying.submit(updating(order, "2", EventCode::Confirmed, "")).await;
    let committed = dying.events(order).await;
    drop(dying);
    assert!(platform.published().await.is_empty());
    let next = platform.core(config());
    let published = platform.published_until(|all| all.len() >= 2).await;
    assert_eq!(published[0].event.id.as_bytes().to_vec(), reply.event_ids[0]);
    let events: Vec<_> = published.iter().map(|notification| notification.event.clone()).collect();
    assert_eq!(events, committed, "same ids, same content, in order");
    next.stop().await;
    let after = platform.core(config());
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    assert!(platform.published().await.is_empty(), "what was published is not marked any more");
    after.stop().await;
}

#[tokio::test]
async fn events_wait_for_a_topic_that_is_down_and_none_is_lost() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    platform.topic.set_faults(Faults { unavailable: true, ..Faults::default() });
    let orders: Vec<_> = (0..20).map(|_| order_id()).collect();
    for order in &orders {
        core.submit(placing(*order, &order.to_string(), 1)).await;
    }
    assert!(platform.published().await.is_empty());
    platform.topic.set_faults(Faults::default());
    let published = platform.published_until(|all| all.len() >= 20).await;
    let mut seen: Vec<_> = published.iter().map(|notification| notification.event.order).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 20);
    assert!(core.handle.notes().is_empty(), "{:?}", core.handle.notes());
    core.stop().await;
}

#[tokio::test]
async fn a_batch_that_fails_in_part_is_published_in_full_and_lost_answers_repeat_the_same_event() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    platform.topic.set_faults(Faults { failed_percent: 30, answer_lost_percent: 20, ..Faults::default() });
    let orders: Vec<_> = (0..60).map(|_| order_id()).collect();
    let placing = orders.iter().map(|order| core.submit(placing(*order, &order.to_string(), 1)));
    futures::future::join_all(placing).await;
    let distinct = |all: &[crate::platform::Notification]| {
        let mut seen: Vec<_> = all.iter().map(|notification| notification.event.order).collect();
        seen.sort_unstable();
        seen.dedup();
        seen.len()
    };
    let published = platform.published_until(|all| distinct(all) == 60).await;
    for first in &published {
        let same = published.iter().filter(|other| other.event.order == first.event.order);
        assert!(same.into_iter().all(|other| other.event == first.event), "one id and one content per event");
    }
    core.stop().await;
}

#[tokio::test]
async fn a_core_that_is_told_to_stop_publishes_what_it_committed_and_refuses_the_rest() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let orders: Vec<_> = (0..40).map(|_| order_id()).collect();
    let placing_all = orders.iter().map(|order| core.submit(placing(*order, &order.to_string(), 1)));
    futures::future::join_all(placing_all).await;
    let api = core.api.clone();
    let handle = core.handle.clone();
    assert!(handle.readiness().is_ok());
    core.stop().await;
    assert_eq!(platform.published().await.len(), 40);
    assert!(handle.readiness().unwrap_err().contains("stopping"));
    let refused = api.clone().submit(placing(order_id(), "late", 1)).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
}
