//! What the leader knows of events beside the replicated state: when they arrived and whether they were delivered.
//!
//! Losing it costs nothing that was promised: after a restart nothing counts as delivered, and what stands above a gap
//! waits its two seconds anew. Both maps are bounded; the service sweeps them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventId, MerchantId, OrderId, Timestamp};
use parking_lot::{Mutex, MutexGuard};

/// The most delivery marks of a partition (about 50 bytes each). Beyond it deliveries go unmarked: pages then prefer
/// the oldest events, and a first delivery is not logged.
pub(crate) const DELIVERY_MARKS_MAX: usize = 250_000;

/// The most events of a partition whose arrival is remembered (about 100 bytes each). Beyond it an event above a gap
/// is not held back.
pub(crate) const ARRIVALS_MAX: usize = 100_000;

/// An event that may stand above a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// When it arrived, on the monotonic clock.
    pub(crate) at: Duration,
    pub(crate) merchant: MerchantId,
    pub(crate) order: OrderId,
    pub(crate) sequence: u32,
}

/// The soft state of one partition.
#[derive(Debug, Default)]
pub(crate) struct SoftState {
    arrivals: Mutex<HashMap<EventId, Arrival>>,
    /// How many arrivals there are, so that polls need no lock while there are none, which is nearly always.
    waiting: AtomicUsize,
    delivered: Mutex<DeliveryMarks>,
}

impl SoftState {
    /// Remembers when `event` arrived. Called before it is applied: a poll in between must find it held.
    pub(crate) fn note_arrival(&self, event: &FeedEvent, at: Duration) {
        let mut arrivals = self.arrivals.lock();
        if arrivals.len() < ARRIVALS_MAX {
            let arrival = Arrival { at, merchant: event.merchant, order: event.order, sequence: event.sequence };
            arrivals.entry(event.id).or_insert(arrival);
            self.waiting.store(arrivals.len(), Ordering::SeqCst);
        }
    }

    /// Forgets arrivals that do not, or no longer, matter.
    pub(crate) fn forget_arrivals(&self, ids: impl IntoIterator<Item = EventId>) {
        let mut arrivals = self.arrivals.lock();
        for id in ids {
            arrivals.remove(&id);
        }
        self.waiting.store(arrivals.len(), Ordering::SeqCst);
    }

    /// Everything that waits above a gap, or did when it arrived.
    pub(crate) fn arrivals(&self) -> Vec<(EventId, Arrival)> {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return Vec::new();
        }
        self.arrivals.lock().iter().map(|(id, arrival)| (*id, *arrival)).collect()
    }

    /// When the event arrived, if it may stand above a gap.
    pub(crate) fn arrived_at(&self, id: EventId) -> Option<Duration> {
        if self.waiting.load(Ordering::SeqCst) == 0 {
            return None;
        }
        self.arrivals.lock().get(&id).map(|arrival| arrival.at)
    }

    /// What was delivered to whom.
    pub(crate) fn delivered(&self) -> MutexGuard<'_, DeliveryMarks> {
        self.delivered.lock()
    }
}

/// Which events were in an answer to which application, until they are acknowledged or expire.
#[derive(Debug, Default)]
pub(crate) struct DeliveryMarks {
    by_application: HashMap<ApplicationId, HashMap<EventId, Timestamp>>,
    count: usize,
}

impl DeliveryMarks {
    /// Whether `application` was given the event before.
    pub(crate) fn contains(&self, application: &ApplicationId, id: EventId) -> bool {
        self.by_application.get(application).is_some_and(|marks| marks.contains_key(&id))
    }

    /// Marks a delivery; whether it is known to be the first.
    pub(crate) fn mark(&mut self, application: &ApplicationId, event: &FeedEvent) -> bool {
        if self.count >= DELIVERY_MARKS_MAX {
            return false;
        }
        let marks = match self.by_application.get_mut(application) {
            Some(marks) => marks,
            None => self.by_application.entry(application.clone()).or_default(),
        };
        let is_first = marks.insert(event.id, event.expires_at).is_none();
        self.count += usize::from(is_first);
        is_first
    }

    /// Forgets what `application` has acknowledged.
    pub(crate) fn forget(&mut self, application: &ApplicationId, ids: &[EventId]) {
        if let Some(marks) = self.by_application.get_mut(application) {
            let before = marks.len();
            for id in ids {
                marks.remove(id);
            }
            self.count -= before - marks.len();
        }
    }

    /// Forgets what has expired.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        for marks in self.by_application.values_mut() {
            marks.retain(|_, expires_at| *expires_at > now);
        }
        self.by_application.retain(|_, marks| !marks.is_empty());
        self.count = self.by_application.values().map(HashMap::len).sum();
    }
}
