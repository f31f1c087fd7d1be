//! What a merchant's application tells of an order that it delivers itself (Open Delivery's `tracking` and `details`), over the
//! real tables.

use order_model::{OrderId, Timestamp};
use proto::gateway_core as wire;
use proto::gateway_core::{Action, CourierReport};

use crate::platform::{Platform, TestCore, acting, config, order_id, placing};

/// A confirmed order, delivered by `delivered_by`.
async fn confirmed(core: &TestCore, delivered_by: &str) -> OrderId {
    let order = order_id();
    let mut message = placing(order, &format!("place {order}"), 1);
    if let Some(wire::submit_request::Content::Place(place)) = &mut message.content {
        place.facts.as_mut().unwrap().delivered_by = delivered_by.to_owned();
    }
    assert_eq!(core.submit(message).await.outcome(), wire::Outcome::Committed);
    core.act(order, Action::Confirm).await.unwrap();
    order
}

async fn told(core: &TestCore, order: OrderId, report: CourierReport) -> wire::ActReply {
    let worker = Some(wire::Worker { name: "Rui".to_owned(), ..wire::Worker::default() });
    let request = wire::ActRequest { courier_report: report.into(), worker, ..acting(order, Action::Track) };
    core.api.clone().act(request).await.unwrap().into_inner()
}

async fn begins(core: &TestCore, order: OrderId, start: &str) -> wire::ActReply {
    let start: Timestamp = start.parse().unwrap();
    let preparation_start_ms = start.unix_ms();
    let request = wire::ActRequest { preparation_start_ms, ..acting(order, Action::ChangePreparationStart) };
    core.api.clone().act(request).await.unwrap().into_inner()
}

async fn codes(core: &TestCore, order: OrderId) -> String {
    let events = core.events(order).await;
    events.iter().map(|event| event.code.code()).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_report_is_an_event_where_it_is_news_and_moves_no_order() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    for report in [
        CourierReport::PickupOngoing,
        CourierReport::PickupOngoing,
        CourierReport::ArrivedAtMerchant,
        CourierReport::PickupOngoing,
        CourierReport::OrderPicked,
        CourierReport::DeliveryOngoing,
    ] {
        assert_eq!(told(&core, order, report).await.conflict, None, "{report:?}");
    }
    assert_eq!(codes(&core, order).await, "PLC CFM GTO AAO");
    let events = core.events(order).await;
    let body: serde_json::Value = serde_json::from_slice(&events[2].body).unwrap();
    assert_eq!(body["metadata"], serde_json::json!({ "workerName": "Rui" }));
    let early = told(&core, order, CourierReport::ArrivedAtCustomer).await.conflict.unwrap();
    assert!(early.state == "CONFIRMED" && early.legal.contains(&"dispatch".to_owned()), "{early:?}");
    assert!(core.act(order, Action::Dispatch).await.unwrap().conflict.is_none(), "the reports were no dispatch");
    for _ in 0..2 {
        assert_eq!(told(&core, order, CourierReport::ArrivedAtCustomer).await.conflict, None);
        assert_eq!(told(&core, order, CourierReport::OrderDelivered).await.conflict, None);
    }
    assert_eq!(told(&core, order, CourierReport::Cancelled).await.event_ids.len(), 1);
    assert_eq!(told(&core, order, CourierReport::Cancelled).await.event_ids.len(), 0);
    assert!(core.act(order, Action::Delivered).await.unwrap().conflict.is_none(), "nor a delivery");
    assert_eq!(codes(&core, order).await, "PLC CFM GTO AAO DSP AAD DDD DLV CON");
    assert!(told(&core, order, CourierReport::PickupOngoing).await.conflict.is_some(), "it is over");
    let others = confirmed(&core, "IFOOD").await;
    assert!(told(&core, others, CourierReport::PickupOngoing).await.conflict.is_some());
    let unspecified = core.api.clone().act(acting(order, Action::Track)).await.unwrap_err();
    assert_eq!(unspecified.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn another_time_to_begin_is_shown_and_told_once() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    let before = String::from_utf8(core.get(order).await.unwrap().body.to_vec()).unwrap();
    let start = "2026-11-20T12:30:00.000Z";
    assert_eq!(begins(&core, order, start).await.event_ids.len(), 1);
    let repeated = begins(&core, order, start).await;
    assert_eq!((repeated.conflict, repeated.event_ids.len()), (None, 0), "nothing new");
    let after = String::from_utf8(core.get(order).await.unwrap().body.to_vec()).unwrap();
    assert!(after.contains(&format!(r#""preparationStartDateTime":"{start}""#)), "{after}");
    assert!(after.contains("68.10") && before.contains("68.10"), "the rest stays");
    assert_eq!(codes(&core, order).await, "PLC CFM OPA");
    let events = core.events(order).await;
    let body: serde_json::Value = serde_json::from_slice(&events[2].body).unwrap();
    assert_eq!(body["metadata"], serde_json::json!({ "preparationStartDateTime": start }));
    core.act(order, Action::RequestCancellation).await.unwrap();
    assert!(begins(&core, order, "2026-11-20T13:00:00Z").await.conflict.is_some(), "it is over");
    let without = core.api.clone().act(acting(order, Action::ChangePreparationStart)).await.unwrap_err();
    assert_eq!(without.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn changes_of_one_order_are_bounded() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = confirmed(&core, "MERCHANT").await;
    let mut taken = 0;
    while begins(&core, order, &Timestamp::from_unix_ms(1_795_000_000_000 + taken).to_string()).await.conflict.is_none()
    {
        taken += 1;
        assert!(taken < 600, "never refused");
    }
    assert_eq!(core.events(order).await.len(), 500);
}
