//! The node's log as openraft's log of one group.
//!
//! Votes and entries are durable when openraft is told so, never earlier. What is purged is gone at once for readers; that
//! it is durable nobody waits for, because an entry that comes back after a crash harms nothing.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;
use futures::Stream;
use futures::stream;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{LogIdOptionExt, OptionalSend};
use tokio::sync::oneshot;

use super::codec::{DecodeError, Reader, Writer};
use super::entries::{decode_entry, encode_entry, put_log_id, put_vote, read_log_id, read_vote};
use super::raft_types::{Entry, LogId, Types, Vote};
use crate::log::{Durable, GroupId, LogEntry, LogError, LogStore};

/// The version of votes and markers in the log.
const VERSION: u8 = 1;
/// How much of a log is read at a time: one append on the wire, well below what the transport carries.
const READ_BYTES_MAX: usize = 2 * 1024 * 1024;

/// See the module.
#[derive(Clone)]
pub(super) struct GroupLogStorage {
    log: Arc<dyn LogStore>,
    group: GroupId,
}

impl GroupLogStorage {
    pub(super) fn new(log: Arc<dyn LogStore>, group: GroupId) -> Self {
        Self { log, group }
    }

    /// The vote saved last.
    pub(super) fn vote(&self) -> io::Result<Option<Vote>> {
        let decode = |bytes: Bytes| {
            let mut reader = Reader::new(bytes);
            reader.version(VERSION)?;
            read_vote(&mut reader)
        };
        self.log.group(self.group).vote.map(decode).transpose().map_err(unreadable)
    }

    fn purged(&self) -> io::Result<Option<LogId>> {
        let decode = |(_, marker): (u64, Bytes)| {
            let mut reader = Reader::new(marker);
            reader.version(VERSION)?;
            read_log_id(&mut reader)
        };
        self.log.group(self.group).purged.map(decode).transpose().map_err(unreadable)
    }

    async fn read(&self, from: u64, end: u64) -> io::Result<Vec<Entry>> {
        let payloads = self.log.entries(self.group, from..end, READ_BYTES_MAX).await.map_err(failed)?;
        let entries = (from..).zip(payloads).map(|(index, payload)| decode_entry(index, payload));
        entries.collect::<Result<_, DecodeError>>().map_err(unreadable)
    }

    /// The part of `range` that may be there: what is purged is left out at the front.
    fn bounds(&self, range: &impl RangeBounds<u64>) -> io::Result<(u64, u64)> {
        let from = match range.start_bound() {
            Bound::Included(index) => *index,
            Bound::Excluded(index) => index.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index.saturating_add(1),
            Bound::Excluded(index) => *index,
            Bound::Unbounded => u64::MAX,
        };
        Ok((from.max(self.purged()?.next_index()), end))
    }
}

impl RaftLogReader<Types> for GroupLogStorage {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> io::Result<Vec<Entry>> {
        let (mut from, end) = self.bounds(&range)?;
        let mut entries = Vec::new();
        while from < end {
            let read = self.read(from, end).await?;
            if read.is_empty() {
                break;
            }
            from += read.len() as u64;
            entries.extend(read);
        }
        Ok(entries)
    }

    /// Replication takes what fits one message and comes back for the rest.
    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start, end).await
    }

    /// Applying after a start may have to go through the whole log: it is read piece by piece.
    async fn entries_stream<RB>(&mut self, range: RB) -> impl Stream<Item = io::Result<Entry>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let storage = self.clone();
        let bounds = storage.bounds(&range);
        let pieces = stream::unfold(Some(bounds), move |state| {
            let storage = storage.clone();
            async move {
                let (from, end) = match state? {
                    Ok(bounds) => bounds,
                    Err(error) => return Some((vec![Err(error)], None)),
                };
                if from >= end {
                    return None;
                }
                match storage.read(from, end).await {
                    // A log that failed a write has set itself back. openraft takes a stream that ends for "all applied"
                    // and would go on without the rest.
                    Ok(entries) if entries.is_empty() && end != u64::MAX => {
                        let missing = format!("entries from {from} to {end} are not in the log any more");
                        Some((vec![Err(io::Error::new(io::ErrorKind::NotFound, missing))], None))
                    }
                    Ok(entries) if entries.is_empty() => None,
                    Ok(entries) => {
                        let next = from + entries.len() as u64;
                        Some((entries.into_iter().map(Ok).collect(), Some(Ok((next, end)))))
                    }
                    Err(error) => Some((vec![Err(error)], None)),
                }
            }
        });
        futures::StreamExt::flat_map(pieces, stream::iter)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.vote()
    }
}

impl RaftLogStorage<Types> for GroupLogStorage {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<Types>> {
        let purged = self.purged()?;
        let last = match self.log.group(self.group).last_index {
            Some(index) => self.read(index, index + 1).await?.first().map(|entry| entry.log_id),
            None => None,
        };
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.or(purged) })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        put_vote(&mut writer, vote);
        let (durable, written) = waiting();
        self.log.save_vote(self.group, writer.finish(), durable);
        outcome(written).await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<Types>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let stored = |entry: Entry| LogEntry { index: entry.log_id.index, payload: encode_entry(&entry) };
        let entries = entries.into_iter().map(stored).collect();
        let durable: Durable = Box::new(move |result| callback.io_completed(result.map_err(failed)));
        self.log.append(self.group, entries, durable);
        Ok(())
    }

    async fn truncate_after(&mut self, last_log_id: Option<LogId>) -> io::Result<()> {
        let (durable, written) = waiting();
        self.log.truncate(self.group, last_log_id.next_index(), durable);
        outcome(written).await
    }

    async fn purge(&mut self, log_id: LogId) -> io::Result<()> {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        put_log_id(&mut writer, log_id);
        let group = self.group;
        let durable: Durable = Box::new(move |result| {
            if let Err(error) = result {
                tracing::warn!(group, error = %error, "purged entries are not gone from the disk yet");
            }
        });
        self.log.purge(group, log_id.index, writer.finish(), durable);
        Ok(())
    }
}

fn waiting() -> (Durable, oneshot::Receiver<Result<(), LogError>>) {
    let (sender, receiver) = oneshot::channel();
    let durable: Durable = Box::new(move |result| {
        let _ = sender.send(result);
    });
    (durable, receiver)
}

async fn outcome(written: oneshot::Receiver<Result<(), LogError>>) -> io::Result<()> {
    match written.await {
        Ok(result) => result.map_err(failed),
        Err(_) => Err(io::Error::other("the log was closed")),
    }
}

fn failed(error: LogError) -> io::Error {
    io::Error::other(error)
}

fn unreadable(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;
    use openraft::EntryPayload;
    use openraft::entry::RaftEntry;

    use super::super::raft_types::log_id;
    use super::*;
    use crate::log::memory::MemoryLog;

    #[tokio::test]
    async fn entries_that_are_not_there_any_more_are_an_error_and_no_end() {
        let mut storage = GroupLogStorage::new(Arc::new(MemoryLog::default()), 3);
        let entry = |index| -> Entry { RaftEntry::new(log_id(1, index), EntryPayload::Blank) };
        let stored = (0..3).map(|index| LogEntry { index, payload: encode_entry(&entry(index)) }).collect();
        storage.log.append(3, stored, Box::new(|_| {}));
        let whole: Vec<_> = storage.entries_stream(0..3).await.collect().await;
        assert_eq!(whole.into_iter().filter(Result::is_ok).count(), 3);
        let cut: Vec<_> = storage.entries_stream(1..5).await.collect().await;
        assert_eq!(cut.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, true, false]);
    }
}
