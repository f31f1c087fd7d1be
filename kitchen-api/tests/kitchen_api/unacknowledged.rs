//! `GET /comanda/v1/events/unacknowledged`: how much is pending, whoever answers, and that asking changes nothing.

use std::sync::atomic::Ordering;

use order_model::EventCode;
use serde_json::json;

use crate::documentation::differences;
use crate::peers::event;
use crate::rig::{Rig, merchant};

const UNACKNOWLEDGED: &str = "/comanda/v1/events/unacknowledged";

#[tokio::test]
async fn each_merchant_has_its_count_its_oldest_and_its_headroom_whoever_answers() {
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        let events = [(1, 5), (1, 2), (3, 1)].map(|(of, number)| event(merchant(of), number, EventCode::Placed));
        rig.peers.feed.events.lock().extend(events.clone());
        rig.peers.fallback.events.lock().extend(events.clone());
        let pos = rig.as_application("pos").await;
        let answer = pos.get(UNACKNOWLEDGED).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        assert_eq!((&page["page"], &page["size"], &page["total"]), (&json!(1), &json!(20), &json!(2)));
        let [first, second] = page["merchants"].as_array().unwrap().as_slice() else { panic!("{page}") };
        assert_eq!(first["merchantId"], merchant(1).to_string());
        assert_eq!(
            (&first["pending"], &first["isAtLeast"], &first["headroom"]),
            (&json!(2), &json!(false), &json!(998))
        );
        assert_eq!(first["oldestAt"], events[1].created_at.to_string(), "of the older one");
        assert!(first["oldestAgeSeconds"].as_u64().unwrap() > 0);
        let mut nothing =
            json!({ "merchantId": merchant(2).to_string(), "pending": 0, "isAtLeast": false, "headroom": 1000 });
        let mut strikes = json!({ "pausePolling": false, "max": 100 });
        if !is_down {
            // The fallback counts no deliveries.
            nothing["strikes"] = json!(0);
            strikes["counted"] = json!(0);
            strikes["headroom"] = json!(100);
        }
        assert_eq!((second, &page["strikes"]), (&nothing, &strikes));
        let document = pos.get("/openapi/comanda.json").await.json();
        let content = &document["paths"][UNACKNOWLEDGED]["get"]["responses"]["200"]["content"];
        assert_eq!(differences(&document, &content["application/json"]["schema"], &page, "page"), [""; 0]);
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [], "nothing was acknowledged");
        assert!(rig.peers.merchants.beats.lock().is_empty(), "and nobody is there because of it");
    }
}

/// A courier is no event of Open Delivery's, `DELIVERED` is one of its own.
#[tokio::test]
async fn what_is_counted_is_what_polls_of_that_dialect_hold_whoever_answers() {
    let codes = [EventCode::Placed, EventCode::AssignDriver, EventCode::GoingToOrigin, EventCode::Delivered];
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        let events: Vec<_> = codes.into_iter().zip(1..).map(|(code, order)| event(merchant(1), order, code)).collect();
        rig.peers.feed.events.lock().extend(events.clone());
        rig.peers.fallback.events.lock().extend(events);
        let pos = rig.as_application("pos").await;
        let pending = async |query: &str| {
            pos.get(&format!("{UNACKNOWLEDGED}?{query}")).await.json()["merchants"][0]["pending"].clone()
        };
        assert_eq!((pending("").await, pending("dialect=IFOOD").await), (json!(3), json!(3)));
        assert_eq!(pending("dialect=OPEN_DELIVERY").await, json!(2));
        for (path, count) in [("/events/v1.0/events:polling", 3), ("/v1/events:polling", 2)] {
            assert_eq!(pos.get(path).await.json().as_array().unwrap().len(), count, "{path} holds as many");
        }
        for wrong in ["", "open_delivery", "STANDARD", "OPEN_DELIVERY%20"] {
            let refused = pos.get(&format!("{UNACKNOWLEDGED}?dialect={wrong}")).await;
            assert_eq!(
                (refused.status.as_u16(), &refused.json()["error"]["field"]),
                (400, &json!("dialect")),
                "{wrong}"
            );
        }
    }
}

#[tokio::test]
async fn foreign_and_unknown_merchants_are_refused_alike_whoever_answers() {
    for is_down in [false, true] {
        let rig = Rig::start().await;
        rig.peers.feed.down.store(is_down, Ordering::SeqCst);
        let pos = rig.as_application("pos").await;
        let mut refusals = Vec::new();
        for other in [merchant(3), merchant(9)] {
            let named = format!("{},{other}", merchant(1));
            let answer = pos.send("GET", UNACKNOWLEDGED, &[("x-polling-merchants", &named)], "").await;
            assert_eq!(answer.status, 403);
            assert_eq!(answer.json()["unauthorizedMerchants"], json!([other.to_string()]));
            refusals.push(answer.json().to_string().replace(&other.to_string(), "…"));
        }
        assert_eq!(refusals[0], refusals[1]);
        let own = merchant(2).to_string();
        let answer = pos.send("GET", UNACKNOWLEDGED, &[("x-polling-merchants", &own)], "").await;
        assert_eq!((&answer.json()["total"], &answer.json()["merchants"][0]["merchantId"]), (&json!(1), &json!(own)));
    }
}

#[tokio::test]
async fn it_is_paged_and_wrong_pages_are_400_and_name_the_field() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let second = pos.get(&format!("{UNACKNOWLEDGED}?page=2&size=1")).await.json();
    assert_eq!(second["merchants"].as_array().unwrap().len(), 1);
    assert_eq!(second["merchants"][0]["merchantId"], merchant(2).to_string());
    assert_eq!(pos.get(&format!("{UNACKNOWLEDGED}?page=3&size=1")).await.json()["merchants"], json!([]));
    for (query, field) in [("page=0", "page"), ("size=21", "size"), ("size=0", "size"), ("page=x", "page")] {
        let answer = pos.get(&format!("{UNACKNOWLEDGED}?{query}")).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{query}");
    }
    assert_eq!(pos.send("GET", UNACKNOWLEDGED, &[("x-polling-merchants", "x")], "").await.status, 400);
    assert_eq!(rig.client.get(UNACKNOWLEDGED).await.status, 401);
}

#[tokio::test]
async fn more_than_an_answer_holds_is_at_least_that_and_nobody_answering_is_503() {
    let rig = Rig::start().await;
    let many = (0..1_000u32).map(|_| event(merchant(1), 1, EventCode::Placed));
    rig.peers.feed.events.lock().extend(many);
    let pos = rig.as_application("pos").await;
    let first = &pos.get(UNACKNOWLEDGED).await.json()["merchants"][0];
    assert_eq!((&first["pending"], &first["isAtLeast"], &first["headroom"]), (&json!(1000), &json!(true), &json!(0)));
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    assert_eq!(pos.get(UNACKNOWLEDGED).await.status, 503);
}
