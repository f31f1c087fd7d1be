//! The events of one merchant and, per application, which of them are pending.
//!
//! An event is stored once until an hour after it expires. An application that has acknowledged nothing of this
//! merchant has no [`View`]: all events are pending for it. Its first acknowledgment makes a view, which from then on
//! holds exactly the ids still pending, so that a poll touches nothing else. Called by [`super::FeedPartition`] only.

use std::collections::{BTreeMap, BTreeSet, btree_map, btree_set};
use std::ops::RangeFrom;

use bytes::Bytes;
use event_feed::{FeedEvent, SequenceTrack};
use order_model::{ApplicationId, EventId, OrderId, Timestamp};

/// What is left of an event's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// All of it.
    Kept,
    /// Nothing, for lack of room; the fallback has it.
    Spilled,
    /// Nothing, because the event has expired; it is here only so that a repetition is recognised.
    Expired,
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The event; its body is empty unless `body` is [`Body::Kept`].
    pub event: FeedEvent,
    /// What is left of the body.
    pub body: Body,
}

/// What one application has yet to acknowledge of one merchant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) application: ApplicationId,
    pub(super) pending: BTreeSet<EventId>,
}

/// The sequences seen of one order, kept while an event of it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct OrderTrack {
    pub(super) sequences: SequenceTrack,
    pub(super) stored_events: u32,
}

/// Everything of one merchant. Event ids sort by creation, so that ordered maps of them are oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct MerchantFeed {
    pub(super) events: BTreeMap<EventId, StoredEvent>,
    /// Sorted by application; few.
    pub(super) views: Vec<View>,
    pub(super) orders: BTreeMap<OrderId, OrderTrack>,
    /// How many bodies are kept, and their bytes.
    pub(super) bodies: usize,
    pub(super) body_bytes: usize,
}

impl MerchantFeed {
    /// Stores a new event, pending for every application but `acknowledged_by`.
    pub(super) fn insert(&mut self, mut event: FeedEvent, keep_body: bool, acknowledged_by: &[ApplicationId]) {
        for application in acknowledged_by {
            self.view_mut(application);
        }
        for view in self.views.iter_mut().filter(|view| !acknowledged_by.contains(&view.application)) {
            view.pending.insert(event.id);
        }
        let track = self.orders.entry(event.order).or_default();
        track.sequences.record(event.sequence);
        track.stored_events += 1;
        let body = if keep_body {
            self.bodies += 1;
            self.body_bytes += event.body.len();
            Body::Kept
        } else {
            event.body = Bytes::new();
            Body::Spilled
        };
        self.events.insert(event.id, StoredEvent { event, body });
    }

    /// Puts the body of a spilled event back.
    pub(super) fn restore_body(&mut self, id: EventId, body: Bytes) {
        if let Some(stored) = self.events.get_mut(&id).filter(|stored| stored.body == Body::Spilled) {
            self.bodies += 1;
            self.body_bytes += body.len();
            stored.event.body = body;
            stored.body = Body::Kept;
        }
    }

    /// Acknowledges a stored event; whether it was pending.
    pub(super) fn acknowledge(&mut self, application: &ApplicationId, id: EventId) -> bool {
        self.view_mut(application).pending.remove(&id)
    }

    /// Stops showing an event and answers the bytes freed.
    pub(super) fn expire(&mut self, id: EventId) -> usize {
        for view in &mut self.views {
            view.pending.remove(&id);
        }
        let Some(stored) = self.events.get_mut(&id) else { return 0 };
        let body = std::mem::take(&mut stored.event.body);
        if stored.body == Body::Kept {
            self.bodies -= 1;
            self.body_bytes -= body.len();
        }
        stored.body = Body::Expired;
        body.len()
    }

    /// Forgets an expired event altogether.
    pub(super) fn forget(&mut self, id: EventId) {
        let Some(stored) = self.events.remove(&id) else { return };
        if let btree_map::Entry::Occupied(mut track) = self.orders.entry(stored.event.order) {
            track.get_mut().stored_events = track.get().stored_events.saturating_sub(1);
            if track.get().stored_events == 0 {
                track.remove();
            }
        }
    }

    /// Whether a sequence below `sequence` of `order` is missing.
    pub(super) fn lower_is_missing(&self, order: OrderId, sequence: u32) -> bool {
        self.orders.get(&order).is_some_and(|track| track.sequences.lower_is_missing(sequence))
    }

    /// The events pending for `application` that were created at `from` or later, oldest first.
    pub(super) fn pending(&self, application: &ApplicationId, from: Timestamp) -> Pending<'_> {
        let range = first_id_at(from)..;
        match self.place_of(application) {
            Ok(place) => Pending::Viewed(self.views[place].pending.range(range), &self.events),
            Err(_) => Pending::All(self.events.range::<EventId, RangeFrom<EventId>>(range)),
        }
    }

    fn place_of(&self, application: &ApplicationId) -> Result<usize, usize> {
        self.views.binary_search_by(|view| view.application.cmp(application))
    }

    fn view_mut(&mut self, application: &ApplicationId) -> &mut View {
        let place = self.place_of(application).unwrap_or_else(|place| {
            let shown = self.events.iter().filter(|(_, stored)| stored.body != Body::Expired);
            let pending = shown.map(|(id, _)| *id).collect();
            self.views.insert(place, View { application: application.clone(), pending });
            place
        });
        &mut self.views[place]
    }
}

/// The smallest id an event created at `at` can have: the instant is the first 48 bits of an id.
fn first_id_at(at: Timestamp) -> EventId {
    let high = u128::from(at.unix_ms().unsigned_abs()) << 80;
    EventId::from_bytes(high.to_be_bytes())
}

/// Iterates over pending events, oldest first, without allocating.
pub enum Pending<'a> {
    /// The application has acknowledged nothing yet.
    All(btree_map::Range<'a, EventId, StoredEvent>),
    /// The ids still pending, and where their events are.
    Viewed(btree_set::Range<'a, EventId>, &'a BTreeMap<EventId, StoredEvent>),
}

impl<'a> Iterator for Pending<'a> {
    type Item = &'a StoredEvent;

    fn next(&mut self) -> Option<&'a StoredEvent> {
        match self {
            Self::All(events) => events.map(|(_, stored)| stored).find(|stored| stored.body != Body::Expired),
            Self::Viewed(ids, events) => ids.find_map(|id| events.get(id)),
        }
    }
}
