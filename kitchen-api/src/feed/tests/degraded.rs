//! DESIGN's degraded modes as far as polls touch them: never lose, then never refuse a poll, then never repeat.

use std::time::Duration;

use event_feed::Filter;
use order_model::{EventId, OrderId, PartitionId};
use tokio::time::Instant;

use super::fakes::{Behaviour, FakePrimary, FakeStore, application, authorised, event, merchant_in, router};
use crate::feed::breaker::BreakerState;
use crate::feed::{AnsweredBy, CachedOrder, FeedUnavailable, Refusal};

fn filter() -> Filter {
    Filter::default()
}

#[tokio::test(start_paused = true)]
async fn nothing_down_the_primary_answers_alone() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    for is_local in [true, false] {
        primary.state.lock().is_local = is_local;
        let router = router(&primary, &store, 0.0);
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!((page.events, page.answered_by), (pending.clone(), AnsweredBy::Primary));
        assert!(router.serving());
    }
    assert!(store.state.lock().calls.is_empty(), "the fallback was not asked");
}

/// One grid node down: what it does not answer in 300 ms the fallback answers; then the breaker saves the 300 ms; then the
/// primary takes over again. No poll fails, none shows anything else.
#[tokio::test(start_paused = true)]
async fn a_primary_that_hangs_costs_300_ms_until_the_breaker_opens_and_takes_over_when_it_is_back() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Hang;
    for nth in 0..10 {
        let started = Instant::now();
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!((page.events, page.answered_by), (pending.clone(), AnsweredBy::Fallback));
        let took = started.elapsed();
        let expected_ms = if nth < 3 { 300..310 } else { 0..10 };
        assert!(expected_ms.contains(&took.as_millis()), "poll {nth} took {took:?}");
    }
    assert!(matches!(router.breakers().state(PartitionId(3)), BreakerState::Open { .. }));
    primary.state.lock().polls = Behaviour::Answer;
    let back_by = Instant::now() + Duration::from_secs(6);
    loop {
        assert!(Instant::now() < back_by, "the primary is not asked again");
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!(page.events, pending);
        if page.answered_by == AnsweredBy::Primary {
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(router.breakers().are_pristine());
}

/// A grid partition down: the fallback is asked for its merchants only, and one page comes of both.
#[tokio::test(start_paused = true)]
async fn a_refused_partition_is_answered_by_the_fallback_and_merged_oldest_first() {
    let (here, there) = (merchant_in(3, 0), merchant_in(4, 0));
    let pending = vec![event(here, 1, 9_000), event(there, 2, 8_000), event(here, 3, 7_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(4, Refusal::NotServing)]);
    for _ in 0..6 {
        let page = router.poll(&authorised(&[here, there]), &filter()).await.unwrap();
        assert_eq!((page.events, page.answered_by), (pending.clone(), AnsweredBy::Fallback));
    }
    let asked = store.state.lock().asked.clone();
    assert!(asked.iter().all(|(merchants, shadow)| merchants == &[there] && !shadow));
    assert!(matches!(router.breakers().state(PartitionId(4)), BreakerState::Open { .. }));
    assert_eq!(router.breakers().state(PartitionId(3)), BreakerState::PRISTINE);
    assert_eq!(primary.state.lock().asked.last().unwrap().0, [here], "an open breaker saves the attempt");
}

/// DynamoDB down: a leader cannot read its fence and serves those who cannot reach the fallback either. Acknowledgments
/// answer 503 and are applied nowhere.
#[tokio::test(start_paused = true)]
async fn with_dynamodb_down_polls_go_on_and_acknowledgments_wait() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::FenceUnreadable)]);
    store.state.lock().is_down = true;
    for _ in 0..20 {
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!((page.events, page.answered_by), (pending.clone(), AnsweredBy::PrimaryUnfenced));
    }
    assert!(router.breakers().are_pristine(), "a leader without its fence is no failure");
    let refused = router.acknowledge(&application(), vec![pending[0].id]).await;
    assert!(matches!(refused, Err(FeedUnavailable::Acknowledge(_))));
    assert!(primary.state.lock().told.is_empty(), "what DynamoDB does not have, no leader may apply");
    let asked = primary.state.lock().asked.clone();
    assert!(asked.chunks(2).all(|pair| !pair[0].1 && pair[1].1), "without the fallback only after trying it");
}

