//! The idempotency record of `orders`: what one message of one producer committed.

use order_model::{EventId, OrderId, Timestamp};

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::MessageKey;
use super::tables::PK;

const FORMAT: i64 = 1;
const KIND: &str = "message";
const DIGEST: &str = "digest";
const ORDER: &str = "orderId";
/// 16 bytes per id, in sequence order.
const EVENT_IDS: &str = "eventIds";
pub(super) const EXPIRES_AT: &str = "expiresAt";

/// What is remembered of a message that was committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MessageRecord {
    /// The key.
    pub(crate) key: MessageKey,
    /// The digest of its content: another one under the same key is another message.
    pub(crate) digest: [u8; 32],
    /// The order it was about.
    pub(crate) order: OrderId,
    /// The events it committed; none when it changed nothing.
    pub(crate) event_ids: Vec<EventId>,
    /// Past this instant it counts as never seen.
    pub(crate) expires_at: Timestamp,
}

pub(super) fn encode(record: &MessageRecord) -> Item {
    let ids: Vec<u8> = record.event_ids.iter().flat_map(|id| *id.as_bytes()).collect();
    ItemBuilder::new(FORMAT)
        .text(PK, record.key.partition_key())
        .bytes(DIGEST, record.digest)
        .bytes(ORDER, record.order.as_bytes())
        .bytes(EVENT_IDS, ids)
        .instant(EXPIRES_AT, record.expires_at)
        .expires_at(record.expires_at)
        .build()
}

pub(super) fn decode(key: MessageKey, item: &Item) -> Result<MessageRecord, StoreError> {
    let read = ItemReader::open(item, KIND, FORMAT)?;
    let (ids, rest) = read.bytes(EVENT_IDS)?.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(read.malformed(EVENT_IDS));
    }
    Ok(MessageRecord {
        key,
        digest: read.array(DIGEST)?,
        order: OrderId::from_bytes(read.array(ORDER)?),
        event_ids: ids.iter().map(|id| EventId::from_bytes(*id)).collect(),
        expires_at: read.instant(EXPIRES_AT)?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::keys::KeySpace;
    use super::*;

    #[test]
    fn the_record_reads_back() {
        let record = MessageRecord {
            key: MessageKey::new(KeySpace::Message, "app", "1"),
            digest: [5; 32],
            order: OrderId::from_bytes([6; 16]),
            event_ids: vec![EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16])],
            expires_at: Timestamp::from_unix_ms(7_000),
        };
        assert_eq!(decode(record.key, &encode(&record)).unwrap(), record);
    }
}
