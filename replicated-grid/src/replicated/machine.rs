//! A replica: the state of one group on this node, and how openraft applies to it, takes snapshots and restores them.
//!
//! Reads look at the same state under the read lock. Who may read is not decided here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::RwLock;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::entries::decode_batch;
use super::erased::{ErasedState, StateKind};
use super::raft_types::{Entry, LogId, Replies, Snapshot, SnapshotMeta, StoredMembership, Types};
use super::snapshot::{Position, decode, encode, from_stored, to_stored};
use crate::log::{GroupId, SnapshotStore, SnapshotStoreError};
use crate::state_machine::ReplicatedTime;

/// The most entries applied under one acquisition of the write lock: a read waits for at most that many batches.
const ENTRIES_AT_ONCE: usize = 8;

/// A pause before a snapshot is tried again for which there was no space.
const FULL_PAUSE: Duration = Duration::from_secs(1);

/// The state of a group here.
pub(super) struct Replica {
    group: GroupId,
    kind: Arc<StateKind>,
    content: RwLock<Content>,
    applied: watch::Sender<Option<LogId>>,
    snapshots: Arc<dyn SnapshotStore>,
    /// Of the group.
    ending: CancellationToken,
    /// What the last snapshot saved covers. Held while one is saved, so that a slow build cannot replace what a leader has
    /// sent meanwhile.
    saved: tokio::sync::Mutex<Option<LogId>>,
}

struct Content {
    state: Box<dyn ErasedState>,
    position: Position,
}

impl Replica {
    /// What the last snapshot holds, or a state as it begins.
    pub(super) async fn load(
        group: GroupId,
        snapshots: Arc<dyn SnapshotStore>,
        ending: CancellationToken,
        kind: Arc<StateKind>,
    ) -> io::Result<Self> {
        let content = match snapshots.load(group).await.map_err(failed)? {
            Some(stored) => Content::restore(&kind, from_stored(&stored))?,
            None => Content { state: kind.begin(), position: Position::default() },
        };
        let last = content.position.last;
        let (applied, saved) = (watch::Sender::new(last), tokio::sync::Mutex::new(last));
        Ok(Self { group, kind, content: RwLock::new(content), applied, snapshots, ending, saved })
    }

    /// Looks at the state.
    pub(super) fn look<R>(&self, look: impl FnOnce(&dyn ErasedState) -> R) -> R {
        look(&*self.content.read().state)
    }

    /// The time of the last command applied.
    pub(super) fn time(&self) -> ReplicatedTime {
        self.content.read().position.time
    }

    /// The last entry applied, and every change.
    pub(super) fn applied(&self) -> watch::Receiver<Option<LogId>> {
        self.applied.subscribe()
    }

    fn take_snapshot(&self) -> (SnapshotMeta, Bytes) {
        let content = self.content.read();
        (content.position.meta(), encode(&content.position, &content.state.write_snapshot()))
    }

    /// Saves `snapshot` unless a later one has been saved.
    async fn save(&self, last: Option<LogId>, snapshot: Bytes) -> io::Result<()> {
        let mut saved = self.saved.lock().await;
        if *saved <= last {
            let unreadable = |error| io::Error::new(io::ErrorKind::InvalidData, error);
            let (meta, data) = to_stored(&snapshot).map_err(unreadable)?;
            self.snapshots.save(self.group, meta, data).await.map_err(failed)?;
            *saved = last;
        }
        Ok(())
    }
}

impl Content {
    fn restore(kind: &StateKind, snapshot: Bytes) -> io::Result<Self> {
        let invalid =
            |error: Box<dyn std::error::Error + Send + Sync>| io::Error::new(io::ErrorKind::InvalidData, error);
        let (position, state) = decode(snapshot).map_err(|error| invalid(error.into()))?;
        let state = kind.restore(&state).map_err(|error| invalid(error.into()))?;
        Ok(Self { state, position })
    }

    fn apply(&mut self, entry: Entry) -> Replies {
        self.position.last = Some(entry.log_id);
        if let Some(membership) = entry.get_membership() {
            self.position.membership = StoredMembership::new(Some(entry.log_id), membership);
        }
        let EntryPayload::Normal(batch) = &entry.payload else { return Replies::default() };
        // It was written by a leader and carried under checksums; if it cannot be read, it cannot on any replica.
        let Ok((at, commands)) = decode_batch(batch) else { return Replies::default() };
        let at = at.max(self.position.time);
        self.position.time = at;
        Replies(commands.iter().map(|command| self.state.apply_command(at, command)).collect())
    }
}

/// A replica in openraft's hands.
pub(super) struct Machine(pub(super) Arc<Replica>);

impl RaftStateMachine<Types> for Machine {
    type SnapshotData = Bytes;
    type SnapshotBuilder = Machine;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        let content = self.0.content.read();
        Ok((content.position.last, content.position.membership.clone()))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<Types>>> + Unpin + OptionalSend,
    {
        let mut entries = entries.ready_chunks(ENTRIES_AT_ONCE);
        while let Some(chunk) = entries.next().await {
            let mut answers = Vec::with_capacity(chunk.len());
            let last = {
                let mut content = self.0.content.write();
                for entry in chunk {
                    let (entry, responder) = entry?;
                    answers.push((responder, content.apply(entry)));
                }
                content.position.last
            };
            // First it shows, then whoever proposed hears of it.
            self.0.applied.send_replace(last);
            for (responder, replies) in answers {
                if let Some(responder) = responder {
                    responder.send(replies);
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self::SnapshotBuilder {
        Self(Arc::clone(&self.0))
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: Bytes) -> io::Result<()> {
        let content = Content::restore(&self.0.kind, snapshot.clone())?;
        self.0.save(meta.last_log_id, snapshot).await?;
        let last = content.position.last;
        *self.0.content.write() = content;
        self.0.applied.send_replace(last);
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        let Some(stored) = self.0.snapshots.load(self.0.group).await.map_err(failed)? else { return Ok(None) };
        let snapshot = from_stored(&stored);
        let unreadable = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let (position, _) = decode(snapshot.clone()).map_err(unreadable)?;
        Ok(Some(Snapshot { meta: position.meta(), snapshot }))
    }
}

impl RaftSnapshotBuilder<Types> for Machine {
    type SnapshotData = Bytes;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        loop {
            let (meta, snapshot) = self.0.take_snapshot();
            match self.0.save(meta.last_log_id, snapshot.clone()).await {
                Ok(()) => return Ok(Snapshot { meta, snapshot }),
                // openraft gives a group up whose snapshot fails, and a full disk is no reason to.
                Err(error) if is_full(&error) && !self.0.ending.is_cancelled() => {
                    self.0.ending.run_until_cancelled(tokio::time::sleep(FULL_PAUSE)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

fn failed(error: SnapshotStoreError) -> io::Error {
    let kind = match &error {
        SnapshotStoreError::Io { source, .. } => source.kind(),
        SnapshotStoreError::Damaged { .. } => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
