//! Replays: everything once more, in order, also what arrives late; and nothing changed by it.

use event_feed::{CategoryFilter, Filter};
use order_model::{EventCategory, EventCode, EventId, RoutingHash};
use proto::connection_polling::{ReplayPlace, ReplayReply, ReplayRequest};
use proto::conversions::event_from_wire;
use tonic::{Code, Status};

use crate::platform::{EventSpec, HOUR, MINUTE, Platform, PollSpec, START, merchant};

fn spec(limit: u32) -> PollSpec {
    let filter = Filter { categories: CategoryFilter::All, ..Filter::default() };
    PollSpec { filter, limit, ..PollSpec::new("pos", [1]) }
}

async fn ask(platform: &Platform, spec: &PollSpec, after: Option<ReplayPlace>) -> Result<ReplayReply, Status> {
    let request = ReplayRequest { of: Some(spec.to_wire()), after };
    Ok(platform.client.clone().replay(request).await?.into_inner())
}

/// One whole walk: the ids, in pages of `limit`, where the next one begins, and whether it began anew.
async fn walk(platform: &Platform, limit: u32, mut after: Option<ReplayPlace>) -> (Vec<EventId>, ReplayPlace, bool) {
    let (mut ids, mut restarted) = (Vec::new(), false);
    loop {
        let page = ask(platform, &spec(limit), after).await.unwrap();
        assert!(page.events.len() <= limit as usize);
        ids.extend(page.events.iter().map(|event| event_from_wire(event).unwrap().id));
        restarted |= page.restarted;
        if !page.more {
            return (ids, page.next.unwrap(), restarted);
        }
        after = page.next;
    }
}

#[tokio::test]
async fn acknowledged_events_come_again_in_order_with_their_ids_and_stay_acknowledged() {
    let platform = Platform::start().await;
    let events: Vec<_> =
        (0..25u32).map(|number| EventSpec::new(1, number, START.minus(number * MINUTE)).build()).collect();
    platform.index(&events).await;
    let acknowledged: Vec<EventId> = events.iter().take(20).map(|event| event.id).collect();
    platform.acknowledge("pos", &acknowledged).await;
    let oldest_first: Vec<EventId> = events.iter().rev().map(|event| event.id).collect();
    for limit in [1, 7, 25, 1_000] {
        assert_eq!(walk(&platform, limit, None).await.0, oldest_first, "{limit} a page");
    }
    assert_eq!(platform.poll(&PollSpec::new("pos", [1])).await.events.len(), 5, "polls see what they saw");
}

#[tokio::test]
async fn the_next_walk_begins_where_everything_had_settled_and_misses_nothing() {
    let platform = Platform::start().await;
    let old = EventSpec::new(1, 1, START.minus(HOUR)).build();
    let young = EventSpec::new(1, 2, START.minus(MINUTE)).build();
    platform.index(&[old.clone(), young.clone()]).await;
    let (first, next, _) = walk(&platform, 10, None).await;
    assert_eq!(first, [old.id, young.id]);
    // Committed before the young one, and indexed after the walk has passed it.
    let overtaken = EventSpec::new(1, 3, START.minus(2 * MINUTE)).build();
    platform.index(std::slice::from_ref(&overtaken)).await;
    let (second, next, restarted) = walk(&platform, 10, Some(next)).await;
    assert_eq!((second, restarted), (vec![overtaken.id, young.id], false), "the young one comes again, under its id");
    // Later than anything may be: only from the beginning can it be in its place.
    let late = EventSpec::new(1, 4, START.minus(30 * MINUTE)).build();
    platform.index(std::slice::from_ref(&late)).await;
    let (third, next, restarted) = walk(&platform, 2, Some(next)).await;
    assert_eq!((third, restarted), (vec![old.id, late.id, overtaken.id, young.id], true));
    platform.clock.advance(20 * MINUTE);
    assert_eq!(walk(&platform, 10, Some(next.clone())).await.0, [overtaken.id, young.id]);
    let (_, settled, _) = walk(&platform, 10, Some(next)).await;
    assert!(walk(&platform, 10, Some(settled)).await.0.is_empty(), "all of it has settled");
}

#[tokio::test]
async fn a_replay_shows_what_the_grant_shows_and_what_the_dialect_has_words_for() {
    let platform = Platform::start().await;
    let before = EventSpec::new(1, 1, START.minus(3 * HOUR)).build();
    let grocery = EventSpec { category: EventCategory::Grocery, ..EventSpec::new(1, 2, START.minus(HOUR)) }.build();
    let foreign_word = EventSpec { code: EventCode::Delivered, ..EventSpec::new(1, 3, START.minus(HOUR)) }.build();
    let expired = EventSpec { lives: MINUTE, ..EventSpec::new(1, 4, START.minus(HOUR)) };
    platform.clock.jump(-3_600_000);
    platform.index(&[before, grocery.clone(), foreign_word, expired.build()]).await;
    platform.clock.jump(3_600_000);
    let mut spec = spec(10);
    spec.merchants[0].1 = START.minus(2 * HOUR);
    let page = ask(&platform, &spec, None).await.unwrap();
    let ids: Vec<EventId> = page.events.iter().map(|event| event_from_wire(event).unwrap().id).collect();
    assert_eq!(
        ids,
        [grocery.id],
        "every category, nothing before the grant, nothing expired, no word of another dialect"
    );
}

#[tokio::test]
async fn merchants_that_share_a_hash_stay_apart_and_a_place_of_another_merchant_is_refused() {
    let hash = RoutingHash::of(merchant(1));
    let twin = (2..).find(|number| RoutingHash::of(merchant(*number)) == hash).unwrap();
    let platform = Platform::start().await;
    let (own, foreign) = (EventSpec::new(1, 1, START).build(), EventSpec::new(twin, 2, START).build());
    platform.index(&[own.clone(), foreign]).await;
    assert_eq!(walk(&platform, 1, None).await.0, [own.id]);
    let stranger = EventSpec::new(2, 9, START).build();
    let place = ReplayPlace { event_id: stranger.id.as_bytes().to_vec().into(), ..ReplayPlace::default() };
    assert_eq!(ask(&platform, &spec(10), Some(place)).await.unwrap_err().code(), Code::InvalidArgument);
    let broken = ReplayPlace { event_id: vec![1, 2].into(), ..ReplayPlace::default() };
    assert_eq!(ask(&platform, &spec(10), Some(broken)).await.unwrap_err().code(), Code::InvalidArgument);
    for merchants in [vec![], vec![1, 2]] {
        let several = PollSpec::new("pos", merchants);
        assert_eq!(ask(&platform, &several, None).await.unwrap_err().code(), Code::InvalidArgument);
    }
}
