//! Shadow reads: what counts as a difference, and that nobody is disturbed.

use std::time::Duration;

use bytes::Bytes;
use event_feed::{FeedEvent, Filter};
use order_model::Clock;
use proptest::prelude::*;
use rand::SeedableRng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fakes::{Behaviour, FakePrimary, FakeStore, authorised, clock, event, merchant_in, random, router};
use crate::feed::fallback::Fallback;
use crate::feed::shadow::{Comparison, Mismatch, Sampler, ShadowReader, compare};

fn sample(count: u8) -> Vec<FeedEvent> {
    (1..=count).map(|order| event(merchant_in(3, 0), order, 60_000)).collect()
}

async fn compared(primary: &std::sync::Arc<FakePrimary>, store: &FakeStore, answered: Vec<FeedEvent>) -> &'static str {
    let fallback = Fallback::new(store.transport(), clock());
    let reader = ShadowReader::new(primary.clone(), fallback, clock(), 1.0, random());
    let authorised = authorised(&[merchant_in(3, 0)]);
    reader.compare_now(&Comparison { authorised, filter: Filter::default(), primary: answered, polls: 1 }).await
}

#[tokio::test(start_paused = true)]
async fn a_lasting_difference_is_a_mismatch_of_its_kind() {
    let events = sample(4);
    let (primary, store) = (FakePrimary::new(events.clone()), FakeStore::new(events.clone()));
    assert_eq!(compared(&primary, &store, events.clone()).await, "same");
    store.state.lock().events.remove(0);
    assert_eq!(compared(&primary, &store, events.clone()).await, "mismatch");
    let now = clock().now();
    let found = |fallback: &[FeedEvent]| compare(&events, fallback, now).into_values().collect::<Vec<_>>();
    assert_eq!(found(&events[1..]), [Mismatch::Missing]);
    let mut other = events.clone();
    other[2].body = Bytes::from_static(b"{}");
    assert_eq!(found(&other), [Mismatch::Content]);
    assert_eq!(compare(&events[1..], &events, now).into_values().collect::<Vec<_>>(), [Mismatch::Extra]);
    let state = store.state.lock();
    assert!(state.asked.iter().all(|(_, shadow)| *shadow) && !state.calls.contains(&"acknowledge"));
    assert!(primary.state.lock().asked.iter().all(|(_, _, shadow)| *shadow), "nothing counts as delivered");
}

/// Acknowledged between the two reads: gone from one and, a moment later, from the other.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_in_between_is_no_difference() {
    let events = sample(2);
    let (primary, store) = (FakePrimary::new(events.clone()), FakeStore::new(events.clone()));
    store.state.lock().acknowledged.insert(events[0].id);
    let leader = async {
        tokio::time::sleep(Duration::from_millis(900)).await;
        primary.state.lock().applied.insert(events[0].id);
    };
    let (outcome, ()) = tokio::join!(compared(&primary, &store, events.clone()), leader);
    assert_eq!(outcome, "same");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_compared_is_told_apart() {
    let events = sample(1);
    let (primary, store) = (FakePrimary::new(events.clone()), FakeStore::new(vec![]));
    primary.state.lock().polls = Behaviour::Fail;
    assert_eq!(compared(&primary, &store, events.clone()).await, "unconfirmed");
    store.state.lock().is_down = true;
    assert_eq!(compared(&primary, &store, events).await, "failed");
}

/// With every poll compared and a fallback that hangs, polls are as fast as ever and the work is bounded.
#[tokio::test(start_paused = true)]
async fn comparing_never_delays_a_poll() {
    let events = sample(1);
    let (primary, store) = (FakePrimary::new(events.clone()), FakeStore::new(events));
    store.state.lock().delay = Duration::from_millis(1_500);
    let router = router(&primary, &store, 1.0);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (router, shutdown) = (router.clone(), shutdown.clone());
        async move { router.run(shutdown).await }
    });
    let started = Instant::now();
    for _ in 0..200 {
        router.poll(&authorised(&[merchant_in(3, 0)]), &Filter::default()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert!(started.elapsed() < Duration::from_millis(10));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let shadows = store.state.lock().asked.iter().filter(|(_, shadow)| *shadow).count();
    assert!((1..=64 + 1).contains(&shadows), "{shadows}");
    shutdown.cancel();
    running.await.unwrap();
}

/// One read of many merchants stands for the polls of all of them.
#[tokio::test(start_paused = true)]
async fn polls_of_different_merchants_are_read_together() {
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 1.0);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (router, shutdown) = (router.clone(), shutdown.clone());
        async move { router.run(shutdown).await }
    });
    for number in 0..40 {
        router.poll(&authorised(&[merchant_in(3, number)]), &Filter::default()).await.unwrap();
        tokio::task::yield_now().await;
    }
    tokio::time::sleep(Duration::from_secs(5)).await;
    let reads: Vec<usize> =
        store.state.lock().asked.iter().filter(|(_, shadow)| *shadow).map(|(merchants, _)| merchants.len()).collect();
    assert_eq!((reads.len(), reads.iter().sum()), (1, 40));
    shutdown.cancel();
    running.await.unwrap();
}

proptest! {
    #[test]
    fn young_and_expiring_events_are_never_a_difference(age_ms in 0u64..2_000, expires_in_ms in 0u64..=2_000) {
        let mut young = sample(1);
        let now = clock().now();
        young[0].created_at = now.minus(Duration::from_millis(age_ms));
        prop_assert!(compare(&young, &[], now).is_empty() && compare(&[], &young, now).is_empty());
        let mut expiring = sample(1);
        expiring[0].expires_at = now.plus(Duration::from_millis(expires_in_ms));
        prop_assert!(compare(&expiring, &[], now).is_empty() && compare(&[], &expiring, now).is_empty());
    }

    #[test]
    fn the_share_drawn_is_the_share_asked_for(seed in any::<u64>(), percent in 1u32..=20) {
        let random = std::sync::Arc::new(parking_lot::Mutex::new(rand::rngs::StdRng::seed_from_u64(seed)));
        let sampler = Sampler::new(f64::from(percent) / 100.0, random);
        let drawn = (0..100_000).filter(|_| sampler.draw()).count();
        let expected = percent as usize * 1_000;
        prop_assert!(drawn.abs_diff(expected) < expected / 4 + 150, "{drawn} of {expected}");
    }
}

#[test]
fn the_ends_of_the_scale() {
    let drawn = |ratio| {
        let sampler = Sampler::new(ratio, random());
        (0..1_000).filter(|_| sampler.draw()).count()
    };
    assert_eq!((drawn(0.0), drawn(1.0)), (0, 1_000));
}
