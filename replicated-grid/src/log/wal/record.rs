//! One record of the log as bytes: a header, a payload and an end mark. Used by the writer, by recovery and by reads.
//!
//! ```text
//! 0xC3 | kind u8 | group u16 | payload length u32 | batch u64 | index u64 | payload CRC u32 | header CRC u32 | 0x5A | payload | 0xA5
//! ```
//!
//! Little-endian. The header's checksum also covers the segment's number and the offset in it, so that bytes that landed
//! in the wrong place are no record there. Each mark has several bits set: no single flipped bit makes a zero of it,
//! which is what lets recovery tell a write that was cut off from bytes that rotted (see `torn`).
//! All records of one write share its batch number; the last one of them says so.

use bytes::Bytes;

use super::super::GroupId;

/// Bytes before the payload.
pub(super) const HEADER_BYTES: usize = 33;
/// What a record takes beside its payload.
pub(super) const OVERHEAD_BYTES: usize = HEADER_BYTES + 1;
/// The first byte of a record.
pub(super) const START_MARK: u8 = 0xC3;
const HEADER_MARK: u8 = 0x5A;
const END_MARK: u8 = 0xA5;
const LAST_OF_BATCH: u8 = 0x80;

/// The last number of a batch that is taken for one, so that there are numbers for those that follow: at a write a microsecond
/// it is reached after 292,000 years.
pub(super) const BATCH_MAX: u64 = u64::MAX / 2;

/// What a record does to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The entry `index`.
    Append,
    /// The entry `index` once more, so that the segment in which it was can go.
    Relocated,
    /// Drops every entry from `index` on.
    Truncate,
    /// Forgets every entry through `index`; the payload is the marker.
    Purge,
    /// The payload is the vote.
    Vote,
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Append => 1,
            Self::Relocated => 2,
            Self::Truncate => 3,
            Self::Purge => 4,
            Self::Vote => 5,
        }
    }

    fn of(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Append,
            2 => Self::Relocated,
            3 => Self::Truncate,
            4 => Self::Purge,
            5 => Self::Vote,
            _ => return None,
        })
    }

    /// Whether the record holds an entry.
    pub(super) fn is_entry(self) -> bool {
        matches!(self, Self::Append | Self::Relocated)
    }
}

/// What is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) group: GroupId,
    pub(super) kind: Kind,
    pub(super) index: u64,
    pub(super) payload: Bytes,
}

impl Record {
    /// How many bytes it takes.
    pub(super) fn length(&self) -> usize {
        OVERHEAD_BYTES + self.payload.len()
    }
}

/// Where a record starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) segment: u32,
    pub(super) offset: u64,
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) group: GroupId,
    pub(super) kind: Kind,
    pub(super) index: u64,
    pub(super) batch: u64,
    pub(super) is_last_of_batch: bool,
    payload_bytes: u32,
    payload_checksum: u32,
}

impl Header {
    /// The header at the start of `bytes`, if it is one and was written to `place`.
    pub(super) fn decode(bytes: &[u8], place: Place) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
        let is_marked = bytes[0] == START_MARK && bytes[32] == HEADER_MARK;
        if !is_marked || u32_at(bytes, 28) != header_checksum(&bytes[..28], place) {
            return None;
        }
        // Nothing could follow: such a record was never written.
        let (index, batch) = (u64_at(bytes, 16), u64_at(bytes, 8));
        if index == u64::MAX || batch > BATCH_MAX {
            return None;
        }
        Some(Self {
            group: u16::from_le_bytes([bytes[2], bytes[3]]),
            kind: Kind::of(bytes[1] & !LAST_OF_BATCH)?,
            index,
            batch,
            is_last_of_batch: bytes[1] & LAST_OF_BATCH != 0,
            payload_bytes: u32_at(bytes, 4),
            payload_checksum: u32_at(bytes, 24),
        })
    }

    /// Bytes of the whole record.
    pub(super) fn record_bytes(&self) -> usize {
        OVERHEAD_BYTES + self.payload_bytes as usize
    }

    /// The payload in `record`, the bytes from the record's start on, if it is what was written.
    pub(super) fn payload<'a>(&self, record: &'a [u8]) -> Option<&'a [u8]> {
        let rest = record.get(HEADER_BYTES..self.record_bytes())?;
        let (end, payload) = rest.split_last()?;
        (*end == END_MARK && crc32fast::hash(payload) == self.payload_checksum).then_some(payload)
    }
}

/// Adds `record` to `out` as it is to be written to `place`.
pub(super) fn encode(record: &Record, place: Place, batch: u64, is_last_of_batch: bool, out: &mut Vec<u8>) {
    let start = out.len();
    let last = if is_last_of_batch { LAST_OF_BATCH } else { 0 };
    out.extend_from_slice(&[START_MARK, record.kind.number() | last]);
    out.extend_from_slice(&record.group.to_le_bytes());
    let payload_bytes = u32::try_from(record.payload.len()).expect("longer payloads are refused when they are given");
    out.extend_from_slice(&payload_bytes.to_le_bytes());
    out.extend_from_slice(&batch.to_le_bytes());
    out.extend_from_slice(&record.index.to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(&record.payload).to_le_bytes());
    let checksum = header_checksum(&out[start..], place);
    out.extend_from_slice(&checksum.to_le_bytes());
    out.push(HEADER_MARK);
    out.extend_from_slice(&record.payload);
    out.push(END_MARK);
}

fn header_checksum(fields: &[u8], place: Place) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(fields);
    hasher.update(&place.segment.to_le_bytes());
    hasher.update(&place.offset.to_le_bytes());
    hasher.finalize()
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_and_every_other_place_is_noticed() {
        let record =
            Record { group: 7, kind: Kind::Append, index: 300, payload: Bytes::from_static(b"an order was placed") };
        let place = Place { segment: 2, offset: 4_096 };
        let mut bytes = Vec::new();
        encode(&record, place, 9, true, &mut bytes);
        assert_eq!(bytes.len(), record.length());
        let read = |bytes: &[u8], place| {
            let header = Header::decode(bytes, place)?;
            Some((header, header.payload(bytes)?.to_vec()))
        };
        let (header, payload) = read(&bytes, place).unwrap();
        assert_eq!((header.group, header.kind, header.index, header.batch), (7, Kind::Append, 300, 9));
        assert!(header.is_last_of_batch && payload == record.payload);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped, place), None, "bit {bit}");
        }
        for end in 0..bytes.len() {
            assert_eq!(read(&bytes[..end], place), None, "cut at {end}");
        }
        assert_eq!(read(&bytes, Place { segment: 3, offset: 4_096 }), None);
        assert_eq!(read(&bytes, Place { segment: 2, offset: 4_097 }), None);
    }

    #[test]
    fn what_nothing_could_follow_was_never_written() {
        let place = Place { segment: 2, offset: 512 };
        let is_read = |index, batch| {
            let mut bytes = Vec::new();
            encode(
                &Record { group: 7, kind: Kind::Purge, index, payload: Bytes::new() },
                place,
                batch,
                true,
                &mut bytes,
            );
            Header::decode(&bytes, place).is_some()
        };
        assert!(is_read(u64::MAX - 1, BATCH_MAX));
        assert!(!is_read(u64::MAX, 1) && !is_read(1, BATCH_MAX + 1));
    }
}
