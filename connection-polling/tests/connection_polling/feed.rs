//! Polls: what is shown, to whom, in which portions, and what it costs.

use std::collections::BTreeSet;
use std::time::Duration;

use event_feed::{CategoryFilter, Filter};
use order_model::{EventCategory, EventCode};

use crate::platform::{EventSpec, HOUR, MINUTE, Platform, PollSpec, START, ids, merchant};

#[tokio::test]
async fn an_event_is_shown_until_it_is_acknowledged_and_its_body_is_untouched() {
    let platform = Platform::start().await;
    let event = EventSpec::new(1, 1, START).build();
    platform.index(std::slice::from_ref(&event)).await;
    let poll = PollSpec::new("pos", [1]);
    for _ in 0..2 {
        assert_eq!(platform.poll(&poll).await.events, std::slice::from_ref(&event));
    }
    platform.acknowledge("pos", &[event.id]).await;
    for _ in 0..2 {
        assert!(platform.poll(&poll).await.events.is_empty());
    }
    platform.index(std::slice::from_ref(&event)).await;
    assert!(platform.poll(&poll).await.events.is_empty(), "a repetition brings nothing back");
}

#[tokio::test]
async fn nobody_sees_what_is_another_merchants_or_acknowledges_for_another_application() {
    let platform = Platform::start().await;
    let (one, other) = (EventSpec::new(1, 1, START).build(), EventSpec::new(2, 2, START).build());
    platform.index(&[one.clone(), other.clone()]).await;
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.ids(), [one.id]);
    platform.acknowledge("kds", &[one.id, other.id]).await;
    assert_eq!(platform.poll(&PollSpec::new("pos", [1, 2])).await.id_set(), ids([&one, &other]));
    assert!(platform.poll(&PollSpec::new("kds", [1, 2])).await.events.is_empty());
}

#[tokio::test]
async fn merchants_that_share_a_routing_hash_stay_apart() {
    use order_model::RoutingHash;
    let hash = RoutingHash::of(merchant(1));
    let twin = (2..).find(|number| RoutingHash::of(merchant(*number)) == hash).unwrap();
    let platform = Platform::start().await;
    let (own, foreign) = (EventSpec::new(1, 1, START).build(), EventSpec::new(twin, 2, START).build());
    platform.index(&[own.clone(), foreign.clone()]).await;
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.ids(), [own.id]);
    assert_eq!(platform.poll(&PollSpec::new("kds", [1, twin])).await.id_set(), ids([&own, &foreign]));
    platform.acknowledge("kds", &[own.id]).await;
    assert_eq!(platform.poll(&PollSpec::new("kds", [1, twin])).await.ids(), [foreign.id]);
}

#[tokio::test]
async fn a_grant_shows_its_window_only_and_a_wider_one_shows_more_in_spite_of_cursors() {
    let platform = Platform::start().await;
    let (old, young) =
        (EventSpec::new(1, 1, START.minus(3 * HOUR)).build(), EventSpec::new(1, 2, START.minus(HOUR)).build());
    platform.index(&[old.clone(), young.clone()]).await;
    let mut poll = PollSpec::new("pos", [1]);
    poll.merchants[0].1 = young.created_at;
    assert_eq!(platform.poll(&poll).await.ids(), [young.id]);
    platform.acknowledge("pos", &[young.id]).await;
    assert!(platform.poll(&poll).await.events.is_empty());
    poll.merchants[0].1 = old.created_at;
    assert_eq!(platform.poll(&poll).await.ids(), [old.id]);
}

#[tokio::test]
async fn an_event_expires_at_its_instant_although_ttl_deleted_nothing() {
    let platform = Platform::start().await;
    let event = EventSpec { lives: HOUR, ..EventSpec::new(1, 1, START) }.build();
    platform.index(std::slice::from_ref(&event)).await;
    let poll = PollSpec::new("pos", [1]);
    platform.clock.advance(HOUR - Duration::from_millis(1));
    assert_eq!(platform.poll(&poll).await.ids(), [event.id]);
    platform.clock.advance(Duration::from_millis(1));
    assert!(platform.poll(&poll).await.events.is_empty());
}

#[tokio::test]
async fn a_wall_clock_two_days_ahead_of_the_store_expires_nothing() {
    let platform = Platform::start_with(|config| config.clock_tolerance = Duration::from_secs(2)).await;
    // Both today by the store's Date and in 2100 by our clock: the store says that 2100 is a jump.
    let event = EventSpec { lives: HOUR, ..EventSpec::new(1, 1, START) }.build();
    platform.index(std::slice::from_ref(&event)).await;
    platform.clock.jump(2 * 24 * 60 * 60 * 1000);
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.ids(), [event.id]);
}

