//! Answers of merchants' applications to disputes (PARTNER_API 2.5), over the real tables.

use order_model::{EventCode, MerchantId, OrderId};
use proto::gateway_core as wire;
use proto::gateway_core::{Action, Objection};
use tonic::{Code, Status};

use crate::platform::{Platform, TestCore, acting, config, order_id, placing, rejection, updating};

const FAR: &str = "2099-01-01T00:00:00Z";

fn opening(id: &str, rest: &str) -> String {
    format!(r#"{{"disputeId":"{id}","expiresAt":"{FAR}","timeoutAction":"VOID"{rest}}}"#)
}

/// A confirmed order with the open dispute `id`.
async fn disputed(core: &TestCore, id: &str, rest: &str) -> OrderId {
    let order = order_id();
    core.submit(placing(order, &format!("place {order}"), 1)).await;
    core.act(order, Action::Confirm).await.unwrap();
    let opened = updating(order, &format!("open {id}"), EventCode::HandshakeDispute, &opening(id, rest));
    assert_eq!(core.submit(opened).await.outcome(), wire::Outcome::Committed);
    order
}

fn answering(order: OrderId, action: Action, dispute: wire::DisputeAnswer) -> wire::ActRequest {
    wire::ActRequest { dispute: Some(dispute), ..acting(order, action) }
}

fn plainly(id: &str) -> wire::DisputeAnswer {
    wire::DisputeAnswer { dispute_id: id.to_owned(), ..wire::DisputeAnswer::default() }
}

async fn send(core: &TestCore, request: wire::ActRequest) -> Result<wire::ActReply, Status> {
    core.api.clone().act(request).await.map(tonic::Response::into_inner)
}

async fn codes(core: &TestCore, order: OrderId) -> String {
    let events = core.events(order).await;
    events.iter().map(|event| event.code.code()).collect::<Vec<_>>().join(" ")
}

async fn last_metadata(core: &TestCore, order: OrderId, code: EventCode) -> serde_json::Value {
    let events = core.events(order).await;
    let event = events.iter().rfind(|event| event.code == code).unwrap();
    serde_json::from_slice::<serde_json::Value>(&event.body).unwrap()["metadata"].take()
}

#[tokio::test]
async fn a_dispute_alone_leads_to_its_order_and_takes_one_answer() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = disputed(&core, "d-1", r#","action":"CANCELLATION""#).await;
    let by_dispute = |id: &str| {
        let request = wire::GetOrderRequest { dispute_id: id.to_owned(), ..wire::GetOrderRequest::default() };
        let mut api = core.api.clone();
        async move { api.get_order(request).await.map(tonic::Response::into_inner) }
    };
    let found = by_dispute("d-1").await.unwrap();
    assert_eq!(found, core.get(order).await.unwrap());
    assert_eq!(found.order_id.as_ref(), order.as_bytes());
    assert_eq!(by_dispute("d-2").await.unwrap_err().code(), Code::NotFound);

    let accepted = send(&core, answering(order, Action::AcceptDispute, plainly("d-1"))).await.unwrap();
    assert_eq!((accepted.conflict, accepted.event_ids.len()), (None, 2));
    assert_eq!(codes(&core, order).await, "PLC CFM HSD HSS CAN");
    let settlement = last_metadata(&core, order, EventCode::HandshakeSettlement).await;
    assert_eq!((&settlement["disputeId"], &settlement["status"]), (&"d-1".into(), &"ACCEPTED".into()));
    assert!(settlement["createdAt"].is_string());
    let cancellation = last_metadata(&core, order, EventCode::Cancelled).await;
    assert_eq!(cancellation["CANCEL_ORIGIN"], "CONSUMER");
    for action in [Action::AcceptDispute, Action::RejectDispute] {
        let again = send(&core, answering(order, action, plainly("d-1"))).await.unwrap();
        assert_eq!(again.conflict.unwrap().state, "CANCELLED");
    }
    assert_eq!(codes(&core, order).await, "PLC CFM HSD HSS CAN", "answered once");
}

#[tokio::test]
async fn a_rejection_keeps_the_order_and_tells_only_a_reason_of_the_list() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let lists = r#","action":"CANCELLATION","negotiationReasons":["OUT_FOR_DELIVERY"]"#;
    let order = disputed(&core, "d-1", lists).await;
    let reason = |reason: &str| wire::DisputeAnswer { reason: reason.to_owned(), ..plainly("d-1") };
    let refused = send(&core, answering(order, Action::RejectDispute, reason("because canary"))).await.unwrap();
    assert_eq!((refused.objection(), refused.event_ids.len()), (Objection::ReasonNotOffered, 0));
    let legal = core.act(order, Action::Confirm).await.unwrap().conflict.unwrap().legal;
    assert!(legal.contains(&"rejectDispute".to_owned()), "still open: {legal:?}");
    send(&core, answering(order, Action::RejectDispute, reason("OUT_FOR_DELIVERY"))).await.unwrap();
    let settlement = last_metadata(&core, order, EventCode::HandshakeSettlement).await;
    assert_eq!((&settlement["status"], &settlement["reason"]), (&"REJECTED".into(), &"OUT_FOR_DELIVERY".into()));
    assert_eq!(core.get(order).await.unwrap().state, "CONFIRMED");
}

