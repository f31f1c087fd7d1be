//! PARTNER_API, sections 1.4 and 8: details, actions, cancellation reasons.

use std::sync::atomic::Ordering;

use kitchen_api::feed::CachedOrder;
use order_model::{MerchantId, OrderId};
use proto::gateway_core::{Action, Conflict};
use serde_json::json;

use crate::rig::{Rig, merchant};

const BODY: &str = r#"{"id":"x","items":[{"quantity":1.50}]}"#;

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.peers.core.put(order(1), merchant(1), BODY);
    rig.peers.core.put(order(3), merchant(3), BODY);
    rig
}

fn path(order: impl std::fmt::Display, tail: &str) -> String {
    format!("/order/v1.0/orders/{order}{tail}")
}

#[tokio::test]
async fn an_order_is_served_unchanged_and_a_foreign_one_is_as_unknown() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path(order(1), "")).await;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, BODY.as_bytes()));
    assert_eq!(answer.headers["content-type"], "application/json");
    let unknown = pos.get(&path(order(9), "")).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "NotFound"));
    for stranger in [order(3).to_string(), "not-an-id".to_owned(), order(1).to_string().replace('-', "")] {
        let answer = pos.get(&path(&stranger, "")).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger}");
        let answer = pos.post(&path(&stranger, "/confirm"), "").await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger}");
        let answer = pos.get(&path(&stranger, "/cancellationReasons")).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger}");
    }
    assert!(rig.peers.core.acts.lock().is_empty(), "nothing was tried on a foreign order");
}

#[tokio::test]
async fn without_the_core_recent_orders_come_from_the_feeds_cache() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let cached =
        |merchant| CachedOrder { merchant, body: bytes::Bytes::from_static(b"{\"cached\":true}"), sequence: 1 };
    rig.peers.feed.cached.lock().insert(order(1), cached(merchant(1)));
    rig.peers.feed.cached.lock().insert(order(3), cached(merchant(3)));
    for fault in [&rig.peers.core.down, &rig.peers.core.hangs] {
        fault.store(true, Ordering::SeqCst);
        assert_eq!(pos.get(&path(order(1), "")).await.json(), json!({ "cached": true }));
        let foreign = pos.get(&path(order(3), "")).await;
        let answer = pos.get(&path(order(2), "")).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
        assert_eq!((foreign.status, &foreign.body), (answer.status, &answer.body), "foreign, cached or not");
        fault.store(false, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn an_order_that_was_patched_is_not_shown_as_it_was() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let stale = CachedOrder { merchant: merchant(1), body: bytes::Bytes::new(), sequence: 3 };
    rig.peers.feed.cached.lock().insert(order(1), stale);
    rig.peers.core.down.store(true, Ordering::SeqCst);
    assert_eq!(pos.get(&path(order(1), "")).await.status, 503);
}

#[tokio::test]
async fn every_action_is_202_with_any_body_or_none() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let actions = [
        ("/confirm", Action::Confirm),
        ("/startPreparation", Action::StartPreparation),
        ("/readyToPickup", Action::ReadyToPickup),
        ("/dispatch", Action::Dispatch),
        ("/requestCancellation", Action::RequestCancellation),
        ("/acceptCancellation", Action::AcceptCancellation),
        ("/denyCancellation", Action::DenyCancellation),
    ];
    for (tail, action) in actions {
        for body in ["", "{}", "[]", "null", "not json", r#"{"reason":"r","cancellationCode":"501"}"#] {
            let answer = pos.post(&path(order(1), tail), body).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{tail} {body}");
            let act = rig.peers.core.acts.lock().pop().unwrap();
            assert_eq!((act.action, act.application_id.as_str()), (i32::from(action), "pos"));
            assert_eq!(MerchantId::try_from_slice(&act.merchant_id).unwrap(), merchant(1));
            assert_eq!(OrderId::try_from_slice(&act.order_id).unwrap(), order(1));
            let said = body.contains("501");
            assert_eq!((act.reason.as_str(), act.code.as_str()), if said { ("r", "501") } else { ("", "") });
            assert_eq!(act.trace_id.len(), 16);
        }
    }
}

#[tokio::test]
async fn the_callers_trace_is_passed_on() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let headers = [("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    assert_eq!(pos.send("POST", &path(order(1), "/confirm"), &headers, "").await.status, 202);
    let act = rig.peers.core.acts.lock().pop().unwrap();
    assert_eq!(proto::conversions::trace_id(&act.trace_id).to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(act.idempotency_key, "", "none was sent");
}

#[tokio::test]
async fn a_conflict_says_where_the_order_stands_and_what_would_be_legal() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    *rig.peers.core.conflict.lock() = Some(Conflict {
        state: "CANCELLED".to_owned(),
        legal: vec!["NOTHING".to_owned()],
        message: "The order was cancelled.".to_owned(),
    });
    let answer = pos.post(&path(order(1), "/confirm"), "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "Conflict"));
    let json = answer.json();
    assert_eq!(json["message"], "The order was cancelled.");
    assert_eq!(json["error"]["details"], json!([{ "state": "CANCELLED", "legal": ["NOTHING"] }]));
}

#[tokio::test]
async fn without_the_core_actions_are_503_and_say_nothing_of_why() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    rig.peers.core.down.store(true, Ordering::SeqCst);
    let answer = pos.post(&path(order(1), "/confirm"), "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert!(answer.headers.contains_key("retry-after"));
    assert!(!answer.json().to_string().contains("secret detail"));
    assert_eq!(pos.get(&path(order(1), "/cancellationReasons")).await.status, 503);
}

#[tokio::test]
async fn cancellation_reasons_are_a_bare_array() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path(order(1), "/cancellationReasons")).await;
    assert_eq!(answer.json(), json!([{ "cancelCodeId": "501", "description": "PROBLEMAS DE SISTEMA" }]));
    rig.peers.core.orders.lock().get_mut(&order(1)).unwrap().cancellation_reasons.clear();
    let answer = pos.get(&path(order(1), "/cancellationReasons")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!([])));
}
