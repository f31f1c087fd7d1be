//! PARTNER_API, section 4: `validateCode`, `tracking` and `PATCH details`.

use std::sync::atomic::Ordering;

use order_model::{MerchantId, OrderId};
use proto::gateway_core::{Action, Conflict, CourierReport, Objection};
use serde_json::json;

use crate::documentation::differences;
use crate::open_delivery::{problem, rig as open_delivery_rig};
use crate::rig::{Rig, merchant};

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

async fn rig() -> Rig {
    let rig = open_delivery_rig().await;
    rig.peers.core.put(order(1), merchant(1), "{}");
    rig.peers.core.put(order(3), merchant(3), "{}");
    rig
}

fn path(order: impl std::fmt::Display, tail: &str) -> String {
    format!("/v1/orders/{order}{tail}")
}

fn conflict() -> Conflict {
    Conflict { state: "CONFIRMED".to_owned(), legal: vec!["dispatch".to_owned()], message: String::new() }
}

#[tokio::test]
async fn a_right_code_is_200_and_whatever_is_no_yes_is_400() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let check = |order: String, query: &'static str| {
        let pos = pos.clone();
        async move { pos.post(&path(order, &format!("/validateCode{query}")), "").await }
    };
    let right = check(order(1).to_string(), "?deliveryCode=12%2034").await;
    assert_eq!(right.json(), json!({ "orderId": order(1).to_string(), "deliveryCode": "12 34" }));
    assert_eq!(right.status, 200);
    let document = pos.get("/openapi/open-delivery.json").await.json();
    let documented = &document["paths"]["/v1/orders/{orderId}/validateCode"]["post"]["responses"]["200"];
    let schema = &documented["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, schema, &right.json(), "code"), [""; 0]);
    let act = rig.peers.core.acts.lock().pop().unwrap();
    assert_eq!((act.action, act.confirmation_code.as_str()), (i32::from(Action::VerifyDeliveryCode), "12 34"));
    assert_eq!(MerchantId::try_from_slice(&act.merchant_id).unwrap(), merchant(1));

    let long: &'static str = format!("?deliveryCode={}", "9".repeat(65)).leak();
    for query in ["", "?", "?deliveryCode=", "?deliveryCode=%20", "?code=1234", long] {
        let answer = check(order(1).to_string(), query).await;
        assert_eq!(problem(&answer), 400, "{query}");
        assert!(answer.json()["title"].as_str().unwrap().contains("deliveryCode"), "{query}");
    }
    let unknown = check(order(9).to_string(), "?deliveryCode=1").await;
    assert_eq!(problem(&unknown), 400);
    for stranger in [order(3).to_string(), "not-an-id".to_owned()] {
        assert_eq!(check(stranger, "?deliveryCode=1").await.body, unknown.body, "foreign is as unknown");
    }
    assert!(rig.peers.core.acts.lock().is_empty(), "nothing was tried");

    *rig.peers.core.objection.lock() = Objection::WrongCode;
    let wrong = check(order(1).to_string(), "?deliveryCode=4711").await;
    assert_eq!(problem(&wrong), 400);
    assert!(!String::from_utf8(wrong.body.to_vec()).unwrap().contains("4711"), "no code in an error");
    *rig.peers.core.conflict.lock() = Some(conflict());
    assert_eq!(problem(&check(order(1).to_string(), "?deliveryCode=1").await), 400, "the document knows no 422 here");
    assert_eq!(problem(&rig.client.post(&path(order(1), "/validateCode?deliveryCode=1"), "").await), 401);
    rig.peers.core.down.store(true, Ordering::SeqCst);
    assert_eq!(problem(&check(order(1).to_string(), "?deliveryCode=1").await), 503);
}

#[tokio::test]
async fn tracking_says_how_far_the_courier_is_and_who() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let tracking = path(order(1), "/tracking");
    for (kind, report) in [
        ("PICKUP_ONGOING", CourierReport::PickupOngoing),
        ("ARRIVED_AT_MERCHANT", CourierReport::ArrivedAtMerchant),
        ("ORDER_PICKED", CourierReport::OrderPicked),
        ("DELIVERY_ONGOING", CourierReport::DeliveryOngoing),
        ("ARRIVED_AT_CUSTOMER", CourierReport::ArrivedAtCustomer),
        ("ORDER_DELIVERED", CourierReport::OrderDelivered),
        ("CANCELLED", CourierReport::Cancelled),
    ] {
        let info = json!({
            "event": { "type": kind, "datetime": "2026-11-20T12:00:00Z" }, "deliveryPerson": { "id": "7", "name": "Rui" },
            "vehicle": { "type": ["CAR"], "licencePlate": "X" }, "eta": { "deliveryEtaInMinutes": 5 },
        });
        let answer = pos.post(&tracking, json!({ "deliveryTrackingInfo": info }).to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{kind}");
        let act = rig.peers.core.acts.lock().pop().unwrap();
        assert_eq!((act.action, act.courier_report), (i32::from(Action::Track), i32::from(report)));
        let worker = act.worker.unwrap();
        assert_eq!((worker.name.as_str(), worker.vehicle_type.as_str()), ("Rui", "CAR"));
    }
    for wrong in ["", "{}", r#"{"deliveryTrackingInfo":{"event":{"type":"LOST"}}}"#] {
        assert_eq!(problem(&pos.post(&tracking, wrong).await), 400, "{wrong}");
        for stranger in [order(3), order(9)] {
            assert_eq!(problem(&pos.post(&path(stranger, "/tracking"), wrong).await), 404, "first of all unknown");
        }
    }
    assert!(rig.peers.core.acts.lock().is_empty());
    *rig.peers.core.conflict.lock() = Some(conflict());
    let refused = pos.post(&tracking, r#"{"deliveryTrackingInfo":{"event":{"type":"ARRIVED_AT_CUSTOMER"}}}"#).await;
    assert_eq!(problem(&refused), 422);
    assert!(refused.json()["title"].as_str().unwrap().contains("Possible now: dispatch."));
}

#[tokio::test]
async fn the_kitchens_beginning_is_changed() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let details = path(order(1), "/details");
    let change = r#"{"preparationStartDateTime":"2026-11-20T09:00:00-03:00"}"#;
    let answer = pos.send("PATCH", &details, &[("idempotency-key", "k")], change).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    let act = rig.peers.core.acts.lock().pop().unwrap();
    assert_eq!((act.action, act.idempotency_key.as_str()), (i32::from(Action::ChangePreparationStart), "k"));
    let noon: order_model::Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    assert_eq!(act.preparation_start_ms, noon.unix_ms());
    assert_eq!(pos.send("PATCH", &details, &[], r#"{"other":1}"#).await.status, 200);
    for wrong in ["", "[]", r#"{"preparationStartDateTime":"noon"}"#, r#"{"preparationStartDateTime":1}"#] {
        assert_eq!(problem(&pos.send("PATCH", &details, &[], wrong).await), 400, "{wrong}");
        for stranger in [order(3), order(9)] {
            let answer = pos.send("PATCH", &path(stranger, "/details"), &[], wrong).await;
            assert_eq!(problem(&answer), 404, "first of all unknown");
        }
    }
    assert!(rig.peers.core.acts.lock().is_empty(), "nothing to change is nothing to do");
    *rig.peers.core.conflict.lock() = Some(conflict());
    assert_eq!(problem(&pos.send("PATCH", &details, &[], change).await), 400, "the document knows no 422 here");
}
