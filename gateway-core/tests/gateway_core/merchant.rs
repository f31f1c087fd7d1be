//! What merchants' applications do, and what is kept of an order.

use order_model::{EventCode, MerchantId};
use proto::gateway_core as wire;
use proto::gateway_core::Action;

use crate::platform::{Platform, acting, bytes_of, config, order_id, placing, updating};

#[tokio::test]
async fn an_action_is_answered_after_its_commit_and_a_conflict_says_what_is_legal() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let early = core.act(order, Action::Dispatch).await.unwrap().conflict.unwrap();
    assert_eq!(early.state, "PLACED");
    assert!(early.legal.contains(&"confirm".to_owned()), "{early:?}");
    let confirmed = core.act(order, Action::Confirm).await.unwrap();
    assert!(confirmed.conflict.is_none() && confirmed.event_ids.len() == 1);
    assert_eq!(core.get(order).await.unwrap().state, "CONFIRMED");
    let again = core.act(order, Action::Confirm).await.unwrap().conflict.unwrap();
    assert_eq!(again.state, "CONFIRMED");
    assert!(again.legal.contains(&"dispatch".to_owned()), "{again:?}");
    let cancelled = core.act(order, Action::RequestCancellation).await.unwrap();
    assert_eq!(cancelled.event_ids.len(), 2);
    let after = core.act(order, Action::Confirm).await.unwrap().conflict.unwrap();
    assert_eq!((after.state.as_str(), after.legal.len()), ("CANCELLED", 0));
    assert!(core.get(order).await.unwrap().cancellation_reasons.is_empty());
    let bodies: Vec<_> = core.events(order).await.iter().map(|event| event.body.clone()).collect();
    assert!(bodies.iter().all(|body| !std::str::from_utf8(body).unwrap().contains("free text")), "{bodies:?}");
}

#[tokio::test]
async fn foreign_and_unknown_orders_look_alike() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let unknown = core.act(order_id(), Action::Confirm).await.unwrap_err();
    let mut foreign = acting(order, Action::Confirm);
    foreign.merchant_id = bytes::Bytes::copy_from_slice(MerchantId::from_bytes([8; 16]).as_bytes());
    let foreign = core.api.clone().act(foreign).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (foreign.code(), foreign.message()));
    assert_eq!(unknown.code(), tonic::Code::NotFound);
    assert_eq!(core.get(order_id()).await.unwrap_err().code(), tonic::Code::NotFound);
}

#[tokio::test]
async fn a_merchant_cancels_with_any_code_or_none() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    for (number, (sent, told, words)) in [
        ("503", "503", "Item indisponível"),
        (" 804 ", "804", "Cadastro do cliente incompleto"),
        ("", "509", "A loja está passando por dificuldades internas"),
        ("999", "509", "A loja está passando por dificuldades internas"),
        ("a code of canary", "509", "A loja está passando por dificuldades internas"),
    ]
    .into_iter()
    .enumerate()
    {
        let order = order_id();
        core.submit(placing(order, &format!("place {number}"), 1)).await;
        let asked = wire::ActRequest { code: sent.to_owned(), ..acting(order, Action::RequestCancellation) };
        assert_eq!(core.api.clone().act(asked).await.unwrap().into_inner().event_ids.len(), 2, "{sent}");
        let events = core.events(order).await;
        let codes: Vec<_> = events.iter().map(|event| event.code.code()).collect();
        assert_eq!(codes, ["PLC", "CAR", "CAN"], "{sent}");
        for event in &events[1..] {
            let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
            let metadata = &body["metadata"];
            assert_eq!((&metadata["CANCEL_CODE"], &metadata["CANCEL_REASON"]), (&told.into(), &words.into()));
            assert_eq!(
                (&metadata["CANCEL_USER"], &metadata["CANCEL_ORIGIN"]),
                (&"dev-pos".into(), &"RESTAURANT".into())
            );
            assert!(!body.to_string().contains("canary"), "free text is told to nobody: {body}");
        }
    }
}

