//! Reads entries back from segments. Nothing is handed out whose checksum, group and index are not right.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use super::super::disk::DiskFile;
use super::super::{GroupId, LogError};
use super::index::Location;
use super::record::{HEADER_BYTES, Header, Place};
use super::shared::Stored;

/// An entry that is to be read; holds its file open, so that the segment may be removed meanwhile.
pub(super) struct Wanted {
    pub(super) group: GroupId,
    pub(super) index: u64,
    pub(super) location: Location,
    pub(super) file: Arc<dyn DiskFile>,
}

impl Stored {
    /// What has to be read for a run from the start of `range`, at most `bytes_max` bytes but at least one entry.
    pub(super) fn wanted(&self, group: GroupId, range: Range<u64>, bytes_max: usize) -> Vec<Wanted> {
        let mut bytes = 0;
        let mut wanted = Vec::new();
        for index in range {
            let Some(location) = self.index.place(group, index) else { break };
            let Some(file) = self.files.get(&location.segment) else { break };
            bytes += location.length.get() as usize;
            if bytes > bytes_max && !wanted.is_empty() {
                break;
            }
            wanted.push(Wanted { group, index, location, file: Arc::clone(file) });
        }
        wanted
    }
}

/// Reads one entry.
///
/// # Errors
/// If the disk refuses, or the bytes are not what was written.
pub(super) fn read(wanted: &Wanted) -> Result<Bytes, LogError> {
    let Wanted { group, index, location, file } = wanted;
    let mut record = vec![0; location.length.get() as usize];
    file.read_at(&mut record, u64::from(location.offset))
        .map_err(|source| LogError::Io { step: "reading an entry", source: Arc::new(source) })?;
    let place = Place { segment: location.segment, offset: u64::from(location.offset) };
    let payload_bytes = Header::decode(&record, place)
        .filter(|header| header.group == *group && header.index == *index && header.kind.is_entry())
        .and_then(|header| header.payload(&record).map(<[u8]>::len))
        .ok_or(LogError::Damaged { group: *group, index: *index })?;
    Ok(Bytes::from(record).slice(HEADER_BYTES..HEADER_BYTES + payload_bytes))
}
