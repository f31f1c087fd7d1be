//! The order simulator: orders and steps for an application's own test merchants, and for nobody else.

use std::sync::atomic::Ordering;

use order_model::EventCode;
use proto::gateway_core::{Rejection, submit_request::Content};
use serde_json::{Value, json};

use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::rig::{Rig, merchant};

const ORDERS: &str = "/comanda/v1/simulator/orders";

/// Merchant 1 is a test merchant of `pos`, merchant 2 a restaurant of it, merchant 3 somebody else's test merchant.
async fn rig(tables: &Tables) -> (Rig, Client) {
    let (rig, pos) = tables.rig().await;
    for (number, is_test) in [(1, true), (2, false), (3, true)] {
        rig.peers.merchants.put(merchant(number), "Loja \"Um\"");
        rig.peers.merchants.change(merchant(number), |merchant| merchant.is_test = is_test);
    }
    (rig, pos.client)
}

async fn place(pos: &Client, body: &Value) -> Answer {
    pos.post(ORDERS, body.to_string()).await
}

async fn placed(pos: &Client) -> String {
    let answer = place(pos, &json!({ "merchantId": merchant(1).to_string() })).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.json()["orderId"].as_str().unwrap().to_owned()
}

fn steps(order: &str) -> String {
    format!("{ORDERS}/{order}/steps")
}

#[tokio::test]
async fn an_order_is_placed_for_a_test_merchant_and_can_be_read() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let order = placed(&pos).await;
    let body = pos.get(&format!("/order/v1.0/orders/{order}")).await.json();
    assert_eq!((&body["id"], &body["isTest"]), (&json!(order), &json!(true)));
    assert_eq!((&body["orderType"], &body["delivery"]["deliveredBy"]), (&json!("DELIVERY"), &json!("MERCHANT")));
    assert_eq!(body["merchant"], json!({ "id": merchant(1).to_string(), "name": "Loja \"Um\"" }));
    let taken = rig.peers.core.submissions.taken.lock();
    let Some(Content::Place(place)) = &taken[0].content else { panic!() };
    let facts = place.facts.clone().unwrap();
    assert!(facts.is_test && facts.order_type == "DELIVERY" && facts.delivered_by == "MERCHANT");
    assert_eq!(taken[0].source, "comanda-simulator");
}

