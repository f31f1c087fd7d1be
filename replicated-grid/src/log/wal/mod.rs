//! The write-ahead log: one per node, shared by all its groups, in segment files of one directory.
//!
//! Callers ([`super::LogStore`]) change a view in memory and queue records; one writer (a thread, or a task in the
//! simulation) takes what waits, writes it with one call, syncs once, and calls back in order (group commit).
//! Files: `record`, `segment` (bytes), `index` (what is durable), `view` (what callers see), `shared` (both and the
//! queue), `writer`, `rolling`, `relocation` (segments begin and go), `recovery`, `torn`, `identity` (opening), `reading`.
//!
//! Disk use is at most 2 x the live entries + 5 segments + the reserve, also when a group never purges.
//! A full disk makes the log read-only until there is space; a failed sync closes it until a restart, because after it
//! nothing that a disk says about the same bytes can be believed.

mod error;
mod identity;
mod index;
mod measures;
mod reading;
mod record;
mod recovery;
mod relocation;
mod rolling;
mod segment;
mod shared;
mod torn;
mod view;
mod writer;

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use futures::future::BoxFuture;
use order_model::SharedClock;
use parking_lot::Mutex;
use tokio::sync::watch;

pub use super::Health;
use super::disk::Disk;
use super::{Durable, GroupId, GroupLog, LogEntry, LogError, LogStore};
use crate::node::NodeId;
pub use error::OpenError;
use shared::{Limits, Shared, Step, Stored};
pub use writer::{Turn, Writer};

/// A segment must hold some batches, and offsets in it are 32 bits.
const SEGMENT_BYTES: std::ops::RangeInclusive<u64> = 4_096..=1 << 31;

/// The longest payload in any log: far above a batch of commands, and still one comfortable write.
const PAYLOAD_BYTES_MAX: usize = 16 << 20;

/// What a log is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Label of its metrics: the name of its grid.
    pub name: &'static str,
    /// The cluster whose node it is.
    pub cluster: String,
    /// The node.
    pub node: NodeId,
    /// How long a segment is made, 4 KiB to 2 GiB. The longest payload is a quarter of it, 16 MiB at most.
    pub segment_bytes: u64,
    /// How many bytes of payloads are kept in memory for readers beside those that are not durable yet.
    pub cache_bytes: usize,
    /// Where entries that are not in memory are read.
    pub reads: Reads,
}

/// Where blocking reads run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reads {
    /// On tokio's threads for blocking work.
    BlockingThread,
    /// On the caller's: for a disk in memory, and a simulation that must not use threads.
    Inline,
}

impl Config {
    /// The defaults for a node: segments of 64 MiB (so few that they hardly cost anything, short enough to be read at
    /// once), 64 MiB of payloads in memory (some seconds of full load, which is what followers ask for).
    pub fn new(name: &'static str, cluster: String, node: NodeId) -> Self {
        Self { name, cluster, node, segment_bytes: 64 << 20, cache_bytes: 64 << 20, reads: Reads::BlockingThread }
    }

    fn payload_bytes_max(&self) -> usize {
        usize::try_from(self.segment_bytes / 4).unwrap_or(PAYLOAD_BYTES_MAX).min(PAYLOAD_BYTES_MAX)
            - record::OVERHEAD_BYTES
    }

    fn check(&self) -> Result<(), OpenError> {
        if !SEGMENT_BYTES.contains(&self.segment_bytes) {
            return Err(OpenError::Config("segment_bytes must be 4 KiB to 2 GiB"));
        }
        if self.cluster.is_empty() || self.cluster.len() > 256 || self.cluster.contains('\n') {
            return Err(OpenError::Config("cluster must be one line of 1 to 256 bytes"));
        }
        Ok(())
    }
}

