//! What internal apps submit.

use std::sync::atomic::Ordering;

use order_model::{EventCode, EventId, EventIdKey};
use proto::gateway_core as wire;
use proto::gateway_core::Outcome;

use crate::platform::{KEY, MERCHANT, Platform, config, order_id, placing, rejection, updating};

#[tokio::test]
async fn a_placed_order_is_readable_and_one_event_of_it_is_published() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let order = order_id();
    let reply = core.submit(placing(order, "1", 1)).await;
    assert_eq!(reply.outcome(), Outcome::Committed);
    let published = platform.published_until(|all| !all.is_empty()).await;
    let event = &published[0].event;
    assert_eq!((published.len(), event.code, event.sequence, event.merchant), (1, EventCode::Placed, 1, MERCHANT));
    assert_eq!(event.id, EventId::derive(&EventIdKey::from_bytes(KEY), event.created_at, MERCHANT, order, 1));
    assert_eq!(reply.event_ids, [event.id.as_bytes().to_vec()]);
    assert_eq!(event.trace.to_string(), "09".repeat(16));
    assert_eq!(published[0].json()["salesChannel"], "IFOOD");
    let shown = core.get(order).await.unwrap();
    assert_eq!((shown.state.as_str(), shown.version), ("PLACED", 1));
    assert!(std::str::from_utf8(&shown.body).unwrap().contains("68.10"), "served unchanged");
    assert!(shown.cancellation_reasons.iter().any(|reason| reason.code == "503"));
    assert_eq!(core.events(order).await[0].body, published[0].body.as_bytes(), "byte for byte what was published");
    core.stop().await;
}

#[tokio::test]
async fn the_same_message_changes_nothing_and_answers_as_the_first_time() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    let first = core.submit(placing(order, "1", 1)).await;
    let again = core.submit(placing(order, "1", 1)).await;
    assert_eq!((again.outcome(), &again.event_ids), (Outcome::Repeated, &first.event_ids));
    assert_eq!(rejection(&core.submit(placing(order, "1", 2)).await), ("ID_REUSED", false));
    assert_eq!(core.submit(placing(order, "2", 1)).await.outcome(), Outcome::Repeated, "same body, another id");
    assert_eq!(rejection(&core.submit(placing(order, "2", 9)).await), ("ID_REUSED", false), "the no-op is remembered");
    assert_eq!(rejection(&core.submit(placing(order, "3", 3)).await), ("ORDER_EXISTS", false));
    let confirm = updating(order, "4", EventCode::Confirmed, "");
    let confirmed = core.submit(confirm.clone()).await;
    let repeated = core.submit(confirm).await;
    assert_eq!((repeated.outcome(), &repeated.event_ids), (Outcome::Repeated, &confirmed.event_ids));
    assert_eq!(core.events(order).await.len(), 2);
}

#[tokio::test]
async fn rejections_are_not_remembered_and_say_whether_they_are_only_early() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    let early = updating(order, "u", EventCode::Confirmed, "");
    assert_eq!(rejection(&core.submit(early.clone()).await), ("UNKNOWN_ORDER", true));
    core.submit(placing(order, "1", 1)).await;
    let concluding = updating(order, "c", EventCode::Concluded, "");
    assert_eq!(rejection(&core.submit(concluding).await), ("ILLEGAL_TRANSITION", true));
    assert_eq!(core.submit(early).await.outcome(), Outcome::Committed);
    core.submit(updating(order, "x", EventCode::Cancelled, "")).await;
    let late = core.submit(updating(order, "r", EventCode::ReadyToPickup, "")).await;
    assert_eq!(rejection(&late), ("ILLEGAL_TRANSITION", false));
    assert!(late.rejection.unwrap().detail.contains("CANCELLED"));
}