#[tokio::test]
async fn a_no_to_the_consumer_says_why_in_our_words() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    for (sent, code, words) in [
        ("DISH_ALREADY_DONE", serde_json::json!("DISH_ALREADY_DONE"), serde_json::json!("O pedido já está pronto")),
        ("out_for_delivery", serde_json::json!("OUT_FOR_DELIVERY"), serde_json::json!("O pedido já saiu para entrega")),
        ("", serde_json::Value::Null, serde_json::Value::Null),
        ("canary", serde_json::Value::Null, serde_json::Value::Null),
    ] {
        let order = order_id();
        core.submit(placing(order, &format!("place {order}"), 1)).await;
        core.submit(updating(order, &format!("ask {order}"), EventCode::ConsumerCancellationRequested, "")).await;
        let denied = wire::ActRequest { code: sent.to_owned(), ..acting(order, Action::DenyCancellation) };
        assert!(core.api.clone().act(denied).await.unwrap().into_inner().conflict.is_none(), "{sent}");
        let event = core.events(order).await.pop().unwrap();
        assert_eq!(event.code, EventCode::ConsumerCancellationDenied);
        let body: serde_json::Value = serde_json::from_slice(&event.body).unwrap();
        assert_eq!((&body["metadata"]["DENIAL_CODE"], &body["metadata"]["DENIAL_REASON"]), (&code, &words), "{sent}");
        assert_eq!(body["metadata"]["CANCEL_ORIGIN"], "CONSUMER");
        assert!(body["metadata"].get("CANCEL_USER").is_none() && !body.to_string().contains("canary"), "{body}");
    }
}

#[tokio::test]
async fn an_idempotency_key_makes_an_action_repeatable() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let keyed = wire::ActRequest { idempotency_key: "k-1".to_owned(), ..acting(order, Action::Confirm) };
    let first = core.api.clone().act(keyed.clone()).await.unwrap().into_inner();
    let second = core.api.clone().act(keyed.clone()).await.unwrap().into_inner();
    assert_eq!(first, second);
    assert!(second.conflict.is_none());
    let other = wire::ActRequest { action: Action::Dispatch.into(), ..keyed };
    assert!(core.api.clone().act(other).await.unwrap().into_inner().conflict.is_some());
}

#[tokio::test]
async fn erasing_blanks_the_order_keeps_its_events_and_tells_caches() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let erase = || async {
        let request = wire::EraseOrderRequest { order_id: bytes_of(order) };
        core.api.clone().erase_order(request).await.map(|reply| reply.into_inner().already_erased)
    };
    assert!(!erase().await.unwrap());
    assert!(erase().await.unwrap());
    let body = core.get(order).await.unwrap().body;
    let body = std::str::from_utf8(&body).unwrap();
    assert!(!body.to_lowercase().contains("canary") && body.contains("68.10"), "{body}");
    let published = platform.published_until(|all| all.len() == 2).await;
    assert!(published.iter().any(|notification| notification.event.code == EventCode::OrderPatched));
    assert_eq!(core.events(order).await.len(), 2);
    assert_eq!(
        core.submit(placing(order, "1", 1)).await.outcome(),
        wire::Outcome::Repeated,
        "a repeat restores nothing"
    );
    assert!(!std::str::from_utf8(&core.get(order).await.unwrap().body).unwrap().contains("Canary"));
    let unknown = wire::EraseOrderRequest { order_id: bytes_of(order_id()) };
    assert_eq!(core.api.clone().erase_order(unknown).await.unwrap_err().code(), tonic::Code::NotFound);
    core.stop().await;
}

#[tokio::test]
async fn of_transitions_without_an_event_one_wins_by_the_version_alone() {
    let platform = Platform::start().await;
    let brief = gateway_core::Config { event_retention: std::time::Duration::from_millis(1), ..config() };
    let cores = [platform.idle_core(brief.clone()), platform.idle_core(brief)];
    for round in 0..10 {
        let order = order_id();
        cores[0].submit(placing(order, &format!("place-{round}"), 1)).await;
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        let erasing = (0..6).map(|attempt| {
            let mut api = cores[attempt % 2].api.clone();
            async move { api.erase_order(wire::EraseOrderRequest { order_id: bytes_of(order) }).await.unwrap() }
        });
        let replies = futures::future::join_all(erasing).await;
        let first = replies.iter().filter(|reply| !reply.get_ref().already_erased).count();
        assert_eq!(first, 1, "round {round}");
        assert_eq!(cores[0].events(order).await.len(), 1, "nobody holds a copy, so nobody is told");
    }
}
