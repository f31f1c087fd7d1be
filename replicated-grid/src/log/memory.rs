//! A log and snapshots in memory: for tests, and for a node that takes a new id at every start.
//!
//! Everything counts as durable at once, so callbacks run inside the call, after its lock is released. Nothing survives
//! the process; a node must not come back under its old id with this.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use super::{
    Durable, GroupId, GroupLog, LogEntry, LogError, LogStore, SnapshotStore, SnapshotStoreError, StoredSnapshot,
};

/// A [`LogStore`] that forgets with the process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryLog {
    groups: Arc<Mutex<HashMap<GroupId, Group>>>,
}

#[derive(Debug, Default)]
struct Group {
    vote: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
    /// The index of the first payload, or of the next one where there is none.
    first: u64,
    payloads: VecDeque<Bytes>,
}

impl Group {
    fn next(&self) -> u64 {
        self.first + self.payloads.len() as u64
    }

    fn append(&mut self, group: GroupId, entries: Vec<LogEntry>) -> Result<(), LogError> {
        for (expected, entry) in (self.next()..).zip(&entries) {
            if entry.index != expected {
                return Err(LogError::OutOfOrder { group, expected, given: entry.index });
            }
        }
        self.payloads.extend(entries.into_iter().map(|entry| entry.payload));
        Ok(())
    }

    fn truncate(&mut self, from: u64) {
        self.payloads.truncate(usize::try_from(from.saturating_sub(self.first)).unwrap_or(usize::MAX));
    }

    fn purge(&mut self, through: u64, marker: Bytes) {
        if self.purged.as_ref().is_some_and(|(before, _)| *before > through) {
            return;
        }
        let gone = (through + 1).saturating_sub(self.first).min(self.payloads.len() as u64);
        self.payloads.drain(..usize::try_from(gone).unwrap_or(usize::MAX));
        self.first = through + 1;
        self.purged = Some((through, marker));
    }

    fn payloads(&self, range: Range<u64>, bytes_max: usize) -> Vec<Bytes> {
        let mut bytes = 0_usize;
        let Some(skipped) = range.start.checked_sub(self.first) else { return Vec::new() };
        let wanted = range.end.saturating_sub(range.start);
        self.payloads
            .iter()
            .skip(usize::try_from(skipped).unwrap_or(usize::MAX))
            .take(usize::try_from(wanted).unwrap_or(usize::MAX))
            .take_while(|payload| {
                let is_first = bytes == 0;
                bytes = bytes.saturating_add(payload.len().max(1));
                is_first || bytes <= bytes_max
            })
            .cloned()
            .collect()
    }
}

impl MemoryLog {
    fn change(&self, group: GroupId, durable: Durable, step: impl FnOnce(&mut Group) -> Result<(), LogError>) {
        let outcome = step(self.groups.lock().entry(group).or_default());
        durable(outcome);
    }
}

impl LogStore for MemoryLog {
    fn is_durable(&self) -> bool {
        false
    }

    fn group(&self, group: GroupId) -> GroupLog {
        let groups = self.groups.lock();
        let Some(group) = groups.get(&group) else { return GroupLog::default() };
        let last_index = (!group.payloads.is_empty()).then(|| group.next() - 1);
        GroupLog { vote: group.vote.clone(), purged: group.purged.clone(), last_index }
    }

    fn append(&self, group: GroupId, entries: Vec<LogEntry>, durable: Durable) {
        self.change(group, durable, |log| log.append(group, entries));
    }

    fn truncate(&self, group: GroupId, from: u64, durable: Durable) {
        self.change(group, durable, |log| {
            log.truncate(from);
            Ok(())
        });
    }

    fn purge(&self, group: GroupId, through: u64, marker: Bytes, durable: Durable) {
        self.change(group, durable, |log| {
            log.purge(through, marker);
            Ok(())
        });
    }

    fn save_vote(&self, group: GroupId, vote: Bytes, durable: Durable) {
        self.change(group, durable, |log| {
            log.vote = Some(vote);
            Ok(())
        });
    }

    fn entries(
        &self,
        group: GroupId,
        range: Range<u64>,
        bytes_max: usize,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, LogError>> {
        let payloads = self.groups.lock().get(&group).map(|group| group.payloads(range, bytes_max));
        Box::pin(std::future::ready(Ok(payloads.unwrap_or_default())))
    }
}

/// A [`SnapshotStore`] that forgets with the process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemorySnapshots {
    groups: Arc<Mutex<HashMap<GroupId, StoredSnapshot>>>,
}

impl SnapshotStore for MemorySnapshots {
    fn save(
        &self,
        group: GroupId,
        meta: Bytes,
        data: Vec<Bytes>,
    ) -> BoxFuture<'static, Result<(), SnapshotStoreError>> {
        self.groups.lock().insert(group, StoredSnapshot { meta, data });
        Box::pin(std::future::ready(Ok(())))
    }

    fn load(&self, group: GroupId) -> BoxFuture<'static, Result<Option<StoredSnapshot>, SnapshotStoreError>> {
        Box::pin(std::future::ready(Ok(self.groups.lock().get(&group).cloned())))
    }

    fn remove(&self, group: GroupId) -> BoxFuture<'static, Result<(), SnapshotStoreError>> {
        self.groups.lock().remove(&group);
        Box::pin(std::future::ready(Ok(())))
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn entries(indexes: Range<u64>) -> Vec<LogEntry> {
        indexes.map(|index| LogEntry { index, payload: Bytes::from(index.to_string()) }).collect()
    }

    fn read(log: &MemoryLog, range: Range<u64>, bytes_max: usize) -> Vec<Bytes> {
        log.entries(3, range, bytes_max).now_or_never().unwrap().unwrap()
    }

    #[test]
    fn entries_follow_each_other_and_go_at_both_ends() {
        let log = MemoryLog::default();
        log.append(3, entries(0..10), Box::new(|outcome| outcome.unwrap()));
        log.append(
            3,
            entries(11..12),
            Box::new(|outcome| assert!(matches!(outcome, Err(LogError::OutOfOrder { expected: 10, given: 11, .. })))),
        );
        log.truncate(3, 8, Box::new(|outcome| outcome.unwrap()));
        log.purge(3, 2, Bytes::from_static(b"two"), Box::new(|outcome| outcome.unwrap()));
        log.purge(3, 1, Bytes::from_static(b"one"), Box::new(|outcome| outcome.unwrap()));
        assert_eq!(log.group(3).last_index, Some(7));
        assert_eq!(log.group(3).purged, Some((2, Bytes::from_static(b"two"))));
        assert_eq!(read(&log, 3..100, 1_000), ["3", "4", "5", "6", "7"]);
        assert_eq!(read(&log, 4..6, 0), ["4"], "at least one");
        assert_eq!(read(&log, 2..6, 1_000), Vec::<Bytes>::new(), "a run starts where it was asked to");
        log.purge(3, 20, Bytes::new(), Box::new(|outcome| outcome.unwrap()));
        assert_eq!(log.group(3).last_index, None);
        log.append(3, entries(21..22), Box::new(|outcome| outcome.unwrap()));
        assert_eq!(log.group(3).last_index, Some(21));
    }
}
