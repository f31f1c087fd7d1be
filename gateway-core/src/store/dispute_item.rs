//! The item that leads from a dispute to its order: written in the transaction of its `HSD`, gone with its order.
//!
//! A merchant's application answers a dispute by the dispute's id alone. What may be answered is kept as JSON of ours, in
//! which fields may be added.

use order_model::OrderId;
use order_model::lifecycle::DisputeId;

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::dispute_key;
use super::tables::PK;
use crate::disputes::DisputeRecord;

const FORMAT: i64 = 1;
const KIND: &str = "dispute";
pub(super) const ORDER: &str = "orderId";
const OFFER: &str = "offer";
pub(super) const KEPT_UNTIL: &str = "keptUntil";

pub(super) fn encode(id: &DisputeId, record: &DisputeRecord) -> Item {
    let offer = serde_json::to_string(&record.offer).expect("texts and numbers always serialise");
    ItemBuilder::new(FORMAT)
        .text(PK, dispute_key(id))
        .bytes(ORDER, record.order.as_bytes())
        .text(OFFER, offer)
        .instant(KEPT_UNTIL, record.kept_until)
        .expires_at(record.kept_until)
        .build()
}

pub(super) fn decode(item: &Item) -> Result<DisputeRecord, StoreError> {
    let read = ItemReader::open(item, KIND, FORMAT)?;
    Ok(DisputeRecord {
        order: OrderId::from_bytes(read.array(ORDER)?),
        offer: serde_json::from_str(read.text(OFFER)?).map_err(|_| read.malformed(OFFER))?,
        kept_until: read.instant(KEPT_UNTIL)?,
    })
}

#[cfg(test)]
mod tests {
    use order_model::Timestamp;

    use super::*;
    use crate::disputes::DisputeOffer;

    #[test]
    fn a_dispute_reads_back() {
        let metadata = br#"{"negotiationReasons":["A"],"alternatives":[{"id":"1","type":"REFUND","metadata":{"maxAmount":{"value":"800","currency":"BRL"}}}]}"#;
        let record = DisputeRecord {
            order: OrderId::from_bytes([4; 16]),
            offer: DisputeOffer::of_metadata(metadata),
            kept_until: Timestamp::from_unix_ms(9_000),
        };
        assert_eq!(decode(&encode(&"d-1".parse().unwrap(), &record)).unwrap(), record);
    }
}
