//! What is pending for one application on the merchants of a read, and what a poll does with it. Pure.
//!
//! `poll` feeds it the stored events one by one. All rules are event-feed's; what is added here is the bound on what is
//! kept, and which sequences were seen, so that an event stored with a gap before it is known to be whole by now. An
//! event that closed such a gap must be read by every later poll as well, whoever acknowledged it: without it the gap
//! would seem open again.

use std::collections::{HashMap, HashSet, VecDeque};

use event_feed::acknowledgment::ACKNOWLEDGMENT_IDS_MAX;
use event_feed::hold_back::{HOLD_BACK, is_held};
use event_feed::{FeedEvent, Filter, PAGE_EVENTS_MAX, Verdict, visibility};
use order_model::{EventId, MerchantId, OrderId, Timestamp};

use crate::plan::{HashRead, MerchantRead};
use crate::store::IndexedEvent;

/// Of one merchant, the oldest pending events kept: two pages, so that events shown before leave room for others.
const OLDEST_KEPT_MAX: usize = 2 * PAGE_EVENTS_MAX;
/// And the newest: a page, so that something never delivered is there however much is pending. Those between are
/// shown as the others are acknowledged.
const NEWEST_KEPT_MAX: usize = PAGE_EVENTS_MAX;

/// One merchant's pending events.
#[derive(Debug)]
pub(crate) struct MerchantPending {
    read: MerchantRead,
    oldest: Vec<IndexedEvent>,
    newest: VecDeque<IndexedEvent>,
    oldest_needed: Option<Timestamp>,
}

/// The pending events of the merchants of one read.
#[derive(Debug)]
pub(crate) struct Pending<'a> {
    filter: &'a Filter,
    now: Timestamp,
    acknowledged: HashSet<EventId>,
    merchants: HashMap<MerchantId, MerchantPending>,
    /// When each was created.
    sequences_seen: HashMap<(OrderId, u32), Timestamp>,
}

/// An order whose events could not wait any longer for one that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Gap {
    pub(crate) order: OrderId,
    /// The event that was shown all the same.
    pub(crate) before: u32,
    /// What it misses, ascending.
    pub(crate) missing: Vec<u32>,
}

/// What a poll does with one merchant's pending events.
#[derive(Debug)]
pub(crate) struct MerchantAnswer {
    pub(crate) read: MerchantRead,
    /// Oldest first.
    pub(crate) shown: Vec<FeedEvent>,
    /// Hidden by a sent filter, at most [`ACKNOWLEDGMENT_IDS_MAX`].
    pub(crate) hidden: Vec<EventId>,
    pub(crate) gaps: Vec<Gap>,
    /// The creation of the oldest event that the next poll must read: a pending one, shown or not, or one that closed
    /// the gap before a pending one.
    pub(crate) oldest_needed: Option<Timestamp>,
}

impl<'a> Pending<'a> {
    /// Nothing pending yet for the merchants of `read`, whose acknowledged ids are these.
    pub(crate) fn new(read: &HashRead, acknowledged: HashSet<EventId>, filter: &'a Filter, now: Timestamp) -> Self {
        let nothing = |read: &MerchantRead| MerchantPending {
            read: *read,
            oldest: Vec::new(),
            newest: VecDeque::new(),
            oldest_needed: None,
        };
        let merchants = read.merchants.iter().map(|read| (read.granted.merchant, nothing(read))).collect();
        Self { filter, now, acknowledged, merchants, sequences_seen: HashMap::new() }
    }

    /// Takes the next stored event, in the order of creation. One of another merchant with the same hash is none of ours.
    pub(crate) fn take(&mut self, indexed: IndexedEvent) {
        let event = &indexed.event;
        let Some(merchant) = self.merchants.get_mut(&event.merchant) else { return };
        self.sequences_seen.insert((event.order, event.sequence), event.created_at);
        let is_visible = visibility::is_visible(event, merchant.read.granted.visible_from, self.now);
        if !is_visible || self.acknowledged.contains(&event.id) {
            return;
        }
        let closed_by = |sequence: &u32| self.sequences_seen.get(&(event.order, *sequence)).copied();
        let needed = indexed.missing.iter().filter_map(closed_by).fold(event.created_at, Timestamp::min);
        merchant.oldest_needed = Some(merchant.oldest_needed.map_or(needed, |oldest| oldest.min(needed)));
        if self.filter.verdict(event) != Verdict::Hide {
            merchant.keep(indexed);
        }
    }

    /// The answer for each merchant.
    pub(crate) fn into_answers(self) -> Vec<MerchantAnswer> {
        let Self { filter, now, merchants, sequences_seen, .. } = self;
        merchants.into_values().map(|merchant| merchant.into_answer(filter, now, &sequences_seen)).collect()
    }
}

impl MerchantPending {
    fn keep(&mut self, indexed: IndexedEvent) {
        if self.oldest.len() < OLDEST_KEPT_MAX {
            self.oldest.push(indexed);
            return;
        }
        if self.newest.len() == NEWEST_KEPT_MAX {
            self.newest.pop_front();
        }
        self.newest.push_back(indexed);
    }

    fn into_answer(self, filter: &Filter, now: Timestamp, seen: &HashMap<(OrderId, u32), Timestamp>) -> MerchantAnswer {
        let mut answer = MerchantAnswer {
            read: self.read,
            shown: Vec::new(),
            hidden: Vec::new(),
            gaps: Vec::new(),
            oldest_needed: self.oldest_needed,
        };
        for IndexedEvent { event, missing, indexed_at } in self.oldest.into_iter().chain(self.newest) {
            let missing: Vec<u32> =
                missing.into_iter().filter(|sequence| !seen.contains_key(&(event.order, *sequence))).collect();
            if is_held(!missing.is_empty(), waited(indexed_at, now)) {
                continue;
            }
            if !missing.is_empty() {
                answer.gaps.push(Gap { order: event.order, before: event.sequence, missing });
            }
            match filter.verdict(&event) {
                Verdict::Show => answer.shown.push(event),
                Verdict::HideAndAcknowledge if answer.hidden.len() < ACKNOWLEDGMENT_IDS_MAX => {
                    answer.hidden.push(event.id)
                }
                Verdict::HideAndAcknowledge | Verdict::Hide => {}
            }
        }
        answer
    }
}

/// How long an event has waited. Another process indexed it by its own clock: an instant well ahead of ours says that
/// the clocks disagree, and then nothing waits for ours to catch up.
fn waited(indexed_at: Timestamp, now: Timestamp) -> std::time::Duration {
    if indexed_at > now.plus(HOLD_BACK) { HOLD_BACK } else { now.since(indexed_at) }
}