/// A node's write-ahead log. Clones share it. Blocking: `open`, `start` and `close`.
#[derive(Clone)]
pub struct Wal {
    shared: Arc<Shared>,
    reads: Reads,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

/// Whether no log was ever opened in `disk`: a node that was a member with one has lost it, and its vote.
///
/// # Errors
/// What the disk says.
pub fn is_new(disk: &dyn Disk) -> std::io::Result<bool> {
    Ok(!disk.list()?.iter().any(|name| name == identity::NODE_NAME))
}

impl Wal {
    /// Opens the log in `disk`, or makes one; answers it and the writer, without which nothing becomes durable.
    ///
    /// # Errors
    /// If the directory is in use or another node's, the log is damaged, or the disk refuses.
    pub fn open(disk: Arc<dyn Disk>, clock: SharedClock, config: &Config) -> Result<(Self, Writer), OpenError> {
        config.check()?;
        let lock = identity::lock(&*disk)?;
        let is_named = identity::check(&*disk, &config.cluster, config.node)?;
        let mut recovered = recovery::recover(&*disk, config)?;
        if recovered.was_torn {
            tracing::info!(place = disk.place(), "the log ended in an incomplete write, which was left behind");
        }
        let stored =
            Stored { index: std::mem::take(&mut recovered.index), files: std::mem::take(&mut recovered.files) };
        let limits = Limits { payload_bytes_max: config.payload_bytes_max(), cache_bytes: config.cache_bytes };
        let shared = Arc::new(Shared::new(stored, limits));
        let mut writer = Writer::new(Arc::clone(&disk), clock, config, Arc::clone(&shared), recovered, lock);
        writer.begin()?;
        if !is_named {
            identity::write(&*disk, &config.cluster, config.node)?;
        }
        Ok((Self { shared, reads: config.reads, thread: Arc::default() }, writer))
    }

    /// As [`Wal::open`], with the writer on a thread of its own.
    ///
    /// # Errors
    /// As [`Wal::open`], or if there can be no thread.
    pub fn start(disk: Arc<dyn Disk>, clock: SharedClock, config: &Config) -> Result<Self, OpenError> {
        let place = disk.place();
        let (wal, writer) = Self::open(disk, clock, config)?;
        let thread = std::thread::Builder::new()
            .name(format!("wal-{}", config.name))
            .spawn(move || writer.run())
            .map_err(|source| OpenError::Io { place, step: "starting the writer thread", source })?;
        *wal.thread.lock() = Some(thread);
        Ok(wal)
    }

    /// What the log can do, and every change of it: a node whose log is not writable is not ready.
    pub fn health(&self) -> watch::Receiver<Health> {
        self.shared.health()
    }

    /// Takes no more steps, makes durable what was taken, and lets the directory go.
    pub fn close(&self) {
        self.shared.stop();
        if let Some(thread) = self.thread.lock().take() {
            // The writer does not panic; if it did, what it had not reported is not durable, as always.
            drop(thread.join());
        }
    }
}

impl LogStore for Wal {
    fn health(&self) -> watch::Receiver<Health> {
        self.shared.health()
    }

    fn group(&self, group: GroupId) -> GroupLog {
        self.shared.group(group)
    }

    fn append(&self, group: GroupId, entries: Vec<LogEntry>, durable: Durable) {
        self.shared.submit(group, Step::Append(entries), durable);
    }

    fn truncate(&self, group: GroupId, from: u64, durable: Durable) {
        self.shared.submit(group, Step::Truncate(from), durable);
    }

    fn purge(&self, group: GroupId, through: u64, marker: Bytes, durable: Durable) {
        self.shared.submit(group, Step::Purge(through, marker), durable);
    }

    fn save_vote(&self, group: GroupId, vote: Bytes, durable: Durable) {
        self.shared.submit(group, Step::Vote(vote), durable);
    }

    fn entries(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, LogError>> {
        Box::pin(self.read(group, range, bytes_max))
    }
}

impl Wal {
    async fn read(&self, group: GroupId, range: Range<u64>, bytes_max: usize) -> Result<Vec<Bytes>, LogError> {
        let Some(place) = self.shared.locate(group, range, bytes_max) else { return Ok(Vec::new()) };
        if place.on_disk.is_empty() {
            return Ok(place.recent);
        }
        let expected = place.on_disk.end - place.on_disk.start;
        let wanted = self.shared.durable.read().wanted(group, place.on_disk, bytes_max);
        let is_whole = wanted.len() as u64 == expected;
        let read = move || wanted.iter().map(reading::read).collect::<Result<Vec<Bytes>, LogError>>();
        let mut payloads = match self.reads {
            Reads::Inline => read()?,
            Reads::BlockingThread => tokio::task::spawn_blocking(read).await.map_err(|_| LogError::Closed)??,
        };
        if is_whole {
            let mut bytes: usize = payloads.iter().map(Bytes::len).sum();
            payloads.extend(place.recent.into_iter().take_while(|payload| {
                bytes += payload.len();
                bytes <= bytes_max
            }));
        }
        Ok(payloads)
    }
}