#[tokio::test]
async fn a_merchant_is_checked_unless_nobody_can_be_asked() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let for_merchant = |merchant: wire::place_order::Merchant| {
        let order = order_id();
        let mut request = placing(order, &order.to_string(), 1);
        if let Some(wire::submit_request::Content::Place(place)) = &mut request.content {
            place.merchant = Some(merchant);
        }
        request
    };
    let unknown = || for_merchant(wire::place_order::Merchant::MerchantId(vec![8; 16].into()));
    let open_delivery = |id: &str| for_merchant(wire::place_order::Merchant::OpenDeliveryMerchantId(id.to_owned()));
    assert_eq!(rejection(&core.submit(unknown()).await), ("UNKNOWN_MERCHANT", true));
    assert_eq!(core.submit(open_delivery("open-delivery-merchant")).await.outcome(), Outcome::Committed);
    platform.merchants.down.store(true, Ordering::SeqCst);
    assert_eq!(core.submit(unknown()).await.outcome(), Outcome::Committed, "a lost order is worse");
    assert_eq!(core.submit(open_delivery("open-delivery-merchant")).await.outcome(), Outcome::Committed, "remembered");
    let waiting = core.try_submit(open_delivery("another")).await.unwrap_err();
    assert_eq!(waiting.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn malformed_content_is_a_rejection_and_a_malformed_request_is_not() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let place = |change: &dyn Fn(&mut wire::PlaceOrder)| {
        let mut request = placing(order_id(), "1", 1);
        if let Some(wire::submit_request::Content::Place(place)) = &mut request.content {
            change(place);
        }
        request
    };
    let no_json = place(&|place| place.body = "nonsense".into());
    assert_eq!(rejection(&core.submit(no_json).await), ("MALFORMED", false));
    let too_large = place(&|place| place.body = format!("{{\"a\":\"{}\"}}", "x".repeat(200_000)).into());
    assert_eq!(rejection(&core.submit(too_large).await), ("MALFORMED", false));
    let unknown_type = place(&|place| place.facts.as_mut().unwrap().order_type = "TELEPORT".to_owned());
    assert_eq!(rejection(&core.submit(unknown_type).await), ("MALFORMED", false));
    let short_id = place(&|place| place.order_id = vec![1, 2].into());
    assert_eq!(core.try_submit(short_id).await.unwrap_err().code(), tonic::Code::InvalidArgument);
    let largest = place(&|place| place.body = format!("{{\"a\":\"{}\"}}", "x".repeat(192 * 1024 - 8)).into());
    assert_eq!(core.submit(largest).await.outcome(), Outcome::Committed);
}

#[tokio::test]
async fn personal_data_in_metadata_never_reaches_the_topic() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let metadata = r#"{"newAddress":{"streetName":"canary"},"observations":"canary","pickupCode":"canary","PICKUP_AREA_CODE":"A1"}"#;
    core.submit(updating(order, "2", EventCode::AddressChangeRequested, metadata)).await;
    let published = platform.published_until(|all| all.len() == 2).await;
    assert!(published.iter().all(|notification| !notification.body.to_lowercase().contains("canary")));
    assert_eq!(published.last().unwrap().json()["metadata"]["PICKUP_AREA_CODE"], "A1");
    core.stop().await;
}

#[tokio::test]
async fn two_cores_that_race_for_one_update_commit_it_once() {
    let platform = Platform::start().await;
    let cores = [platform.idle_core(config()), platform.idle_core(config())];
    for round in 0..10 {
        let order = order_id();
        cores[0].submit(placing(order, &format!("place-{round}"), 1)).await;
        let same = updating(order, &format!("same-{round}"), EventCode::Confirmed, "");
        let attempts = (0..8).map(|attempt| cores[attempt % 2].submit(same.clone()));
        let replies = futures::future::join_all(attempts).await;
        let committed = replies.iter().filter(|reply| reply.outcome() == Outcome::Committed).count();
        assert_eq!(committed, 1, "{replies:#?}");
        assert!(replies.iter().all(|reply| reply.event_ids == replies[0].event_ids));
        // Different messages that say the same: one event, and the rest finds it done.
        let different = (0..6).map(|attempt| {
            let message = format!("different-{round}-{attempt}");
            cores[attempt % 2].submit(updating(order, &message, EventCode::PreparationStarted, ""))
        });
        let replies = futures::future::join_all(different).await;
        assert_eq!(replies.iter().filter(|reply| reply.outcome() == Outcome::Committed).count(), 1);
        assert_eq!(core_events(&cores[0], order).await, [1, 2, 3]);
    }
}

#[tokio::test]
async fn sixty_four_orders_at_once_are_all_published_once_each() {
    let platform = Platform::start().await;
    let core = platform.core(config());
    let orders: Vec<_> = (0..64).map(|_| order_id()).collect();
    let placed = orders.iter().map(|order| core.submit(placing(*order, &order.to_string(), 1)));
    let replies = futures::future::join_all(placed).await;
    assert!(replies.iter().all(|reply| reply.outcome() == Outcome::Committed));
    let published = platform.published_until(|all| all.len() >= 64).await;
    let mut seen: Vec<_> = published.iter().map(|notification| notification.event.order).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!((published.len(), seen.len()), (64, 64));
    core.stop().await;
}

async fn core_events(core: &crate::platform::TestCore, order: order_model::OrderId) -> Vec<u32> {
    core.events(order).await.iter().map(|event| event.sequence).collect()
}
