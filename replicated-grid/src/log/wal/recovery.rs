//! Reads everything there is when a log is opened, or says why it must not be used. Changes nothing but the names that an
//! interrupted start had left over.
//!
//! Every segment but the last one is known to its last byte (the next one's header says where it ended), so anything odd
//! in it is damage. The last one may end in an incomplete write, which was never reported durable and is left behind:
//! the log goes on in a new segment. `torn` decides which of the two it is.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use bytes::Bytes;

use super::super::disk::{Disk, DiskFile};
use super::Config;
use super::error::OpenError;
use super::identity;
use super::index::{Index, Location};
use super::record::{Header, Place, Record};
use super::segment::{self, RESERVE_NAME, SegmentHeader};
use super::torn::{self, Position, Verdict};

/// What was found.
#[derive(Default)]
pub(super) struct Recovered {
    pub(super) index: Index,
    pub(super) files: BTreeMap<u32, Arc<dyn DiskFile>>,
    /// Where the log ends in each segment.
    pub(super) ends: BTreeMap<u32, u64>,
    pub(super) next_batch: u64,
    /// A segment that is ready for use, if there is one of the right size.
    pub(super) reserve: Option<Arc<dyn DiskFile>>,
    /// Whether an incomplete write was left behind.
    pub(super) was_torn: bool,
}

/// Reads the log of `config.node` in `disk`.
///
/// # Errors
/// If anything but the last write is not what was written, or the disk refuses.
pub(super) fn recover(disk: &dyn Disk, config: &Config) -> Result<Recovered, OpenError> {
    let recovery = Recovery { disk, config };
    let names = disk.list().map_err(recovery.failed("listing the directory"))?;
    let mut found = Recovered { next_batch: 1, ..Recovered::default() };
    let mut headers = Vec::new();
    for number in recovery.numbers(&names)? {
        let file = disk.open(&segment::name(number)).map_err(recovery.failed("opening a segment"))?;
        headers.push(recovery.header(number, &*file)?);
        found.files.insert(number, file);
    }
    for (position, header) in headers.iter().enumerate() {
        let sealed_at = headers.get(position + 1).map(|next| next.previous_end);
        recovery.segment(header, sealed_at, &mut found)?;
    }
    found.index.check_complete().map_err(|error| recovery.damaged(headers.last(), 0, error.to_string()))?;
    found.reserve = recovery.reserve(&names)?;
    Ok(found)
}

struct Recovery<'a> {
    disk: &'a dyn Disk,
    config: &'a Config,
}

