//! Codes, couriers and where they are (PARTNER_API 1.4 and 1.7), over the real tables.

use order_model::{EventCode, OrderId};
use proto::gateway_core as wire;
use proto::gateway_core::{Action, Objection};

use crate::platform::{Platform, TestCore, acting, config, order_id, placing, updating};

const CODES: &str = r#""delivery":{"deliveredBy":"MERCHANT","pickupCode":"1234","dropCode":"9876"}"#;

/// A placed order with both codes, delivered by `delivered_by`.
async fn placed(core: &TestCore, delivered_by: &str) -> OrderId {
    let order = order_id();
    let mut message = placing(order, &format!("place {order}"), 1);
    if let Some(wire::submit_request::Content::Place(place)) = &mut message.content {
        place.body = format!(r#"{{"id":"{order}","total":{{"orderAmount":68.10}},{CODES}}}"#).into();
        place.facts.as_mut().unwrap().delivered_by = delivered_by.to_owned();
    }
    assert_eq!(core.submit(message).await.outcome(), wire::Outcome::Committed);
    order
}

async fn confirmed(core: &TestCore, delivered_by: &str) -> OrderId {
    let order = placed(core, delivered_by).await;
    core.act(order, Action::Confirm).await.unwrap();
    order
}

async fn check(core: &TestCore, order: OrderId, action: Action, code: &str) -> wire::ActReply {
    let request = wire::ActRequest { confirmation_code: code.to_owned(), ..acting(order, action) };
    core.api.clone().act(request).await.unwrap().into_inner()
}

async fn codes(core: &TestCore, order: OrderId) -> String {
    let events = core.events(order).await;
    events.iter().map(|event| event.code.code()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn the_customers_code_is_served_to_nobody_and_the_couriers_is() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    let shown = core.get(order).await.unwrap().body;
    let shown = std::str::from_utf8(&shown).unwrap();
    assert!(shown.contains("1234") && shown.contains("68.10"), "{shown}");
    assert!(!shown.contains("9876") && !shown.contains("dropCode"), "{shown}");
    core.act(order, Action::Dispatch).await.unwrap();
    assert_eq!(check(&core, order, Action::VerifyDeliveryCode, "9876").await.event_ids.len(), 1);
    for event in core.events(order).await {
        let body = std::str::from_utf8(&event.body).unwrap().to_owned();
        assert!(!body.contains("9876") && !body.contains("1234"), "{body}");
    }
}

#[tokio::test]
async fn a_confirmed_order_is_asked_for_the_customers_code_when_it_has_one() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    for delivered_by in ["MERCHANT", "IFOOD"] {
        let acted = placed(&core, delivered_by).await;
        assert_eq!(core.act(acted, Action::Confirm).await.unwrap().event_ids.len(), 2);
        let reported = placed(&core, delivered_by).await;
        let message = updating(reported, &format!("confirm {reported}"), EventCode::Confirmed, "");
        assert_eq!(core.submit(message).await.event_ids.len(), 2);
        for order in [acted, reported] {
            assert_eq!(codes(&core, order).await, "PLC CFM DDCR");
            let again = core.act(order, Action::Confirm).await.unwrap();
            assert!(again.conflict.is_some() && again.event_ids.is_empty());
        }
    }
    let without = order_id();
    core.submit(placing(without, "without", 1)).await;
    core.act(without, Action::Confirm).await.unwrap();
    assert_eq!(codes(&core, without).await, "PLC CFM");
    let erased = placed(&core, "MERCHANT").await;
    let request = wire::EraseOrderRequest { order_id: crate::platform::bytes_of(erased) };
    core.api.clone().erase_order(request).await.unwrap();
    core.act(erased, Action::Confirm).await.unwrap();
    assert_eq!(codes(&core, erased).await, "PLC OPA CFM", "its code is gone");
}

#[tokio::test]
async fn the_right_code_is_an_event_once_and_a_wrong_one_none() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    let wrong = check(&core, order, Action::ValidatePickupCode, "9876").await;
    assert_eq!((wrong.objection(), wrong.conflict, wrong.event_ids.len()), (Objection::WrongCode, None, 0));
    let right = check(&core, order, Action::ValidatePickupCode, " 1234 ").await;
    assert_eq!((right.objection(), right.event_ids.len()), (Objection::NoObjection, 1));
    let again = check(&core, order, Action::ValidatePickupCode, "1234").await;
    assert_eq!((again.objection(), again.conflict, again.event_ids.len()), (Objection::NoObjection, None, 0));
    let early = check(&core, order, Action::VerifyDeliveryCode, "9876").await.conflict.unwrap();
    assert_eq!(early.state, "CONFIRMED", "it has not left");
    core.act(order, Action::Dispatch).await.unwrap();
    assert_eq!(check(&core, order, Action::VerifyDeliveryCode, "1234").await.objection(), Objection::WrongCode);
    check(&core, order, Action::VerifyDeliveryCode, "9876").await;
    assert_eq!(codes(&core, order).await, "PLC CFM DDCR DPCS DSP DDCS");
}

