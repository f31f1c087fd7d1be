//! What a poll does without waiting, and that what it cannot finish so is finished and not begun anew.

use event_feed::Filter;
use order_model::EventId;

use super::fakes::{Behaviour, FakePrimary, FakeStore, authorised, event, merchant_in, router};
use crate::feed::breaker::BreakerState;
use crate::feed::{AnsweredBy, Begun, Refusal};

#[tokio::test(start_paused = true)]
async fn a_primary_of_this_process_is_not_waited_for() {
    let merchant = merchant_in(3, 0);
    let pending = vec![event(merchant, 1, 5_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(vec![]));
    let router = router(&primary, &store, 0.0);
    primary.state.lock().is_local = true;
    let Begun::Answered(page) = router.begin(&authorised(&[merchant]), &Filter::default()) else { panic!() };
    assert_eq!((page.events, page.answered_by), (pending, AnsweredBy::Primary));
    assert!(router.serving());
    primary.state.lock().is_local = false;
    let begun = router.begin(&authorised(&[merchant]), &Filter::default());
    assert!(matches!(begun, Begun::Unfinished(None)), "{begun:?}");
}

/// What the primary has shown is marked as delivered: it is kept, and only what it left out is asked for elsewhere.
#[tokio::test(start_paused = true)]
async fn what_it_left_out_is_asked_for_elsewhere_and_nothing_twice() {
    let (here, there) = (merchant_in(3, 0), merchant_in(4, 0));
    let pending = vec![event(here, 1, 9_000), event(there, 2, 8_000)];
    let (primary, store) = (FakePrimary::new(pending.clone()), FakeStore::new(pending.clone()));
    let router = router(&primary, &store, 0.0);
    {
        let mut state = primary.state.lock();
        (state.is_local, state.polls) = (true, Behaviour::Refuse(vec![(4, Refusal::NotServing)]));
    }
    let both = authorised(&[here, there]);
    let Begun::Unfinished(Some(so_far)) = router.begin(&both, &Filter::default()) else { panic!() };
    let page = router.finish(&both, &Filter::default(), Some(so_far)).await.unwrap();
    assert_eq!((page.events, page.answered_by), (pending, AnsweredBy::Fallback));
    assert_eq!(primary.state.lock().asked.len(), 1);
    let asked: Vec<_> = store.state.lock().asked.iter().map(|(merchants, _)| merchants.clone()).collect();
    assert_eq!(asked, [[there]]);
    assert_ne!(router.breakers().state(order_model::PartitionId(4)), BreakerState::PRISTINE, "the refusal was noted");
    let begun = router.begin(&both, &Filter::default());
    assert!(matches!(begun, Begun::Unfinished(None)), "a breaker has to be asked first");
}

#[tokio::test(start_paused = true)]
async fn hidden_events_are_acknowledged_before_the_answer() {
    let merchant = merchant_in(3, 0);
    let hidden = event(merchant, 1, 5_000);
    let (primary, store) = (FakePrimary::new(vec![]), FakeStore::new(vec![hidden.clone()]));
    let router = router(&primary, &store, 0.0);
    {
        let mut state = primary.state.lock();
        (state.is_local, state.hidden) = (true, vec![hidden.id]);
    }
    let polling = authorised(&[merchant]);
    let Begun::Unfinished(so_far @ Some(_)) = router.begin(&polling, &Filter::default()) else { panic!() };
    assert!(store.state.lock().acknowledged.is_empty());
    router.finish(&polling, &Filter::default(), so_far).await.unwrap();
    assert!(store.state.lock().acknowledged.iter().eq::<&[EventId]>(&[hidden.id]));
}
