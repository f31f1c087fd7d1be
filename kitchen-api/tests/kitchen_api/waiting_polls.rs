//! `wait` on `events:polling`: answered with the first event, or with 204 at its end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::config::WaitLimits;
use kitchen_api::{Config, ServerConfig};
use order_model::EventCode;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::client::{Answer, Client, Raw};
use crate::peers::event;
use crate::rate_limits::limit_named_by;
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

fn polls(rig: &Rig) -> u32 {
    rig.peers.feed.polls.load(Ordering::SeqCst)
}

/// A poll that waits by now: it has looked once, and found nothing.
async fn waiting(rig: &Rig, pos: &Client, path: &str) -> JoinHandle<(Answer, Instant)> {
    let before = polls(rig);
    let (pos, path) = (pos.clone(), path.to_owned());
    let asked = tokio::spawn(async move { (pos.get(&path).await, Instant::now()) });
    eventually("it has looked", || polls(rig) > before).await;
    asked
}

#[tokio::test]
async fn it_is_answered_as_soon_as_there_is_an_event_under_both_paths() {
    for (is_local, number) in [(false, 1), (true, 2)] {
        for path in [POLL, "/order/v1.0/events:polling"] {
            let rig = Rig::start().await;
            rig.peers.feed.local.store(is_local, Ordering::SeqCst);
            let pos = rig.as_application("pos").await;
            let asked = waiting(&rig, &pos, &format!("{path}?wait=30")).await;
            rig.peers.feed.publish(event(merchant(3), 9, EventCode::Placed));
            let visible_at = Instant::now();
            rig.peers.feed.publish(event(merchant(1), number, EventCode::Placed));
            let (answer, answered_at) = asked.await.unwrap();
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.json().as_array().unwrap().len(), 1, "the other is another application's");
            assert!(answered_at - visible_at < Duration::from_millis(500), "{:?}", answered_at - visible_at);
            assert_eq!(polls(&rig), 2, "it looked at its beginning and when it was told");
        }
    }
}

#[tokio::test]
async fn what_is_pending_is_answered_at_once_and_a_wait_of_0_is_none() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let started = Instant::now();
    assert_eq!(pos.get(&format!("{POLL}?wait=0")).await.status, 204);
    rig.peers.feed.events.lock().push(event(merchant(1), 1, EventCode::Placed));
    assert_eq!(pos.get(&format!("{POLL}?wait=30")).await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_wait_that_is_over_is_204_after_a_last_look() {
    let server = ServerConfig { request_timeout: Duration::from_millis(300), ..ServerConfig::default() };
    let rig = Rig::start_with(Config { server, ..config() }).await;
    let pos = rig.as_application("pos").await;
    let started = Instant::now();
    let answer = pos.get(&format!("{POLL}?wait=1")).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "the limit of other requests is not its");
    assert!((Duration::from_secs(1)..Duration::from_secs(4)).contains(&started.elapsed()));
    assert_eq!(polls(&rig), 2);
}

#[tokio::test]
async fn an_event_that_nobody_told_of_is_found_all_the_same() {
    let rig = Rig::start().await;
    rig.peers.feed.tells_nothing.store(true, Ordering::SeqCst);
    let pos = rig.as_application("pos").await;
    let asked = waiting(&rig, &pos, &format!("{POLL}?wait=30")).await;
    let visible_at = Instant::now();
    rig.peers.feed.publish(event(merchant(1), 1, EventCode::Placed));
    let (answer, answered_at) = asked.await.unwrap();
    assert_eq!(answer.status, 200);
    assert!(answered_at - visible_at < Duration::from_secs(8), "{:?}", answered_at - visible_at);
}

