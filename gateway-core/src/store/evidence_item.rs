//! The item of one file that came with a dispute: written in the transaction of its `HSD`, gone with its order or erased
//! with it.

use aws_sdk_dynamodb::types::AttributeValue;
use bytes::Bytes;
use order_model::EvidenceId;

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::evidence_key;
use super::tables::PK;
use crate::evidence::{ContentType, Evidence};
use crate::order::Order;

const FORMAT: i64 = 1;
const KIND: &str = "evidence";
const CONTENT_TYPE: &str = "contentType";
const CONTENT: &str = "content";

/// The item, kept as long as `order`.
pub(super) fn encode(order: &Order, evidence: &Evidence) -> Item {
    ItemBuilder::new(FORMAT)
        .text(PK, evidence_key(order.id, evidence.id))
        .text(CONTENT_TYPE, evidence.content_type.name())
        .bytes(CONTENT, evidence.content.to_vec())
        .expires_at(order.kept_until)
        .build()
}

pub(super) fn decode(id: EvidenceId, mut item: Item) -> Result<Evidence, StoreError> {
    let read = ItemReader::open(&item, KIND, FORMAT)?;
    let content_type = ContentType::from_name(read.text(CONTENT_TYPE)?).ok_or_else(|| read.malformed(CONTENT_TYPE))?;
    match item.remove(CONTENT) {
        Some(AttributeValue::B(content)) => {
            Ok(Evidence { id, content_type, content: Bytes::from(content.into_inner()) })
        }
        _ => Err(StoreError::Malformed { kind: KIND, attribute: CONTENT }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::planning::sample_order;

    #[test]
    fn evidence_reads_back_and_goes_when_its_order_does() {
        let order = sample_order();
        let evidence = Evidence {
            id: EvidenceId::from_bytes([5; 16]),
            content_type: ContentType::Webp,
            content: Bytes::from_static(b"RIFF"),
        };
        let item = encode(&order, &evidence);
        let ttl = AttributeValue::N(order.kept_until.unix_s_ceil().to_string());
        assert_eq!(item[super::super::attributes::TTL], ttl);
        assert_eq!(decode(evidence.id, item).unwrap(), evidence);
    }
}
