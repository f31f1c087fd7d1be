//! The durable log of a node, shared by all its groups, as the replicated runner sees it.
//!
//! Entries, votes and markers are opaque bytes: the runner encodes them, with a format version. [`LogStore`] is
//! implemented by [`MemoryLog`] (for a node that takes a new id at every start) and by the write-ahead log;
//! [`SnapshotStore`] by [`MemorySnapshots`] and by snapshot files.

pub mod disk;
pub mod memory;
pub mod simulated_disk;
pub mod snapshots;
pub mod wal;

use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;

/// A raft group on a node: a partition, or the control group.
pub type GroupId = u16;

pub use memory::{MemoryLog, MemorySnapshots};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// Its place, from 0, without gaps within a group.
    pub index: u64,
    /// What the runner wrote.
    pub payload: Bytes,
}

/// What a log holds of one group, besides the entries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GroupLog {
    /// The last vote saved.
    pub vote: Option<Bytes>,
    /// Everything through this index was purged, and what the runner noted with it.
    pub purged: Option<(u64, Bytes)>,
    /// The last entry; `None` when there is none after what was purged.
    pub last_index: Option<u64>,
}

/// What a log can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Everything.
    Writable,
    /// The disk is full: no entries are taken. Votes, truncations and purges are, as long as the reserve lasts.
    Full,
    /// Reads only, until a restart.
    Closed,
}

/// A step on the log failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LogError {
    /// The disk refused; nothing later may be reported durable before a restart or, for a full disk, before space is back.
    #[error("log: {step} failed")]
    Io {
        /// What was tried, e.g. `fdatasync`.
        step: &'static str,
        /// What the operating system said.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// Bytes are not what was written and no shorter valid log explains it.
    #[error("log: group {group} is damaged at entry {index}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// The first entry that cannot be read.
        index: u64,
    },
    /// There is no space left. This step and everything after it was undone; the log takes steps again by itself as
    /// soon as there is space.
    #[error("log: the disk is full")]
    Full,
    /// The log had failed before or was shut down; only a restart helps.
    #[error("log: closed")]
    Closed,
    /// The caller broke the contract: an entry that does not follow the last one. Nothing was changed.
    #[error("log: group {group} continues at entry {expected}, not at {given}")]
    OutOfOrder {
        /// The group.
        group: GroupId,
        /// The index that an appended entry must have.
        expected: u64,
        /// The one it had.
        given: u64,
    },
    /// A payload, vote or marker is longer than the log takes. Nothing was changed.
    #[error("log: {bytes} bytes in one piece, {bytes_max} at most")]
    TooLarge {
        /// What was given.
        bytes: usize,
        /// What is taken.
        bytes_max: usize,
    },
}

impl LogError {
    /// Whether the same step can succeed later without a restart. The group's log is then as it was before the step.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Full)
    }
}

/// Called once, when everything up to and including a step is durable, or will not be.
pub type Durable = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// A node's log. Steps of one group take effect in the order of the calls; each is durable before any later one is.
pub trait LogStore: Send + Sync + 'static {
    /// Whether it outlives the process. One that does not goes only with a node id that does not either.
    fn is_durable(&self) -> bool {
        true
    }

    /// What it can do, and every change of it. A log that cannot fail need not say anything; whoever wraps another log
    /// must pass this on.
    fn health(&self) -> watch::Receiver<Health> {
        watch::channel(Health::Writable).1
    }

    /// What is there of `group`.
    fn group(&self, group: GroupId) -> GroupLog;

    /// Appends entries that follow the last one. Readable at once, durable when `durable` is called.
    fn append(&self, group: GroupId, entries: Vec<LogEntry>, durable: Durable);

    /// Drops every entry from `from` on.
    fn truncate(&self, group: GroupId, from: u64, durable: Durable);

    /// Forgets every entry through `through`, with what the runner needs to know of the last one.
    fn purge(&self, group: GroupId, through: u64, marker: Bytes, durable: Durable);

    /// Saves the vote.
    fn save_vote(&self, group: GroupId, vote: Bytes, durable: Durable);

    /// The payloads of the entries of `range` that are there: a contiguous run from the start of `range`. At most
    /// `bytes_max` bytes, but at least one entry.
    fn entries(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, LogError>>;
}

/// A snapshot as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSnapshot {
    /// What the runner noted with it, e.g. the last entry it covers.
    pub meta: Bytes,
    /// The state, cut anywhere: the chunks one after the other are what was saved.
    pub data: Vec<Bytes>,
}

/// A step on the snapshots failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SnapshotStoreError {
    /// The disk refused. Nothing that was there before is lost.
    #[error("snapshot of group {group}: {step} failed")]
    Io {
        /// The group.
        group: GroupId,
        /// What was tried, e.g. `rename`.
        step: &'static str,
        /// What the operating system said.
        #[source]
        source: std::sync::Arc<std::io::Error>,
    },
    /// The newest snapshot is not what was saved. An older one is never handed out in its place: the log may not reach
    /// back to it.
    #[error("snapshot of group {group}: {file} is damaged: {reason}")]
    Damaged {
        /// The group.
        group: GroupId,
        /// Which file.
        file: String,
        /// What is wrong with it.
        reason: &'static str,
    },
}

/// A node's snapshots, at most one of a group: the newest one.
pub trait SnapshotStore: Send + Sync + 'static {
    /// Keeps a snapshot in place of the group's former one; durable when this is answered. After an error the former one
    /// is still there.
    fn save(&self, group: GroupId, meta: Bytes, data: Vec<Bytes>)
    -> BoxFuture<'static, Result<(), SnapshotStoreError>>;

    /// The group's snapshot.
    fn load(&self, group: GroupId) -> BoxFuture<'static, Result<Option<StoredSnapshot>, SnapshotStoreError>>;

    /// Forgets the group's snapshot, if there is one.
    fn remove(&self, group: GroupId) -> BoxFuture<'static, Result<(), SnapshotStoreError>>;
}
