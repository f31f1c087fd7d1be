//! PARTNER_API, sections 1.4 and 1.7: codes, tracking, couriers, logistics and shipping.

use order_model::{EventCode, OrderId};
use proto::conversions::to_bytes;
use proto::gateway_core::{Action, Conflict, CourierPosition, Objection};
use serde_json::json;

use crate::peers::event;
use crate::rig::{Rig, merchant};

const GROCERY: &str = r#"{"id":"x","category":"GROCERY","customer":{"name":"Ana"},"items":[{"quantity":1.50}]}"#;
const PREPAID: &str = r#"{"id":"x","payments":{"prepaid":68.10,"pending":0.00},"total":{"orderAmount":68.10}}"#;

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.peers.core.put(order(1), merchant(1), GROCERY);
    rig.peers.core.put(order(2), merchant(2), PREPAID);
    rig.peers.core.put(order(3), merchant(3), GROCERY);
    rig
}

fn path(module: &str, order: OrderId, tail: &str) -> String {
    format!("/{module}/v1.0/orders/{order}{tail}")
}

#[tokio::test]
async fn a_code_is_passed_on_and_its_answer_is_the_clients() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (tail, action) in
        [("/validatePickupCode", Action::ValidatePickupCode), ("/verifyDeliveryCode", Action::VerifyDeliveryCode)]
    {
        for body in [r#"{"code":"1234"}"#, r#"{"code":" 1234 "}"#, r#"{"code":1234}"#] {
            let answer = pos.post(&path("order", order(1), tail), body).await;
            assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "success": true })), "{tail} {body}");
            let act = rig.peers.core.acts.lock().pop().unwrap();
            assert_eq!((act.action, act.confirmation_code.as_str()), (i32::from(action), "1234"));
            assert!(act.code.is_empty() && act.reason.is_empty());
        }
        for body in ["", "{}", "not json", r#"{"code":""}"#, r#"{"code":{"a":1}}"#] {
            let answer = pos.post(&path("order", order(1), tail), body).await;
            assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!("code")), "{body}");
        }
        let long = json!({ "code": "9".repeat(65) }).to_string();
        assert_eq!(pos.post(&path("order", order(1), tail), long).await.status, 400);
        assert!(rig.peers.core.acts.lock().is_empty());
    }
}

#[tokio::test]
async fn a_wrong_couriers_code_is_an_answer_and_a_wrong_customers_code_an_error() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    *rig.peers.core.objection.lock() = Objection::WrongCode;
    let answer = pos.post(&path("order", order(1), "/validatePickupCode"), r#"{"code":"1"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "success": false })));
    for module in ["order", "logistics"] {
        let answer = pos.post(&path(module, order(1), "/verifyDeliveryCode"), r#"{"code":"1"}"#).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"));
        assert_eq!(answer.json()["message"], "Confirmation code is invalid");
    }
}

#[tokio::test]
async fn tracking_is_404_until_a_courier_is_seen() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let tracking = path("order", order(1), "/tracking");
    assert_eq!(pos.get(&tracking).await.status, 404);
    let position = CourierPosition {
        latitude: "-23.5500".to_owned(),
        longitude: "-46.63".to_owned(),
        eta: "12".to_owned(),
        track_date: "\"2026-11-20T12:45:00Z\"".to_owned(),
        ..CourierPosition::default()
    };
    rig.peers.core.orders.lock().get_mut(&order(1)).unwrap().position = Some(position);
    let answer = pos.get(&tracking).await;
    assert_eq!(answer.status, 200);
    let text = std::str::from_utf8(&answer.body).unwrap();
    assert!(text.contains("\"latitude\":-23.5500"), "as it was reported: {text}");
    assert_eq!(answer.json()["orderId"], order(1).to_string());
    assert_eq!(pos.get(&path("order", order(3), "/tracking")).await.status, 404, "foreign");
}

#[tokio::test]
async fn tracking_has_every_published_field_under_its_name() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let position = CourierPosition {
        latitude: "-23.5500".to_owned(),
        longitude: "-46.63".to_owned(),
        delivery_time: "\"2026-11-20T12:50:00Z\"".to_owned(),
        eta: "12".to_owned(),
        eta_to_destination: "9".to_owned(),
        eta_to_origin: "3".to_owned(),
        date: "\"2026-11-20T12:44:00Z\"".to_owned(),
        track_date: "\"2026-11-20T12:45:00Z\"".to_owned(),
    };
    rig.peers.core.orders.lock().get_mut(&order(1)).unwrap().position = Some(position);
    let answer = pos.get(&path("order", order(1), "/tracking")).await;
    let expected = json!({
        "date": "2026-11-20T12:44:00Z", "deliveryTime": "2026-11-20T12:50:00Z", "eta": 12, "etaToDestination": 9, "etaToOrigin": 3,
        "latitude": -23.55, "longitude": -46.63, "orderId": order(1).to_string(), "trackDate": "2026-11-20T12:45:00Z",
    });
    assert_eq!((answer.status.as_u16(), answer.json()), (200, expected));
}

