//! What the leader knows of events beside the replicated state: since when they stand above a gap and how often they were
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

/// An event that was delivered this often and never acknowledged is a strike (PARTNER_API, 1.3). Here strikes are counted
/// and told to whoever polls: refusing polls for them is kitchen-api's.
pub(crate) const DELIVERIES_PER_STRIKE: u8 = 50;

/// The most delivery marks of a partition (about 60 bytes each). Beyond it deliveries go unmarked: pages then prefer
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
    by_application: HashMap<ApplicationId, HashMap<EventId, Mark>>,
    count: usize,
}

/// What is known of one event and one application.
#[derive(Debug)]
struct Mark {
    expires_at: Timestamp,
    /// Up to 255.
    deliveries: u8,
}

/// What a delivery was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The first that is known of.
    First,
    /// Another one.
    Again,
    /// The one that makes a strike of it: once for an event.
    Strike,
    /// There was no room to mark it.
    Unmarked,
}

impl DeliveryMarks {
    /// Whether `application` was given the event before.
    pub(crate) fn contains(&self, application: &ApplicationId, id: EventId) -> bool {
        self.by_application.get(application).is_some_and(|marks| marks.contains_key(&id))
    }

    /// Whether the event was delivered to `application` so often that it is a strike.
    pub(crate) fn is_strike(&self, application: &ApplicationId, id: EventId) -> bool {
        let mark = self.by_application.get(application).and_then(|marks| marks.get(&id));
        mark.is_some_and(|mark| mark.deliveries >= DELIVERIES_PER_STRIKE)
    }

    /// Marks a delivery, and says which it was.
    pub(crate) fn mark(&mut self, application: &ApplicationId, event: &FeedEvent) -> Delivery {
        let marks = match self.by_application.get_mut(application) {
            Some(marks) => marks,
            None if self.count >= DELIVERY_MARKS_MAX => return Delivery::Unmarked,
            None => self.by_application.entry(application.clone()).or_default(),
        };
        if let Some(mark) = marks.get_mut(&event.id) {
            let is_strike = mark.deliveries == DELIVERIES_PER_STRIKE - 1;
            mark.deliveries = mark.deliveries.saturating_add(1);
            return if is_strike { Delivery::Strike } else { Delivery::Again };
        }
        if self.count >= DELIVERY_MARKS_MAX {
            return Delivery::Unmarked;
        }
        marks.insert(event.id, Mark { expires_at: event.expires_at, deliveries: 1 });
        self.count += 1;
        Delivery::First
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
            marks.retain(|_, mark| mark.expires_at > now);
        }
        self.by_application.retain(|_, marks| !marks.is_empty());
        self.count = self.by_application.values().map(HashMap::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(number: u8) -> FeedEvent {
        FeedEvent {
            id: EventId::from_bytes([number; 16]),
            order: order_model::OrderId::from_bytes([number; 16]),
            merchant: order_model::MerchantId::from_bytes([1; 16]),
            code: order_model::EventCode::Placed,
            category: order_model::EventCategory::Food,
            sequence: 1,
            created_at: Timestamp::from_unix_ms(0),
            expires_at: Timestamp::from_unix_ms(1_000),
            trace: event_feed::TraceId::default(),
            body: bytes::Bytes::new(),
        }
    }

    #[test]
    fn the_fiftieth_delivery_is_a_strike_once_and_an_acknowledgment_begins_anew() {
        let mut marks = DeliveryMarks::default();
        let [one, other]: [ApplicationId; 2] = ["one", "other"].map(|id| id.parse().unwrap());
        let deliver = |marks: &mut DeliveryMarks, application: &ApplicationId, times: usize| -> Vec<usize> {
            let strikes = (1..=times).filter(|_| marks.mark(application, &event(1)) == Delivery::Strike);
            strikes.collect()
        };
        assert_eq!(marks.mark(&one, &event(1)), Delivery::First);
        assert_eq!(deliver(&mut marks, &one, 300), [usize::from(DELIVERIES_PER_STRIKE) - 1], "and never again");
        assert_eq!(deliver(&mut marks, &other, 49), [0; 0], "counted for each application");
        assert_eq!([&one, &other].map(|application| marks.is_strike(application, event(1).id)), [true, false]);
        marks.forget(&one, &[event(1).id]);
        assert!(!marks.is_strike(&one, event(1).id));
        assert_eq!(deliver(&mut marks, &one, 49), [0; 0]);
        marks.sweep(Timestamp::from_unix_ms(1_000));
        assert_eq!((marks.count, marks.contains(&one, event(1).id)), (0, false));
    }

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
