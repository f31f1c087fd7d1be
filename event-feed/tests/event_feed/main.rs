//! Properties of the feed's rules, over random events, filters and pages.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod filters;
mod hold_back;
mod oracle;
mod paging;

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_model::{EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, Timestamp};

/// The instant all tests count from.
pub const START_MS: i64 = 1_795_000_000_000;

/// An event of merchant `merchant` that differs from every other in (`order`, `sequence`), created `age` ms after the start.
pub fn event(merchant: u8, order: u8, sequence: u32, age: i64) -> FeedEvent {
    let merchant = MerchantId::from_bytes([merchant; 16]);
    let order_id = OrderId::from_bytes([order; 16]);
    let created_at = Timestamp::from_unix_ms(START_MS + age);
    FeedEvent {
        id: EventId::derive(&EventIdKey::from_bytes([1; 16]), created_at, merchant, order_id, sequence),
        order: order_id,
        merchant,
        code: EventCode::ALL[usize::from(order) % EventCode::ALL.len()],
        category: EventCategory::ALL[usize::from(order) % EventCategory::ALL.len()],
        sequence,
        created_at,
        expires_at: Timestamp::from_unix_ms(START_MS + age + 60_000),
        trace: TraceId::default(),
        body: Bytes::from_static(b"{}"),
    }
}
