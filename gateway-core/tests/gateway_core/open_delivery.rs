//! Orders that name their merchant as Open Delivery does.

use std::sync::atomic::Ordering;

use order_model::{MerchantId, OrderId};
use proto::gateway_core as wire;
use proto::gateway_core::Outcome;
use proto::gateway_core::place_order::Merchant;

use crate::platform::{MERCHANT, OPEN_DELIVERY_IDS, Platform, TestCore, config, order_id, placing, rejection};

/// A message that places `order` for the merchant that the POS calls `name`, as the agent submits it.
fn placing_for(name: &str, order: OrderId, message: &str, digest: u8) -> wire::SubmitRequest {
    let mut request = placing(order, message, digest);
    let Some(wire::submit_request::Content::Place(place)) = &mut request.content else { unreachable!() };
    place.body = body(order, &format!("\"id\":\"{name}\"")).into();
    place.merchant = Some(match name.parse::<MerchantId>() {
        Ok(id) => Merchant::MerchantId(bytes::Bytes::copy_from_slice(id.as_bytes())),
        Err(_) => Merchant::OpenDeliveryMerchantId(name.to_owned()),
    });
    request
}

/// An order whose merchant has these `fields`.
fn body(order: OrderId, fields: &str) -> String {
    format!(
        r#"{{"id":"{order}","items":[{{"id":"open-delivery-merchant","price":1.50}}], "merchant":{{"name":"Caf\u00e9",{fields}}},"total":{{"orderAmount":68.10}}}}"#
    )
}

async fn shown(core: &TestCore, order: OrderId) -> String {
    let shown = core.get(order).await.unwrap();
    assert_eq!(shown.merchant_id, MERCHANT.as_bytes().to_vec());
    String::from_utf8(shown.body.to_vec()).unwrap()
}

#[tokio::test]
async fn partners_see_the_uuid_of_a_merchant_whatever_its_order_calls_it() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    for name in OPEN_DELIVERY_IDS {
        let order = order_id();
        let placed = core.submit(placing_for(name, order, name, 1)).await;
        assert_eq!(placed.outcome(), Outcome::Committed);
        let expected = body(order, &format!(r#""id":"{MERCHANT}","openDeliveryId":"{name}""#));
        assert_eq!(shown(&core, order).await, expected);
        let again = core.submit(placing_for(name, order, name, 1)).await;
        assert_eq!((again.outcome(), again.event_ids), (Outcome::Repeated, placed.event_ids));
        let same_body = core.submit(placing_for(name, order, &format!("{name} again"), 1)).await;
        assert_eq!(same_body.outcome(), Outcome::Repeated);
        let other_body = core.submit(placing_for(name, order, &format!("{name} other"), 2)).await;
        assert_eq!(rejection(&other_body), ("ORDER_EXISTS", false));
        assert_eq!(shown(&core, order).await, expected);
    }
}

#[tokio::test]
async fn an_order_that_names_its_merchant_by_uuid_is_served_as_it_was_sent() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    let name = MERCHANT.to_string();
    core.submit(placing_for(&name, order, "1", 1)).await;
    assert_eq!(shown(&core, order).await, body(order, &format!(r#""id":"{name}""#)));
}

#[tokio::test]
async fn a_uuid_that_is_an_open_delivery_id_is_asked_for_once() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let place = async |name: &str| {
        let order = order_id();
        core.try_submit(placing_for(name, order, &order.to_string(), 1)).await
    };
    let lookups = || platform.merchants.lookups.load(Ordering::SeqCst);
    let [_, uuid] = OPEN_DELIVERY_IDS;
    assert_eq!(place(uuid).await.unwrap().outcome(), Outcome::Committed);
    assert_eq!(lookups(), 2, "as a merchant's UUID first");
    assert_eq!(place(uuid).await.unwrap().outcome(), Outcome::Committed);
    assert_eq!(lookups(), 2, "remembered");
    let other_spelling = place(&uuid.to_lowercase()).await.unwrap();
    assert_eq!(rejection(&other_spelling), ("UNKNOWN_MERCHANT", true), "another Open Delivery id");
    assert_eq!(lookups(), 4, "that there is no such merchant is not remembered");
}

#[tokio::test]
async fn an_order_waits_while_its_uuid_can_only_be_an_open_delivery_id_and_nobody_can_be_asked() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let [_, uuid] = OPEN_DELIVERY_IDS;
    platform.merchants.open_delivery_down.store(true, Ordering::SeqCst);
    let waiting = core.try_submit(placing_for(uuid, order_id(), "1", 1)).await.unwrap_err();
    assert_eq!(waiting.code(), tonic::Code::Unavailable);
}

#[tokio::test]
async fn an_unverified_uuid_is_kept_as_it_was_sent() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    platform.merchants.down.store(true, Ordering::SeqCst);
    let [_, uuid] = OPEN_DELIVERY_IDS;
    let order = order_id();
    assert_eq!(core.submit(placing_for(uuid, order, "1", 1)).await.outcome(), Outcome::Committed);
    let served = core.get(order).await.unwrap().body;
    assert_eq!(served, body(order, &format!(r#""id":"{uuid}""#)));
}