#[tokio::test]
async fn while_the_fallback_answers_its_last_look_finds_what_came() {
    let rig = Rig::start().await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    let pos = rig.as_application("pos").await;
    let asked = tokio::spawn(async move { pos.get(&format!("{POLL}?wait=2")).await });
    eventually("its merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
    rig.peers.fallback.events.lock().push(event(merchant(1), 1, EventCode::Placed));
    rig.peers.fallback.events.lock().push(event(merchant(3), 2, EventCode::Placed));
    let answer = asked.await.unwrap();
    assert_eq!((answer.status.as_u16(), answer.json().as_array().unwrap().len()), (200, 1));
}

#[tokio::test]
async fn it_outlives_a_moment_in_which_nobody_answers() {
    let rig = Rig::start().await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let pos = rig.as_application("pos").await;
    let waiting = pos.clone();
    let asked = tokio::spawn(async move { waiting.get(&format!("{POLL}?wait=20")).await });
    eventually("its merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
    assert_eq!(pos.get(POLL).await.status, 503, "an ordinary poll is refused");
    rig.peers.feed.events.lock().push(event(merchant(1), 1, EventCode::Placed));
    rig.peers.feed.down.store(false, Ordering::SeqCst);
    assert_eq!(asked.await.unwrap().status, 200);
}

#[tokio::test]
async fn nobody_answering_to_its_end_is_503() {
    let rig = Rig::start().await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let pos = rig.as_application("pos").await;
    assert_eq!(pos.get(&format!("{POLL}?wait=1")).await.status, 503);
}

#[tokio::test]
async fn foreign_and_unknown_merchants_are_refused_at_once_whoever_answers() {
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        let pos = rig.as_application("pos").await;
        let mut refusals = Vec::new();
        for other in [merchant(3), merchant(9)] {
            let named = format!("{},{other}", merchant(1));
            let path = format!("{POLL}?wait=30");
            let answer = pos.send("GET", &path, &[("x-polling-merchants", &named)], "").await;
            assert_eq!(answer.status, 403);
            assert_eq!(answer.json()["unauthorizedMerchants"][0], other.to_string());
            refusals.push(answer.json().to_string().replace(&other.to_string(), "…"));
        }
        assert_eq!(refusals[0], refusals[1]);
        assert!(!rig.peers.merchants.beats.lock().contains(&merchant(3)));
    }
}

#[tokio::test]
async fn a_draining_service_answers_everybody_who_waits() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let mut asked = Vec::new();
    for _ in 0..3 {
        asked.push(waiting(&rig, &pos, &format!("{POLL}?wait=30")).await);
    }
    let told_at = Instant::now();
    rig.shutdown.cancel();
    for one in asked {
        let (answer, answered_at) = one.await.unwrap();
        assert_eq!(answer.status, 204, "a rolling restart fails no poll");
        assert!(answered_at - told_at < Duration::from_secs(5));
    }
    rig.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn places_are_bounded_for_each_application_and_free_when_the_client_leaves() {
    let waits = WaitLimits { polls_per_caller: 1, ..WaitLimits::default() };
    let rig = Rig::start_with(Config { waits, ..config() }).await;
    let token = rig.token("pos").await;
    let (pos, other) = (rig.client.with_token(&token), rig.as_application("other").await);
    let mut first = Raw::connect(rig.handle.address()).await;
    first.send(&format!("GET {POLL}?wait=30 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\r\n")).await;
    eventually("it has looked", || polls(&rig) > 0).await;
    let refused = pos.get(&format!("{POLL}?wait=1")).await;
    assert_eq!((refused.status.as_u16(), refused.error_code()), (429, "TooManyRequests".to_owned()));
    assert_eq!((limit_named_by(&refused), refused.headers["retry-after"].as_bytes()), (1, &b"5"[..]));
    assert_eq!(pos.get(POLL).await.status, 204, "who does not wait needs no place");
    assert_eq!(other.get(&format!("{POLL}?wait=1")).await.status, 204, "another's places are its own");
    drop(first);
    let freed = async {
        while pos.get(&format!("{POLL}?wait=1")).await.status == 429 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
    rig.peers.feed.events.lock().push(event(merchant(1), 1, EventCode::Placed));
    assert_eq!(pos.get(&format!("{POLL}?wait=1")).await.status, 200);
}

#[tokio::test]
async fn who_finds_no_place_still_gets_what_is_pending() {
    let waits = WaitLimits { polls: 0, ..WaitLimits::default() };
    let rig = Rig::start_with(Config { waits, ..config() }).await;
    let pos = rig.as_application("pos").await;
    assert_eq!(pos.get(&format!("{POLL}?wait=9")).await.status, 429);
    rig.peers.feed.events.lock().push(event(merchant(1), 1, EventCode::Placed));
    assert_eq!(pos.get(&format!("{POLL}?wait=9")).await.status, 200);
}

#[tokio::test]
async fn it_beats_at_its_beginning_unless_it_asks_not_to() {
    let rig = Rig::start().await;
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
    let silent = waiting(&rig, &other, &format!("{POLL}?wait=1&excludeHeartbeat=true")).await;
    let beating = waiting(&rig, &pos, &format!("{POLL}?wait=30")).await;
    eventually("it beats", || rig.peers.merchants.beats.lock().contains(&merchant(2))).await;
    silent.await.unwrap();
    assert!(!rig.peers.merchants.beats.lock().contains(&merchant(3)));
    beating.abort();
}

#[tokio::test]
async fn a_revoked_application_that_waits_gets_no_event() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let asked = waiting(&rig, &pos, &format!("{POLL}?wait=30")).await;
    rig.applications.change("pos", |stored| stored.record.revoked = true);
    let revoked = async {
        while pos.get(POLL).await.status != 401 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), revoked).await.unwrap();
    rig.peers.feed.publish(event(merchant(1), 1, EventCode::Placed));
    assert_eq!(asked.await.unwrap().0.status, 401);
}

#[tokio::test]
async fn an_application_that_waits_and_loses_the_module_gets_no_event() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let asked = waiting(&rig, &pos, &format!("{POLL}?wait=30")).await;
    rig.applications.change("pos", |stored| stored.record.modules = "order,open-delivery".parse().unwrap());
    let taken = async {
        while pos.get(POLL).await.status != 403 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken).await.unwrap();
    rig.peers.feed.publish(event(merchant(1), 1, EventCode::Placed));
    assert_eq!(asked.await.unwrap().0.error_code(), "ModuleNotGranted");
}

#[tokio::test]
async fn a_filter_that_names_nothing_known_is_answered_at_once() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let started = Instant::now();
    assert_eq!(pos.get(&format!("{POLL}?wait=30&types=NEW1")).await.status, 204);
    assert!(started.elapsed() < Duration::from_secs(5));
    assert_eq!(polls(&rig), 0);
}
