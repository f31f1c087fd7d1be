//! PARTNER_API, section 4: `GET /v1/orders/{orderId}` and the actions.

use std::sync::atomic::Ordering;

use kitchen_api::feed::CachedOrder;
use order_model::{MerchantId, OrderId};
use proto::gateway_core::{Action, Conflict};
use serde_json::json;

use crate::open_delivery::{OWN_ID, problem, rig as open_delivery_rig};
use crate::rig::{Rig, merchant};

const BODY: &str = r#"{"id":"01010101-0101-0101-0101-010101010101","displayId":"1","orderType":"TAKEOUT","createdAt":"2026-11-20T12:00:00.000Z",
    "merchant":{"id":"00000000-0000-4000-8000-000000000001"},"items":[{"name":"Pizza","quantity":1.50,"unitPrice":10.00,"totalPrice":15.00}],
    "total":{"orderAmount":15.00},"takeout":{"mode":"DEFAULT","takeoutDateTime":"2026-11-20T12:30:00.000Z"}}"#;

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

async fn rig() -> Rig {
    let rig = open_delivery_rig().await;
    rig.peers.core.put(order(1), merchant(1), BODY);
    rig.peers.core.put(order(3), merchant(3), BODY);
    rig
}

fn path(order: impl std::fmt::Display, tail: &str) -> String {
    format!("/v1/orders/{order}{tail}")
}

#[tokio::test]
async fn an_order_is_served_in_this_dialect_and_a_foreign_one_is_as_unknown() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path(order(1), "")).await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(r#""quantity":1.50,"#) && text.contains(r#""value":15.00,"#), "digit for digit: {text}");
    let json = answer.json();
    assert_eq!(json["merchant"], json!({ "id": OWN_ID, "name": "Loja" }), "as its POS calls it");
    assert_eq!((&json["type"], &json["lastEvent"]), (&json!("TAKEOUT"), &json!("CREATED")));
    let unknown = pos.get(&path(order(9), "")).await;
    assert_eq!(problem(&unknown), 404);
    for stranger in [order(3).to_string(), "not-an-id".to_owned()] {
        for (method, tail) in [("GET", ""), ("POST", "/confirm"), ("POST", "/acceptCancellation")] {
            let answer = pos.send(method, &path(&stranger, tail), &[], "").await;
            assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger} {tail}");
        }
    }
    assert!(rig.peers.core.acts.lock().is_empty(), "nothing was tried on a foreign order");
}

#[tokio::test]
async fn without_the_core_recent_orders_come_from_the_feeds_cache() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let cached = |merchant| CachedOrder { merchant, body: bytes::Bytes::from_static(BODY.as_bytes()), sequence: 1 };
    rig.peers.feed.cached.lock().insert(order(1), cached(merchant(1)));
    rig.peers.feed.cached.lock().insert(order(3), cached(merchant(3)));
    rig.peers.core.down.store(true, Ordering::SeqCst);
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    let json = pos.get(&path(order(1), "")).await.json();
    assert_eq!((json["displayId"].as_str(), json.get("lastEvent")), (Some("1"), None));
    assert_eq!(json["merchant"]["id"], merchant(1).to_string(), "by the id that is known");
    for other in [3, 2] {
        assert_eq!(problem(&pos.get(&path(order(other), "")).await), 503, "foreign, cached or not, as unknown");
    }
    assert_eq!(problem(&pos.post(&path(order(1), "/confirm"), "").await), 503);
}

