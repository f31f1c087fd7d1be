//! A group as its callers see it: with everything they asked for, durable or not, and the newest payloads.
//!
//! A pure value behind the log's lock. It starts as what the index says, runs ahead of it, and is set back to it when a
//! step could not be made durable.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use super::super::{GroupId, GroupLog, LogEntry, LogError};
use super::index::GroupIndex;

/// One group.
#[derive(Debug, Default)]
pub(super) struct View {
    vote: Option<Bytes>,
    purged: Option<(u64, Bytes)>,
    /// The index of the first entry, or of the next one where there is none.
    first: u64,
    next: u64,
    /// The payloads of the last entries before `next`, each with the step that wrote it. What is not durable is here.
    recent: VecDeque<(u64, Bytes)>,
    recent_bytes: usize,
}

/// Where the payloads of a range are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// The entries that are on the disk only; durable.
    pub(super) on_disk: Range<u64>,
    /// The ones that follow them.
    pub(super) recent: Vec<Bytes>,
}

impl View {
    /// What is durable of a group.
    pub(super) fn of(durable: &GroupIndex) -> Self {
        Self {
            vote: durable.vote.clone(),
            purged: durable.purged.clone(),
            first: durable.first_kept(),
            next: durable.next(),
            recent: VecDeque::new(),
            recent_bytes: 0,
        }
    }

    /// What is there.
    pub(super) fn group_log(&self) -> GroupLog {
        let last_index = (self.next > self.first).then(|| self.next - 1);
        GroupLog { vote: self.vote.clone(), purged: self.purged.clone(), last_index }
    }

    /// Whether `entries` follow the last one and each other.
    pub(super) fn check_order(&self, group: GroupId, entries: &[LogEntry]) -> Result<(), LogError> {
        match (self.next..).zip(entries).find(|(expected, entry)| entry.index != *expected) {
            None => Ok(()),
            Some((expected, entry)) => Err(LogError::OutOfOrder { group, expected, given: entry.index }),
        }
    }

    /// Takes the entry after the last one; `step` is the step that makes it durable.
    pub(super) fn push(&mut self, step: u64, payload: Bytes) {
        self.next += 1;
        self.recent_bytes += payload.len();
        self.recent.push_back((step, payload));
    }

    /// Drops every entry from `from` on.
    pub(super) fn truncate(&mut self, from: u64) {
        while self.next > from.max(self.first) {
            self.next -= 1;
            if let Some((_, payload)) = self.recent.pop_back() {
                self.recent_bytes -= payload.len();
            } else {
                self.next = from.max(self.first);
            }
        }
    }

    /// Forgets every entry through `through`.
    pub(super) fn purge(&mut self, through: u64, marker: Bytes) {
        if self.purged.as_ref().is_some_and(|(before, _)| *before > through) {
            return;
        }
        self.purged = Some((through, marker));
        self.first = through + 1;
        self.next = self.next.max(self.first);
        while self.recent.len() as u64 > self.next - self.first {
            self.drop_oldest();
        }
    }

    /// Keeps the vote.
    pub(super) fn save_vote(&mut self, vote: Bytes) {
        self.vote = Some(vote);
    }

    /// Lets go of payloads that are durable since `step`, until the rest is `bytes_max` bytes.
    pub(super) fn shrink(&mut self, durable_through: u64, bytes_max: usize) {
        while self.recent_bytes > bytes_max && self.recent.front().is_some_and(|(step, _)| *step <= durable_through) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some((_, payload)) = self.recent.pop_front() {
            self.recent_bytes -= payload.len();
        }
    }

    /// Where a run from the start of `range` is: what is on the disk, then recent ones of at most `bytes_max` bytes
    /// together, but at least one if none is on the disk.
    pub(super) fn locate(&self, range: Range<u64>, bytes_max: usize) -> Reading {
        let recent_first = self.next - self.recent.len() as u64;
        let end = range.end.min(self.next);
        if range.start < self.first || range.start >= end {
            return Reading { on_disk: 0..0, recent: Vec::new() };
        }
        let on_disk = range.start..end.min(recent_first.max(range.start));
        let skipped = usize::try_from(on_disk.end.saturating_sub(recent_first)).unwrap_or(usize::MAX);
        let wanted = usize::try_from(end - on_disk.end).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let payloads = self.recent.iter().skip(skipped).take(wanted).enumerate();
        let recent = payloads
            .take_while(|(position, (_, payload))| {
                bytes += payload.len();
                bytes <= bytes_max || (*position == 0 && on_disk.is_empty())
            })
            .map(|(_, (_, payload))| payload.clone())
            .collect();
        Reading { on_disk, recent }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload(text: &'static str) -> Bytes {
        Bytes::from_static(text.as_bytes())
    }

    #[test]
    fn only_durable_payloads_are_let_go() {
        let mut view = View::default();
        ["aa", "bb", "cc"].into_iter().zip(1..).for_each(|(text, step)| view.push(step, payload(text)));
        view.shrink(2, 0);
        assert_eq!(view.locate(0..9, 100), Reading { on_disk: 0..2, recent: vec![payload("cc")] });
        assert_eq!(view.locate(2..9, 0), Reading { on_disk: 2..2, recent: vec![payload("cc")] }, "at least one");
        view.truncate(1);
        assert_eq!(view.group_log().last_index, Some(0));
        view.push(9, payload("dd"));
        assert_eq!(view.locate(0..9, 100), Reading { on_disk: 0..1, recent: vec![payload("dd")] });
        view.purge(0, Bytes::new());
        assert_eq!(view.locate(0..9, 100), Reading { on_disk: 0..0, recent: vec![] }, "purged");
        view.purge(7, Bytes::new());
        assert_eq!((view.group_log().last_index, view.next), (None, 8));
        assert!(view.recent.is_empty() && view.recent_bytes == 0);
    }
}
