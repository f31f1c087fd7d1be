//! `GET /comanda/v1/events/stream`: pending events as they come, each once for each connection.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::Config;
use kitchen_api::config::WaitLimits;
use order_model::{EventCode, EventId};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::client::Raw;
use crate::peers::event;
use crate::rate_limits::limit_named_by;
use crate::rig::{Rig, config, eventually, merchant};

const STREAM: &str = "/comanda/v1/events/stream";

/// A stream and what has come of it.
struct Stream {
    raw: Raw,
    text: String,
}

impl Stream {
    async fn open(rig: &Rig, token: &str, query: &str, headers: &str) -> Self {
        let mut raw = Raw::connect(rig.handle.address()).await;
        let head = format!("GET {STREAM}{query} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n{headers}\r\n");
        raw.send(&head).await;
        Self { raw, text: String::new() }
    }

    /// One that stands.
    async fn of(rig: &Rig, token: &str, query: &str) -> Self {
        let mut stream = Self::open(rig, token, query, "").await;
        stream.until("the stream stands").await;
        assert!(stream.text.starts_with("HTTP/1.1 200"), "{}", stream.text);
        stream
    }

    /// Reads until `text` has come.
    async fn until(&mut self, text: &str) {
        let reading = async {
            let mut chunk = [0; 4096];
            while !self.text.contains(text) {
                let read = self.raw.stream.read(&mut chunk).await.unwrap();
                assert!(read > 0, "it ended without {text}: {}", self.text);
                self.text.push_str(std::str::from_utf8(&chunk[..read]).unwrap());
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(25), reading).await;
        assert!(waited.is_ok(), "{text} never came");
    }

    async fn until_event(&mut self, id: EventId) {
        self.until(&format!("id: {id}\ndata: ")).await;
    }

    async fn read_on_to_end(&mut self) -> &str {
        let rest = tokio::time::timeout(Duration::from_secs(10), self.raw.read_to_end()).await.unwrap();
        self.text.push_str(&rest);
        &self.text
    }

    fn count_of(&self, id: EventId) -> usize {
        self.text.matches(&format!("id: {id}\n")).count()
    }
}

#[tokio::test]
async fn pending_events_come_first_and_new_ones_as_they_come_each_once_and_as_polled() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let (first, second) = (event(merchant(1), 1, EventCode::Placed), event(merchant(2), 2, EventCode::Confirmed));
    rig.peers.feed.publish(first.clone());
    let mut stream = Stream::of(&rig, &token, "").await;
    let head = stream.text.to_lowercase();
    for header in ["content-type: text/event-stream\r\n", "cache-control: no-store\r\n", "x-accel-buffering: no\r\n"] {
        assert!(head.contains(header), "{head}");
    }
    assert!(stream.text.contains("retry: 3000\n"));
    stream.until_event(first.id).await;
    rig.peers.feed.publish(event(merchant(3), 9, EventCode::Placed));
    rig.peers.feed.publish(second.clone());
    stream.until_event(second.id).await;
    let third = event(merchant(1), 3, EventCode::Dispatched);
    rig.peers.feed.publish(third.clone());
    stream.until_event(third.id).await;
    assert_eq!([first.id, second.id, third.id].map(|id| stream.count_of(id)), [1, 1, 1]);
    assert_eq!(stream.text.matches("id: ").count(), 3, "no foreign one");

    let polled = rig.client.with_token(&token).get("/events/v1.0/events:polling").await.json();
    let streamed: Vec<Value> = stream
        .text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(Value::from(streamed), polled, "the same objects");
}

#[tokio::test]
async fn what_is_acknowledged_never_comes_again_and_the_rest_does_with_the_next_connection() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let (one, other) = (event(merchant(1), 1, EventCode::Placed), event(merchant(1), 2, EventCode::Confirmed));
    rig.peers.feed.events.lock().extend([one.clone(), other.clone()]);
    let mut stream = Stream::of(&rig, &token, "").await;
    stream.until_event(other.id).await;
    drop(stream);
    let body = json!([{ "id": one.id.to_string() }]).to_string();
    let acknowledged = rig.client.with_token(&token).post("/events/v1.0/events/acknowledgment", body).await;
    assert_eq!(acknowledged.status, 202);
    let last = format!("last-event-id: {}\r\n", other.id);
    let mut again = Stream::open(&rig, &token, "", &last).await;
    again.until_event(other.id).await;
    assert_eq!(again.count_of(one.id), 0);
}

