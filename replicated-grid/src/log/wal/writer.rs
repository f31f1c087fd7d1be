//! The writer: takes what waits, writes it with one call, syncs, and only then lets the index and the callers know.
//!
//! Runs on a thread of its own ([`Writer::run`]), as a task of a simulation ([`Writer::run_as_task`]), or turn by turn in
//! a test. How segments begin is in `rolling`, how they go in `relocation`.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use order_model::SharedClock;

use super::super::disk::{Disk, DiskFile, DiskLock};
use super::super::{GroupId, LogError};
use super::measures::Measures;
use super::record::{Kind, Place, Record, encode};
use super::recovery::{Recovered, location};
use super::shared::{Shared, Waiting};
use super::{Config, Health, OpenError};

/// The most that goes to the disk with one sync: some milliseconds of writing, and far more than one round of all groups.
const BATCH_BYTES_MAX: u64 = 4 << 20;

/// How long a writer with nothing to do sleeps; also how often a full disk is asked for space.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// What one turn of the writer did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// There may be more to do at once.
    Worked,
    /// Nothing waits.
    Idle,
    /// The log is closed for good.
    Closed,
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// There is no space. What was before is untouched.
    Full,
    /// The disk can no longer be trusted.
    Final { step: &'static str, source: io::Error },
}

impl Failure {
    /// Of a step after which nothing is lost if there was no space for it.
    pub(super) fn of(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Final { step, source },
        }
    }

    /// Of a sync: whatever it says, it is unknown what is durable now.
    pub(super) fn of_sync(step: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Final { step, source }
    }
}

/// Owns the files while the log is open.
pub struct Writer {
    pub(super) disk: Arc<dyn Disk>,
    clock: SharedClock,
    pub(super) config: Config,
    pub(super) shared: Arc<Shared>,
    /// Where the log ends in each segment; the last one is the one being written.
    pub(super) ends: BTreeMap<u32, u64>,
    /// The last segment, once this writer has begun it and as long as it can be written to.
    pub(super) active: Option<Arc<dyn DiskFile>>,
    /// Whether the last segment begins with the votes and purges of all groups, so that the ones before it may go.
    pub(super) is_checkpointed: bool,
    pub(super) reserve: Option<Arc<dyn DiskFile>>,
    pub(super) next_batch: u64,
    pub(super) is_full: bool,
    /// The oldest segment and the entries in it that are still to be copied.
    pub(super) relocating: (u32, VecDeque<(GroupId, u64)>),
    pub(super) can_relocate: bool,
    buffer: Vec<u8>,
    pub(super) measures: Measures,
    _lock: Box<dyn DiskLock>,
}

impl Writer {
    pub(super) fn new(
        disk: Arc<dyn Disk>,
        clock: SharedClock,
        config: &Config,
        shared: Arc<Shared>,
        recovered: Recovered,
        lock: Box<dyn DiskLock>,
    ) -> Self {
        Self {
            disk,
            clock,
            config: config.clone(),
            shared,
            ends: recovered.ends,
            active: None,
            is_checkpointed: false,
            reserve: recovered.reserve,
            next_batch: recovered.next_batch,
            is_full: false,
            relocating: (0, VecDeque::new()),
            can_relocate: true,
            buffer: Vec::new(),
            measures: Measures::new(config.name),
            _lock: lock,
        }
    }

    /// Begins a segment of its own: what an earlier process wrote is never written to again. A full disk is no error,
    /// the log is then read-only from the start.
    pub(super) fn begin(&mut self) -> Result<(), OpenError> {
        let place = self.disk.place();
        let failed = |step, source| Err(OpenError::Io { place, step, source });
        match self.roll().and_then(|()| self.drop_dead_segments()) {
            Ok(_) => Ok(()),
            // A directory without any segment could not say whose it is.
            Err(Failure::Full) if self.ends.is_empty() => {
                failed("making the first segment", io::ErrorKind::StorageFull.into())
            }
            Err(Failure::Full) => {
                self.become_full(Vec::new());
                Ok(())
            }
            Err(Failure::Final { step, source }) => failed(step, source),
        }
    }

    /// Works until the log is stopped or has failed for good.
    pub fn run(mut self) {
        loop {
            match self.turn() {
                Turn::Worked => {}
                Turn::Closed => return,
                Turn::Idle => {
                    if !self.shared.wait(PROBE_INTERVAL) {
                        return;
                    }
                }
            }
        }
    }

    /// As [`Writer::run`], within a simulation: no thread, and time is tokio's.
    pub async fn run_as_task(mut self) {
        loop {
            match self.turn() {
                Turn::Worked => tokio::task::yield_now().await,
                Turn::Closed => return,
                Turn::Idle => {
                    let waited = tokio::time::timeout(PROBE_INTERVAL, self.shared.wait_in_task()).await;
                    if waited == Ok(false) {
                        return;
                    }
                }
            }
        }
    }