/// Clients of 1.3.0 send what that document says, others nothing, or what they have.
#[tokio::test]
async fn every_action_is_carried_out_with_any_body_or_none() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (tail, action, status) in [
        ("/confirm", Action::Confirm, 202),
        ("/preparing", Action::StartPreparation, 202),
        ("/readyForPickup", Action::ReadyToPickup, 202),
        ("/pickedUp", Action::PickedUp, 202),
        ("/dispatch", Action::Dispatch, 202),
        ("/delivered", Action::Delivered, 202),
        ("/acceptCancellation", Action::AcceptCancellation, 204),
        ("/denyCancellation", Action::DenyCancellation, 204),
    ] {
        for body in [
            "",
            "{}",
            "[]",
            "not json",
            r#"{"createdAt":"2026-11-20T12:00:00Z","orderExternalCode":"7","reason":"r","preparationTime":20}"#,
            r#"{"deliveryTrackingInfo":{"event":{"type":"DELIVERY_ONGOING","datetime":"2026-11-20T12:00:00Z"}}}"#,
            r#"{"reason":"r","code":"OUT_FOR_DELIVERY"}"#,
        ] {
            let answer = pos.post(&path(order(1), tail), body).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{tail} {body}");
            let act = rig.peers.core.acts.lock().pop().unwrap();
            assert_eq!((act.action, act.application_id.as_str()), (i32::from(action), "pos"));
            assert_eq!(MerchantId::try_from_slice(&act.merchant_id).unwrap(), merchant(1));
            assert_eq!(OrderId::try_from_slice(&act.order_id).unwrap(), order(1));
            let says_why_not = action == Action::DenyCancellation && body.contains("OUT_FOR_DELIVERY");
            assert_eq!(act.code, if says_why_not { "OUT_FOR_DELIVERY" } else { "" }, "of a cancellation only");
            assert_eq!(act.reason, if body.contains("reason") { "r" } else { "" });
        }
    }
    let headers =
        [("idempotency-key", "key-1"), ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    assert_eq!(pos.send("POST", &path(order(1), "/confirm"), &headers, "").await.status, 202);
    let act = rig.peers.core.acts.lock().pop().unwrap();
    assert_eq!(act.idempotency_key, "key-1");
    assert_eq!(proto::conversions::trace_id(&act.trace_id).to_string(), "0af7651916cd43dd8448eb211c80319c");
}

#[tokio::test]
async fn a_cancellation_needs_a_code_and_sends_ours() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let cancel = path(order(1), "/requestCancellation");
    for (sent, ours) in [
        ("SYSTEMIC_ISSUES", "501"),
        ("DUPLICATE_APPLICATION", "502"),
        ("UNAVAILABLE_ITEM", "503"),
        ("RESTAURANT_WITHOUT_DELIVERY_PERSON", "504"),
        ("OUTDATED_MENU", "505"),
        ("ORDER_OUTSIDE_THE_DELIVERY_AREA", "506"),
        ("BLOCKED_CUSTOMER", "507"),
        ("OUTSIDE_DELIVERY_HOURS", "508"),
        ("INTERNAL_DIFFICULTIES_OF_THE_RESTAURANT", "509"),
        ("RISK_AREA", "511"),
        ("DELIVERY_PROBLEM", "509"),
    ] {
        let body = json!({ "reason": "r", "code": sent, "mode": "AUTO", "outOfStockItems": [], "invalidItems": [] });
        let answer = pos.post(&cancel, body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{sent}");
        let act = rig.peers.core.acts.lock().pop().unwrap();
        assert_eq!((act.action, act.code.as_str()), (i32::from(Action::RequestCancellation), ours));
    }
    for wrong in ["", "{}", r#"{"reason":"r","code":"NO_SUCH_CODE","mode":"AUTO"}"#] {
        let answer = pos.post(&cancel, wrong).await;
        assert_eq!(problem(&answer), 400, "{wrong}");
        assert!(answer.json()["title"].as_str().unwrap().contains("UNAVAILABLE_ITEM"), "says what is expected");
    }
    assert!(rig.peers.core.acts.lock().is_empty());
    assert_eq!(problem(&pos.post(&path(order(9), "/requestCancellation"), "").await), 404, "first of all unknown");
}

#[tokio::test]
async fn what_cannot_be_or_has_been_is_422_and_a_cancellation_says_how_it_stands() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let conflict = |state: &str| Conflict {
        state: state.to_owned(),
        legal: vec!["confirm".to_owned()],
        message: "internal".to_owned(),
    };
    let cancel = r#"{"reason":"r","code":"RISK_AREA","mode":"AUTO"}"#;
    for (state, cancellation_status) in [
        ("CANCELLED", json!("CANCELLED")),
        ("CONCLUDED", json!("CANCELLATION_REQUEST_DENIED")),
        ("DISPATCHED", json!(null)),
    ] {
        *rig.peers.core.conflict.lock() = Some(conflict(state));
        for tail in ["/confirm", "/preparing", "/readyForPickup", "/pickedUp", "/dispatch", "/delivered"] {
            let answer = pos.post(&path(order(1), tail), "").await;
            assert_eq!(problem(&answer), 422, "{tail}");
            assert!(answer.json()["title"].as_str().unwrap().contains(state), "{tail}");
            assert!(answer.json().get("cancellationStatus").is_none());
        }
        for tail in ["/acceptCancellation", "/denyCancellation"] {
            assert_eq!(problem(&pos.post(&path(order(1), tail), "").await), 422, "{tail}");
        }
        let answer = pos.post(&path(order(1), "/requestCancellation"), cancel).await;
        assert_eq!(problem(&answer), 422);
        assert_eq!(answer.json()["cancellationStatus"], cancellation_status);
    }
}