#[tokio::test]
async fn an_alternative_is_told_to_whoever_carries_it_out() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let offered = r#","action":"PROPOSED_AMOUNT_REFUND","alternatives":[{"id":"a-1","type":"REFUND",
        "metadata":{"maxAmount":{"value":"800","currency":"BRL"}}}]"#;
    let order = disputed(&core, "d-1", offered).await;
    let amount = |id: &str, value: &str| wire::DisputeAnswer {
        alternative_id: id.to_owned(),
        amount_value: value.to_owned(),
        ..plainly("d-1")
    };
    for (answer, objection) in [
        (amount("a-2", "1"), Objection::AlternativeUnknown),
        (amount("a-1", "801"), Objection::AmountNotOffered),
        (
            wire::DisputeAnswer { alternative_type: "BENEFIT".to_owned(), ..amount("a-1", "1") },
            Objection::AlternativeTypeDiffers,
        ),
    ] {
        let reply = send(&core, answering(order, Action::ProposeAlternative, answer)).await.unwrap();
        assert_eq!(reply.objection(), objection);
    }
    send(&core, answering(order, Action::ProposeAlternative, amount("a-1", "500"))).await.unwrap();
    let settlement = last_metadata(&core, order, EventCode::HandshakeSettlement).await;
    assert_eq!(settlement["status"], "ALTERNATIVE_REPLIED");
    let amount = &settlement["selectedDisputeAlternative"]["metadata"]["amount"];
    assert_eq!(*amount, serde_json::json!({ "value": "500", "currency": "BRL" }));
    assert_eq!(codes(&core, order).await, "PLC CFM HSD HSS");
}

#[tokio::test]
async fn foreign_unknown_and_expired_disputes_take_no_answer() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = disputed(&core, "d-1", "").await;
    let other = disputed(&core, "d-2", "").await;
    let unknown = send(&core, answering(order, Action::AcceptDispute, plainly("d-9"))).await.unwrap_err();
    let elsewhere = send(&core, answering(other, Action::AcceptDispute, plainly("d-1"))).await.unwrap_err();
    let foreign = wire::ActRequest {
        merchant_id: bytes::Bytes::copy_from_slice(MerchantId::from_bytes([8; 16]).as_bytes()),
        ..answering(order, Action::AcceptDispute, plainly("d-1"))
    };
    let foreign = send(&core, foreign).await.unwrap_err();
    for error in [unknown, elsewhere, foreign] {
        assert_eq!((error.code(), error.message()), (Code::NotFound, "no such order"));
    }
    let without = wire::ActRequest { dispute: None, ..acting(order, Action::AcceptDispute) };
    assert_eq!(send(&core, without).await.unwrap_err().code(), Code::InvalidArgument);

    let late = order_id();
    core.submit(placing(late, "late", 1)).await;
    let metadata = r#"{"disputeId":"d-3","expiresAt":"2026-01-01T00:00:00Z","timeoutAction":"VOID"}"#;
    core.submit(updating(late, "open d-3", EventCode::HandshakeDispute, metadata)).await;
    let expired = send(&core, answering(late, Action::AcceptDispute, plainly("d-3"))).await.unwrap().conflict.unwrap();
    assert_eq!(expired.state, "PLACED");
    assert!(expired.legal.contains(&"confirm".to_owned()) && !expired.legal.contains(&"acceptDispute".to_owned()));
}

#[tokio::test]
async fn an_id_that_another_order_has_is_refused_and_its_own_order_may_repeat_it() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = disputed(&core, "d-1", "").await;
    let again = updating(order, "again", EventCode::HandshakeDispute, &opening("d-1", ""));
    assert_eq!(core.submit(again).await.outcome(), wire::Outcome::Repeated);
    let other = order_id();
    core.submit(placing(other, "other", 1)).await;
    let stolen = updating(other, "stolen", EventCode::HandshakeDispute, &opening("d-1", ""));
    assert_eq!(rejection(&core.submit(stolen).await), ("DISPUTE_EXISTS", false));
    assert_eq!(codes(&core, other).await, "PLC");
}

#[tokio::test]
async fn an_answer_repeated_under_its_key_is_answered_as_the_first_time() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = disputed(&core, "d-1", "").await;
    let keyed = |id: &str, action| wire::ActRequest {
        idempotency_key: "k-1".to_owned(),
        ..answering(order, action, plainly(id))
    };
    let first = send(&core, keyed("d-1", Action::RejectDispute)).await.unwrap();
    assert_eq!(send(&core, keyed("d-1", Action::RejectDispute)).await.unwrap(), first);
    let reused = send(&core, keyed("d-1", Action::AcceptDispute)).await.unwrap().conflict.unwrap();
    assert!(reused.message.contains("Idempotency-Key"), "{reused:?}");
}

#[tokio::test]
async fn of_answers_that_race_exactly_one_is_taken() {
    let platform = Platform::start().await;
    let cores = [platform.idle_core(config()), platform.idle_core(config())];
    for round in 0..6 {
        let id = format!("race-{round}");
        let order = disputed(&cores[0], &id, r#","action":"CANCELLATION""#).await;
        let (accept, reject) = tokio::join!(
            send(&cores[0], answering(order, Action::AcceptDispute, plainly(&id))),
            send(&cores[1], answering(order, Action::RejectDispute, plainly(&id))),
        );
        let taken = [&accept, &reject].map(|answer| answer.as_ref().unwrap().conflict.is_none());
        assert_eq!(taken.iter().filter(|taken| **taken).count(), 1, "{accept:?} {reject:?}");
        let expected = if taken[0] { "PLC CFM HSD HSS CAN" } else { "PLC CFM HSD HSS" };
        assert_eq!(codes(&cores[0], order).await, expected);
    }
}