#[tokio::test]
async fn its_filters_are_those_of_polling() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let (shown, hidden) = (event(merchant(1), 1, EventCode::Placed), event(merchant(1), 2, EventCode::Confirmed));
    rig.peers.feed.events.lock().extend([hidden.clone(), shown.clone()]);
    let mut keeping = Stream::of(&rig, &token, "?types=PLC&acknowledgeHidden=false").await;
    keeping.until_event(shown.id).await;
    assert_eq!((keeping.count_of(hidden.id), rig.peers.feed.acknowledged_by("pos")), (0, vec![]));
    let mut plain = Stream::of(&rig, &token, "?types=PLC").await;
    plain.until_event(shown.id).await;
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [hidden.id]);
}

#[tokio::test]
async fn it_reads_the_fallback_where_the_primary_does_not_answer() {
    let rig = Rig::start().await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    let (own, foreign) = (event(merchant(1), 1, EventCode::Placed), event(merchant(3), 2, EventCode::Placed));
    rig.peers.fallback.events.lock().extend([foreign.clone(), own.clone()]);
    let mut stream = Stream::of(&rig, &rig.token("pos").await, "").await;
    stream.until_event(own.id).await;
    assert_eq!(stream.count_of(foreign.id), 0);
}

#[tokio::test]
async fn it_outlives_a_moment_in_which_nobody_answers() {
    let rig = Rig::start().await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let mut stream = Stream::of(&rig, &rig.token("pos").await, "").await;
    let one = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.events.lock().push(one.clone());
    rig.peers.feed.down.store(false, Ordering::SeqCst);
    stream.until_event(one.id).await;
}

#[tokio::test]
async fn foreign_and_unknown_merchants_are_refused_or_listed_alike() {
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        let pos = rig.as_application("pos").await;
        let mut refusals = Vec::new();
        for other in [merchant(3), merchant(9)] {
            let answer = pos.send("GET", STREAM, &[("x-polling-merchants", &other.to_string())], "").await;
            assert_eq!(answer.status, 403);
            refusals.push(answer.json().to_string().replace(&other.to_string(), "…"));
        }
        assert_eq!(refusals[0], refusals[1]);
        let named = format!("x-polling-merchants: {},{}\r\n", merchant(3), merchant(1));
        let mut part = Stream::open(&rig, &rig.token("pos").await, "?partial=true", &named).await;
        part.until("the stream stands").await;
        assert!(part.text.contains(&format!("x-unauthorized-merchants: {}\r\n", merchant(3))), "{}", part.text);
        eventually("its merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
        assert!(!rig.peers.merchants.beats.lock().contains(&merchant(3)));
    }
}

#[tokio::test]
async fn without_a_token_that_counts_there_is_no_stream() {
    let rig = Rig::start().await;
    assert_eq!(rig.client.get(STREAM).await.status, 401);
    assert_eq!(rig.client.with_token("nonsense").get(STREAM).await.status, 401);
}

#[tokio::test]
async fn a_draining_service_ends_it_and_says_when_to_come_back() {
    let rig = Rig::start().await;
    let mut stream = Stream::of(&rig, &rig.token("pos").await, "").await;
    rig.shutdown.cancel();
    let text = stream.read_on_to_end().await;
    let end = text.split("the stream stands").nth(1).unwrap();
    assert!(end.contains("retry: ") && end.contains("the stream ends"), "{end}");
    assert!(end.ends_with("0\r\n\r\n"), "it is whole: {end}");
    rig.running.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_revoked_application_gets_no_further_event_and_its_stream_ends() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let mut stream = Stream::of(&rig, &token, "").await;
    rig.applications.change("pos", |stored| stored.record.revoked = true);
    let pos = rig.client.with_token(&token);
    let revoked = async {
        while pos.get("/events/v1.0/events:polling").await.status != 401 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), revoked).await.unwrap();
    let one = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.publish(one.clone());
    stream.until("the stream ends").await;
    assert_eq!(stream.count_of(one.id), 0);
}

