//! From the queue to the poll and back: duplicates, reordering, acknowledgments, pages, dead letters, cached orders.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use event_feed::{Filter, notification};
use message_bus::in_memory::Faults;
use message_bus::{OutgoingMessage, Queue};
use order_events::state::Limits;
use order_events::{PollFlags, RefusalReason};
use order_model::{EventCode, EventId, EventIdKey};
use proto::conversions;
use proto::gateway_core::GetOrderReply;

use crate::peers::FakePolling;
use crate::platform::{Platform, application, authorised, event, eventually, key, merchant, order};

#[tokio::test(start_paused = true)]
async fn every_event_shows_once_and_in_order_however_often_and_in_whatever_order_it_came() {
    let platform = Platform::start().await;
    platform.feed.set_faults(Faults {
        duplicated_percent: 30,
        duplicates: 2,
        reordered_percent: 30,
        delayed_percent: 10,
        delay: Duration::from_millis(300),
        ..Faults::default()
    });
    let events: Vec<_> = (0..40).flat_map(|number| (1..=3).map(move |sequence| event(1, number, sequence))).collect();
    platform.publish(&events).await;
    let mut highest: BTreeMap<_, u32> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    eventually("all were shown", || {
        for event in platform.poll(&[1]).events {
            if seen.insert(event.id) {
                let before = highest.insert(event.order, event.sequence).unwrap_or(0);
                assert!(before < event.sequence, "a first delivery goes up within its order");
            }
        }
        seen.len() == events.len()
    })
    .await;
    platform.eventually_shown(&[1], &events).await;
    let bodies: Vec<_> = platform.poll(&[1]).events.into_iter().map(|event| event.body).collect();
    assert_eq!(bodies, events.iter().map(|event| event.body.clone()).collect::<Vec<_>>(), "byte for byte");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_never_comes_back_even_when_the_acknowledgment_came_first() {
    let platform = Platform::start().await;
    let (known, unknown, other) = (event(1, 1, 1), event(1, 2, 1), event(1, 3, 1));
    platform.publish(std::slice::from_ref(&known)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&known)).await;
    platform.acknowledge(&[known.id, unknown.id]).await;
    platform.publish(&[unknown.clone(), known, other.clone()]).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&other)).await;
    let second: order_model::ApplicationId = "second".parse().unwrap();
    assert_eq!(
        platform.poll_as(&second, &[1], 1_000, PollFlags::default()).events.len(),
        3,
        "applications are independent"
    );
    let forged = EventId::derive(&EventIdKey::from_bytes([6; 16]), other.created_at, other.merchant, other.order, 1);
    platform.acknowledge(&[forged]).await;
    let acknowledgments: u64 = platform.handle.status().iter().map(|partition| partition.acknowledgments).sum();
    assert_eq!(acknowledgments, 0, "what is not genuine is stored nowhere");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_is_bounded_fair_and_keeps_a_fifth_for_what_is_new() {
    let platform = Platform::start().await;
    let many: Vec<_> = (0..30).map(|number| event(1, number, 1)).collect();
    let few: Vec<_> = (100..103).map(|number| event(2, number, 1)).collect();
    platform.publish(&many).await;
    platform.publish(&few).await;
    eventually("all are there", || platform.shown(&[1, 2]).len() == 33).await;
    let second: order_model::ApplicationId = "second".parse().unwrap();
    let page = |flags| platform.poll_as(&second, &[1, 2], 10, flags).events;
    let shadow = page(PollFlags { shadow: true, ..PollFlags::default() });
    assert_eq!(shadow.iter().filter(|event| event.merchant == merchant(2)).count(), 3);
    assert_eq!(
        (shadow.len(), shadow[0].id),
        (10, if shadow[0].merchant == merchant(1) { many[0].id } else { few[0].id })
    );
    let mut delivered = BTreeSet::new();
    for _ in 0..17 {
        let page = page(PollFlags::default());
        assert_eq!(page.len(), 10);
        delivered.extend(page.iter().map(|event| event.id));
    }
    assert_eq!(delivered.len(), 33, "a client that acknowledges nothing still sees everything");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_delivered_fifty_times_is_told_once_and_counted_until_it_is_acknowledged() {
    let platform = Platform::start().await;
    let (one, other) = (event(1, 1, 1), event(2, 2, 1));
    platform.publish(&[one.clone(), other.clone()]).await;
    let shadow = PollFlags { shadow: true, ..PollFlags::default() };
    let (first, second) = (application(), "second".parse().unwrap());
    let strikes =
        |application: &order_model::ApplicationId| platform.poll_as(application, &[1, 2], 1_000, shadow).strikes;
    eventually("both are there", || platform.poll_as(&second, &[1, 2], 1_000, shadow).events.len() == 2).await;
    let told: Vec<usize> = (1..=120).filter(|_| platform.poll(&[1]).struck == [one.id]).collect();
    assert_eq!(told, [50], "with the fiftieth delivery, and never again");
    assert_eq!((strikes(&first), strikes(&second)), (Some(1), Some(0)));
    assert_eq!(platform.poll(&[1, 2]).strikes, None, "a poll does not count them");
    assert!(platform.poll_as(&first, &[1], 1_000, shadow).struck.is_empty(), "asking delivers nothing");
    platform.acknowledge(&[one.id]).await;
    assert_eq!(strikes(&first), Some(0));
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_sent_filter_names_what_it_hides_and_acknowledges_nothing_itself() {
    let platform = Platform::start().await;
    let (placed, confirmed) = (event(1, 1, 1), event(1, 1, 2));
    platform.publish(&[placed.clone(), confirmed.clone()]).await;
    platform.eventually_shown(&[1], &[placed.clone(), confirmed.clone()]).await;
    let filter = Filter { types: Some(vec![EventCode::Placed]), ..Filter::default() };
    let outcome = platform.handle.poll(&authorised(&application(), &[1]), &filter, 1_000, PollFlags::default());
    assert_eq!((outcome.events, outcome.hidden), (vec![placed.clone()], vec![confirmed.id]));
    assert_eq!(platform.shown(&[1]).len(), 2, "the caller acknowledges, once it can answer 2xx");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_not_an_event_of_ours_goes_to_the_dead_letters_with_its_reason() {
    let platform = Platform::start().await;
    let mut foreign = event(1, 1, 1);
    foreign.id =
        EventId::derive(&EventIdKey::from_bytes([6; 16]), foreign.created_at, foreign.merchant, foreign.order, 1);
    let good = event(1, 2, 1);
    let (_, attributes) = notification::encode(&good, "IFOOD", None);
    let malformed = OutgoingMessage { body: "{\"canary\":1}".to_owned(), attributes };
    platform.feed.send(vec![malformed]).await;
    platform.publish(&[foreign, good.clone()]).await;
    platform.eventually_shown(&[1], &[good]).await;
    let dead = platform.dead_letters.receive(10, Duration::from_secs(1), Duration::from_secs(30)).await.unwrap();
    let mut details: Vec<_> = dead
        .iter()
        .map(|letter| (letter.attributes["reason"].as_str(), letter.attributes["detail"].as_str()))
        .collect();
    details.sort_unstable();
    let expected =
        [("MALFORMED", "the body is not an event"), ("MALFORMED", "the event id was not made by this cluster")];
    assert_eq!(details, expected);
    assert!(dead.iter().any(|letter| letter.body == "{\"canary\":1}"), "the body is unchanged");
    // Deletions wait for others for a moment.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(
        platform.feed.depth().await.unwrap(),
        message_bus::QueueDepth::default(),
        "nothing is left or in flight"
    );
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_queue_outage_loses_nothing() {
    let platform = Platform::start().await;
    platform.feed.set_faults(Faults { failed_percent: 50, answer_lost_percent: 20, ..Faults::default() });
    let events: Vec<_> = (0..30).map(|number| event(1, number, 1)).collect();
    for event in &events {
        let (body, attributes) = notification::encode(event, "IFOOD", None);
        while platform.feed.send(vec![OutgoingMessage { body: body.clone(), attributes: attributes.clone() }]).await[0]
            .is_err()
        {}
    }
    platform.eventually_shown(&[1], &events).await;
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn more_bodies_than_fit_send_the_poll_to_the_fallback_and_lose_nothing() {
    let limits = Limits { bodies_per_merchant: 2, ..Limits::default() };
    let platform = Platform::start_with(FakePolling::default(), |config| config.limits = limits);
    platform.eventually_ready().await;
    let events: Vec<_> = (0..3).map(|number| event(1, number, 1)).collect();
    platform.publish(&events).await;
    let refused = || platform.poll(&[1]).refused.first().map(|refused| refused.reason);
    eventually("the third has no room", || refused() == Some(RefusalReason::Overloaded)).await;
    platform.acknowledge(&[events[2].id]).await;
    assert_eq!(platform.shown(&[1]), [events[0].id, events[1].id], "what is left fits");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn orders_of_the_last_hours_are_cached_when_they_are_placed() {
    let platform = Platform::start().await;
    let body = bytes::Bytes::from_static(b"{\"id\":\"x\"}");
    let merchant_id = conversions::to_bytes(merchant(1).as_bytes());
    let reply = GetOrderReply { merchant_id, body: body.clone(), ..GetOrderReply::default() };
    platform.core.state.lock().orders.insert(order(1), reply);
    platform.publish(&[event(1, 1, 1), event(1, 2, 1)]).await;
    eventually("cached", || platform.handle.cached_order(order(1)).is_some()).await;
    let cached = platform.handle.cached_order(order(1)).unwrap();
    assert_eq!((cached.merchant, cached.body), (merchant(1), body));
    assert_eq!(platform.handle.cached_order(order(2)), None);
    assert!(event(1, 1, 1).id.is_genuine(&key()));
    platform.stop().await;
}
