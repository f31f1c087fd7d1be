//! The stores behind one interface, each used as its documentation says a durable log is written with it.
//!
//! * ours: one log for all groups, group commit inside.
//! * raft-log: it holds one raft log, so there is one per group, each with its own thread and sync.
//! * redb, fjall: one store for all groups, behind a thread that commits everything that waits as one transaction
//!   (without that, every writer would pay a sync of its own).

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use order_model::{Clock, Timestamp};
use raft_log::api::raft_log_writer::RaftLogWriter as _;
use replicated_grid::NodeId;
use replicated_grid::log::disk::RealDisk;
use replicated_grid::log::wal::{Config, Wal};
use replicated_grid::log::{LogEntry, LogStore as _};

pub const GROUPS: usize = 16;

/// The most entries that one transaction of redb or fjall takes.
const TRANSACTION_ENTRIES_MAX: usize = 256;

type AnyError = Box<dyn std::error::Error>;

/// A durable log of [`GROUPS`] groups.
pub trait Store: Send + Sync {
    /// Appends one entry to a group, and returns once it is durable.
    fn commit(&self, group: usize, payload: Bytes) -> io::Result<()>;

    /// Lets the files go.
    fn close(&self) {}
}

#[derive(Clone, Copy)]
pub enum StoreKind {
    Ours,
    RaftLog,
    Redb,
    Fjall,
}

impl StoreKind {
    pub const ALL: [Self; 4] = [Self::Ours, Self::RaftLog, Self::Redb, Self::Fjall];

    pub fn name(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::RaftLog => "raft-log 0.4.6",
            Self::Redb => "redb 4",
            Self::Fjall => "fjall 3, SyncData",
        }
    }
}

pub fn open(kind: StoreKind, path: &Path) -> Result<Arc<dyn Store>, AnyError> {
    Ok(match kind {
        StoreKind::Ours => Arc::new(Ours::open(path)?),
        StoreKind::RaftLog => Arc::new(RaftLogs::open(path)?),
        StoreKind::Redb => Arc::new(Committed::new(redb(path)?)),
        StoreKind::Fjall => Arc::new(Committed::new(fjall(path)?)),
    })
}

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(0)
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Ours {
    wal: Wal,
    next: [Mutex<u64>; GROUPS],
}

impl Ours {
    fn open(path: &Path) -> Result<Self, AnyError> {
        let disk = Arc::new(RealDisk::open(path.to_owned())?);
        let config = Config::new("comparison", "comparison".to_owned(), NodeId(1));
        let wal = Wal::start(disk, Arc::new(SystemClock(Instant::now())), &config)?;
        Ok(Self { wal, next: Default::default() })
    }
}

impl Store for Ours {
    fn commit(&self, group: usize, payload: Bytes) -> io::Result<()> {
        let (done, waits) = sync_channel(1);
        let mut next = self.next[group].lock().map_err(|_| io::Error::other("poisoned"))?;
        let entries = vec![LogEntry { index: *next, payload }];
        *next += 1;
        self.wal.append(group as u16, entries, Box::new(move |outcome| drop(done.send(outcome))));
        drop(next);
        waits.recv().map_err(io::Error::other)?.map_err(io::Error::other)
    }

