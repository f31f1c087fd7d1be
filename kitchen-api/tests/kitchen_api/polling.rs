//! PARTNER_API, sections 1.3, 2.6 and 8: `events:polling`.

use std::sync::atomic::Ordering;

use event_feed::FeedEvent;
use order_model::{EventCode, EventId, MerchantId, OrderId, Timestamp};
use serde_json::json;

use crate::peers::{event, event_id_key};
use crate::rig::{Rig, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

fn csv(merchants: &[MerchantId]) -> String {
    merchants.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[tokio::test]
async fn both_prefixes_and_the_escaped_colon_are_served() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    for path in [
        "/events/v1.0/events:polling",
        "/order/v1.0/events:polling",
        "/events/v1.0/events%3Apolling",
        "/order/v1.0/events%3apolling?types=PLC",
    ] {
        assert_eq!(pos.get(path).await.status, 204, "{path}");
    }
}

#[tokio::test]
async fn nothing_pending_is_204_without_a_body_and_content_type_on_get_is_ignored() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.send("GET", POLL, &[("content-type", "application/json")], "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    assert!(answer.headers.get("content-type").is_none());
}

#[tokio::test]
async fn pending_events_come_back_byte_for_byte_until_acknowledged() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let events = [event(merchant(1), 1, EventCode::Placed), event(merchant(2), 2, EventCode::Placed)];
    rig.peers.feed.events.lock().extend(events.clone());
    rig.peers.feed.events.lock().push(event(merchant(3), 3, EventCode::Placed));
    for _ in 0..2 {
        let answer = pos.get(POLL).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["content-type"], "application/json");
        let [first, second] = events.clone().map(|event| String::from_utf8(event.body.to_vec()).unwrap());
        assert_eq!(answer.body, format!("[{first},{second}]"), "of its own merchants only");
    }
    let only_second = [("x-polling-merchants", csv(&[merchant(2)]))];
    let headers = only_second.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = pos.send("GET", POLL, &headers, "").await;
    assert_eq!(answer.json().as_array().unwrap().len(), 1);
    let body = json!([{ "id": events[0].id.to_string() }, { "id": events[1].id.to_string() }]);
    assert_eq!(pos.post("/events/v1.0/events/acknowledgment", body.to_string()).await.status, 202);
    assert_eq!(pos.get(POLL).await.status, 204);
}

/// A feed of the same process is not waited for; nobody outside can tell.
#[tokio::test]
async fn a_feed_of_the_same_process_answers_the_same() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let pending = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.events.lock().extend([pending.clone(), event(merchant(3), 3, EventCode::Placed)]);
    let foreign = merchant(3).to_string();
    for local in [false, true] {
        rig.peers.feed.local.store(local, Ordering::SeqCst);
        let before = rig.peers.feed.polls.load(Ordering::SeqCst);
        let answer = pos.get(POLL).await;
        assert_eq!(answer.headers["content-type"], "application/json");
        assert_eq!(answer.body, format!("[{}]", String::from_utf8(pending.body.to_vec()).unwrap()));
        assert_eq!(pos.get(&format!("{POLL}?types=CFM")).await.status, 204, "hides what is pending");
        assert_eq!(pos.get(&format!("{POLL}?types=NEW1")).await.status, 204, "asks for nothing");
        assert_eq!(pos.send("GET", POLL, &[("x-polling-merchants", &foreign)], "").await.status, 403);
        assert_eq!(rig.client.get(POLL).await.status, 401, "no token");
        assert_eq!(pos.post(POLL, "").await.status, 405);
        assert_eq!(pos.send("HEAD", POLL, &[], "").await.status, 204, "nothing pending any more");
        assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst) - before, 3, "local: {local}");
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [pending.id]);
        rig.peers.feed.acknowledged.lock().clear();
    }
}

#[tokio::test]
async fn the_header_takes_spaces_and_commas_and_is_limited() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let many: Vec<MerchantId> = (0..501u128).map(|number| MerchantId::from_bytes(number.to_be_bytes())).collect();
    for (value, status) in [
        (format!(" {} , {} ,, ", merchant(1), merchant(2)), 204),
        ("not-a-uuid".to_owned(), 400),
        (format!("{},x", merchant(1)), 400),
        (csv(&many), 400),
        (csv(&many[..500]), 403),
    ] {
        let answer = pos.send("GET", POLL, &[("x-polling-merchants", &value)], "").await;
        assert_eq!(answer.status.as_u16(), status, "{value:.60}");
        if status == 400 {
            assert_eq!(answer.error_code(), "BadRequest");
            assert_eq!(answer.json()["error"]["field"], "x-polling-merchants");
        }
    }
    let refused = pos.send("GET", POLL, &[("x-polling-merchants", &csv(&many))], "").await;
    assert!(refused.json()["message"].as_str().unwrap().starts_with("Too many polling merchants"), "{refused:?}");
}

