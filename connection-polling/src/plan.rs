//! Which merchants of a poll need reading at all, and from when on: decided from heads and cursors, purely.
//!
//! A head counts what was indexed for a merchant; a cursor is something an earlier poll of the same application found
//! out and that stays true for ever, because acknowledgments are never taken back and events only expire:
//! * "at this count nothing was pending" (`nothing_pending`): while the head still stands there, nothing is;
//! * "at this count of late arrivals nothing created before `done_before` was pending, nor closed the gap before a
//!   pending event": while no further late event came, only what is newer needs reading.
//!
//! Both hold for grants that begin no earlier than the cursor's. Losing or overwriting a cursor costs reads, never events.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use event_feed::GrantedMerchant;
use order_model::{MerchantId, RoutingHash, Timestamp};

/// An event indexed this long after its creation counts as late: no cursor has passed it by (see [`SETTLED_AFTER`]).
pub(crate) const LATE_AFTER: Duration = Duration::from_secs(5 * 60);

/// Only what was created this long ago is ever declared done. Twice [`LATE_AFTER`]: the difference covers clocks of two
/// instances that disagree and a slow write between judging an event punctual and its being readable.
pub(crate) const SETTLED_AFTER: Duration = Duration::from_secs(10 * 60);

/// How much `done_before` must gain for writing a cursor while events are pending: bounds the writes, and what is
/// read twice.
const WORTH_WRITING: Duration = Duration::from_secs(10 * 60);

/// What was indexed for a merchant; absent when nothing ever was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    /// Grows with every write of events; not an exact count of them.
    pub(crate) version: u64,
    /// Grows with every write of late events.
    pub(crate) late: u64,
}

/// What an earlier complete read of one application on one merchant found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// The head before that read.
    pub(crate) head: Head,
    /// Where the grant began then.
    pub(crate) visible_from: Timestamp,
    /// Nothing was pending.
    pub(crate) nothing_pending: bool,
    /// Nothing created before this was pending, nor needed by what was.
    pub(crate) done_before: Timestamp,
}

/// One merchant to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MerchantRead {
    pub(crate) granted: GrantedMerchant,
    /// The head as it was before reading.
    pub(crate) head: Head,
    /// The cursor that was there, when it still counted.
    pub(crate) cursor: Option<Cursor>,
}

/// The merchants of one routing hash, which are read together, and from when on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HashRead {
    pub(crate) hash: RoutingHash,
    pub(crate) from: Timestamp,
    pub(crate) merchants: Vec<MerchantRead>,
}

/// Plans the reads of a poll.
pub(crate) fn plan(
    granted: &[GrantedMerchant],
    heads: &HashMap<MerchantId, Head>,
    cursors: &HashMap<MerchantId, Cursor>,
) -> Vec<HashRead> {
    let mut reads: BTreeMap<RoutingHash, HashRead> = BTreeMap::new();
    for granted in granted {
        let Some(&head) = heads.get(&granted.merchant) else { continue };
        let cursor = cursors.get(&granted.merchant).filter(|cursor| cursor.visible_from <= granted.visible_from);
        if cursor.is_some_and(|cursor| cursor.nothing_pending && cursor.head.version == head.version) {
            continue;
        }
        let cursor = cursor.filter(|cursor| cursor.head.late == head.late).copied();
        let from = cursor.map_or(granted.visible_from, |cursor| granted.visible_from.max(cursor.done_before));
        let hash = RoutingHash::of(granted.merchant);
        let read = reads.entry(hash).or_insert_with(|| HashRead { hash, from, merchants: Vec::new() });
        read.from = read.from.min(from);
        read.merchants.push(MerchantRead { granted: *granted, head, cursor });
    }
    reads.into_values().collect()
}

/// The cursor worth writing after a complete read at `now`, when the oldest event that must be read again was created
/// at `oldest_needed`: `None` when nothing is pending, hidden and held events included.
pub(crate) fn learned(read: &MerchantRead, oldest_needed: Option<Timestamp>, now: Timestamp) -> Option<Cursor> {
    let settled = now.minus(SETTLED_AFTER);
    let known = read.cursor.map_or(read.granted.visible_from, |cursor| cursor.done_before);
    let done_before = oldest_needed.map_or(settled, |oldest| settled.min(oldest)).max(known);
    let nothing_pending = oldest_needed.is_none();
    let cursor = Cursor { head: read.head, visible_from: read.granted.visible_from, nothing_pending, done_before };
    (nothing_pending || done_before.since(known) >= WORTH_WRITING).then_some(cursor)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_ms(ms)
    }

    fn plan_one(visible_from: i64, head: Option<Head>, cursor: Option<Cursor>) -> Option<Timestamp> {
        let merchant = MerchantId::from_bytes([1; 16]);
        let granted = [GrantedMerchant { merchant, visible_from: at(visible_from) }];
        let heads = head.map(|head| (merchant, head)).into_iter().collect();
        let cursors = cursor.map(|cursor| (merchant, cursor)).into_iter().collect();
        plan(&granted, &heads, &cursors).first().map(|read| read.from)
    }

    const HEAD: Head = Head { version: 5, late: 1 };

    fn cursor(nothing_pending: bool) -> Cursor {
        Cursor { head: HEAD, visible_from: at(100), nothing_pending, done_before: at(500) }
    }

    #[test]
    fn only_what_moved_is_read() {
        assert_eq!(plan_one(100, None, None), None, "never had an event");
        assert_eq!(plan_one(100, Some(HEAD), Some(cursor(true))), None);
        assert_eq!(plan_one(100, Some(HEAD), None), Some(at(100)));
        assert_eq!(plan_one(100, Some(HEAD), Some(cursor(false))), Some(at(500)));
        let moved = Head { version: 6, ..HEAD };
        assert_eq!(plan_one(100, Some(moved), Some(cursor(true))), Some(at(500)));
        assert_eq!(plan_one(700, Some(moved), Some(cursor(true))), Some(at(700)));
    }

    #[test]
    fn a_late_event_or_an_earlier_grant_makes_everything_read() {
        let late = Head { version: 6, late: 2 };
        assert_eq!(plan_one(100, Some(late), Some(cursor(true))), Some(at(100)));
        assert_eq!(plan_one(99, Some(HEAD), Some(cursor(true))), Some(at(99)));
    }

    #[test]
    fn a_cursor_never_passes_a_pending_event_nor_the_recent_past() {
        let granted = GrantedMerchant { merchant: MerchantId::from_bytes([1; 16]), visible_from: at(0) };
        let read = MerchantRead { granted, head: HEAD, cursor: None };
        let now = at(100 * 60 * 1000);
        let settled = now.minus(SETTLED_AFTER);
        assert_eq!(
            learned(&read, None, now).map(|cursor| (cursor.nothing_pending, cursor.done_before)),
            Some((true, settled))
        );
        let old = at(50 * 60 * 1000);
        assert_eq!(
            learned(&read, Some(old), now).map(|cursor| (cursor.nothing_pending, cursor.done_before)),
            Some((false, old))
        );
        assert_eq!(learned(&read, Some(at(60_000)), now), None, "not worth a write");
    }
}
