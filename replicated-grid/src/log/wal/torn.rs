//! Was the end of the last segment cut off by a crash, or did bytes rot? A pure judgement, asked by recovery where the
//! records it can read end.
//!
//! What a crash can do: a segment is all zeros before it is written, never written twice, and the next write begins only
//! after the last one was synced. So only the last write can be incomplete, and where it is, it left zeros: whole sectors
//! of them, or everything from some byte on. Hence damage is told from a torn write by
//! 1. a record of a later write behind it: it was synced before that one began, so it was whole once;
//! 2. bytes that are wrong without the zeros that a write leaves which did not get there. A flipped bit makes no zero of
//!    any mark of a record, nor of a sector.
//!
//! One case is misjudged: a bit rots in a record of the very last write before a crash, and its payload holds a whole
//! sector of zeros of its own. Lost writes (a disk that says "synced" and keeps zeros) at the very end look torn as well.

use super::record::{HEADER_BYTES, Header, Place, START_MARK};

/// The smallest unit that a disk writes whole.
const SECTOR_BYTES: usize = 512;

/// How many writes may lie between the last one read and one found behind the damage; more is no batch number of ours.
const BATCHES_AHEAD_MAX: u64 = 1 << 32;

/// Where reading ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    /// Where the next record would start.
    pub(super) offset: usize,
    /// The write of the last record read.
    pub(super) batch: u64,
    /// Whether that record was the last one of its write.
    pub(super) is_batch_complete: bool,
}

impl Position {
    /// The write that the next record belongs to.
    pub(super) fn next_batch(&self) -> u64 {
        self.batch + u64::from(self.is_batch_complete)
    }
}

/// What the bytes behind the readable ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Never written.
    Clean,
    /// The remains of a write that was never reported durable.
    Torn,
    /// They were written whole, and are not what was written.
    Damaged,
}

/// Judges what is in `bytes`, the whole of segment `segment`, from `end` on, where no record can be read.
pub(super) fn judge(bytes: &[u8], segment: u32, end: Position) -> Verdict {
    let rest = bytes.get(end.offset..).unwrap_or_default();
    if is_zero(rest) {
        return Verdict::Clean;
    }
    if has_later_write(bytes, segment, end) || !is_cut_off(bytes, segment, end.offset) {
        return Verdict::Damaged;
    }
    Verdict::Torn
}

/// Whether a header of a write after the incomplete one is there.
fn has_later_write(bytes: &[u8], segment: u32, end: Position) -> bool {
    let later = end.next_batch() + 1..end.next_batch() + BATCHES_AHEAD_MAX;
    let starts = (end.offset..bytes.len()).filter(|offset| bytes[*offset] == START_MARK);
    starts
        .filter_map(|offset| Header::decode(&bytes[offset..], Place { segment, offset: offset as u64 }))
        .any(|header| later.contains(&header.batch))
}

/// Whether the record that should start at `start` lacks what a write leaves out that does not get to the disk.
fn is_cut_off(bytes: &[u8], segment: u32, start: usize) -> bool {
    let rest = &bytes[start..];
    match rest.first() {
        Some(0) => is_zero(&rest[..rest.len().min(to_next_sector(start))]),
        Some(&START_MARK) => match Header::decode(rest, Place { segment, offset: start as u64 }) {
            Some(header) => match rest.get(..header.record_bytes()) {
                Some(record) => record.last() == Some(&0) || has_zero_sector(record, start),
                None => false,
            },
            None => rest.get(HEADER_BYTES - 1) == Some(&0),
        },
        _ => false,
    }
}

/// Whether `record`, which starts at `start`, holds a whole sector of zeros.
fn has_zero_sector(record: &[u8], start: usize) -> bool {
    let aligned = record.get(to_next_sector(start)..).unwrap_or_default();
    aligned.chunks_exact(SECTOR_BYTES).any(is_zero)
}

fn to_next_sector(offset: usize) -> usize {
    SECTOR_BYTES - offset % SECTOR_BYTES
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::record::{Kind, Record, encode};
    use super::*;

    const SEGMENT: u32 = 4;
    const CAPACITY: usize = 8_192;

    /// Writes of one record each from byte 512 on, and where each ends.
    fn segment(payloads: &[usize]) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut ends) = (vec![0; 512], Vec::new());
        for (batch, length) in payloads.iter().enumerate() {
            let payload = Bytes::from(vec![7; *length]);
            let record = Record { group: 1, kind: Kind::Append, index: batch as u64, payload };
            let place = Place { segment: SEGMENT, offset: bytes.len() as u64 };
            encode(&record, place, batch as u64, true, &mut bytes);
            ends.push(bytes.len());
        }
        bytes.resize(CAPACITY, 0);
        (bytes, ends)
    }

    fn judge_at(bytes: &[u8], offset: usize, batch: u64) -> Verdict {
        judge(bytes, SEGMENT, Position { offset, batch, is_batch_complete: true })
    }

    #[test]
    fn the_last_write_cut_anywhere_is_torn() {
        let (bytes, ends) = segment(&[100, 2_000]);
        for cut in ends[0] + 1..ends[1] {
            let mut torn = bytes.clone();
            torn[cut..].fill(0);
            assert_eq!(judge_at(&torn, ends[0], 0), Verdict::Torn, "cut at {cut}");
        }
        assert_eq!(judge_at(&bytes, ends[1], 1), Verdict::Clean);
    }

    #[test]
    fn any_sector_of_the_last_write_that_is_missing_is_torn() {
        let (bytes, ends) = segment(&[100, 2_000]);
        for sector in ends[0] / 512..=ends[1] / 512 {
            let mut torn = bytes.clone();
            torn[(sector * 512).max(ends[0])..(sector + 1) * 512].fill(0);
            assert_eq!(judge_at(&torn, ends[0], 0), Verdict::Torn, "sector {sector}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_in_the_last_write_and_before_it() {
        let (bytes, ends) = segment(&[100, 900]);
        for (start, end) in [(512, ends[0]), (ends[0], ends[1])] {
            for bit in start * 8..end * 8 {
                let mut flipped = bytes.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let batch = if start == 512 { u64::MAX } else { 0 };
                let position =
                    Position { offset: start, batch: batch.wrapping_add(1), is_batch_complete: start != 512 };
                assert_eq!(judge(&flipped, SEGMENT, position), Verdict::Damaged, "bit {bit}");
            }
        }
    }

    #[test]
    fn a_hole_before_a_later_write_is_damage() {
        let (mut bytes, ends) = segment(&[100, 2_000, 100]);
        bytes[1_024..1_536].fill(0);
        assert_eq!(judge_at(&bytes, ends[0], 0), Verdict::Damaged);
    }
}
