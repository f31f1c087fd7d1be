//! How segments go: the oldest ones as soon as nothing in them counts, and what still counts is copied forward where one
//! group that lags would otherwise keep everything.

use super::super::LogError;
use super::reading::{self, Wanted};
use super::record::{Kind, Record};
use super::segment;
use super::writer::{Failure, Writer};

/// How many segments there may be beyond twice what counts before anything is copied: below that, copying costs more
/// than it frees.
const SLACK_SEGMENTS: u64 = 4;

/// How much is copied between two batches: a few milliseconds that a caller may have to wait.
const STEP_BYTES: u64 = 1 << 20;

impl Writer {
    /// Removes the oldest segments in which nothing counts. Answers whether there was one.
    ///
    /// One by one and each durably: a gap in the numbers would read as a lost segment.
    pub(super) fn drop_dead_segments(&mut self) -> Result<bool, Failure> {
        let mut has_dropped = false;
        while let Some(oldest) = self.oldest_but_last() {
            if !self.is_checkpointed || self.shared.durable.read().index.live(oldest).entries > 0 {
                break;
            }
            if let Err(error) = self.disk.remove(&segment::name(oldest)) {
                tracing::warn!(%error, segment = oldest, "a segment that is no longer needed could not be removed");
                break;
            }
            self.disk.sync_directory().map_err(Failure::of_sync("syncing the directory"))?;
            self.shared.durable.write().files.remove(&oldest);
            self.ends.remove(&oldest);
            has_dropped = true;
        }
        self.measure();
        Ok(has_dropped)
    }

    fn oldest_but_last(&self) -> Option<u32> {
        let mut numbers = self.ends.keys();
        let oldest = numbers.next()?;
        numbers.next().map(|_| *oldest)
    }

    fn measure(&self) {
        self.measures.segments.set(self.ends.len() as f64);
        self.measures.segment_bytes.set(self.ends.values().sum::<u64>() as f64);
        self.measures.live_bytes.set(self.shared.durable.read().index.live_bytes() as f64);
    }

    /// Copies some of what counts in the oldest segment if the log takes too much space. Answers whether it did.
    pub(super) fn relocate(&mut self) -> Result<bool, Failure> {
        let Some(oldest) = self.oldest_but_last().filter(|_| self.can_relocate && !self.is_full) else {
            return Ok(false);
        };
        let allowed = 2 * self.shared.durable.read().index.live_bytes() + SLACK_SEGMENTS * self.config.segment_bytes;
        if self.ends.values().sum::<u64>() <= allowed {
            return Ok(false);
        }
        if self.relocating.0 != oldest || self.relocating.1.is_empty() {
            self.relocating = (oldest, self.shared.durable.read().index.entries_of(oldest));
        }
        let records = match self.read_forward(oldest) {
            Ok(records) => records,
            Err(error) => {
                tracing::error!(%error, segment = oldest, "an old entry cannot be read: its segment stays until a restart");
                self.can_relocate = false;
                return Ok(false);
            }
        };
        self.measures.relocated.increment(records.len() as u64);
        self.write(&records)?;
        Ok(!records.is_empty())
    }

    fn read_forward(&mut self, oldest: u32) -> Result<Vec<Record>, LogError> {
        let bytes_max = STEP_BYTES.min(self.config.segment_bytes / 4);
        let durable = self.shared.durable.read();
        let (mut records, mut bytes) = (Vec::new(), 0);
        while let Some((group, index)) = self.relocating.1.front().copied() {
            let location = durable.index.place(group, index).filter(|location| location.segment == oldest);
            if let (Some(location), Some(file)) = (location, durable.files.get(&oldest)) {
                bytes += u64::from(location.length.get());
                if bytes > bytes_max && !records.is_empty() {
                    break;
                }
                let payload = reading::read(&Wanted { group, index, location, file: file.clone() })?;
                records.push(Record { group, kind: Kind::Relocated, index, payload });
            }
            self.relocating.1.pop_front();
        }
        Ok(records)
    }
}
