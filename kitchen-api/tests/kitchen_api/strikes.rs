//! Events that are polled again and again and never acknowledged: counted always, a reason to pause polling where that is on.

use std::sync::atomic::Ordering;
use std::time::Duration;

use event_feed::FeedEvent;
use kitchen_api::Config;
use order_model::{EventCode, EventId};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::peers::event;
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";
const OPEN_DELIVERY_POLL: &str = "/v1/events:polling";
const ACKNOWLEDGMENT: &str = "/events/v1.0/events/acknowledgment";
const UNACKNOWLEDGED: &str = "/comanda/v1/events/unacknowledged";
const DELIVERIES_PER_STRIKE: u32 = 50;

fn pausing() -> Config {
    Config { pauses_on_strikes: true, ..config() }
}

/// As many events of merchant 1.
fn pending(rig: &Rig, count: u8) -> Vec<FeedEvent> {
    let events: Vec<FeedEvent> = (0..count).map(|number| event(merchant(1), number, EventCode::Placed)).collect();
    rig.peers.feed.events.lock().extend(events.clone());
    events
}

async fn poll_many(client: &Client, path: &str) {
    for _ in 0..DELIVERIES_PER_STRIKE {
        assert_eq!(client.get(path).await.status, 200);
    }
}

async fn acknowledge(client: &Client, ids: impl Iterator<Item = EventId>) {
    let ids: Vec<Value> = ids.map(|id| json!({ "id": id.to_string() })).collect();
    assert_eq!(client.post(ACKNOWLEDGMENT, Value::from(ids).to_string()).await.status, 202);
}

async fn strikes(client: &Client) -> Value {
    client.get(UNACKNOWLEDGED).await.json()["strikes"].clone()
}

fn seconds(answer: &Answer, header: &str) -> u32 {
    answer.headers[header].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_hundred_strikes_pause_polling_and_acknowledging_them_ends_it() {
    for is_local in [true, false] {
        let rig = Rig::start_with(pausing()).await;
        rig.peers.feed.local.store(is_local, Ordering::SeqCst);
        let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
        let events = pending(&rig, 100);
        poll_many(&pos, POLL).await;
        let refused = pos.get(POLL).await;
        assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (429, "TooManyRequests"));
        assert!(refused.json()["error"]["hint"].as_str().unwrap().contains("Acknowledge"));
        assert!((290..=300).contains(&seconds(&refused, "retry-after")), "{refused:?}");
        assert_eq!(refused.headers["x-ratelimit-reset"], refused.headers["retry-after"]);
        assert_eq!(refused.headers["x-ratelimit-limit"], "6000");
        assert_eq!(refused.headers["x-ratelimit-remaining"], "0");
        for way in [format!("{POLL}?wait=1"), "/comanda/v1/events/stream".to_owned(), OPEN_DELIVERY_POLL.to_owned()] {
            assert_eq!(pos.status_of("GET", &way).await, 429, "{way}");
        }
        assert_eq!(other.get(POLL).await.status, 204, "another application is not paused");
        let standing = strikes(&pos).await;
        assert_eq!((&standing["counted"], &standing["headroom"]), (&json!(100), &json!(0)));
        assert!((290..=300).contains(&standing["pausedForSeconds"].as_u64().unwrap()));
        acknowledge(&pos, events[1..].iter().map(|event| event.id)).await;
        assert_eq!(pos.get(POLL).await.status, 429, "one of them is left");
        acknowledge(&pos, events[..1].iter().map(|event| event.id)).await;
        assert_eq!(pos.get(POLL).await.status, 204);
        assert_eq!(strikes(&pos).await, json!({ "pausePolling": true, "max": 100, "counted": 0, "headroom": 100 }));
    }
}

#[tokio::test]
async fn polling_goes_on_after_five_minutes_though_nothing_was_acknowledged() {
    let rig = Rig::start_with(pausing()).await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    pending(&rig, 100);
    poll_many(&pos, POLL).await;
    assert_eq!(seconds(&pos.get(POLL).await, "retry-after"), 300);
    rig.clock.pass(Duration::from_secs(299));
    let refused = pos.get(POLL).await;
    assert_eq!((refused.status.as_u16(), seconds(&refused, "retry-after")), (429, 1));
    rig.clock.pass(Duration::from_secs(1));
    for path in [POLL, OPEN_DELIVERY_POLL] {
        let answer = pos.get(path).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json().as_array().unwrap().len()),
            (200, 100),
            "{path}: all of them"
        );
    }
    let standing = strikes(&pos).await;
    assert_eq!((&standing["counted"], standing.get("pausedForSeconds")), (&json!(0), None), "counting began anew");
}

#[tokio::test]
async fn a_poll_that_is_refused_says_all_the_same_that_its_merchants_are_there() {
    let rig = Rig::start_with(pausing()).await;
    let pos = rig.as_application("pos").await;
    pending(&rig, 100);
    let own = merchant(1).to_string();
    for _ in 0..DELIVERIES_PER_STRIKE {
        assert_eq!(pos.send("GET", POLL, &[("x-polling-merchants", &own)], "").await.status, 200);
    }
    let beats = |number| rig.peers.merchants.beats.lock().contains(&merchant(number));
    assert!(!beats(2), "nobody has polled for it yet");
    let named = merchant(2).to_string();
    assert_eq!(pos.send("GET", POLL, &[("x-polling-merchants", &named)], "").await.status, 429);
    eventually("its merchant beats", || beats(2)).await;
}

#[tokio::test]
async fn fewer_strikes_pause_nothing_and_polls_of_both_dialects_count() {
    let rig = Rig::start_with(pausing()).await;
    let pos = rig.as_application("pos").await;
    pending(&rig, 99);
    poll_many(&pos, OPEN_DELIVERY_POLL).await;
    assert_eq!(pos.get(POLL).await.status, 200);
    assert_eq!((&strikes(&pos).await["counted"], &strikes(&pos).await["headroom"]), (&json!(99), &json!(1)));
    rig.peers.feed.events.lock().push(event(merchant(2), 200, EventCode::Placed));
    poll_many(&pos, &format!("{POLL}?wait=1")).await;
    assert_eq!(pos.get(OPEN_DELIVERY_POLL).await.status, 429);
}

#[tokio::test]
async fn by_itself_nothing_is_paused_and_strikes_are_shown() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let events = pending(&rig, 100);
    poll_many(&pos, POLL).await;
    assert_eq!(pos.get(POLL).await.status, 200);
    let answer = pos.get(UNACKNOWLEDGED).await.json();
    let all = json!({ "pausePolling": false, "max": 100, "counted": 100, "headroom": 0 });
    assert_eq!((&answer["strikes"], &answer["merchants"][0]["strikes"]), (&all, &json!(100)));
    assert_eq!(answer["merchants"][1]["strikes"], 0);
    let document = pos.get("/openapi/comanda.json").await.json();
    let content = &document["paths"][UNACKNOWLEDGED]["get"]["responses"]["200"]["content"];
    assert_eq!(differences(&document, &content["application/json"]["schema"], &answer, "page"), [""; 0]);
    acknowledge(&pos, events[..60].iter().map(|event| event.id)).await;
    assert_eq!(strikes(&pos).await["counted"], 40);
}