    /// Makes one batch of what waits durable, or does some upkeep.
    pub fn turn(&mut self) -> Turn {
        let bytes_max = usize::try_from(BATCH_BYTES_MAX.min(self.config.segment_bytes / 4)).unwrap_or(usize::MAX);
        let mut batch = self.shared.take_batch(bytes_max);
        if batch.is_empty() {
            return self.upkeep();
        }
        let records: Vec<Record> = batch.iter_mut().filter_map(|waiting| waiting.record.take()).collect();
        match self.write(&records) {
            Ok(()) => {
                let last = batch.last().map_or(0, |waiting| waiting.step);
                self.shared.settled(last);
                batch.into_iter().filter_map(|waiting| waiting.durable).for_each(|durable| durable(Ok(())));
                self.upkeep_after_write()
            }
            Err(failure) => self.failed(failure, batch),
        }
    }

    fn upkeep_after_write(&mut self) -> Turn {
        match self.upkeep() {
            Turn::Idle => Turn::Worked,
            turn => turn,
        }
    }

    fn upkeep(&mut self) -> Turn {
        let worked = self.drop_dead_segments().and_then(|dropped| {
            self.probe()?;
            Ok(self.relocate()? || dropped)
        });
        match worked {
            Ok(true) => Turn::Worked,
            Ok(false) => Turn::Idle,
            Err(failure) => self.failed(failure, Vec::new()),
        }
    }

    /// Answers whoever waits, and remembers what the log still can do.
    fn failed(&mut self, failure: Failure, batch: Vec<Waiting>) -> Turn {
        self.measures.failures.increment(1);
        match failure {
            Failure::Full => {
                self.become_full(batch);
                Turn::Idle
            }
            Failure::Final { step, source } => {
                let source = Arc::new(source);
                tracing::error!(error = %source, step, place = self.disk.place(), "the log is closed until a restart");
                self.active = None;
                self.shared.fail(batch, Health::Closed, &LogError::Io { step, source });
                Turn::Closed
            }
        }
    }

    fn become_full(&mut self, batch: Vec<Waiting>) {
        if !self.is_full {
            tracing::warn!(place = self.disk.place(), "the disk is full: the log is read-only until there is space");
        }
        self.is_full = true;
        self.measures.full.set(1.0);
        self.shared.fail(batch, Health::Full, &LogError::Full);
    }

    /// Makes `records` durable, in a new segment if need be, and lets the index know.
    pub(super) fn write(&mut self, records: &[Record]) -> Result<(), Failure> {
        if records.is_empty() {
            return Ok(());
        }
        let bytes: u64 = records.iter().map(|record| record.length() as u64).sum();
        if self.active.is_none() || self.end() + bytes > self.config.segment_bytes {
            self.roll()?;
        }
        if self.is_full && records.iter().any(|record| record.kind == Kind::Append) {
            return Err(Failure::Full);
        }
        self.write_here(records)
    }

    /// Where the last segment ends.
    pub(super) fn end(&self) -> u64 {
        self.ends.last_key_value().map_or(0, |(_, end)| *end)
    }

    /// As [`Writer::write`], in the segment that is being written.
    pub(super) fn write_here(&mut self, records: &[Record]) -> Result<(), Failure> {
        let (Some(file), Some((segment, start))) = (self.active.clone(), self.ends.last_key_value()) else {
            return Err(Failure::Full);
        };
        let (segment, start, batch) = (*segment, *start, self.next_batch);
        self.next_batch += 1;
        self.buffer.clear();
        let mut offsets = Vec::with_capacity(records.len());
        for (position, record) in records.iter().enumerate() {
            let offset = start + self.buffer.len() as u64;
            offsets.push(offset);
            encode(record, Place { segment, offset }, batch, position + 1 == records.len(), &mut self.buffer);
        }
        if start + self.buffer.len() as u64 > self.config.segment_bytes {
            let source = io::Error::other("the votes and markers of all groups need a longer segment");
            return Err(Failure::Final { step: "beginning a segment", source });
        }
        if let Err(error) = file.write_at(&self.buffer, start) {
            // Part of it may be there: nothing may follow it in this segment.
            self.active = None;
            return Err(Failure::of("writing a batch")(error));
        }
        let before = self.clock.monotonic();
        file.sync_data().map_err(Failure::of_sync("fdatasync"))?;
        self.measures.sync_seconds.record(self.clock.monotonic().saturating_sub(before));
        self.measures.batch_records.record(records.len() as f64);
        self.measures.written_bytes.increment(self.buffer.len() as u64);
        let length = self.buffer.len() as u64;
        self.ends.insert(segment, start + length);
        self.index(records, segment, &offsets)
    }

    fn index(&self, records: &[Record], segment: u32, offsets: &[u64]) -> Result<(), Failure> {
        let mut durable = self.shared.durable.write();
        for (record, offset) in records.iter().zip(offsets) {
            let location = location(segment, usize::try_from(*offset).unwrap_or(usize::MAX), record.length());
            durable
                .index
                .apply(record, location)
                .map_err(|error| Failure::Final { step: "indexing a batch", source: io::Error::other(error) })?;
        }
        Ok(())
    }
}
