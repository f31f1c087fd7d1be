//! Every committed event is published, whatever happens between commit and topic.

use std::time::Duration;

use message_bus::in_memory::Faults;
use order_model::EventCode;

use crate::platform::{Platform, config, eventually, order_id, placing, updating};

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
async fn an_event_that_the_topic_refuses_for_good_is_set_aside_delays_nobody_and_is_published_once_it_is_taken() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let (refused, other) = (order_id(), order_id());
    platform.picky.refuse(refused);
    core.submit(placing(refused, "1", 1)).await;
    core.submit(updating(refused, "2", EventCode::Confirmed, "")).await;
    eventually("it is set aside", || core.handle.notes().iter().any(|note| note.contains("refuses 2 events"))).await;
    let tried = platform.picky.refusals(refused);
    assert!((8..=10).contains(&tried), "{tried} refusals of two events: 4 each of the reconciler, 1 of the lane");
    // The lanes miss this one, so that it is the reconciler's, too.
    let dying = platform.idle_core(config());
    dying.submit(placing(other, "3", 1)).await;
    let published = platform.published_until(|all| !all.is_empty()).await;
    assert_eq!(published[0].event.order, other);
    assert_eq!(platform.picky.refusals(refused), tried, "nobody tries it meanwhile");

    platform.clock.skip(Duration::from_secs(61));
    eventually("it is tried again", || platform.picky.refusals(refused) == tried + 2).await;
    core.stop().await;
    platform.picky.accept_all();
    let next = platform.core(config());
    let published = platform.published_until(|all| all.len() >= 2).await;
    let events: Vec<_> = published.iter().map(|notification| notification.event.clone()).collect();
    assert_eq!(events, next.events(refused).await, "a new core tries at once; same ids, same content, in order");
    platform.clock.skip(Duration::from_secs(31));
    eventually("nothing is set aside", || next.handle.notes().is_empty()).await;
    next.stop().await;
}

#[tokio::test]
async fn more_events_than_one_look_shows_are_all_published() {
    let platform = Platform::start().await;
    let dying = platform.idle_core(config());
    let orders: Vec<_> = (0..900).map(|_| order_id()).collect();
    let placing = orders.iter().map(|order| dying.submit(placing(*order, &order.to_string(), 1)));
    futures::future::join_all(placing).await;
    drop(dying);
    let core = platform.core(config());
    let mut published = platform.published_until(|all| all.len() >= 900).await;
    published.sort_by_key(|notification| notification.event.order);
    published.dedup_by_key(|notification| notification.event.order);
    assert_eq!(published.len(), 900);
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
