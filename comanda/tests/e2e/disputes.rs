//! PARTNER_API 1.4 and 2.5.3: disputes answered, answered wrongly, answered twice and not answered, over HTTP against the real core.

use http::Method;
use serde_json::{Value, json};

use crate::restaurant::{OWN, Restaurant};

const FAR: &str = "2099-01-01T00:00:00Z";
const PAST: &str = "2020-01-01T00:00:00Z";

#[tokio::test(flavor = "multi_thread")]
async fn disputes_are_settled_once_by_an_answer_or_by_their_expiry() {
    let restaurant = Restaurant::open().await;
    a_cancellation_is_accepted(&restaurant).await;
    a_cancellation_is_rejected(&restaurant).await;
    money_and_time_are_offered_instead(&restaurant).await;
    nobody_answers(&restaurant).await;
    let unknown = path(&uuid::Uuid::new_v4().to_string(), "accept");
    assert_eq!(restaurant.call(Method::POST, &unknown, "").await.0, 404);
}

fn path(dispute: &str, tail: &str) -> String {
    format!("/order/v1.0/disputes/{dispute}/{tail}")
}

/// A confirmed order with a dispute that says `more`: the order's id and the dispute's.
async fn disputed(restaurant: &Restaurant, more: &Value) -> (String, String) {
    let order = restaurant.confirmed(OWN, |_| {}).await;
    let dispute = uuid::Uuid::new_v4().to_string();
    let mut metadata = json!({"disputeId": dispute, "expiresAt": FAR, "timeoutAction": "VOID"});
    for (name, value) in more.as_object().unwrap() {
        metadata[name] = value.clone();
    }
    let opened = restaurant.reported(&order, "HSD", metadata.clone(), 1).await;
    assert_eq!(opened["metadata"], metadata, "as it was sent");
    (order, dispute)
}

fn cancellation() -> Value {
    json!({"action": "CANCELLATION", "handshakeType": "DELAY", "negotiationReasons": ["OUT_FOR_DELIVERY"],
        "metadata": {"acceptCancellationReasons": ["HIGH_STORE_DEMAND"]}})
}

/// The metadata of the order's `HSS`, whose instant is only looked at.
async fn settlement(restaurant: &Restaurant, order: &str) -> Value {
    let mut metadata = restaurant.pos.event(order, "HSS").await["metadata"].take();
    let instant = metadata.as_object_mut().unwrap().remove("createdAt");
    assert!(instant.is_some_and(|instant| instant.as_str().is_some_and(|text| text.ends_with('Z'))), "{metadata}");
    metadata
}

async fn answered(restaurant: &Restaurant, dispute: &str, tail: &str, body: &Value) {
    let answer = restaurant.call(Method::POST, &path(dispute, tail), &body.to_string()).await;
    assert_eq!(answer, (201, json!({ "status": "ACCEPTED" })), "{tail} {body}");
    for again in ["accept", "reject", tail] {
        let (status, refused) = restaurant.call(Method::POST, &path(dispute, again), "").await;
        assert_eq!((status, &refused["error"]["code"]), (409, &json!("Conflict")), "{again}: it was answered");
    }
}

/// What the dispute does not offer is refused at its field, and settles nothing.
async fn refused(restaurant: &Restaurant, dispute: &str, tail: &str, body: &Value, field: &str) {
    let (status, refused) = restaurant.call(Method::POST, &path(dispute, tail), &body.to_string()).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!(field)), "{tail} {body}: {refused}");
}

async fn a_cancellation_is_accepted(restaurant: &Restaurant) {
    let (order, dispute) = disputed(restaurant, &cancellation()).await;
    refused(restaurant, &dispute, "accept", &json!({ "reason": "OUT_FOR_DELIVERY" }), "reason").await;
    answered(restaurant, &dispute, "accept", &json!({ "reason": "HIGH_STORE_DEMAND" })).await;
    assert_eq!(restaurant.pos.codes_until(&order, "CAN").await, "PLC CFM HSD HSS CAN");
    let expected = json!({ "disputeId": dispute, "status": "ACCEPTED", "reason": "HIGH_STORE_DEMAND" });
    assert_eq!(settlement(restaurant, &order).await, expected);
    let cancelled = restaurant.pos.event(&order, "CAN").await;
    assert_eq!(cancelled["metadata"]["CANCEL_ORIGIN"], "CONSUMER");
    assert_eq!(cancelled["metadata"]["TIMEOUT_EVENT"], false);
}

