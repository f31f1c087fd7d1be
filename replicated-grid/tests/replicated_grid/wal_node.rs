//! A log over a disk, driven turn by turn: the door through which the tests of the write-ahead log go.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt as _;
use order_model::{ManualClock, Timestamp};
use parking_lot::Mutex;
use replicated_grid::NodeId;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::wal::{Config, OpenError, Reads, Turn, Wal, Writer};
use replicated_grid::log::{Durable, GroupId, GroupLog, LogEntry, LogError, LogStore as _};

pub const SEGMENT_BYTES: u64 = 4_096;

/// What a callback was told; `None` until it was called.
pub type Outcome = Arc<Mutex<Option<Result<(), LogError>>>>;

/// An open log.
pub struct Node {
    pub wal: Wal,
    pub writer: Writer,
}

/// What a group's log looks like from outside.
pub type Contents = (GroupLog, Vec<Bytes>);

pub fn config() -> Config {
    Config {
        segment_bytes: SEGMENT_BYTES,
        cache_bytes: 0,
        reads: Reads::Inline,
        ..Config::new("test", "town".to_owned(), NodeId(3))
    }
}

pub fn open(disk: &SimulatedDisk) -> Result<Node, OpenError> {
    let clock = ManualClock::new(Timestamp::from_unix_ms(0));
    let (wal, writer) = Wal::open(Arc::new(disk.clone()), clock, &config())?;
    Ok(Node { wal, writer })
}

/// A callback and where it leaves its outcome.
pub fn watched() -> (Durable, Outcome) {
    let outcome = Outcome::default();
    let told = Arc::clone(&outcome);
    (Box::new(move |result| *told.lock() = Some(result)), outcome)
}

impl Node {
    /// Lets the writer work until nothing waits, or it has closed.
    pub fn settle(&mut self) -> Turn {
        loop {
            match self.writer.turn() {
                Turn::Worked => {}
                turn => return turn,
            }
        }
    }

    /// Appends one entry after the last one and waits for the disk.
    pub fn append(&mut self, group: GroupId, payload: &[u8]) -> Result<(), LogError> {
        let (durable, outcome) = watched();
        self.wal.append(group, vec![self.next_entry(group, payload)], durable);
        self.settle();
        let outcome = outcome.lock().take();
        outcome.expect("a settled writer has answered")
    }

    pub fn next_entry(&self, group: GroupId, payload: &[u8]) -> LogEntry {
        let log = self.wal.group(group);
        let after_purged = log.purged.map_or(0, |(through, _)| through + 1);
        let index = log.last_index.map_or(after_purged, |last| last + 1);
        LogEntry { index, payload: Bytes::copy_from_slice(payload) }
    }

    pub fn contents(&self, group: GroupId) -> Result<Contents, LogError> {
        let log = self.wal.group(group);
        let first = log.purged.as_ref().map_or(0, |(through, _)| through + 1);
        let end = log.last_index.map_or(first, |last| last + 1);
        let payloads = self.wal.entries(group, first..end, usize::MAX).now_or_never().unwrap()?;
        assert_eq!(payloads.len() as u64, end - first, "a run without gaps");
        Ok((log, payloads))
    }
}
