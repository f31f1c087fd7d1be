//! Acknowledgments: DynamoDB, then the leaders, then the fence.

use std::time::Duration;

use event_feed::FeedEvent;
use order_model::{EventId, PartitionCount};
use proptest::prelude::*;
use tokio::time::Instant;

use super::fakes::{Behaviour, FakePrimary, FakeStore, application, event, merchant_in, router};
use crate::feed::{AcknowledgmentError, FeedUnavailable, Refusal};

fn events_in(partition: u16, count: u8) -> Vec<FeedEvent> {
    (1..=count).map(|order| event(merchant_in(partition, 0), order, 5_000)).collect()
}

fn ids(events: &[FeedEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

#[tokio::test(start_paused = true)]
async fn dynamodb_first_then_the_leader() {
    let events = events_in(3, 2);
    let (primary, store) = (FakePrimary::new(events.clone()), FakeStore::new(events.clone()));
    router(&primary, &store, 0.0).acknowledge(&application(), ids(&events)).await.unwrap();
    let acknowledged: Vec<EventId> = store.state.lock().acknowledged.iter().copied().collect();
    assert_eq!(acknowledged, primary.state.lock().applied.iter().copied().collect::<Vec<_>>());
    assert_eq!(acknowledged.len(), 2);
    assert_eq!(store.state.lock().calls, ["acknowledge"]);
}

#[tokio::test(start_paused = true)]
async fn ids_that_are_not_ours_are_stored_nowhere() {
    let events = events_in(3, 1);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    let forged: Vec<EventId> = (0..50).map(|byte| EventId::from_bytes([byte; 16])).collect();
    router.acknowledge(&application(), forged.clone()).await.unwrap();
    assert!(store.state.lock().calls.is_empty() && primary.state.lock().told.is_empty());
    let mixed: Vec<EventId> = forged.into_iter().chain([events[0].id, events[0].id]).collect();
    router.acknowledge(&application(), mixed).await.unwrap();
    assert_eq!(primary.state.lock().told, [vec![events[0].id]]);
    assert_eq!(store.state.lock().acknowledged.len(), 1);
}

/// The leader is away: the fence is raised, waited for once and shared; who comes later does not wait.
#[tokio::test(start_paused = true)]
async fn a_leader_that_is_away_is_fenced_once_for_everybody() {
    let events = events_in(3, 40);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Hang;
    let router = router(&primary, &store, 0.0);
    let started = Instant::now();
    let burst = events[..30].iter().map(|event| {
        let router = router.clone();
        let id = event.id;
        async move { router.acknowledge(&application(), vec![id]).await }
    });
    let answers = futures::future::join_all(burst).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    let took = started.elapsed();
    assert!((4_000..4_100).contains(&took.as_millis()), "1 s for the leader and the fence's 3 s, took {took:?}");
    assert_eq!(store.calls("raise_fences"), 1);
    assert_eq!(store.calls("read_fences"), 1);
    assert_eq!(store.state.lock().logged.len(), 30);
    // One acknowledgment at a time finds out whether the leader is back; it alone spends the leader's second.
    let took = async |events: &[FeedEvent]| {
        let started = Instant::now();
        router.acknowledge(&application(), ids(events)).await.unwrap();
        started.elapsed().as_millis()
    };
    let (probing, others) = tokio::join!(took(&events[30..31]), took(&events[31..40]));
    assert!((1_000..1_010).contains(&probing) && others < 10, "{probing} ms, {others} ms");
    assert_eq!(store.state.lock().logged.len(), 40);
    assert_eq!((store.calls("raise_fences"), store.calls("read_fences")), (1, 1), "it is known to hold");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_back_gets_acknowledgments_again() {
    let events = events_in(3, 8);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Fail;
    let router = router(&primary, &store, 0.0);
    for event in &events[..4] {
        router.acknowledge(&application(), vec![event.id]).await.unwrap();
    }
    primary.state.lock().acknowledgments = Behaviour::Answer;
    store.lower_fence(3);
    tokio::time::sleep(Duration::from_secs(3)).await;
    let raises = store.calls("raise_fences");
    router.acknowledge(&application(), ids(&events[4..])).await.unwrap();
    assert_eq!(primary.state.lock().applied.len(), 4);
    assert_eq!(store.calls("raise_fences"), raises, "its fence stays down");
}

/// The leader takes its partition back while we wait: it has read our entry, so the acknowledgment holds, and not before
/// an older leader's 3 s are over.
#[tokio::test(start_paused = true)]
async fn a_fence_lowered_while_waiting_is_as_good() {
    let events = events_in(3, 1);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Refuse(vec![(3, Refusal::NotServing)]);
    let router = router(&primary, &store, 0.0);
    let started = Instant::now();
    let leader = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        store.lower_fence(3);
    };
    let application = application();
    let (answer, ()) = tokio::join!(router.acknowledge(&application, ids(&events)), leader);
    answer.unwrap();
    assert!((3_000..3_100).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    assert_eq!(store.calls("raise_fences"), 1);
}

#[tokio::test(start_paused = true)]
async fn only_the_partition_that_did_not_apply_is_fenced() {
    let (here, there) = (events_in(3, 2), events_in(4, 2));
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Refuse(vec![(4, Refusal::NotServing), (9, Refusal::NotServing)]);
    let router = router(&primary, &store, 0.0);
    router.acknowledge(&application(), [ids(&here), ids(&there)].concat()).await.unwrap();
    let state = store.state.lock();
    assert_eq!(state.fences.keys().copied().collect::<Vec<_>>(), [4], "nor one that the peer merely named");
    assert_eq!(state.logged, ids(&there).into_iter().collect());
    assert_eq!(state.acknowledged.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn without_dynamodb_the_answer_is_503_at_every_step() {
    let events = events_in(3, 1);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Hang;
    let router = router(&primary, &store, 0.0);
    let fails_after = async |delay_ms: u64| {
        let outage = async {
            tokio::time::sleep(Duration::from_millis(delay_ms)).await;
            store.state.lock().is_down = true;
        };
        let application = application();
        let (answer, ()) = tokio::join!(router.acknowledge(&application, ids(&events)), outage);
        store.state.lock().is_down = false;
        match answer.unwrap_err() {
            FeedUnavailable::Acknowledge(error) => error,
            other => panic!("{other:?}"),
        }
    };
    assert!(matches!(fails_after(500).await, AcknowledgmentError::NotLogged(_)));
    assert!(matches!(fails_after(2_000).await, AcknowledgmentError::NotFenced(_)));
    store.state.lock().delay = Duration::from_secs(60);
    let started = Instant::now();
    let answer = router.acknowledge(&application(), ids(&events)).await;
    assert!(matches!(answer, Err(FeedUnavailable::Acknowledge(AcknowledgmentError::NotStored(_)))));
    assert!((3_000..3_010).contains(&started.elapsed().as_millis()));
}

/// A client that goes away in the middle leaves nothing behind that would hold up others.
#[tokio::test(start_paused = true)]
async fn an_abandoned_acknowledgment_blocks_nobody() {
    let events = events_in(3, 2);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    primary.state.lock().acknowledgments = Behaviour::Hang;
    let router = router(&primary, &store, 0.0);
    for abandoned_after_ms in [10, 1_000, 1_001, 2_500, 4_000] {
        let application = application();
        let acknowledging = router.acknowledge(&application, vec![events[0].id]);
        let _ = tokio::time::timeout(Duration::from_millis(abandoned_after_ms), acknowledging).await;
    }
    router.acknowledge(&application(), vec![events[1].id]).await.unwrap();
    assert!(store.state.lock().logged.contains(&events[1].id));
}

/// Something that happens while acknowledgments are under way.
#[derive(Debug, Clone)]
enum Turn {
    Acknowledge { partition: u16, order: u8 },
    Leaders(Behaviour),
    Store { is_down: bool, delay_ms: u64 },
    LowerFence { partition: u16 },
}

fn turns() -> impl Strategy<Value = Vec<(u64, Turn)>> {
    let leaders = prop_oneof![
        Just(Behaviour::Answer),
        Just(Behaviour::Hang),
        Just(Behaviour::Fail),
        Just(Behaviour::Refuse(vec![(4, Refusal::NotServing)])),
    ];
    let turn = prop_oneof![
        5 => (3u16..6, 1u8..200).prop_map(|(partition, order)| Turn::Acknowledge { partition, order }),
        2 => leaders.prop_map(Turn::Leaders),
        1 => (prop::bool::weighted(0.3), 0u64..400).prop_map(|(is_down, delay_ms)| Turn::Store { is_down, delay_ms }),
        2 => (3u16..6).prop_map(|partition| Turn::LowerFence { partition }),
    ];
    proptest::collection::vec((0u64..1_500, turn), 1..40)
}

/// What must hold of an id at the moment of its 202.
fn holds(primary: &FakePrimary, store: &FakeStore, id: EventId) -> bool {
    let state = store.state.lock();
    let partition = u32::from(id.routing_hash().partition(PartitionCount::DEFAULT).0);
    let fenced = state.logged_at.get(&id).is_some_and(|logged_at| {
        let is_good = |raise: &(u32, Instant, Option<Instant>)| {
            raise.0 == partition
                && raise.1.elapsed() >= Duration::from_secs(3)
                && raise.2.is_none_or(|lowered_at| lowered_at >= *logged_at)
        };
        state.raises.iter().any(is_good)
    });
    state.acknowledged.contains(&id) && (primary.state.lock().applied.contains(&id) || fenced)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// A 202 says: DynamoDB has it, and the leader has applied it or has been fenced out for 3 s.
    #[test]
    fn a_202_says_what_it_says(turns in turns()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let granted = runtime.block_on(async {
            let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
            let router = router(&primary, &store, 0.0);
            let mut acknowledging = tokio::task::JoinSet::new();
            for (pause_ms, turn) in turns {
                tokio::time::sleep(Duration::from_millis(pause_ms)).await;
                match turn {
                    Turn::Acknowledge { partition, order } => {
                        let (router, primary, store) = (router.clone(), primary.clone(), store.clone());
                        let id = event(merchant_in(partition, 0), order, 5_000).id;
                        acknowledging.spawn(async move {
                            let granted = router.acknowledge(&application(), vec![id]).await.is_ok();
                            !granted || holds(&primary, &store, id)
                        });
                    }
                    Turn::Leaders(behaviour) => primary.state.lock().acknowledgments = behaviour,
                    Turn::Store { is_down, delay_ms } => {
                        let mut state = store.state.lock();
                        (state.is_down, state.delay) = (is_down, Duration::from_millis(delay_ms));
                    }
                    Turn::LowerFence { partition } => store.lower_fence(u32::from(partition)),
                }
            }
            acknowledging.join_all().await
        });
        prop_assert!(granted.into_iter().all(|granted| granted), "a 202 that does not hold");
    }
}
