//! What is durable, and where: the state that the records of the log add up to.
//!
//! A pure value. Recovery applies every record it reads, the writer every record it has synced, in the order in which
//! they are in the log, so the index in memory is always what a restart would find. Entries are not kept here, only
//! their places. What callers have asked for and is not durable yet is in `view`.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;

use bytes::Bytes;

use super::super::{GroupId, LogError};
use super::record::{Kind, Record};

/// Where an entry's record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Location {
    pub(super) segment: u32,
    pub(super) offset: u32,
    /// Of the whole record.
    pub(super) length: NonZeroU32,
}

/// What still counts in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Live {
    pub(super) entries: u64,
    pub(super) bytes: u64,
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Index {
    groups: BTreeMap<GroupId, GroupIndex>,
    live: BTreeMap<u32, Live>,
}

/// One group.
#[derive(Debug, Default)]
pub(super) struct GroupIndex {
    pub(super) vote: Option<Bytes>,
    pub(super) purged: Option<(u64, Bytes)>,
    /// The index of the first place.
    first: u64,
    /// Holes only while recovery replays: the segment with the first record of an entry may be gone, the one with its
    /// copy comes later.
    places: VecDeque<Option<Location>>,
}

/// A record that cannot follow the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("entry {index} of group {group} is there twice")]
pub(super) struct Inconsistent {
    group: GroupId,
    index: u64,
}

impl GroupIndex {
    /// The index that the next entry gets.
    pub(super) fn next(&self) -> u64 {
        if self.places.is_empty() { self.first_kept() } else { self.end().max(self.first_kept()) }
    }

    /// The first index that can be read, or the next one.
    pub(super) fn first_kept(&self) -> u64 {
        self.purged.as_ref().map_or(0, |(through, _)| through + 1)
    }

    fn end(&self) -> u64 {
        self.first + self.places.len() as u64
    }

    fn place(&self, index: u64) -> Option<Location> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.places.get(at).copied().flatten()
    }

    /// Sets a place, with holes as needed, and answers what was there.
    fn set(&mut self, index: u64, location: Location) -> Option<Location> {
        if self.places.is_empty() {
            self.first = index;
        }
        while index < self.first {
            self.places.push_front(None);
            self.first -= 1;
        }
        while index >= self.end() {
            self.places.push_back(None);
        }
        let at = usize::try_from(index - self.first).unwrap_or(usize::MAX);
        self.places.get_mut(at).and_then(|place| place.replace(location))
    }

    fn truncate(&mut self, from: u64) -> Vec<Location> {
        let kept = from.saturating_sub(self.first).min(self.places.len() as u64);
        self.places.drain(usize::try_from(kept).unwrap_or(usize::MAX)..).flatten().collect()
    }

    fn purge(&mut self, through: u64, marker: Bytes) -> Vec<Location> {
        if self.purged.as_ref().is_some_and(|(before, _)| *before > through) {
            return Vec::new();
        }
        self.purged = Some((through, marker));
        let gone = (through + 1).saturating_sub(self.first).min(self.places.len() as u64);
        self.first += gone;
        self.places.drain(..usize::try_from(gone).unwrap_or(usize::MAX)).flatten().collect()
    }
}

impl Index {
    /// Takes in what a record says. `location` is where it is.
    pub(super) fn apply(&mut self, record: &Record, location: Location) -> Result<(), Inconsistent> {
        let group = self.groups.entry(record.group).or_default();
        let gone = match record.kind {
            Kind::Append if !group.places.is_empty() && record.index < group.end() => {
                return Err(Inconsistent { group: record.group, index: record.index });
            }
            Kind::Append | Kind::Relocated => {
                let before = group.set(record.index, location);
                let live = self.live.entry(location.segment).or_default();
                live.entries += 1;
                live.bytes += u64::from(location.length.get());
                before.into_iter().collect()
            }
            Kind::Truncate => group.truncate(record.index),
            Kind::Purge => group.purge(record.index, record.payload.clone()),
            Kind::Vote => {
                group.vote = Some(record.payload.clone());
                Vec::new()
            }
        };
        gone.into_iter().for_each(|location| self.forget(location));
        Ok(())
    }

    fn forget(&mut self, location: Location) {
        let Some(live) = self.live.get_mut(&location.segment) else { return };
        live.entries = live.entries.saturating_sub(1);
        live.bytes = live.bytes.saturating_sub(u64::from(location.length.get()));
        if live.entries == 0 {
            self.live.remove(&location.segment);
        }
    }

    /// After a replay: every entry from the first one that was not purged to the last one must be there.
    pub(super) fn check_complete(&self) -> Result<(), LogError> {
        for (group, log) in &self.groups {
            let missing = match log.places.iter().position(Option::is_none) {
                _ if log.places.is_empty() => continue,
                _ if log.first != log.first_kept() => log.first_kept(),
                Some(hole) => log.first + hole as u64,
                None => continue,
            };
            return Err(LogError::Damaged { group: *group, index: missing });
        }
        Ok(())
    }

    /// The groups that were ever written to.
    pub(super) fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupIndex)> {
        self.groups.iter().map(|(group, log)| (*group, log))
    }

    /// Where an entry is.
    pub(super) fn place(&self, group: GroupId, index: u64) -> Option<Location> {
        self.groups.get(&group)?.place(index)
    }

    /// What still counts in `segment`.
    pub(super) fn live(&self, segment: u32) -> Live {
        self.live.get(&segment).copied().unwrap_or_default()
    }

    /// Bytes that still count, over all segments.
    pub(super) fn live_bytes(&self) -> u64 {
        self.live.values().map(|live| live.bytes).sum()
    }

    /// The entries that are in `segment`.
    pub(super) fn entries_of(&self, segment: u32) -> VecDeque<(GroupId, u64)> {
        let groups = self.groups.iter();
        groups
            .flat_map(|(group, log)| (log.first..).zip(&log.places).map(|(index, place)| (*group, index, place)))
            .filter(|(_, _, place)| place.is_some_and(|place| place.segment == segment))
            .map(|(group, index, _)| (group, index))
            .collect()
    }

    /// The records that bring votes and purges back when the segments before the one they are written to are gone.
    pub(super) fn checkpoint(&self) -> Vec<Record> {
        let mut records = Vec::new();
        for (group, log) in self.groups() {
            let record = |kind, index, payload: &Bytes| Record { group, kind, index, payload: payload.clone() };
            records.extend(log.vote.iter().map(|vote| record(Kind::Vote, 0, vote)));
            records.extend(log.purged.iter().map(|(through, marker)| record(Kind::Purge, *through, marker)));
        }
        records
    }
}