/// The same with a DynamoDB that hangs instead of failing: the first polls wait for it, then only briefly.
#[tokio::test(start_paused = true)]
async fn a_fallback_that_hangs_does_not_slow_down_every_poll() {
    let merchant = merchant_in(3, 0);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::FenceUnreadable)]);
    store.state.lock().delay = Duration::from_secs(60);
    for nth in 0..8 {
        let started = Instant::now();
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!(page.answered_by, AnsweredBy::PrimaryUnfenced);
        let expected_ms = if nth < 3 { 2_000..2_010 } else { 150..160 };
        assert!(expected_ms.contains(&started.elapsed().as_millis()), "poll {nth} took {:?}", started.elapsed());
    }
}

/// A leader that lost its fence must not serve somebody who can reach the fallback: an acknowledgment may be there.
#[tokio::test(start_paused = true)]
async fn whoever_reaches_the_fallback_is_never_served_without_the_fence() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::FenceUnreadable)]);
    store.state.lock().acknowledged.insert(pending[0].id);
    let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    assert_eq!((page.events, page.answered_by), (vec![], AnsweredBy::Fallback));
    assert!(primary.state.lock().asked.iter().all(|(_, fallback_unreachable, _)| !fallback_unreachable));
}

/// Both breaker and fallback in the way: the saved attempt is made after all.
#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_no_poll() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Fail;
    for _ in 0..3 {
        router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    }
    primary.state.lock().polls = Behaviour::Answer;
    store.state.lock().is_down = true;
    let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    assert_eq!((page.events, page.answered_by), (pending, AnsweredBy::PrimaryUnfenced));
}

#[tokio::test(start_paused = true)]
async fn a_poll_is_refused_only_when_neither_side_answers() {
    let (here, there) = (merchant_in(3, 0), merchant_in(4, 0));
    let pending = vec![event(here, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(4, Refusal::NotServing)]);
    store.state.lock().is_down = true;
    let page = router.poll(&authorised(&[here, there]), &filter()).await.unwrap();
    assert_eq!((page.events, page.answered_by), (pending, AnsweredBy::Partly), "what there is, is answered");
    let refused = router.poll(&authorised(&[there]), &filter()).await.unwrap_err();
    assert!(matches!(refused, FeedUnavailable::Poll { partitions: 1, fallback: Some(_) }));
    primary.state.lock().events.clear();
    let refused = router.poll(&authorised(&[here, there]), &filter()).await;
    assert!(refused.is_err(), "nothing is pending cannot be said of somebody who was not asked");
    assert!(!router.serving(), "orders of unserved merchants must not time out");
}

#[tokio::test(start_paused = true)]
async fn an_overloaded_fallback_counts_as_one_that_cannot_be_reached() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::FenceUnreadable)]);
    store.state.lock().refuses = vec![3];
    let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    assert_eq!((page.events, page.answered_by), (pending, AnsweredBy::PrimaryUnfenced));
}

/// One merchant with more pending than the leader keeps must not send its whole partition to the fallback.
#[tokio::test(start_paused = true)]
async fn a_leader_that_lacks_bodies_of_one_merchant_is_asked_all_the_same() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::Overloaded)]);
    for _ in 0..10 {
        let page = router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
        assert_eq!((page.events, page.answered_by), (pending.clone(), AnsweredBy::Fallback));
    }
    assert!(router.breakers().are_pristine());
}

