//! The last log line of an order's trace: this event was put into an answer for the first time, by this process.
//!
//! An event that is not acknowledged is served again and again, so the ids of the latest [`GENERATION_IDS`] to twice as
//! many are remembered. An event forgotten and served again is logged again: harmless, and rare.

use std::collections::HashSet;

use event_feed::FeedEvent;
use order_model::EventId;
use parking_lot::Mutex;

/// Ids per generation: an hour of 10 events/s; two generations take some 2 MB.
const GENERATION_IDS: usize = 32_768;

/// Remembers which events were logged.
#[derive(Default)]
pub(super) struct ServedLog {
    generations: Mutex<Generations>,
}

#[derive(Default)]
struct Generations {
    young: HashSet<EventId>,
    old: HashSet<EventId>,
}

impl Generations {
    /// Whether `id` is new; remembers it.
    fn is_first(&mut self, id: EventId) -> bool {
        if self.young.contains(&id) || self.old.contains(&id) {
            return false;
        }
        if self.young.len() >= GENERATION_IDS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id)
    }
}

impl ServedLog {
    /// Logs the events of an answer that were not served before, at info.
    pub fn served(&self, events: &[FeedEvent]) {
        if events.is_empty() {
            return;
        }
        let first: Vec<&FeedEvent> = {
            let mut generations = self.generations.lock();
            events.iter().filter(|event| generations.is_first(event.id)).collect()
        };
        for event in first {
            tracing::info!(trace_id = %event.trace, event_id = %event.id, order_id = %event.order,
                code = event.code.code(), "event served for the first time");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_new_once_and_memory_is_bounded() {
        let id = |number: usize| EventId::from_bytes((number as u128).to_be_bytes());
        let mut generations = Generations::default();
        assert!(generations.is_first(id(0)) && !generations.is_first(id(0)));
        for number in 1..5 * GENERATION_IDS {
            assert!(generations.is_first(id(number)));
            assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION_IDS);
        }
        assert!(!generations.is_first(id(5 * GENERATION_IDS - 1)), "the latest is remembered");
    }
}
