//! How a segment begins: the reserve is taken, gets its header and its name, and a new reserve is made.
//!
//! The reserve is what a full disk has left: once there is no space for another one, only votes, truncations and purges go
//! into the segment that was the last reserve, and purges are what makes space again.

use std::io;
use std::sync::Arc;

use super::super::disk::DiskFile;
use super::identity;
use super::segment::{self, RESERVE_NAME, SegmentHeader};
use super::writer::{Failure, Writer};

/// A reserve that is being made; removed at the next start if it stays one.
const UNFINISHED_NAME: &str = "reserve.new";

impl Writer {
    /// Goes on in a new segment, which begins with the votes and purges of all groups.
    ///
    /// # Errors
    /// `Full` also if the new segment could be begun but there is no space for a reserve behind it.
    pub(super) fn roll(&mut self) -> Result<(), Failure> {
        let file = match self.reserve.take() {
            Some(file) => file,
            None => self.make_reserve()?,
        };
        let (before, previous_end) = self.ends.last_key_value().map_or((0, 0), |(number, end)| (*number, *end));
        let number = before + 1;
        let header = SegmentHeader {
            number,
            capacity_bytes: self.config.segment_bytes,
            previous_end,
            first_batch: self.next_batch,
            node: self.config.node,
            cluster_checksum: identity::cluster_checksum(&self.config.cluster),
        };
        if let Err(error) = file.write_at(&header.encode(), 0) {
            self.reserve = Some(file);
            return Err(Failure::of("writing a segment's header")(error));
        }
        file.sync_data().map_err(Failure::of_sync("syncing a segment's header"))?;
        let name = segment::name(number);
        self.disk.rename(RESERVE_NAME, &name).map_err(Failure::of_sync("naming a segment"))?;
        self.disk.sync_directory().map_err(Failure::of_sync("syncing the directory"))?;
        self.ends.insert(number, segment::HEADER_BYTES as u64);
        self.shared.durable.write().files.insert(number, Arc::clone(&file));
        self.active = Some(file);
        self.is_checkpointed = false;
        let checkpoint = self.shared.durable.read().index.checkpoint();
        if !checkpoint.is_empty() {
            self.write_here(&checkpoint)?;
        }
        self.is_checkpointed = true;
        self.seal(before, previous_end);
        self.reserve = Some(self.make_reserve()?);
        Ok(())
    }

    /// Gives back what a segment was made too long. Its end is known without that, so a failure does no harm.
    fn seal(&self, number: u32, end: u64) {
        let file = self.shared.durable.read().files.get(&number).cloned();
        if let Some(Err(error)) = file.map(|file| file.truncate(end)) {
            tracing::warn!(%error, segment = number, "a finished segment could not be cut to its length");
        }
    }

    fn make_reserve(&self) -> Result<Arc<dyn DiskFile>, Failure> {
        let file = match self.disk.create(UNFINISHED_NAME) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.disk.remove(UNFINISHED_NAME).map_err(Failure::of("removing an unfinished segment"))?;
                self.disk.create(UNFINISHED_NAME)
            }
            outcome => outcome,
        };
        let file = file.map_err(Failure::of("creating a segment"))?;
        if let Err(error) = file.preallocate(self.config.segment_bytes) {
            // What it took so far must not be what others lack.
            self.disk.remove(UNFINISHED_NAME).map_err(Failure::of("removing an unfinished segment"))?;
            return Err(Failure::of("preallocating a segment")(error));
        }
        file.sync_data().map_err(Failure::of_sync("syncing a new segment"))?;
        self.disk.rename(UNFINISHED_NAME, RESERVE_NAME).map_err(Failure::of_sync("naming the reserve"))?;
        Ok(file)
    }

    /// On a full disk: asks for space for a reserve, and takes entries again if there is.
    pub(super) fn probe(&mut self) -> Result<(), Failure> {
        if !self.is_full {
            return Ok(());
        }
        if self.reserve.is_none() {
            match self.make_reserve() {
                Ok(file) => self.reserve = Some(file),
                Err(Failure::Full) => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
        self.is_full = false;
        self.measures.full.set(0.0);
        tracing::info!(place = self.disk.place(), "there is space again: the log is writable");
        self.shared.reopen();
        Ok(())
    }
}