#[tokio::test]
async fn only_a_filter_that_was_sent_names_what_it_hides() {
    let platform = Platform::start().await;
    let food = EventSpec::new(1, 1, START).build();
    let chat = EventSpec { category: EventCategory::Anotai, ..EventSpec::new(1, 2, START) }.build();
    let confirmed = EventSpec { code: EventCode::Confirmed, ..EventSpec::new(1, 3, START) }.build();
    platform.index(&[food.clone(), chat.clone(), confirmed.clone()]).await;
    let poll = |filter: Filter| PollSpec { filter, ..PollSpec::new("pos", [1]) };
    let by_default = platform.poll(&poll(Filter::default())).await;
    assert_eq!((by_default.id_set(), by_default.hidden), (ids([&food, &confirmed]), vec![]));
    let types = Filter { types: Some(vec![EventCode::Placed]), ..Filter::default() };
    let placed = platform.poll(&poll(types)).await;
    assert_eq!((placed.ids(), placed.hidden), (vec![food.id], vec![confirmed.id]));
    let everything = Filter { categories: CategoryFilter::All, ..Filter::default() };
    assert_eq!(platform.poll(&poll(everything)).await.id_set(), ids([&food, &chat, &confirmed]), "nothing was lost");
    let unknown = Filter { types: Some(vec![]), ..Filter::default() };
    let nothing = platform.poll(&poll(unknown)).await;
    assert!(nothing.events.is_empty() && nothing.hidden.is_empty());
}

#[tokio::test]
async fn a_hidden_category_stays_pending_even_when_all_else_is_acknowledged() {
    let platform = Platform::start().await;
    let chat = EventSpec { category: EventCategory::Anotai, ..EventSpec::new(1, 2, START) }.build();
    platform.index(std::slice::from_ref(&chat)).await;
    for _ in 0..2 {
        assert!(platform.poll(&PollSpec::new("pos", [1])).await.events.is_empty());
        platform.clock.advance(15 * MINUTE);
    }
    let all = Filter { categories: CategoryFilter::All, ..Filter::default() };
    assert_eq!(platform.poll(&PollSpec { filter: all, ..PollSpec::new("pos", [1]) }).await.ids(), [chat.id]);
}

#[tokio::test]
async fn two_and_a_half_thousand_events_come_in_pages_fair_to_both_merchants() {
    let platform = Platform::start().await;
    let spec = |number: u32| {
        let created_at = START.minus(HOUR).plus(Duration::from_millis(number.into()));
        EventSpec::new(if number.is_multiple_of(5) { 2 } else { 1 }, number, created_at).build()
    };
    let events: Vec<_> = (0..2_500).map(spec).collect();
    platform.index(&events).await;
    let poll = PollSpec::new("pos", [1, 2]);
    let mut seen = BTreeSet::new();
    for expected in [1_000, 1_000, 500, 0] {
        let page = platform.poll(&poll).await;
        assert_eq!(page.events.len(), expected);
        for number in [1, 2] {
            let of_merchant = page.events.iter().filter(|event| event.merchant == merchant(number));
            assert!(of_merchant.map(|event| event.created_at).is_sorted(), "oldest first");
        }
        if seen.is_empty() {
            assert_eq!(page.events.iter().filter(|event| event.merchant == merchant(2)).count(), 500, "fair");
        }
        assert!(page.ids().into_iter().all(|id| seen.insert(id)), "nothing comes back");
        platform.acknowledge("pos", &page.ids()).await;
    }
    assert_eq!(seen, ids(&events));
}

#[tokio::test]
async fn whoever_acknowledges_nothing_still_sees_new_events() {
    let platform = Platform::start().await;
    let spec = |number: u32| EventSpec::new(1, number, START.plus(Duration::from_millis(number.into()))).build();
    platform.index(&(0..30).map(spec).collect::<Vec<_>>()).await;
    let poll = PollSpec { limit: 10, ..PollSpec::new("pos", [1]) };
    let shadow = platform.poll(&PollSpec { shadow: true, ..poll.clone() }).await;
    let first = platform.poll(&poll).await;
    assert_eq!(shadow.ids(), first.ids(), "a shadow read delivers nothing");
    let second = platform.poll(&poll).await;
    assert_eq!(second.id_set().difference(&first.id_set()).count(), 2, "a fifth is new");
}

