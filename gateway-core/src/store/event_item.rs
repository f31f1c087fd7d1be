//! The event item of `order-events`: the header in attributes, and the notification rendered once at commit.

use bytes::Bytes;
use event_feed::{FeedEvent, TraceId};
use order_model::{EventCategory, EventCode, EventId, MerchantId, OrderId, Timestamp};

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::unpublished_shard;
use super::tables::{CREATED_AT, ORDER_ID, SEQUENCE, UNPUBLISHED_SHARD};

const FORMAT: i64 = 1;
const KIND: &str = "event";
const ID: &str = "id";
const MERCHANT: &str = "merchantId";
const CODE: &str = "code";
const CATEGORY: &str = "category";
const EXPIRES_AT: &str = "expiresAt";
const TRACE: &str = "traceId";
const BODY: &str = "body";
const OCCURRED_AT: &str = "occurredAt";
/// When the topic was seen to have taken it; absent before.
pub(super) const PUBLISHED_AT: &str = "publishedAt";

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredEvent {
    /// What is published and served.
    pub(crate) event: FeedEvent,
    /// The producer's time, where it gave one.
    pub(crate) occurred_at: Option<Timestamp>,
    /// When the topic was seen to have taken it.
    pub(crate) published_at: Option<Timestamp>,
}

/// The item of a new event, marked as unpublished, kept until `kept_until`.
pub(super) fn encode(stored: &StoredEvent, kept_until: Timestamp) -> Item {
    let event = &stored.event;
    ItemBuilder::new(FORMAT)
        .text(ORDER_ID, event.order.to_string())
        .number(SEQUENCE, i64::from(event.sequence))
        .bytes(ID, event.id.as_bytes())
        .bytes(MERCHANT, event.merchant.as_bytes())
        .number(CODE, i64::from(event.code.number()))
        .number(CATEGORY, i64::from(event.category.number()))
        .instant(CREATED_AT, event.created_at)
        .instant(EXPIRES_AT, event.expires_at)
        .bytes(TRACE, event.trace.0)
        .bytes(BODY, event.body.to_vec())
        .optional_instant(OCCURRED_AT, stored.occurred_at)
        .text(UNPUBLISHED_SHARD, unpublished_shard(event.order))
        .expires_at(kept_until)
        .build()
}

/// Reads an item back.
pub(super) fn decode(item: &Item) -> Result<StoredEvent, StoreError> {
    let read = ItemReader::open(item, KIND, FORMAT)?;
    let order: OrderId = read.text(ORDER_ID)?.parse().map_err(|_| read.malformed(ORDER_ID))?;
    let event = FeedEvent {
        id: EventId::from_bytes(read.array(ID)?),
        order,
        merchant: MerchantId::from_bytes(read.array(MERCHANT)?),
        code: EventCode::from_number(read.number(CODE)?).ok_or_else(|| read.malformed(CODE))?,
        category: EventCategory::from_number(read.number(CATEGORY)?).ok_or_else(|| read.malformed(CATEGORY))?,
        sequence: read.number(SEQUENCE)?,
        created_at: read.instant(CREATED_AT)?,
        expires_at: read.instant(EXPIRES_AT)?,
        trace: TraceId(read.array(TRACE)?),
        body: Bytes::copy_from_slice(read.bytes(BODY)?),
    };
    let published_at = if read.has(UNPUBLISHED_SHARD) { None } else { read.optional_instant(PUBLISHED_AT)? };
    Ok(StoredEvent { event, occurred_at: read.optional_instant(OCCURRED_AT)?, published_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_reads_back_as_it_was_written() {
        let stored = StoredEvent {
            event: FeedEvent {
                id: EventId::from_bytes([1; 16]),
                order: OrderId::from_bytes([2; 16]),
                merchant: MerchantId::from_bytes([3; 16]),
                code: EventCode::Placed,
                category: EventCategory::Grocery,
                sequence: 7,
                created_at: Timestamp::from_unix_ms(1_000),
                expires_at: Timestamp::from_unix_ms(2_000),
                trace: TraceId([4; 16]),
                body: Bytes::from_static(b"{}"),
            },
            occurred_at: Some(Timestamp::from_unix_ms(900)),
            published_at: None,
        };
        let mut item = encode(&stored, Timestamp::from_unix_ms(9_000));
        assert_eq!(decode(&item).unwrap(), stored);
        item.remove(BODY);
        assert!(matches!(decode(&item), Err(StoreError::Malformed { kind: "event", attribute: "body" })));
    }
}
