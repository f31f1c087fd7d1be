//! The deterministic state of one partition of the feed: events, acknowledgments, sequences.
//!
//! The service proposes [`Command`]s through the grid and reads pending events under its lease. Everything iterates in
//! a fixed order and time is an argument, so that replicas stay equal. What only a leader knows (when an event arrived,
//! whether it was delivered before) is deliberately absent: see `crate::soft_state`.
//!
//! Memory: an event takes its body (bounded by [`Limits`]) and about 250 bytes, plus 16 to 40 bytes for each application
//! that has a view of its merchant; a tombstone takes about 100 bytes and there are at most [`TOMBSTONES_MAX`].

pub mod codec;
pub mod command;
#[cfg(test)]
mod hostile;
mod merchant_feed;
mod snapshot;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use event_feed::{FeedEvent, acknowledgment, visibility};
use order_model::{ApplicationId, EventId, MerchantId, OrderId, RoutingHash, Timestamp};
use replicated_grid::{ReplicatedTime, RestoreError, StateMachine};

pub use command::{Appended, Command, Reply};
use merchant_feed::MerchantFeed;
pub use merchant_feed::{Body, Pending, StoredEvent};

/// The most tombstones of a partition. They are rare (an acknowledgment that beat its event, or one repeated long
/// after the event is gone); beyond this the one whose event is oldest, and so least likely still to come, goes.
pub const TOMBSTONES_MAX: usize = 1_000_000;

/// The most events and tombstones forgotten by one command, so that none holds up the polls for long.
pub const EXPIRE_MAX: usize = 5_000;

/// How many bodies are kept in memory. Beyond that an event keeps its header, and polls that reach it go to the
/// fallback, which has every body. Part of the replicated state: every replica must decide alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bodies of one merchant: DESIGN's bound of pending events.
    pub bodies_per_merchant: usize,
    /// Bytes of bodies of one merchant.
    pub body_bytes_per_merchant: usize,
    /// Bytes of bodies of the whole partition.
    pub body_bytes_per_partition: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bodies_per_merchant: 10_000,
            body_bytes_per_merchant: 32 * 1024 * 1024,
            body_bytes_per_partition: 256 * 1024 * 1024,
        }
    }
}

/// The state of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedPartition {
    limits: Limits,
    /// The time of the latest command.
    time: Timestamp,
    /// By routing hash first: an acknowledgment knows no more of its merchant.
    merchants: BTreeMap<(RoutingHash, MerchantId), MerchantFeed>,
    /// Acknowledgments whose events have not arrived. Sorted by the events' creation.
    tombstones: BTreeMap<EventId, Vec<ApplicationId>>,
    tombstone_count: usize,
    /// When each event expires, and an hour later is forgotten.
    due: BTreeSet<(Timestamp, EventId, MerchantId)>,
    /// The events that show while a lower sequence of their order is missing. Follows from the rest.
    above_gaps: BTreeMap<(OrderId, u32, EventId), MerchantId>,
    /// When one whole export had been applied; until then the state may lack anything.
    rebuilt_at: Option<Timestamp>,
    body_bytes: usize,
}

/// An event that shows although a lower sequence of its order is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AboveGap {
    /// The event.
    pub event: EventId,
    /// Its order.
    pub order: OrderId,
    /// Its merchant.
    pub merchant: MerchantId,
}