#[tokio::test]
async fn every_field_shapes_the_order() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let id = merchant(1).to_string();
    for (body, pointer, expected) in [
        (json!({ "orderType": "TAKEOUT" }), "/takeout/mode", json!("DEFAULT")),
        (json!({ "orderType": "DINE_IN" }), "/orderType", json!("DINE_IN")),
        (json!({ "orderType": "INDOOR" }), "/indoor/table", json!("7")),
        (json!({ "deliveredBy": "MARKETPLACE" }), "/delivery/deliveredBy", json!("MARKETPLACE")),
        (json!({ "orderTiming": "SCHEDULED" }), "/orderTiming", json!("SCHEDULED")),
        (json!({ "category": "GROCERY", "scenario": null }), "/category", json!("GROCERY")),
        (json!({ "scenario": "PREPAID" }), "/payments/methods/0/prepaid", json!(true)),
        (json!({ "scenario": "CASH_WITH_CHANGE" }), "/payments/methods/0/method", json!("CASH")),
        (json!({ "scenario": "DISCOUNT" }), "/benefits/0/target", json!("CART")),
    ] {
        let mut body = body;
        body["merchantId"] = json!(id);
        assert_eq!(place(&pos, &body).await.status, 202, "{body}");
        let order = rig.peers.core.submissions.orders().pop().unwrap();
        assert_eq!(order.pointer(pointer), Some(&expected), "{body}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_refused_at_its_field() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let id = merchant(1).to_string();
    for (body, field) in [
        (json!({}), "merchantId"),
        (json!({ "merchantId": 7 }), "merchantId"),
        (json!({ "merchantId": "x" }), "merchantId"),
        (json!({ "merchantId": id, "orderType": "PICKUP" }), "orderType"),
        (json!({ "merchantId": id, "orderType": 1 }), "orderType"),
        (json!({ "merchantId": id, "orderTiming": "LATER" }), "orderTiming"),
        (json!({ "merchantId": id, "deliveredBy": "DRONE" }), "deliveredBy"),
        (json!({ "merchantId": id, "orderType": "TAKEOUT", "deliveredBy": "MERCHANT" }), "deliveredBy"),
        (json!({ "merchantId": id, "category": "PETS" }), "category"),
        (json!({ "merchantId": id, "scenario": "BIG" }), "scenario"),
        (json!({ "merchantId": id, "ordertype": "DELIVERY" }), "ordertype"),
    ] {
        let answer = place(&pos, &body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{body}");
    }
    for body in ["", "[]", "null", "not json"] {
        assert_eq!(pos.post(ORDERS, body).await.status, 400, "{body}");
    }
    let order = placed(&pos).await;
    for (body, field) in [
        (json!({}), "step"),
        (json!({ "step": "CONFIRMED" }), "step"),
        (json!({ "step": "CANCELLED", "dispute": "REFUND" }), "dispute"),
        (json!({ "step": "HANDSHAKE_DISPUTE", "dispute": "LOVE" }), "dispute"),
        (json!({ "step": "CANCELLED", "when": 1 }), "when"),
    ] {
        let answer = pos.post(&steps(&order), body.to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{body}");
    }
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 1, "nothing else was submitted");
}

#[tokio::test]
async fn a_restaurant_that_is_no_test_merchant_gets_no_simulated_order() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let answer = place(&pos, &json!({ "merchantId": merchant(2).to_string() })).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "NotATestMerchant"));
    assert!(answer.json()["error"]["hint"].as_str().unwrap().contains("--test"));
    let real = order_model::OrderId::from_bytes([2; 16]);
    rig.peers.core.put(real, merchant(2), r#"{"isTest":true}"#);
    let answer = pos.post(&steps(&real.to_string()), r#"{"step":"CANCELLED"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "NotATestMerchant"));
    let real = order_model::OrderId::from_bytes([1; 16]);
    rig.peers.core.put(real, merchant(1), r#"{"isTest":false}"#);
    let answer = pos.post(&steps(&real.to_string()), r#"{"step":"CANCELLED"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "NotATestOrder"));
    assert!(rig.peers.core.submissions.taken.lock().is_empty());
}

#[tokio::test]
async fn a_foreign_merchant_or_order_is_as_unknown() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    assert_eq!(rig.client.post(ORDERS, "{}").await.status, 401);
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    // Foreign, unknown, and granted without existing.
    for number in [3, 9, 2] {
        let id = merchant(number).to_string();
        let answer = place(&pos, &json!({ "merchantId": id })).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "Forbidden"), "{number}");
        assert_eq!(answer.json()["unauthorizedMerchants"], json!([id]));
    }
    let foreign = order_model::OrderId::from_bytes([3; 16]);
    rig.peers.core.put(foreign, merchant(3), r#"{"isTest":true}"#);
    let unknown = pos.post(&steps("00000000-0000-4000-8000-000000000077"), r#"{"step":"CANCELLED"}"#).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "NotFound"));
    for id in [foreign.to_string(), "none".to_owned()] {
        let answer = pos.post(&steps(&id), r#"{"step":"CANCELLED"}"#).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{id}");
    }
    assert!(rig.peers.core.submissions.taken.lock().is_empty());
}

#[tokio::test]
async fn every_step_becomes_its_event() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let order = placed(&pos).await;
    for step in [
        "CONSUMER_CANCELLATION_REQUESTED",
        "CANCELLATION_REQUEST_FAILED",
        "CANCELLED",
        "HANDSHAKE_DISPUTE",
        "ASSIGN_DRIVER",
        "GOING_TO_ORIGIN",
        "ARRIVED_AT_ORIGIN",
        "DELIVERY_DRIVER_DEALLOCATED",
        "DELIVERY_PICKUP_CODE_REQUESTED",
        "DELIVERY_PICKUP_CODE_VALIDATION_SUCCESS",
        "COLLECTED",
        "ARRIVED_AT_DESTINATION",
        "DELIVERY_DROP_CODE_REQUESTED",
        "DELIVERY_DROP_CODE_VALIDATION_SUCCESS",
        "PICKUP_AREA_ASSIGNED",
        "RECOMMENDED_PREPARATION_START",
        "CONCLUDED",
    ] {
        let answer = pos.post(&steps(&order), json!({ "step": step }).to_string()).await;
        let code = EventCode::parse(step).unwrap();
        assert_eq!((answer.status.as_u16(), &answer.json()["code"]), (202, &json!(code.code())), "{step}");
        let taken = rig.peers.core.submissions.taken.lock().pop().unwrap();
        let Some(Content::Update(update)) = taken.content else { panic!("{step}") };
        assert_eq!(update.code, u32::from(code.number()), "{step}");
        let metadata: Value = serde_json::from_slice(&update.metadata).unwrap_or_default();
        assert_eq!(metadata["disputeId"], answer.json()["disputeId"], "{step}");
    }
    for dispute in ["CANCELLATION", "REFUND", "ADDITIONAL_TIME"] {
        let body = json!({ "step": "HANDSHAKE_DISPUTE", "dispute": dispute });
        assert_eq!(pos.post(&steps(&order), body.to_string()).await.status, 202, "{dispute}");
    }
}

#[tokio::test]
async fn a_step_that_the_lifecycle_refuses_is_a_conflict() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let order = placed(&pos).await;
    let reason = "ILLEGAL_TRANSITION".to_owned();
    *rig.peers.core.submissions.rejection.lock() = Some(Rejection { reason, ..Rejection::default() });
    let answer = pos.post(&steps(&order), r#"{"step":"COLLECTED"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "StepNotPossible"));
    assert!(answer.json()["message"].as_str().unwrap().contains("PLACED"));
}

#[tokio::test]
async fn open_orders_are_bounded_and_one_that_is_over_makes_room() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let mut orders = Vec::new();
    for _ in 0..20 {
        orders.push(placed(&pos).await);
    }
    let body = json!({ "merchantId": merchant(1).to_string() });
    let answer = place(&pos, &body).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "TooManySimulatedOrders"));
    let over: order_model::OrderId = orders[7].parse().unwrap();
    rig.peers.core.orders.lock().get_mut(&over).unwrap().state = "CANCELLED".to_owned();
    assert_eq!(place(&pos, &body).await.status, 202);
    assert_eq!(place(&pos, &body).await.status, 409, "that was the only one that was over");
    let other = rig.as_application("other").await;
    let answer = place(&other, &json!({ "merchantId": merchant(3).to_string() })).await;
    assert_eq!(answer.status, 202, "others have slots of their own");
}

