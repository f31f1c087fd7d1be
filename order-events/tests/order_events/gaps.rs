//! Holding back what stands above a gap, and fetching what is missing.

use std::time::Duration;

use tokio::time::Instant;

use crate::platform::{Platform, event, eventually};

#[tokio::test(start_paused = true)]
async fn an_event_waits_for_its_predecessor() {
    let platform = Platform::start().await;
    let (first, second) = (event(1, 1, 1), event(1, 1, 2));
    platform.publish(std::slice::from_ref(&second)).await;
    eventually("it arrived", || platform.handle.status().iter().any(|partition| partition.events == 1)).await;
    assert_eq!(platform.shown(&[1]), []);
    platform.publish(std::slice::from_ref(&first)).await;
    platform.eventually_shown(&[1], &[first, second]).await;
    assert_eq!(platform.core.state.lock().asked_for_events, 0, "nobody had to be asked");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn after_two_seconds_it_shows_anyway_and_the_gap_is_fetched() {
    let platform = Platform::start().await;
    let events: Vec<_> = (1..=4).map(|sequence| event(1, 1, sequence)).collect();
    platform.core.state.lock().events = events[..2].to_vec();
    let published_at = Instant::now();
    platform.publish(&events[3..]).await;
    eventually("it shows", || platform.shown(&[1]).contains(&events[3].id)).await;
    let waited = published_at.elapsed();
    assert!(waited >= Duration::from_secs(2) && waited < Duration::from_millis(2_100), "{waited:?}");
    let expected = [events[0].id, events[1].id, events[3].id];
    eventually("the core fills what it has", || platform.shown(&[1]) == expected).await;
    platform.core.state.lock().events = events.clone();
    platform.eventually_shown(&[1], &events).await;
    let asked = platform.core.state.lock().asked_for_events;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(platform.core.state.lock().asked_for_events, asked, "a gap that is closed is not asked for again");
    platform.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_the_core_does_not_know_either_is_given_up() {
    let platform = Platform::start().await;
    let second = event(1, 1, 2);
    platform.publish(std::slice::from_ref(&second)).await;
    platform.eventually_shown(&[1], std::slice::from_ref(&second)).await;
    tokio::time::sleep(Duration::from_secs(120)).await;
    let asked = platform.core.state.lock().asked_for_events;
    assert_eq!(asked, 10);
    tokio::time::sleep(Duration::from_secs(120)).await;
    assert_eq!(platform.core.state.lock().asked_for_events, asked);
    platform.stop().await;
}