#[tokio::test]
async fn a_grocery_order_has_a_virtual_bag_without_its_customer() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path("order", order(1), "/virtual-bag")).await;
    let expected = r#"{"id":"x","category":"GROCERY","items":[{"quantity":1.50}]}"#;
    assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, expected.as_bytes()));
    for other in [order(2), order(3), order(9)] {
        assert_eq!(pos.get(&path("order", other, "/virtual-bag")).await.status, 404);
    }
}

#[tokio::test]
async fn couriers_are_asked_for_under_both_modules() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (module, tail, action) in [
        ("order", "/requestDriver", Action::RequestDriver),
        ("shipping", "/requestDriver", Action::RequestDriver),
        ("order", "/cancelRequestDriver", Action::CancelDriverRequest),
        ("shipping", "/cancelRequestDriver", Action::CancelDriverRequest),
        ("shipping", "/cancel", Action::RequestCancellation),
        ("shipping", "/userConfirmAddress", Action::ConfirmAddressChange),
        ("shipping", "/acceptDeliveryAddressChange", Action::AcceptAddressChange),
        ("shipping", "/denyDeliveryAddressChange", Action::DenyAddressChange),
    ] {
        let answer = pos.post(&path(module, order(1), tail), "").await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{module} {tail}");
        assert_eq!(rig.peers.core.acts.lock().pop().unwrap().action, i32::from(action));
        assert_eq!(pos.post(&path(module, order(3), tail), "").await.status, 404, "foreign");
    }
    assert!(rig.peers.core.acts.lock().is_empty());
}

const STEPS: [(&str, Action); 6] = [
    ("/assignDriver", Action::AssignDriver),
    ("/goingToOrigin", Action::GoToOrigin),
    ("/arrivedAtOrigin", Action::ArriveAtOrigin),
    ("/dispatch", Action::Collect),
    ("/arrivedAtDestination", Action::ArriveAtDestination),
    ("/verifyDeliveryCode", Action::VerifyCodeAtDestination),
];
const STEP: &str = r#"{"workerName":"Rui","workerPhone":"11","workerVehicleType":"MOTORCYCLE","code":"1234"}"#;

#[tokio::test]
async fn every_step_of_a_courier_is_202_and_a_conflict_says_what_is_next() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (tail, action) in STEPS {
        let answer = pos.post(&path("logistics", order(1), tail), STEP).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{tail}");
        let act = rig.peers.core.acts.lock().pop().unwrap();
        assert_eq!(act.action, i32::from(action));
        assert_eq!(act.worker.map(|worker| worker.name), (tail == "/assignDriver").then(|| "Rui".to_owned()));
        assert_eq!(pos.post(&path("logistics", order(3), tail), STEP).await.status, 404, "foreign");
    }
    for (body, field) in [
        ("{}", "workerName"),
        (r#"{"workerName":7}"#, "workerName"),
        (r#"{"workerName":"R","workerPhone":[]}"#, "workerPhone"),
    ] {
        let answer = pos.post(&path("logistics", order(1), "/assignDriver"), body).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{body}");
    }
    *rig.peers.core.conflict.lock() = Some(Conflict {
        state: "CONFIRMED".to_owned(),
        legal: vec!["goingToOrigin".to_owned()],
        message: String::new(),
    });
    for (tail, _) in STEPS {
        let answer = pos.post(&path("logistics", order(1), tail), STEP).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "Conflict"));
    }
}

#[tokio::test]
async fn an_applications_own_steps_are_not_told_to_it() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let told = event(merchant(1), 1, EventCode::GoingToOrigin);
    *rig.peers.core.event_ids.lock() = vec![to_bytes(told.id.as_bytes())];
    assert_eq!(pos.post(&path("order", order(1), "/confirm"), "").await.status, 202);
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty(), "other actions are told to everybody");
    assert_eq!(pos.post(&path("logistics", order(1), "/goingToOrigin"), "").await.status, 202);
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [told.id]);
    assert!(rig.peers.feed.acknowledged_by("other").is_empty());
}

#[tokio::test]
async fn a_courier_reads_the_order_and_no_payments_that_are_done() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path("logistics", order(2), "")).await;
    assert_eq!(&answer.body[..], br#"{"id":"x","total":{"orderAmount":68.10}}"#);
    assert_eq!(&pos.get(&path("logistics", order(1), "")).await.body[..], GROCERY.as_bytes());
    assert_eq!(pos.get(&path("logistics", order(3), "")).await.status, 404);
    assert_eq!(rig.client.get(&path("logistics", order(1), "")).await.status, 401);
}