async fn a_cancellation_is_rejected(restaurant: &Restaurant) {
    let (order, dispute) = disputed(restaurant, &cancellation()).await;
    refused(restaurant, &dispute, "reject", &json!({ "reason": "because of Ana" }), "reason").await;
    let body = json!({ "reason": "OUT_FOR_DELIVERY", "detailReason": "Ana has it" });
    answered(restaurant, &dispute, "reject", &body).await;
    let expected = json!({ "disputeId": dispute, "status": "REJECTED", "reason": "OUT_FOR_DELIVERY" });
    assert_eq!(settlement(restaurant, &order).await, expected);
    assert_eq!(restaurant.act(&order, "dispatch", "").await.0, 202, "the order goes on");
    assert_eq!(restaurant.pos.codes_until(&order, "DSP").await, "PLC CFM HSD HSS DSP");
}

async fn money_and_time_are_offered_instead(restaurant: &Restaurant) {
    let most = json!({ "maxAmount": { "value": "800", "currency": "BRL" } });
    let offered = json!({"action": "PROPOSED_AMOUNT_REFUND", "alternatives": [
        {"id": "a-1", "type": "REFUND", "metadata": most}, {"id": "a-2", "type": "BENEFIT", "metadata": most},
        {"id": "a-3", "type": "ADDITIONAL_TIME", "metadata": {"allowedsAdditionalTimeInMinutes": [10, 20],
            "allowedsAdditionalTimeReasons": ["HIGH_STORE_DEMAND"]}}]});
    let amount =
        |kind: &str, value: &str| json!({"type": kind, "metadata": {"amount": {"value": value, "currency": "BRL"}}});
    let time = |minutes: u32, reason: &str| json!({"type": "ADDITIONAL_TIME", "metadata": {"additionalTimeInMinutes": minutes, "reason": reason}});
    let selected_time = json!({ "additionalTimeInMinutes": 20, "additionalTimeReason": "HIGH_STORE_DEMAND" });
    let selected_amount = json!({ "amount": { "value": "500", "currency": "BRL" } });
    for (id, kind, good, selected, wrong) in [
        ("a-1", "REFUND", amount("REFUND", "500"), &selected_amount, (amount("REFUND", "801"), "metadata.amount")),
        ("a-2", "BENEFIT", amount("BENEFIT", "500"), &selected_amount, (amount("REFUND", "500"), "type")),
        (
            "a-3",
            "ADDITIONAL_TIME",
            time(20, "HIGH_STORE_DEMAND"),
            &selected_time,
            (time(7, "HIGH_STORE_DEMAND"), "metadata.additionalTimeInMinutes"),
        ),
        (
            "a-3",
            "ADDITIONAL_TIME",
            time(20, "HIGH_STORE_DEMAND"),
            &selected_time,
            (time(10, "rain"), "metadata.reason"),
        ),
    ] {
        let (order, dispute) = disputed(restaurant, &offered).await;
        let tail = format!("alternatives/{id}");
        refused(restaurant, &dispute, &tail, &wrong.0, wrong.1).await;
        let nothing = restaurant.call(Method::POST, &path(&dispute, "alternatives/a-9"), &good.to_string()).await;
        assert_eq!(nothing.0, 404, "no such alternative");
        answered(restaurant, &dispute, &tail, &good).await;
        let chosen = json!({ "id": id, "type": kind, "metadata": selected });
        let expected =
            json!({ "disputeId": dispute, "status": "ALTERNATIVE_REPLIED", "selectedDisputeAlternative": chosen });
        assert_eq!(settlement(restaurant, &order).await, expected);
        assert_eq!(restaurant.act(&order, "readyToPickup", "").await.0, 202, "the order goes on");
    }
}

/// `timeoutAction` applies to a dispute that nobody answers.
async fn nobody_answers(restaurant: &Restaurant) {
    for (action, status, last) in [
        ("ACCEPT_CANCELLATION", "ACCEPTED", "CAN"),
        ("REJECT_CANCELLATION", "REJECTED", "HSS"),
        ("VOID", "EXPIRED", "HSS"),
    ] {
        let expired = json!({ "action": "CANCELLATION", "expiresAt": PAST, "timeoutAction": action });
        let (order, dispute) = disputed(restaurant, &expired).await;
        let told = restaurant.pos.codes_until(&order, last).await;
        assert_eq!(told, if last == "CAN" { "PLC CFM HSD HSS CAN" } else { "PLC CFM HSD HSS" }, "{action}");
        assert_eq!(settlement(restaurant, &order).await, json!({ "disputeId": dispute, "status": status }));
        assert_eq!(restaurant.call(Method::POST, &path(&dispute, "accept"), "").await.0, 409, "too late");
        if last == "CAN" {
            let cancelled = restaurant.pos.event(&order, "CAN").await["metadata"].take();
            assert_eq!((&cancelled["TIMEOUT_EVENT"], &cancelled["CANCEL_ORIGIN"]), (&json!(true), &json!("CONSUMER")));
            assert_eq!(cancelled["CANCEL_REASON"], "Negociação não respondida no prazo");
        }
    }
}