#[tokio::test]
async fn guesses_are_bounded_also_when_they_come_all_at_once() {
    let platform = Platform::start().await;
    let cores = [platform.idle_core(config()), platform.idle_core(config())];
    let order = confirmed(&cores[0], "MERCHANT").await;
    let mut wrong = 0;
    for round in 0..8 {
        let guess = |core: &TestCore| {
            let request = wire::ActRequest {
                confirmation_code: format!("{round}"),
                idempotency_key: "the same".to_owned(),
                ..acting(order, Action::ValidatePickupCode)
            };
            let mut api = core.api.clone();
            async move { api.act(request).await.map(tonic::Response::into_inner) }
        };
        let (one, other) = tokio::join!(guess(&cores[0]), guess(&cores[1]));
        // Contended is no answer.
        wrong += [one, other].into_iter().flatten().filter(|reply| reply.objection() == Objection::WrongCode).count();
    }
    assert_eq!(wrong, 10, "and no more");
    let locked = check(&cores[0], order, Action::ValidatePickupCode, "1234").await;
    assert!(locked.conflict.unwrap().message.contains("too many"), "the right one comes too late");
    assert_eq!(codes(&cores[0], order).await, "PLC CFM DDCR");
}

#[tokio::test]
async fn an_order_without_a_code_and_a_code_that_is_none_are_refused() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    core.act(order, Action::Confirm).await.unwrap();
    let conflict = check(&core, order, Action::ValidatePickupCode, "1").await.conflict.unwrap();
    assert!(conflict.message.contains("no such code"));
    let empty = core.api.clone().act(acting(order, Action::ValidatePickupCode)).await.unwrap_err();
    assert_eq!(empty.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_couriers_steps_come_in_one_order() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    for (delivered_by, expected) in
        [("MERCHANT", "PLC CFM DDCR ADR GTO AAO DSP AAD DDCS"), ("IFOOD", "PLC CFM DDCR ADR GTO AAO CLT AAD DDCS")]
    {
        let order = confirmed(&core, delivered_by).await;
        let steps = [
            Action::AssignDriver,
            Action::GoToOrigin,
            Action::ArriveAtOrigin,
            Action::Collect,
            Action::ArriveAtDestination,
        ];
        for (position, step) in steps.into_iter().enumerate() {
            for (other, action) in steps.into_iter().enumerate().filter(|(other, _)| *other != position) {
                let refused = core.act(order, action).await.unwrap().conflict;
                assert!(refused.is_some(), "{other} at {position}");
            }
            let too_early = check(&core, order, Action::VerifyCodeAtDestination, "9876").await;
            assert!(too_early.conflict.is_some());
            let worker = wire::Worker { name: "Rui".to_owned(), ..wire::Worker::default() };
            let worker = (step == Action::AssignDriver).then_some(worker);
            let taken = wire::ActRequest { worker, ..acting(order, step) };
            assert_eq!(core.api.clone().act(taken).await.unwrap().into_inner().event_ids.len(), 1);
        }
        check(&core, order, Action::VerifyCodeAtDestination, "9876").await;
        assert_eq!(codes(&core, order).await, expected);
        let events = core.events(order).await;
        let metadata = |position: usize| {
            let body: serde_json::Value = serde_json::from_slice(&events[position].body).unwrap();
            body["metadata"].clone()
        };
        assert_eq!(metadata(3), serde_json::json!({ "workerName": "Rui" }));
        assert_eq!(metadata(4), serde_json::json!({ "CLIENT_ID": "dev-pos" }));
    }
}

#[tokio::test]
async fn a_courier_is_asked_for_once_and_for_the_merchants_own_delivery_only() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = placed(&core, "MERCHANT").await;
    assert!(core.act(order, Action::RequestDriver).await.unwrap().conflict.is_some(), "not before it is confirmed");
    core.act(order, Action::Confirm).await.unwrap();
    assert!(core.act(order, Action::CancelDriverRequest).await.unwrap().conflict.is_some());
    assert!(core.act(order, Action::RequestDriver).await.unwrap().conflict.is_none());
    let again = core.act(order, Action::RequestDriver).await.unwrap().conflict.unwrap();
    assert!(again.legal.contains(&"cancelRequestDriver".to_owned()), "{again:?}");
    core.submit(updating(order, "found", EventCode::RequestDriverSuccess, "")).await;
    assert!(core.act(order, Action::CancelDriverRequest).await.unwrap().conflict.is_none());
    core.submit(updating(order, "gone", EventCode::DeliveryCancellationAccepted, "")).await;
    assert!(core.act(order, Action::RequestDriver).await.unwrap().conflict.is_none());
    assert_eq!(codes(&core, order).await, "PLC CFM DDCR RDR RDS DCR DCRA RDR");
    let others = confirmed(&core, "IFOOD").await;
    assert!(core.act(others, Action::RequestDriver).await.unwrap().conflict.is_some());
}

