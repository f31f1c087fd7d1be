//! What stands around the feed services in a run: models of DynamoDB, the queues and the core, publishers and POS.
//!
//! order-events, the grid under it and kitchen-api's routing are the real crates. Models are shared values that hosts reach
//! with a delay of their own, never through the simulated network, as AWS is reached by another way than a peer.

pub mod cloud;
pub mod core;
pub mod fallback;
pub mod local;
pub mod node;
pub mod pos;
pub mod publishing;
pub mod queue;

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventIdKey, MerchantId};

use crate::history::Event;

/// The cluster's key of event ids.
pub fn key() -> EventIdKey {
    EventIdKey::from_bytes([5; 16])
}

/// The merchant of this number.
pub fn merchant(number: u32) -> MerchantId {
    MerchantId::from_bytes(u128::from(number).to_be_bytes())
}

/// The number of a merchant.
pub fn merchant_number(merchant: MerchantId) -> u32 {
    let [.., a, b, c, d] = *merchant.as_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The application of this number.
pub fn application(number: usize) -> ApplicationId {
    format!("pos-{number}").parse().expect("letters, a hyphen and digits are an application's id")
}

/// An event as a history has it. The canary is the merchant that its body names.
pub fn recorded(event: &FeedEvent) -> Event {
    let body: Option<serde_json::Value> = serde_json::from_slice(&event.body).ok();
    let named = body.as_ref().and_then(|body| body.get("merchantId")?.as_str()?.parse().ok());
    Event {
        id: event.id.to_string(),
        order: event.order.to_string(),
        sequence: event.sequence,
        merchant: merchant_number(event.merchant),
        body_merchant: named.map_or(0, merchant_number),
    }
}