/// More are pending than one answer holds, in either dialect and whoever answers; acknowledging makes room for the rest.
#[tokio::test]
async fn a_page_holds_a_thousand_events_and_the_rest_comes_next() {
    let placed = |number: u16| {
        let order = OrderId::from_bytes(u128::from(number).to_be_bytes());
        let created_at = Timestamp::from_unix_ms(1_795_000_000_000 + i64::from(number));
        let id = EventId::derive(&event_id_key(), created_at, merchant(1), order, 1);
        let body = format!(r#"{{"id":"{id}","code":"PLC","orderId":"{order}"}}"#);
        FeedEvent { id, order, created_at, body: body.into(), ..event(merchant(1), 1, EventCode::Placed) }
    };
    let events: Vec<FeedEvent> = (0..1_001).map(placed).collect();
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        rig.peers.feed.events.lock().extend(events.clone());
        rig.peers.fallback.events.lock().extend(events.clone());
        let pos = rig.as_application("pos").await;
        for (path, id) in [(POLL, "id"), ("/v1/events:polling", "eventId")] {
            let page = pos.get(path).await.json();
            let page = page.as_array().unwrap();
            assert_eq!(page.len(), 1_000, "{path}");
            let expected = events[..1_000].iter().map(|event| json!(event.id.to_string()));
            assert!(page.iter().map(|event| event[id].clone()).eq(expected), "{path}");
        }
        if !is_down {
            let ids: Vec<String> = events[..1_000].iter().map(|event| event.id.to_string()).collect();
            assert_eq!(pos.post("/events/v1.0/events/acknowledgment", json!(ids).to_string()).await.status, 202);
            let rest = pos.get(POLL).await.json();
            assert_eq!((rest.as_array().unwrap().len(), &rest[0]["id"]), (1, &json!(events[1_000].id.to_string())));
        }
    }
}

#[tokio::test]
async fn a_foreign_and_an_unknown_merchant_are_403_alike_and_nothing_is_read_or_beaten() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    for stranger in [merchant(3), merchant(99)] {
        let header = csv(&[merchant(1), stranger]);
        let answer = pos.send("GET", &format!("{POLL}?types=PLC"), &[("x-polling-merchants", &header)], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "Forbidden"));
        let json = answer.json();
        assert_eq!(json["unauthorizedMerchants"], json!([stranger.to_string()]));
        assert_eq!(json["error"]["unauthorizedMerchants"], json["unauthorizedMerchants"]);
    }
    assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst), 0);
    pos.send("GET", POLL, &[("x-polling-merchants", &csv(&[merchant(2)]))], "").await;
    eventually("the second merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(2))).await;
    assert!(!rig.peers.merchants.beats.lock().contains(&merchant(1)), "a refused poll is no beat");
}

#[tokio::test]
async fn above_500_merchants_the_header_is_mandatory() {
    let rig = Rig::start().await;
    let many: Vec<MerchantId> = (1..=501u128).map(|number| MerchantId::from_bytes(number.to_be_bytes())).collect();
    rig.applications.put("chain", "chain-secret", &many);
    let chain = rig.once_known("chain").await;
    assert_eq!(chain.get(POLL).await.status, 400);
    // The newer text says 100, the older one 500: whoever keeps to either is served.
    for (count, status) in [(1, 204), (100, 204), (101, 204), (500, 204), (501, 400)] {
        let header = format!("{} , ", csv(&many[..count]));
        let answer = chain.send("GET", POLL, &[("x-polling-merchants", &header)], "").await;
        assert_eq!(answer.status.as_u16(), status, "{count}");
    }
}

#[tokio::test]
async fn filters_that_were_sent_acknowledge_what_they_hide_and_unknown_ones_do_nothing() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let placed = event(merchant(1), 1, EventCode::Placed);
    let confirmed = event(merchant(1), 2, EventCode::Confirmed);
    rig.peers.feed.events.lock().extend([placed.clone(), confirmed.clone()]);
    assert_eq!(pos.get(&format!("{POLL}?types=XYZ")).await.status, 204, "no known value is left");
    assert_eq!(pos.get(&format!("{POLL}?groups=OUTROS")).await.status, 204);
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty());
    assert_eq!(pos.get(&format!("{POLL}?types=")).await.json().as_array().unwrap().len(), 2, "blank is not sent");
    let answer = pos.get(&format!("{POLL}?types=PLC,UNKNOWN")).await;
    assert_eq!(answer.json()[0]["id"], placed.id.to_string());
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [confirmed.id], "before the answer");
}

#[tokio::test]
async fn every_poll_is_a_beat_unless_it_says_otherwise_even_when_it_is_answered_503() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let second = csv(&[merchant(2)]);
    pos.send("GET", &format!("{POLL}?excludeHeartbeat=true"), &[("x-polling-merchants", &second)], "").await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let first = csv(&[merchant(1)]);
    let answer = pos.send("GET", POLL, &[("x-polling-merchants", &first)], "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    eventually("the first merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
    assert!(!rig.peers.merchants.beats.lock().contains(&merchant(2)));
}

#[tokio::test]
async fn each_application_has_events_and_acknowledgments_of_its_own() {
    let rig = Rig::start().await;
    rig.applications.put("second", "second-secret", &[merchant(1)]);
    let placed = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.events.lock().push(placed.clone());
    let pos = rig.as_application("pos").await;
    assert_eq!(
        pos.post("/order/v1.0/events/acknowledgment", json!([placed.id.to_string()]).to_string()).await.status,
        202
    );
    assert_eq!(pos.get(POLL).await.status, 204);
    let second = rig.once_known("second").await;
    assert_eq!(second.get(POLL).await.status, 200);
    assert_eq!(rig.as_application("other").await.get(POLL).await.status, 204);
}

#[tokio::test]
async fn the_core_hears_that_polls_are_served_only_while_they_are() {
    let rig = Rig::start().await;
    let reports = || rig.peers.core.serving_reports.load(Ordering::SeqCst);
    eventually("it reports", || reports() > 0).await;
    assert!(rig.handle.serves_polls());
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    eventually("polls are not served", || !rig.handle.serves_polls()).await;
    // At most one report was under way.
    let then = reports();
    tokio::time::sleep(std::time::Duration::from_millis(1_500)).await;
    assert!(reports() <= then + 1, "silent while it serves nobody");
}
