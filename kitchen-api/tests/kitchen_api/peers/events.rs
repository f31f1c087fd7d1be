//! Events that scripted peers are given. They never expire, and their ids can be verified as those of the real platform.

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, Timestamp};

pub fn event_id_key() -> EventIdKey {
    EventIdKey::from_bytes([7; 16])
}

/// The first event of an order; the higher the order's number, the later it comes.
pub fn event(merchant: MerchantId, order: u8, code: EventCode) -> FeedEvent {
    event_at(Timestamp::from_unix_ms(1_795_000_000_000 + i64::from(order)), merchant, order, code)
}

/// The first event of an order, created at this instant.
pub fn event_at(created_at: Timestamp, merchant: MerchantId, order: u8, code: EventCode) -> FeedEvent {
    let order = OrderId::from_bytes([order; 16]);
    let id = EventId::derive(&event_id_key(), created_at, merchant, order, 1);
    let body = format!(r#"{{"id":"{id}","code":"{}","orderId":"{order}","merchantId":"{merchant}"}}"#, code.code());
    FeedEvent {
        id,
        order,
        merchant,
        code,
        category: EventCategory::Food,
        sequence: 1,
        created_at,
        expires_at: Timestamp::MAX,
        trace: TraceId::default(),
        body: Bytes::from(body),
    }
}