#[tokio::test]
async fn an_application_that_loses_the_module_gets_no_further_event_and_its_stream_ends() {
    let rig = Rig::start().await;
    let token = rig.token("pos").await;
    let mut stream = Stream::of(&rig, &token, "").await;
    rig.applications.change("pos", |stored| stored.record.modules = "order,open-delivery".parse().unwrap());
    let pos = rig.client.with_token(&token);
    let taken = async {
        while pos.get("/events/v1.0/events:polling").await.status != 403 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), taken).await.unwrap();
    let one = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.publish(one.clone());
    stream.until("the stream ends").await;
    assert_eq!(stream.count_of(one.id), 0);
}

#[tokio::test]
async fn a_merchant_that_is_granted_meanwhile_is_streamed_and_one_that_is_taken_away_is_not() {
    let rig = Rig::start().await;
    let mut stream = Stream::of(&rig, &rig.token("pos").await, "").await;
    rig.applications.put("pos", "pos-secret", &[merchant(2), merchant(4)]);
    let pos = rig.once_known("pos").await;
    let named = merchant(4).to_string();
    let granted = async {
        let poll = "/events/v1.0/events:polling";
        while pos.send("GET", poll, &[("x-polling-merchants", &named)], "").await.status == 403 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), granted).await.unwrap();
    let (taken, granted) = (event(merchant(1), 1, EventCode::Placed), event(merchant(4), 2, EventCode::Placed));
    rig.peers.feed.publish(granted.clone());
    rig.peers.feed.publish(taken.clone());
    stream.until_event(granted.id).await;
    let next = event(merchant(4), 3, EventCode::Confirmed);
    rig.peers.feed.publish(next.clone());
    stream.until_event(next.id).await;
    assert_eq!(stream.count_of(taken.id), 0);
}

#[tokio::test]
async fn streams_are_bounded_for_each_application_and_a_place_is_free_when_the_client_leaves() {
    let waits = WaitLimits { streams_per_caller: 1, ..WaitLimits::default() };
    let rig = Rig::start_with(Config { waits, ..config() }).await;
    let token = rig.token("pos").await;
    let pos = rig.client.with_token(&token);
    let first = Stream::of(&rig, &token, "").await;
    let refused = pos.get(STREAM).await;
    assert_eq!((refused.status.as_u16(), refused.error_code()), (429, "TooManyRequests".to_owned()));
    assert_eq!((limit_named_by(&refused), refused.headers["retry-after"].as_bytes()), (1, &b"5"[..]));
    let _other = Stream::of(&rig, &rig.token("other").await, "").await;
    drop(first);
    let freed = async {
        while pos.status_of("GET", STREAM).await == 429 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), freed).await.unwrap();
}

#[tokio::test]
async fn it_says_every_15_s_that_it_is_there() {
    let rig = Rig::start().await;
    let mut stream = Stream::of(&rig, &rig.token("pos").await, "").await;
    stream.until(": still here\n\n").await;
}

/// A reader that does not read costs what is under way to it, and no event is lost over it.
#[tokio::test]
async fn a_reader_that_does_not_read_is_not_read_for_and_loses_nothing() {
    let rig = Rig::start().await;
    let body = |id: EventId| format!(r#"{{"id":"{id}","filler":"{}"}}"#, "x".repeat(200_000));
    let large = |number: u8| {
        let mut event = event(merchant(1), number, EventCode::Placed);
        event.body = body(event.id).into();
        event
    };
    rig.peers.feed.events.lock().extend((1..=100).map(large));
    let mut stream = Stream::open(&rig, &rig.token("pos").await, "", "").await;
    eventually("it has looked", || rig.peers.feed.polls.load(Ordering::SeqCst) == 1).await;
    (101..=120).for_each(|number| rig.peers.feed.publish(large(number)));
    // 20 MB are far more than the sockets between us hold.
    assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst), 1, "nobody has read what it found");
    let mut chunk = vec![0; 1 << 20];
    let ids: Vec<EventId> = (1..=120).map(|number| large(number).id).collect();
    let reading = async {
        while stream.text.matches("\"filler\"").count() < ids.len() {
            let read = stream.raw.stream.read(&mut chunk).await.unwrap();
            stream.text.push_str(&String::from_utf8_lossy(&chunk[..read]).replace("xxxxxxxx", ""));
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap();
    assert!(ids.iter().all(|id| stream.count_of(*id) == 1));
}