#[tokio::test]
async fn a_hundred_merchants_with_nothing_pending_cost_two_requests() {
    let platform = Platform::start().await;
    let spec = |number: u32| EventSpec::new(number, number, START.minus(HOUR)).build();
    let events: Vec<_> = (1..=100).map(spec).collect();
    let poll = PollSpec::new("pos", 1..=100);
    let (_, never_any) = platform.requests_during(platform.poll(&poll)).await;
    platform.index(&events).await;
    let (page, all_pending) = platform.requests_during(platform.poll(&poll)).await;
    assert_eq!(page.events.len(), 100);
    let (_, acknowledging) = platform.requests_during(platform.acknowledge("pos", &page.ids())).await;
    let (_, first_after) = platform.requests_during(platform.poll(&poll)).await;
    let (nothing, nothing_pending) = platform.requests_during(platform.poll(&poll)).await;
    assert!(nothing.events.is_empty());
    let one_more = EventSpec::new(7, 1_007, START).build();
    platform.index(std::slice::from_ref(&one_more)).await;
    let (page, one_pending) = platform.requests_during(platform.poll(&poll)).await;
    assert_eq!(page.ids(), [one_more.id]);
    println!(
        "requests of a poll of 100 merchants: never an event {never_any}, all pending {all_pending}, first after \
         acknowledging ({acknowledging} requests) {first_after}, nothing pending {nothing_pending}, one pending {one_pending}"
    );
    assert_eq!((never_any, nothing_pending), (2, 2), "the design allows 8");
    assert!(one_pending <= 4, "{one_pending}");
}

#[tokio::test]
async fn an_event_that_is_hours_late_is_seen_by_whoever_had_nothing_pending() {
    let platform = Platform::start().await;
    let first = EventSpec::new(1, 1, START).build();
    platform.index(std::slice::from_ref(&first)).await;
    platform.acknowledge("pos", &[first.id]).await;
    let poll = PollSpec::new("pos", [1]);
    platform.clock.advance(2 * HOUR);
    assert!(platform.poll(&poll).await.events.is_empty());
    let late = EventSpec::new(1, 2, START.plus(MINUTE)).build();
    platform.index(std::slice::from_ref(&late)).await;
    assert_eq!(platform.poll(&poll).await.ids(), [late.id]);
    let punctual = EventSpec::new(1, 3, platform.now()).build();
    platform.index(std::slice::from_ref(&punctual)).await;
    assert_eq!(platform.poll(&poll).await.ids(), [late.id, punctual.id]);
}

#[tokio::test]
async fn an_event_waits_two_seconds_for_its_predecessor_and_then_the_core_is_asked() {
    let platform = Platform::start().await;
    let event = |sequence: u32| {
        let created_at = START.plus(Duration::from_millis(sequence.into()));
        EventSpec { sequence, ..EventSpec::new(1, 1, created_at) }.build()
    };
    let poll = PollSpec::new("pos", [1]);
    platform.index(&[event(1), event(3)]).await;
    assert_eq!(platform.poll(&poll).await.ids(), [event(1).id], "the third waits for the second");
    platform.acknowledge("pos", &[event(1).id]).await;
    platform.clock.advance(Duration::from_secs(2));
    assert_eq!(platform.poll(&poll).await.ids(), [event(3).id], "the core does not know it: shown all the same");
    platform.core.events.lock().extend([event(1), event(2), event(3)]);
    assert_eq!(platform.poll(&poll).await.ids(), [event(2).id, event(3).id]);
    let asked = platform.core.asked.load(std::sync::atomic::Ordering::SeqCst);
    assert_eq!(platform.poll(&poll).await.ids(), [event(2).id, event(3).id]);
    assert_eq!(platform.core.asked.load(std::sync::atomic::Ordering::SeqCst), asked, "a filled gap is left alone");
    platform.clock.advance(MINUTE);
    let fourth = EventSpec { sequence: 4, ..EventSpec::new(1, 1, platform.now()) }.build();
    platform.index(std::slice::from_ref(&fourth)).await;
    assert_eq!(platform.poll(&poll).await.ids(), [event(2).id, event(3).id, fourth.id]);
}

#[tokio::test]
async fn a_repetition_does_not_make_an_event_wait_anew() {
    let platform = Platform::start().await;
    let second = EventSpec { sequence: 2, ..EventSpec::new(1, 1, START) }.build();
    for _ in 0..3 {
        platform.index(std::slice::from_ref(&second)).await;
        platform.clock.advance(Duration::from_secs(1));
    }
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.ids(), [second.id]);
}

#[tokio::test]
async fn malformed_requests_are_refused_by_name() {
    let platform = Platform::start().await;
    let poll = PollSpec { limit: 0, ..PollSpec::new("pos", [1]) };
    let refused = platform.try_poll(&poll).await.unwrap_err();
    assert_eq!((refused.code(), refused.message()), (tonic::Code::InvalidArgument, "limit must be 1 to 1000"));
    let poll = PollSpec { application: "a b".to_owned(), ..PollSpec::new("pos", [1]) };
    assert_eq!(platform.try_poll(&poll).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}
