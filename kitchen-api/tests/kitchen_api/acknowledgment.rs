//! PARTNER_API, sections 1.3 and 8: `events/acknowledgment`.

use std::sync::atomic::Ordering;

use event_feed::FeedEvent;
use order_model::{EventCode, EventId};
use serde_json::json;

use crate::peers::event;
use crate::rig::{Rig, merchant};

const ACKNOWLEDGE: &str = "/events/v1.0/events/acknowledgment";

#[tokio::test]
async fn every_shape_is_202_without_a_body_under_both_prefixes() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    for (order, path) in (1..=7).zip([ACKNOWLEDGE, "/order/v1.0/events/acknowledgment"].into_iter().cycle()) {
        let event = event(merchant(1), order, EventCode::Placed);
        let id = event.id.to_string();
        let body = match order {
            1 => json!([{ "id": id }]),
            2 => json!([id]),
            3 => json!({ "events": [{ "id": id, "full_code": "PLACED", "metadata": { "id": "x" } }] }),
            4 => json!({ "acknowledgedEventIds": [id] }),
            5 => json!([{ "id": id, "orderId": "x", "eventType": "CREATED", "unknown": [1, {}] }]),
            6 => json!([serde_json::from_slice::<serde_json::Value>(&event.body).unwrap()]),
            _ => json!([id.to_uppercase()]),
        };
        let answer = pos.post(path, body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{body}");
        assert!(rig.peers.feed.acknowledged_by("pos").contains(&event.id), "{body}");
    }
}

/// As a POS's own types write an event back, whatever its language calls a field.
#[tokio::test]
async fn whole_events_count_in_any_casing() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let of = |name: &str, event: &FeedEvent| {
        let (id, order, merchant) = (event.id.to_string(), event.order.to_string(), event.merchant.to_string());
        match name {
            "id" => json!({ "id": id, "full_code": "PLACED", "order_id": order, "created_at": "2026-11-20T12:00:00Z" }),
            "event_id" => json!({ "code": "PLC", "merchant_id": merchant, "event_id": id }),
            "Id" => json!({ "Code": "PLC", "FullCode": "PLACED", "OrderId": order, "MerchantId": merchant, "Id": id }),
            "ID" => json!({ "ID": id, "ORDERID": order, "METADATA": { "ID": order } }),
            "eventId" => json!({ "eventId": id, "orderId": order, "eventType": "CREATED" }),
            _ => json!({ "EventID": id, "Metadata": [{ "Id": order }], "SalesChannel": null }),
        }
    };
    for (number, name) in (1..).zip(["id", "event_id", "Id", "ID", "eventId", "EventID"]) {
        let [alone, inside] = [2 * number, 2 * number + 1].map(|order| event(merchant(1), order, EventCode::Placed));
        let bodies = [(&alone, json!([of(name, &alone)])), (&inside, json!({ "events": [of(name, &inside)] }))];
        for (event, body) in bodies {
            let answer = pos.post(ACKNOWLEDGE, body.to_string()).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{body}");
            assert!(rig.peers.feed.acknowledged_by("pos").contains(&event.id), "{body}");
        }
        assert_eq!(rig.peers.feed.acknowledged_by("pos").len(), 2 * usize::from(number), "{name}: and nothing else");
    }
}

#[tokio::test]
async fn unknown_forged_repeated_and_no_ids_are_202_and_forged_ones_are_kept_nowhere() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let genuine = event(merchant(1), 1, EventCode::Placed).id;
    let forged: EventId = "0b8e1c34-7f70-8c2f-9a55-6d1de6a3c901".parse().unwrap();
    for body in [json!([]), json!([{}]), json!(["nonsense"]), json!([forged.to_string()]), json!([genuine.to_string()])]
    {
        for _ in 0..2 {
            assert_eq!(pos.post(ACKNOWLEDGE, body.to_string()).await.status, 202, "{body}");
        }
    }
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [genuine]);
    let content_type = [("content-type", "text/plain")];
    assert_eq!(pos.send("POST", ACKNOWLEDGE, &content_type, "[]").await.status, 202);
}

#[tokio::test]
async fn ten_thousand_ids_are_taken_and_one_more_is_400() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let ids: Vec<String> = (0..10_001u128).map(|number| uuid::Uuid::from_u128(number).to_string()).collect();
    assert_eq!(pos.post(ACKNOWLEDGE, json!(ids[..10_000]).to_string()).await.status, 202);
    let answer = pos.post(ACKNOWLEDGE, json!(ids).to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"));
}

#[tokio::test]
async fn what_is_not_json_is_400_and_what_is_too_large_413() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    for body in ["", "id=1", "[", "[1,]", &"[".repeat(40)] {
        let answer = pos.post(ACKNOWLEDGE, body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{body}");
    }
    let whole_events = json!([{ "id": "x", "metadata": "y".repeat(7 * 1024 * 1024) }]).to_string();
    assert_eq!(pos.post(ACKNOWLEDGE, whole_events).await.status, 202, "7 MiB are fine");
    let answer = pos.post(ACKNOWLEDGE, format!("[{}]", " ".repeat(8 * 1024 * 1024))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "PayloadTooLarge"));
}

#[tokio::test]
async fn while_it_cannot_become_true_it_is_503_and_repeating_it_works() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let genuine = event(merchant(1), 1, EventCode::Placed).id;
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let body = json!([{ "id": genuine.to_string() }]).to_string();
    let answer = pos.post(ACKNOWLEDGE, body.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    rig.peers.fallback.down.store(false, Ordering::SeqCst);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    while pos.post(ACKNOWLEDGE, body.clone()).await.status != 202 {
        assert!(tokio::time::Instant::now() < deadline);
    }
}