#[tokio::test(start_paused = true)]
async fn hidden_ids_are_acknowledged_before_the_answer_or_stay_pending() {
    let merchant = merchant_in(3, 0);
    let hidden = event(merchant, 1, 5_000);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().hidden = vec![hidden.id];
    router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    assert!(store.state.lock().acknowledged.contains(&hidden.id));
    assert!(primary.state.lock().applied.contains(&hidden.id));

    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().hidden = vec![hidden.id];
    store.state.lock().delay = Duration::from_secs(60);
    let router = super::fakes::router(&primary, &store, 0.0);
    let started = Instant::now();
    router.poll(&authorised(&[merchant]), &filter()).await.unwrap();
    assert!((1_000..1_010).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert!(!primary.state.lock().applied.contains(&hidden.id));
}

#[tokio::test(start_paused = true)]
async fn nobody_sees_a_merchant_that_was_not_asked_for() {
    let (own, foreign) = (merchant_in(3, 0), merchant_in(3, 1));
    let store = FakeStore::new(vec![]);
    struct Mistaken(order_model::MerchantId);
    impl crate::feed::PrimaryFeed for Mistaken {
        fn poll_now(&self, _: &crate::feed::PollQuery<'_>) -> Option<crate::feed::PollOutcome> {
            Some(crate::feed::PollOutcome { events: vec![event(self.0, 1, 5_000)], ..Default::default() })
        }
        fn poll<'a>(
            &'a self,
            _: crate::feed::PollQuery<'a>,
        ) -> futures::future::BoxFuture<'a, Result<crate::feed::PollOutcome, crate::feed::PrimaryError>> {
            unreachable!("it answers at once")
        }
        fn acknowledge<'a>(
            &'a self,
            _: &'a order_model::ApplicationId,
            _: &'a [EventId],
        ) -> futures::future::BoxFuture<'a, Result<Vec<PartitionId>, crate::feed::PrimaryError>> {
            Box::pin(async { Ok(Vec::new()) })
        }
        fn cached_order(
            &self,
            _: OrderId,
        ) -> futures::future::BoxFuture<'_, Result<Option<CachedOrder>, crate::feed::PrimaryError>> {
            Box::pin(async { Ok(None) })
        }
        fn unserved(&self) -> futures::future::BoxFuture<'_, Result<Vec<PartitionId>, crate::feed::PrimaryError>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }
    let mistaken = crate::feed::FeedRouter::new(
        &crate::feed::FeedConfig::default(),
        crate::feed::FeedDependencies {
            primary: std::sync::Arc::new(Mistaken(foreign)),
            fallback: store.transport(),
            event_id_key: super::fakes::key(),
            clock: super::fakes::clock(),
            random: super::fakes::random(),
        },
    );
    assert!(mistaken.poll(&authorised(&[own]), &filter()).await.unwrap().events.is_empty());
}

/// The core is down: an order's details come from the grid's cache, and no cache costs no more than half a second.
#[tokio::test(start_paused = true)]
async fn order_details_come_from_the_cache_where_there_is_one() {
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    let order = OrderId::from_bytes([1; 16]);
    assert_eq!(router.cached_order(order).await, None);
    let cached = CachedOrder { merchant: merchant_in(3, 0), body: bytes::Bytes::from_static(b"{}"), sequence: 1 };
    primary.state.lock().cached = Some(cached.clone());
    assert_eq!(router.cached_order(order).await, Some(cached));
    primary.state.lock().polls = Behaviour::Hang;
    let started = Instant::now();
    assert_eq!(router.cached_order(order).await, None);
    assert!(started.elapsed() < Duration::from_millis(510));
}

/// Handlers run on a multi-threaded runtime: their futures must be `Send`.
#[tokio::test]
async fn polls_and_acknowledgments_can_be_spawned() {
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    let spawned = tokio::spawn(async move {
        router.poll(&authorised(&[merchant_in(3, 0)]), &filter()).await.unwrap();
        router.acknowledge(&application(), vec![]).await.unwrap();
        let shutdown = tokio_util::sync::CancellationToken::new();
        shutdown.cancel();
        router.run(shutdown).await;
    });
    spawned.await.unwrap();
}
