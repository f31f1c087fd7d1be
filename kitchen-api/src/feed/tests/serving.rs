//! What the core is told about serving.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::fakes::{Behaviour, FakePrimary, FakeStore, router};
use crate::feed::Refusal;
use crate::feed::serving::ServingEvidence;

#[test]
fn a_poll_in_full_counts_five_seconds_and_an_incomplete_one_overrules_it_for_two() {
    let at = Duration::from_secs;
    let evidence = ServingEvidence::default();
    assert!(!evidence.is_serving(at(1)), "nothing is known at the start");
    evidence.served(at(10));
    assert!(evidence.is_serving(at(14)) && !evidence.is_serving(at(15)));
    evidence.incomplete(at(11));
    evidence.served(at(12));
    assert!(!evidence.is_serving(at(12)) && evidence.is_serving(at(13)));
}

/// Nobody polls at night; what could be served counts.
#[tokio::test(start_paused = true)]
async fn probes_stand_in_for_polls() {
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn({
        let (router, shutdown) = (router.clone(), shutdown.clone());
        async move { router.run(shutdown).await }
    });
    let after = async |seconds: u64| {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        router.serving()
    };
    assert!(after(20).await, "both sides are up");
    primary.state.lock().polls = Behaviour::Refuse(vec![(3, Refusal::NotServing)]);
    assert!(after(20).await, "the fallback could answer");
    store.state.lock().is_down = true;
    assert!(!after(20).await, "nobody could answer for partition 3");
    primary.state.lock().polls = Behaviour::Answer;
    assert!(after(20).await, "the primary could");
    primary.state.lock().polls = Behaviour::Hang;
    assert!(!after(20).await);
    store.state.lock().is_down = false;
    assert!(after(20).await);
    shutdown.cancel();
    running.await.unwrap();
}
