//! The durable log of a node, shared by all its groups, as the replicated runner sees it.
//!
//! Entries, votes and markers are opaque bytes: the runner encodes them, with a format version. Implementations:
//! memory (here, for a node that takes a new id at every start) and the write-ahead log.

use std::ops::Range;

use bytes::Bytes;
use futures::future::BoxFuture;

/// A raft group on a node: a partition, or the control group.
pub type GroupId = u16;

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
}

/// Called once, when everything up to and including a step is durable, or will not be.
pub type Durable = Box<dyn FnOnce(Result<(), LogError>) + Send>;

/// A node's log. Steps of one group take effect in the order of the calls; each is durable before any later one is.
pub trait LogStore: Send + Sync + 'static {
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