    fn close(&self) {
        self.wal.close();
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct RaftLogTypes;

impl raft_log::Types for RaftLogTypes {
    type LogId = (u64, u64);
    type LogPayload = Vec<u8>;
    type Vote = (u64, u64);
    type Callback = SyncSender<io::Result<()>>;
    type UserData = String;

    fn log_index(log_id: &Self::LogId) -> u64 {
        log_id.1
    }

    fn payload_size(payload: &Self::LogPayload) -> u64 {
        payload.len() as u64
    }
}

struct RaftLogs(Vec<Mutex<(raft_log::RaftLog<RaftLogTypes>, u64)>>);

impl RaftLogs {
    fn open(path: &Path) -> io::Result<Self> {
        let open = |group: usize| {
            let directory = path.join(group.to_string());
            std::fs::create_dir_all(&directory)?;
            let config = raft_log::Config::new(directory.display());
            Ok(Mutex::new((raft_log::RaftLog::open(Arc::new(config))?, 0)))
        };
        (0..GROUPS).map(open).collect::<io::Result<Vec<_>>>().map(Self)
    }
}

impl Store for RaftLogs {
    fn commit(&self, group: usize, payload: Bytes) -> io::Result<()> {
        let (done, waits) = sync_channel(1);
        let mut log = self.0[group].lock().map_err(|_| io::Error::other("poisoned"))?;
        let (log_id, entry) = ((1, log.1), Vec::from(payload));
        log.0.append([(log_id, entry)])?;
        log.1 += 1;
        log.0.flush(true, Some(done))?;
        drop(log);
        waits.recv().map_err(io::Error::other)?
    }
}

/// What waits for the thread that commits.
struct Waiting {
    group: usize,
    payload: Bytes,
    done: SyncSender<io::Result<()>>,
}

/// Puts entries into a store as one durable transaction.
type Transaction = Box<dyn FnMut(&[(u16, u64, Bytes)]) -> Result<(), AnyError> + Send>;

/// A store behind a thread of its own that commits everything that waits at once.
struct Committed {
    queue: Mutex<Option<Sender<Waiting>>>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

impl Committed {
    fn new(transaction: Transaction) -> Self {
        let (queue, waiting) = channel();
        let thread = std::thread::spawn(move || commit_all(&waiting, transaction));
        Self { queue: Mutex::new(Some(queue)), thread: Mutex::new(Some(thread)) }
    }
}

fn commit_all(waiting: &Receiver<Waiting>, mut transaction: Transaction) {
    let next: [AtomicU64; GROUPS] = Default::default();
    while let Ok(first) = waiting.recv() {
        let mut batch = vec![first];
        batch.extend(waiting.try_iter().take(TRANSACTION_ENTRIES_MAX - 1));
        let number = |entry: &Waiting| next[entry.group].fetch_add(1, Ordering::Relaxed);
        let entries: Vec<_> =
            batch.iter().map(|entry| (entry.group as u16, number(entry), entry.payload.clone())).collect();
        let outcome = transaction(&entries).map_err(|error| error.to_string());
        for entry in batch {
            drop(entry.done.send(outcome.clone().map_err(io::Error::other)));
        }
    }
}

impl Store for Committed {
    fn commit(&self, group: usize, payload: Bytes) -> io::Result<()> {
        let (done, waits) = sync_channel(1);
        let queue = self.queue.lock().map_err(|_| io::Error::other("poisoned"))?.clone();
        queue
            .ok_or_else(|| io::Error::other("closed"))?
            .send(Waiting { group, payload, done })
            .map_err(io::Error::other)?;
        waits.recv().map_err(io::Error::other)?
    }

    fn close(&self) {
        drop(self.queue.lock().map(|mut queue| queue.take()));
        if let Ok(Some(thread)) = self.thread.lock().map(|mut thread| thread.take()) {
            drop(thread.join());
        }
    }
}

fn redb(path: &Path) -> Result<Transaction, AnyError> {
    const ENTRIES: redb::TableDefinition<(u16, u64), &[u8]> = redb::TableDefinition::new("entries");
    let database = redb::Database::create(path.join("log.redb"))?;
    Ok(Box::new(move |entries| {
        let mut write = database.begin_write()?;
        write.set_durability(redb::Durability::Immediate)?;
        {
            let mut table = write.open_table(ENTRIES)?;
            for (group, index, payload) in entries {
                table.insert((*group, *index), &payload[..])?;
            }
        }
        Ok(write.commit()?)
    }))
}

fn fjall(path: &Path) -> Result<Transaction, AnyError> {
    let database = fjall::Database::builder(path).open()?;
    let keyspace = database.keyspace("entries", fjall::KeyspaceCreateOptions::default)?;
    Ok(Box::new(move |entries| {
        let mut batch = database.batch().durability(Some(fjall::PersistMode::SyncData));
        for (group, index, payload) in entries {
            let key = [&group.to_be_bytes()[..], &index.to_be_bytes()].concat();
            batch.insert(&keyspace, key, &payload[..]);
        }
        Ok(batch.commit()?)
    }))
}