#[tokio::test]
async fn no_more_orders_are_open_when_many_are_placed_at_a_time() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let body = json!({ "merchantId": merchant(1).to_string() });
    let answers = futures::future::join_all((0..40).map(|_| place(&pos, &body))).await;
    let placed = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(placed, rig.peers.core.submissions.taken.lock().len());
    assert!((1..=20).contains(&placed), "{placed}");
    assert!(answers.iter().all(|answer| [202, 409, 503].contains(&answer.status.as_u16())));
}

#[tokio::test]
async fn a_repeat_with_a_key_places_no_second_order_whether_or_not_its_answer_was_lost() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let body = json!({ "merchantId": merchant(1).to_string() }).to_string();
    let key = [("idempotency-key", "order 1")];
    rig.peers.core.submissions.answers_lost.store(1, Ordering::SeqCst);
    assert_eq!(pos.send("POST", ORDERS, &key, body.clone()).await.status, 503);
    let second = pos.send("POST", ORDERS, &key, body.clone()).await;
    let third = pos.send("POST", ORDERS, &key, body.clone()).await;
    assert_eq!((second.status.as_u16(), third.status.as_u16()), (202, 202));
    assert_eq!(second.body, third.body);
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 1, "one order");
    assert_eq!(rig.peers.core.submissions.repeats.load(Ordering::SeqCst), 1, "found again under its key");
}

#[tokio::test]
async fn without_the_core_or_the_table_nothing_is_simulated() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let order = placed(&pos).await;
    rig.peers.core.down.store(true, Ordering::SeqCst);
    let body = json!({ "merchantId": merchant(1).to_string() });
    for answer in [place(&pos, &body).await, pos.post(&steps(&order), r#"{"step":"CANCELLED"}"#).await] {
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    }
    let cut_off = Rig::start().await;
    cut_off.peers.merchants.put(merchant(1), "Loja");
    cut_off.peers.merchants.change(merchant(1), |merchant| merchant.is_test = true);
    let pos = cut_off.as_application("pos").await;
    assert_eq!(place(&pos, &body).await.status, 503);
}

#[tokio::test]
async fn simulated_orders_are_answered_as_documented() {
    let tables = Tables::start().await;
    let (_rig, pos) = rig(&tables).await;
    let order = placed(&pos).await;
    let document = pos.get("/openapi/comanda.json").await.json();
    let template = format!("{ORDERS}/{{id}}/steps");
    for name in ["SimulatedOrder", "SimulatedStep"] {
        assert_eq!(document["components"]["schemas"][name]["additionalProperties"], false, "{name}");
    }
    let own = json!({ "merchantId": merchant(1).to_string(), "orderType": "TAKEOUT" });
    for (path, body) in [
        (ORDERS, own),
        (ORDERS, json!({})),
        (ORDERS, json!({ "merchantId": merchant(2).to_string() })),
        (template.as_str(), json!({ "step": "HANDSHAKE_DISPUTE", "dispute": "REFUND" })),
        (template.as_str(), json!({})),
    ] {
        let answer = pos.post(&path.replace("{id}", &order), body.to_string()).await;
        let operation = &document["paths"][path]["post"];
        let schema = &operation["responses"][answer.status.as_str()]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), path), [""; 0], "{body}: {}", answer.status);
        if answer.status.is_success() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(differences(&document, schema, &body, "body"), [""; 0]);
        }
    }
}
