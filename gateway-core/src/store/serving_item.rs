//! The one system item of `orders`: when polls were served.

use order_model::Timestamp;
use order_model::lifecycle::timing::Gap;

use super::attributes::{Item, ItemBuilder, ItemReader};
use super::error::StoreError;
use super::keys::SERVING_KEY;
use super::tables::PK;
use crate::serving::ServingRecord;

const FORMAT: i64 = 1;
const KIND: &str = "serving";
/// Increases with every write.
pub(super) const VERSION: &str = "version";
const LAST_SERVED_AT: &str = "lastServedAt";
/// Pairs of 8-byte big-endian ms, oldest first.
const GAPS: &str = "gaps";

pub(super) fn encode(record: &ServingRecord) -> Item {
    let mut gaps = Vec::with_capacity(record.gaps.len() * 16);
    for gap in &record.gaps {
        gaps.extend_from_slice(&gap.from.unix_ms().to_be_bytes());
        gaps.extend_from_slice(&gap.until.unix_ms().to_be_bytes());
    }
    ItemBuilder::new(FORMAT)
        .text(PK, SERVING_KEY)
        .number(VERSION, i64::try_from(record.version).unwrap_or(i64::MAX))
        .optional_instant(LAST_SERVED_AT, record.last_served)
        .bytes(GAPS, gaps)
        .build()
}

pub(super) fn decode(item: &Item) -> Result<ServingRecord, StoreError> {
    let read = ItemReader::open(item, KIND, FORMAT)?;
    let (pairs, rest) = read.bytes(GAPS)?.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(read.malformed(GAPS));
    }
    let instant = |bytes: &[u8]| {
        let bytes: [u8; 8] = bytes.try_into().map_err(|_| read.malformed(GAPS))?;
        Ok(Timestamp::from_unix_ms(i64::from_be_bytes(bytes)))
    };
    let gap = |pair: &[u8; 16]| Ok(Gap { from: instant(&pair[..8])?, until: instant(&pair[8..])? });
    Ok(ServingRecord {
        version: read.counter(VERSION)?,
        last_served: read.optional_instant(LAST_SERVED_AT)?,
        gaps: pairs.iter().map(gap).collect::<Result<_, StoreError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_record_reads_back() {
        let at = Timestamp::from_unix_ms;
        let record = ServingRecord {
            version: 9,
            last_served: Some(at(70)),
            gaps: vec![Gap { from: at(1), until: at(20) }, Gap { from: at(30), until: at(40) }],
        };
        assert_eq!(decode(&encode(&record)).unwrap(), record);
        assert_eq!(decode(&encode(&ServingRecord::default())).unwrap(), ServingRecord::default());
    }
}