impl FeedPartition {
    /// An empty partition.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            time: Timestamp::default(),
            merchants: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            tombstone_count: 0,
            due: BTreeSet::new(),
            above_gaps: BTreeMap::new(),
            rebuilt_at: None,
            body_bytes: 0,
        }
    }

    /// The time of the latest command.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The events of `merchant` pending for `application` and created at `from` or later, oldest first; `None` when the
    /// merchant has none at all. Expiry, hold-back and filters are still to be looked at.
    pub fn pending(&self, application: &ApplicationId, merchant: MerchantId, from: Timestamp) -> Option<Pending<'_>> {
        let feed = self.merchants.get(&(RoutingHash::of(merchant), merchant))?;
        Some(feed.pending(application, from))
    }

    /// When the state had everything that one export knew; `None` while it may lack anything.
    pub fn rebuilt_at(&self) -> Option<Timestamp> {
        self.rebuilt_at
    }

    /// Whether a sequence of its order below the event's has not been seen. Nearly always one comparison.
    pub fn stands_above_gap(&self, event: &FeedEvent) -> bool {
        !self.above_gaps.is_empty() && self.above_gaps.contains_key(&(event.order, event.sequence, event.id))
    }

    /// The ranges of sequences missing in `order`, lowest first.
    pub fn gaps(&self, merchant: MerchantId, order: OrderId) -> Vec<std::ops::RangeInclusive<u32>> {
        let feed = self.merchants.get(&(RoutingHash::of(merchant), merchant));
        feed.and_then(|feed| feed.orders.get(&order)).map(|track| track.sequences.gaps()).unwrap_or_default()
    }

    /// Every event that stands above a gap and still shows, order by order.
    pub fn events_above_gaps(&self) -> impl ExactSizeIterator<Item = AboveGap> {
        self.above_gaps.iter().map(|(&(order, _, event), &merchant)| AboveGap { event, order, merchant })
    }

    /// How many events are stored, expired ones that are still recognised included.
    pub fn event_count(&self) -> usize {
        self.due.len()
    }

    /// How many acknowledgments wait for their events.
    pub fn tombstone_count(&self) -> usize {
        self.tombstone_count
    }

    /// The bytes of all bodies kept.
    pub fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn append(&mut self, at: Timestamp, event: FeedEvent) -> Appended {
        let key = (RoutingHash::of(event.merchant), event.merchant);
        if visibility::is_expired(event.expires_at, at) {
            // It fills its place in the sequence all the same: what follows must not wait for it.
            let track = self.merchants.get_mut(&key).and_then(|feed| feed.orders.get_mut(&event.order));
            if let Some(track) = track {
                track.sequences.record(event.sequence);
                self.settle_gaps(key, event.order);
            }
            return Appended::Expired;
        }
        let feed = self.merchants.entry(key).or_default();
        let keep_body = feed.bodies < self.limits.bodies_per_merchant
            && feed.body_bytes + event.body.len() <= self.limits.body_bytes_per_merchant
            && self.body_bytes + event.body.len() <= self.limits.body_bytes_per_partition;
        if let Some(stored) = feed.events.get(&event.id) {
            if stored.body == Body::Spilled && keep_body {
                self.body_bytes += event.body.len();
                feed.restore_body(event.id, event.body);
            }
            return Appended::Repeated;
        }
        if keep_body {
            self.body_bytes += event.body.len();
        }
        let acknowledged_by = self.tombstones.remove(&event.id).unwrap_or_default();
        self.tombstone_count -= acknowledged_by.len();
        self.due.insert((event.expires_at, event.id, event.merchant));
        let place = (event.order, event.sequence, event.id);
        feed.insert(event, keep_body, &acknowledged_by);
        let is_above_gap = feed.lower_is_missing(place.0, place.1);
        self.settle_gaps(key, place.0);
        if is_above_gap {
            self.above_gaps.insert(place, key.1);
            return Appended::AddedAboveGap;
        }
        Appended::Added
    }

    /// Takes the events of `order` out of those above gaps that no longer are.
    fn settle_gaps(&mut self, merchant: (RoutingHash, MerchantId), order: OrderId) {
        if self.above_gaps.is_empty() {
            return;
        }
        let Some(feed) = self.merchants.get(&merchant) else { return };
        let (lowest, highest) = (EventId::from_bytes([0; 16]), EventId::from_bytes([u8::MAX; 16]));
        let of_order = self.above_gaps.range((order, 0, lowest)..=(order, u32::MAX, highest)).map(|(place, _)| *place);
        let settled: Vec<_> = of_order.filter(|(_, sequence, _)| !feed.lower_is_missing(order, *sequence)).collect();
        for place in settled {
            self.above_gaps.remove(&place);
        }
    }

    fn acknowledge(&mut self, at: Timestamp, application: &ApplicationId, ids: &[EventId]) -> Reply {
        let (mut applied, mut remembered) = (0, 0);
        for &id in ids {
            let hash = id.routing_hash();
            let of_hash = (hash, MerchantId::from_bytes([0; 16]))..=(hash, MerchantId::from_bytes([u8::MAX; 16]));
            let mut feeds = self.merchants.range_mut(of_hash).map(|(_, feed)| feed);
            if let Some(feed) = feeds.find(|feed| feed.events.contains_key(&id)) {
                applied += u32::from(feed.acknowledge(application, id));
            } else if at < acknowledgment::tombstone_until(id) {
                remembered += 1;
                self.remember(application, id);
            }
        }
        Reply::Acknowledged { applied, remembered }
    }

    fn remember(&mut self, application: &ApplicationId, id: EventId) {
        let applications = self.tombstones.entry(id).or_default();
        if let Err(place) = applications.binary_search(application) {
            applications.insert(place, application.clone());
            self.tombstone_count += 1;
        }
        while self.tombstone_count > TOMBSTONES_MAX {
            let forgotten = self.tombstones.pop_first().map_or(0, |(_, applications)| applications.len());
            self.tombstone_count -= forgotten;
        }
    }

    fn expire(&mut self, at: Timestamp) -> Reply {
        let mut events = 0;
        for _ in 0..EXPIRE_MAX {
            let Some(&(due, id, merchant)) = self.due.first().filter(|(due, ..)| visibility::is_expired(*due, at))
            else {
                break;
            };
            self.due.pop_first();
            events += self.fall_due(due, id, merchant);
        }
        let is_past = |id: &EventId| acknowledgment::tombstone_until(*id) <= at;
        for _ in 0..EXPIRE_MAX {
            let Some(oldest) = self.tombstones.first_entry().filter(|oldest| is_past(oldest.key())) else { break };
            self.tombstone_count -= oldest.remove().len();
        }
        let events_left = self.due.first().is_some_and(|(due, ..)| visibility::is_expired(*due, at));
        Reply::Expired { events, more: events_left || self.tombstones.keys().next().is_some_and(is_past) }
    }

    /// An event's time has come: the first time it stops showing, the second time it is forgotten. How many stopped.
    fn fall_due(&mut self, due: Timestamp, id: EventId, merchant: MerchantId) -> u32 {
        let key = (RoutingHash::of(merchant), merchant);
        let Some(feed) = self.merchants.get_mut(&key) else { return 0 };
        if let Some(stored) = feed.events.get(&id).filter(|stored| stored.body != Body::Expired) {
            self.above_gaps.remove(&(stored.event.order, stored.event.sequence, id));
            self.body_bytes -= feed.expire(id);
            self.due.insert((acknowledgment::remembered_until(due), id, merchant));
            return 1;
        }
        feed.forget(id);
        if feed.events.is_empty() {
            self.merchants.remove(&key);
        }
        0
    }
}

impl StateMachine for FeedPartition {
    fn apply(&mut self, at: ReplicatedTime, command: &[u8]) -> Vec<u8> {
        let Ok(command) = Command::decode(command) else { return Reply::Unreadable.encode() };
        let at = Timestamp::from_unix_ms(at.unix_ms);
        self.time = self.time.max(at);
        let reply = match command {
            Command::Append(events) => {
                Reply::Appended(events.into_iter().map(|event| self.append(at, event)).collect())
            }
            Command::Acknowledge { application, ids } => self.acknowledge(at, &application, &ids),
            Command::Expire => self.expire(at),
            Command::Rebuilt => {
                self.rebuilt_at = Some(self.rebuilt_at.unwrap_or(at));
                Reply::Rebuilt
            }
        };
        reply.encode()
    }

    fn snapshot(&self) -> Vec<u8> {
        snapshot::encode(self)
    }

    fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        snapshot::decode(bytes).map_err(|malformed| RestoreError { reason: malformed.to_string() })
    }
}
