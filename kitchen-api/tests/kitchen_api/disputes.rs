//! PARTNER_API, sections 1.4 and 2.5: answers to disputes.

use std::sync::atomic::Ordering;

use order_model::{MerchantId, OrderId};
use proto::gateway_core::{Action, Conflict, Objection};
use serde_json::json;

use crate::rig::{Rig, merchant};

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

/// The dispute `own` is about an order that `pos` sees, `foreign` about one that it does not.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    rig.peers.core.put(order(1), merchant(1), "{}");
    rig.peers.core.put(order(3), merchant(3), "{}");
    rig.peers.core.disputes.lock().extend([("own".to_owned(), order(1)), ("foreign".to_owned(), order(3))]);
    rig
}

fn path(dispute: &str, tail: &str) -> String {
    format!("/order/v1.0/disputes/{dispute}/{tail}")
}

const TAILS: [(&str, Action); 3] = [
    ("accept", Action::AcceptDispute),
    ("reject", Action::RejectDispute),
    ("alternatives/a-1", Action::ProposeAlternative),
];

#[tokio::test]
async fn every_answer_is_201_and_accepted_with_any_body_or_none() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (tail, action) in TAILS {
        for body in ["", "{}", "null", "not json", r#"{"reason":"R","detailReason":"free"}"#] {
            let answer = pos.post(&path("own", tail), body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.json()),
                (201, json!({ "status": "ACCEPTED" })),
                "{tail} {body}"
            );
            let act = rig.peers.core.acts.lock().pop().unwrap();
            assert_eq!((act.action, act.application_id.as_str()), (i32::from(action), "pos"));
            assert_eq!(MerchantId::try_from_slice(&act.merchant_id).unwrap(), merchant(1));
            assert_eq!(OrderId::try_from_slice(&act.order_id).unwrap(), order(1));
            let dispute = act.dispute.unwrap();
            assert_eq!((dispute.dispute_id.as_str(), dispute.reason == "R"), ("own", body.contains("\"R\"")));
            assert_eq!(dispute.alternative_id, if tail.contains('/') { "a-1" } else { "" });
            assert!(act.reason.is_empty() && act.code.is_empty());
        }
    }
}

#[tokio::test]
async fn the_terms_of_an_alternative_are_passed_on() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let refund = r#"{"type":"REFUND","metadata":{"amount":{"value":"800","currency":"BRL"}}}"#;
    assert_eq!(pos.post(&path("own", "alternatives/a-1"), refund).await.status, 201);
    let act = rig.peers.core.acts.lock().pop().unwrap();
    let sent = act.dispute.unwrap();
    assert_eq!((sent.alternative_type.as_str(), sent.amount_value.as_str()), ("REFUND", "800"));
    assert_eq!(sent.amount_currency, "BRL");
    let time = r#"{"type":"ADDITIONAL_TIME","metadata":{"additionalTimeInMinutes":10,"reason":"HIGH_STORE_DEMAND"}}"#;
    assert_eq!(pos.post(&path("own", "alternatives/a-1"), time).await.status, 201);
    let sent = rig.peers.core.acts.lock().pop().unwrap().dispute.unwrap();
    assert_eq!((sent.additional_minutes, sent.additional_reason.as_str()), (10, "HIGH_STORE_DEMAND"));
}

#[tokio::test]
async fn a_foreign_dispute_is_as_unknown() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let long = "d".repeat(65);
    for (tail, _) in TAILS {
        let unknown = pos.post(&path("unknown", tail), "").await;
        assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "NotFound"));
        for stranger in ["foreign", long.as_str()] {
            let answer = pos.post(&path(stranger, tail), "").await;
            assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger} {tail}");
        }
    }
    assert!(rig.peers.core.acts.lock().is_empty(), "nothing was tried on a foreign order");
    let other = rig.as_application("other").await;
    assert_eq!(other.post(&path("foreign", "accept"), "").await.status, 201, "its own");
}

#[tokio::test]
async fn a_second_or_late_answer_is_a_conflict_that_says_where_the_order_stands() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    *rig.peers.core.conflict.lock() = Some(Conflict {
        state: "CONFIRMED".to_owned(),
        legal: vec!["dispatch".to_owned()],
        message: "this has happened already".to_owned(),
    });
    for (tail, _) in TAILS {
        let answer = pos.post(&path("own", tail), "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "Conflict"));
        assert_eq!(answer.json()["error"]["details"], json!([{ "state": "CONFIRMED", "legal": ["dispatch"] }]));
    }
}

#[tokio::test]
async fn what_a_dispute_does_not_offer_is_refused_at_its_field() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (objection, status, field) in [
        (Objection::ReasonNotOffered, 400, json!("reason")),
        (Objection::AlternativeUnknown, 404, json!(null)),
        (Objection::AlternativeTypeDiffers, 400, json!("type")),
        (Objection::AmountNotOffered, 400, json!("metadata.amount")),
        (Objection::TimeNotOffered, 400, json!("metadata.additionalTimeInMinutes")),
        (Objection::TimeReasonNotOffered, 400, json!("metadata.reason")),
    ] {
        *rig.peers.core.objection.lock() = objection;
        let answer = pos.post(&path("own", "alternatives/a-1"), "{}").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (status, &field), "{objection:?}");
    }
}

#[tokio::test]
async fn without_the_core_or_a_token_nothing_is_answered() {
    let rig = rig().await;
    assert_eq!(rig.client.post(&path("own", "accept"), "").await.status, 401);
    let pos = rig.as_application("pos").await;
    rig.peers.core.down.store(true, Ordering::SeqCst);
    let answer = pos.post(&path("own", "accept"), "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}
