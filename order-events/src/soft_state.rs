//! What the leader knows of events beside the replicated state: since when they stand above a gap and whether they were
//! delivered.
//!
//! It holds for one term: whoever leads next starts from nothing. Losing it costs nothing that was promised: nothing
//! counts as delivered then, and what stands above a gap waits its two seconds anew. Both maps are bounded; the service
//! sweeps them.

use std::collections::HashMap;
use std::time::Duration;

use event_feed::FeedEvent;
use order_model::{ApplicationId, EventId, Timestamp};
use parking_lot::{Mutex, MutexGuard};

/// The most delivery marks of a partition (about 50 bytes each). Beyond it deliveries go unmarked: pages then prefer
/// the oldest events, and a first delivery is not logged.
pub(crate) const DELIVERY_MARKS_MAX: usize = 250_000;

/// The most events of a partition whose arrival is remembered (about 50 bytes each). Beyond it an event above a gap
/// is not held back.
pub(crate) const ARRIVALS_MAX: usize = 100_000;

/// The soft state of one partition.
#[derive(Debug, Default)]
pub(crate) struct SoftState {
    /// When each event above a gap was first seen there, on the monotonic clock: by a poll or by the loop that looks
    /// after gaps. Whichever node brought it in, this is the one that shows it.
    arrivals: Mutex<HashMap<EventId, Duration>>,
    delivered: Mutex<DeliveryMarks>,
}

impl SoftState {
    /// Since when the event, which stands above a gap, is known to; from `now` on if that is news. `None` when there is
    /// no room for it.
    pub(crate) fn arrived_at(&self, id: EventId, now: Duration) -> Option<Duration> {
        let mut arrivals = self.arrivals.lock();
        if let Some(arrived) = arrivals.get(&id) {
            return Some(*arrived);
        }
        if arrivals.len() >= ARRIVALS_MAX {
            return None;
        }
        arrivals.insert(id, now);
        Some(now)
    }

    /// Forgets the arrivals of all events but those that `stand` above a gap.
    pub(crate) fn keep_arrivals(&self, stand: impl Fn(EventId) -> bool) {
        self.arrivals.lock().retain(|id, _| stand(*id));
    }

    /// Forgets everything: another term has begun.
    pub(crate) fn reset(&self) {
        *self.arrivals.lock() = HashMap::new();
        *self.delivered.lock() = DeliveryMarks::default();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arrival_is_the_first_sight_until_the_term_or_the_gap_ends() {
        let (soft, at) = (SoftState::default(), Duration::from_secs);
        let (one, two) = (EventId::from_bytes([1; 16]), EventId::from_bytes([2; 16]));
        assert_eq!(soft.arrived_at(one, at(5)), Some(at(5)));
        assert_eq!(soft.arrived_at(one, at(9)), Some(at(5)));
        assert_eq!(soft.arrived_at(two, at(6)), Some(at(6)));
        soft.keep_arrivals(|id| id == two);
        assert_eq!(soft.arrived_at(one, at(9)), Some(at(9)), "above another gap");
        assert_eq!(soft.arrived_at(two, at(9)), Some(at(6)));
        soft.reset();
        assert_eq!(soft.arrived_at(two, at(10)), Some(at(10)));
    }
}
