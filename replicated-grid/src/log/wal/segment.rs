//! Segment files: their names and their first sector. Used by the writer and by recovery.
//!
//! A segment is made under another name, filled with zeros to its full size, given its header, synced and renamed. The
//! header says where the segment before it ended: whatever is behind that place there is not part of the log. So only
//! the last segment's end has to be found out.

use super::super::super::node::NodeId;
use super::record::BATCH_MAX;

/// Bytes before the first record: a sector of its own, so that no record's write can tear it.
pub(super) const HEADER_BYTES: usize = 512;
/// The name of the segment that is ready to be used next. It is also the space that a full disk has left for small steps.
pub(super) const RESERVE_NAME: &str = "reserve";
const MAGIC: &[u8; 8] = b"grid-wal";
const FORMAT_VERSION: u32 = 1;
const FIELDS_BYTES: usize = 60;

/// What the first sector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHeader {
    /// Counts from 1, without gaps.
    pub(super) number: u32,
    /// How long the file was made.
    pub(super) capacity_bytes: u64,
    /// Where the log ends in the segment before this one; 0 if there was none.
    pub(super) previous_end: u64,
    /// The batch number of the first write in this segment.
    pub(super) first_batch: u64,
    /// Whose log it is.
    pub(super) node: NodeId,
    /// Stands for the name of the cluster.
    pub(super) cluster_checksum: u32,
}

impl SegmentHeader {
    /// The first sector of the file.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes.extend_from_slice(&self.number.to_le_bytes());
        bytes.extend_from_slice(&self.cluster_checksum.to_le_bytes());
        for field in [self.capacity_bytes, self.previous_end, self.first_batch, self.node.0, 0] {
            bytes.extend_from_slice(&field.to_le_bytes());
        }
        let checksum = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }

    /// Reads the first sector of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        let sector = bytes.get(..HEADER_BYTES).ok_or("the file is shorter than its header")?;
        let (fields, rest) = sector.split_at(FIELDS_BYTES);
        let u32_at = |at: usize| u32::from_le_bytes([sector[at], sector[at + 1], sector[at + 2], sector[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        let is_padded = rest[4..].iter().all(|byte| *byte == 0);
        if !fields.starts_with(MAGIC) || crc32fast::hash(fields) != u32_at(FIELDS_BYTES) || !is_padded {
            return Err("the header's checksum is wrong");
        }
        if u32_at(8) != FORMAT_VERSION {
            return Err("the format is of another version");
        }
        if u64_at(36) > BATCH_MAX {
            return Err("no batch can follow its first");
        }
        Ok(Self {
            number: u32_at(12),
            cluster_checksum: u32_at(16),
            capacity_bytes: u64_at(20),
            previous_end: u64_at(28),
            first_batch: u64_at(36),
            node: NodeId(u64_at(44)),
        })
    }
}

/// The file name of segment `number`.
pub(super) fn name(number: u32) -> String {
    format!("{number:010}.wal")
}

/// The number of the segment that is called `name`, if it is one.
pub(super) fn number_of(name: &str) -> Option<u32> {
    let digits = name.strip_suffix(".wal")?;
    (digits.len() == 10 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_and_no_flipped_bit_passes() {
        let header = SegmentHeader {
            number: 3,
            capacity_bytes: 4_096,
            previous_end: 700,
            first_batch: 9,
            node: NodeId(2),
            cluster_checksum: 5,
        };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
        }
        for (first_batch, is_read) in [(BATCH_MAX, true), (BATCH_MAX + 1, false), (u64::MAX, false)] {
            assert_eq!(SegmentHeader::decode(&SegmentHeader { first_batch, ..header }.encode()).is_ok(), is_read);
        }
        assert_eq!((number_of(&name(7)), number_of("7.wal"), number_of(RESERVE_NAME)), (Some(7), None, None));
    }
}