impl Recovery<'_> {
    fn failed(&self, step: &'static str) -> impl FnOnce(std::io::Error) -> OpenError + use<> {
        let place = self.disk.place();
        move |source| OpenError::Io { place, step, source }
    }

    fn damaged(&self, header: Option<&SegmentHeader>, offset: u64, reason: String) -> OpenError {
        let file = header.map_or_else(String::new, |header| segment::name(header.number));
        OpenError::Damaged { place: self.disk.place(), file, offset, reason }
    }

    fn numbers(&self, names: &[String]) -> Result<Vec<u32>, OpenError> {
        let numbers: Vec<u32> = names.iter().filter_map(|name| segment::number_of(name)).collect();
        let gap = numbers.windows(2).find(|pair| pair[0] + 1 != pair[1]);
        let missing = match gap {
            Some(pair) => pair[0] + 1,
            None if numbers.is_empty() && names.iter().any(|name| name == identity::NODE_NAME) => 1,
            None => return Ok(numbers),
        };
        Err(OpenError::Damaged {
            place: self.disk.place(),
            file: segment::name(missing),
            offset: 0,
            reason: "the segment is missing".to_owned(),
        })
    }

    fn header(&self, number: u32, file: &dyn DiskFile) -> Result<SegmentHeader, OpenError> {
        let damaged = |reason: &str| OpenError::Damaged {
            place: self.disk.place(),
            file: segment::name(number),
            offset: 0,
            reason: reason.to_owned(),
        };
        let length = file.length().map_err(self.failed("reading a segment's length"))?;
        let mut sector = vec![0; segment::HEADER_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX))];
        file.read_at(&mut sector, 0).map_err(self.failed("reading a segment's header"))?;
        let header = SegmentHeader::decode(&sector).map_err(damaged)?;
        if header.number != number {
            return Err(damaged("it is another segment"));
        }
        if header.node != self.config.node
            || header.cluster_checksum != identity::cluster_checksum(&self.config.cluster)
        {
            return Err(OpenError::ForeignDirectory {
                place: self.disk.place(),
                found: format!("node {} of some cluster", header.node),
                expected: identity::description(&self.config.cluster, self.config.node),
            });
        }
        Ok(header)
    }

    /// Reads one segment into `found`. `sealed_at` is where it ends, unless it is the last one.
    fn segment(&self, header: &SegmentHeader, sealed_at: Option<u64>, found: &mut Recovered) -> Result<(), OpenError> {
        let file = Arc::clone(&found.files[&header.number]);
        let length = file.length().map_err(self.failed("reading a segment's length"))?;
        let wanted = sealed_at.unwrap_or(length);
        if header.first_batch < found.next_batch {
            return Err(self.damaged(Some(header), 0, "it is older than the segment before it".to_owned()));
        }
        if length < wanted {
            return Err(self.damaged(Some(header), length, format!("it was cut, it had {wanted} bytes")));
        }
        let mut bytes = vec![0; usize::try_from(wanted).unwrap_or_default()];
        file.read_at(&mut bytes, 0).map_err(self.failed("reading a segment"))?;
        let end = self.replay(header, &bytes, &mut found.index)?;
        let incomplete = || self.damaged(Some(header), end.offset as u64, "this is not what was written".to_owned());
        match sealed_at {
            Some(sealed_at) if end.offset as u64 != sealed_at => return Err(incomplete()),
            Some(_) => {}
            None => match torn::judge(&bytes, header.number, end) {
                // The file was made and synced at its full length before its first record: no crash shortens it. It may
                // be shorter only if what was cut off can have held nothing.
                _ if length < header.capacity_bytes && end.offset as u64 == length => return Err(incomplete()),
                Verdict::Clean => {}
                Verdict::Torn if length < header.capacity_bytes => return Err(incomplete()),
                Verdict::Torn => found.was_torn = true,
                Verdict::Damaged => return Err(incomplete()),
            },
        }
        found.ends.insert(header.number, end.offset as u64);
        // An incomplete write may have left records of its own behind: its number is not used again.
        found.next_batch = if sealed_at.is_some() { end.batch + 1 } else { end.next_batch() + 1 };
        Ok(())
    }

    /// Applies the records of a segment as far as they can be read.
    fn replay(&self, header: &SegmentHeader, bytes: &[u8], index: &mut Index) -> Result<Position, OpenError> {
        let mut end = Position {
            offset: segment::HEADER_BYTES,
            batch: header.first_batch.saturating_sub(1),
            is_batch_complete: true,
        };
        while let Some(rest) = bytes.get(end.offset..) {
            let Some(read) = Header::decode(rest, Place { segment: header.number, offset: end.offset as u64 }) else {
                break;
            };
            let Some(payload) = read.payload(rest).filter(|_| read.batch == end.next_batch()) else { break };
            // Votes and markers are kept, entries are read again when they are wanted.
            let payload = if read.kind.is_entry() { Bytes::new() } else { Bytes::copy_from_slice(payload) };
            let record = Record { group: read.group, kind: read.kind, index: read.index, payload };
            let location = location(header.number, end.offset, read.record_bytes());
            index
                .apply(&record, location)
                .map_err(|error| self.damaged(Some(header), end.offset as u64, error.to_string()))?;
            end = Position {
                offset: end.offset + read.record_bytes(),
                batch: read.batch,
                is_batch_complete: read.is_last_of_batch,
            };
        }
        Ok(end)
    }

    /// The reserve, if it is as it must be; else it and what is unfinished is removed.
    fn reserve(&self, names: &[String]) -> Result<Option<Arc<dyn DiskFile>>, OpenError> {
        let mut kept = None;
        for name in names.iter().filter(|name| name.starts_with(RESERVE_NAME)) {
            if name == RESERVE_NAME {
                kept = self.usable_reserve().map_err(self.failed("reading the reserve"))?;
            }
            if kept.is_none() {
                self.disk.remove(name).map_err(self.failed("removing an unfinished segment"))?;
            }
        }
        Ok(kept)
    }

    /// Everything after the header must be zero: recovery takes zeros for "never written".
    fn usable_reserve(&self) -> std::io::Result<Option<Arc<dyn DiskFile>>> {
        let file = self.disk.open(RESERVE_NAME)?;
        if file.length()? != self.config.segment_bytes {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(self.config.segment_bytes).unwrap_or_default()];
        file.read_at(&mut bytes, 0)?;
        let is_blank = bytes.iter().skip(segment::HEADER_BYTES).all(|byte| *byte == 0);
        Ok(is_blank.then_some(file))
    }
}

/// Where a record is.
pub(super) fn location(segment: u32, offset: usize, record_bytes: usize) -> Location {
    let offset = u32::try_from(offset).expect("a segment is shorter than 4 GiB");
    let length = u32::try_from(record_bytes).ok().and_then(NonZeroU32::new).expect("a record has a header");
    Location { segment, offset, length }
}