#[tokio::test]
async fn a_change_of_address_takes_one_answer() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    assert!(core.act(order, Action::AcceptAddressChange).await.unwrap().conflict.is_some());
    core.submit(updating(order, "asked", EventCode::AddressChangeRequested, "")).await;
    assert!(core.act(order, Action::ConfirmAddressChange).await.unwrap().conflict.is_none());
    assert!(core.act(order, Action::AcceptAddressChange).await.unwrap().conflict.is_none());
    assert!(core.act(order, Action::DenyAddressChange).await.unwrap().conflict.is_some());
    assert_eq!(codes(&core, order).await, "PLC CFM DDCR DAR DAU DAA");
}

#[tokio::test]
async fn a_new_address_stands_in_the_order_until_it_is_answered_and_in_no_event() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    let asking = |street: &str| wire::ActRequest {
        new_address: format!(r#"{{"streetName":"{street}","coordinates":{{"latitude":-23.5500}}}}"#).into(),
        ..acting(order, Action::RequestAddressChange)
    };
    let ask = async |street: &str| core.api.clone().act(asking(street)).await.unwrap().into_inner();
    let body = async || String::from_utf8(core.get(order).await.unwrap().body.to_vec()).unwrap();
    let before = body().await;
    assert_eq!(ask("Rua Canary 1").await.event_ids.len(), 1);
    let asked = body().await;
    assert!(
        asked.contains(r#""newAddress":{"streetName":"Rua Canary 1","coordinates":{"latitude":-23.5500}}"#),
        "{asked}"
    );
    let second = ask("Rua Canary 2").await.conflict.unwrap();
    assert!(second.legal.contains(&"denyDeliveryAddressChange".to_owned()), "one at a time: {second:?}");
    core.act(order, Action::DenyAddressChange).await.unwrap();
    assert_eq!(body().await, before, "denied: as it was");
    ask("Rua Canary 3").await;
    core.submit(updating(order, "accepted", EventCode::AddressChangeAccepted, "")).await;
    let accepted = body().await;
    assert!(accepted.contains(r#""deliveryAddress":{"streetName":"Rua Canary 3""#), "{accepted}");
    assert!(!accepted.contains("newAddress") && !accepted.contains("9876"), "{accepted}");
    assert_eq!(codes(&core, order).await, "PLC CFM DDCR DAR DAD DAR DAA");
    for event in core.events(order).await {
        let told = std::str::from_utf8(&event.body).unwrap().to_owned();
        assert!(!told.contains("Canary") && !told.contains("23.55"), "{told}");
    }
    let nothing = wire::ActRequest { new_address: bytes::Bytes::new(), ..asking("") };
    assert_eq!(core.api.clone().act(nothing).await.unwrap_err().code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn a_couriers_position_is_shown_while_the_order_lasts_and_told_to_no_topic() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "IFOOD").await;
    assert_eq!(core.get(order).await.unwrap().position, None);
    let at = |latitude: &str| format!(r#"{{"latitude":{latitude},"longitude":-46.6333,"eta":7}}"#);
    core.submit(updating(order, "1", EventCode::AssignDriver, &at("-23.5511"))).await;
    core.submit(updating(order, "2", EventCode::GoingToOrigin, &at("-23.5522"))).await;
    core.submit(updating(order, "3", EventCode::ArrivedAtOrigin, r#"{"eta":1}"#)).await;
    let position = core.get(order).await.unwrap().position.unwrap();
    assert_eq!((position.latitude.as_str(), position.eta.as_str()), ("-23.5522", "7"), "the last that was reported");
    for event in core.events(order).await {
        let body = std::str::from_utf8(&event.body).unwrap().to_owned();
        assert!(!body.contains("23.55") && !body.contains("46.63"), "{body}");
    }
    core.act(order, Action::RequestCancellation).await.unwrap();
    assert_eq!(core.get(order).await.unwrap().position, None);
    core.submit(updating(order, "4", EventCode::AssignDriver, &at("-23.5533"))).await;
    assert_eq!(core.get(order).await.unwrap().position, None, "also what comes late");
    let erased = confirmed(&core, "IFOOD").await;
    core.submit(updating(erased, "5", EventCode::AssignDriver, &at("-23.5511"))).await;
    let request = wire::EraseOrderRequest { order_id: crate::platform::bytes_of(erased) };
    core.api.clone().erase_order(request).await.unwrap();
    assert_eq!(core.get(erased).await.unwrap().position, None);
    let gone = check(&core, erased, Action::ValidatePickupCode, "1234").await;
    assert!(gone.conflict.is_some(), "the code is gone too");
}
