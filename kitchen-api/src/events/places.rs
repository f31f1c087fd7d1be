//! Places for requests that wait: bounded for the process and for each caller, and given back when the request ends.
//!
//! Asked by `vigil`. A caller is whoever the rate limits count by itself. Queueing for a place is deliberately absent: who
//! finds none is told so.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::oauth::Authorised;
use crate::rate_limits::{Caller, caller};

/// So many places of one kind.
#[derive(Clone)]
pub(crate) struct Places {
    taken: Arc<Mutex<Taken>>,
    most: usize,
    most_per_caller: usize,
    waiting: metrics::Gauge,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_caller: HashMap<Caller, usize>,
}

impl Places {
    /// Places for requests of this kind, which is its name in metrics.
    pub(crate) fn new(kind: &'static str, most: usize, most_per_caller: usize) -> Self {
        let waiting = metrics::gauge!("comanda_kitchen_api_waiting", "kind" => kind);
        Self { taken: Arc::default(), most, most_per_caller, waiting }
    }

    /// The most places that one caller can have.
    pub(super) fn most_of_one(&self) -> u32 {
        u32::try_from(self.most.min(self.most_per_caller)).unwrap_or(u32::MAX)
    }

    /// A place for a request of this application, or of this restaurant of a distributed one; `None` when all are taken.
    pub(super) fn take(&self, authorised: &Authorised) -> Option<Place> {
        self.take_for(caller(authorised))
    }

    fn take_for(&self, caller: Caller) -> Option<Place> {
        let mut taken = self.taken.lock();
        let of_caller = taken.by_caller.get(&caller).copied().unwrap_or_default();
        if taken.all >= self.most || of_caller >= self.most_per_caller {
            return None;
        }
        taken.all += 1;
        taken.by_caller.insert(caller.clone(), of_caller + 1);
        drop(taken);
        self.waiting.increment(1.0);
        Some(Place { taken: Arc::clone(&self.taken), caller, waiting: self.waiting.clone() })
    }
}

/// A place; dropping it gives it back.
pub(super) struct Place {
    taken: Arc<Mutex<Taken>>,
    caller: Caller,
    waiting: metrics::Gauge,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.waiting.decrement(1.0);
        let mut taken = self.taken.lock();
        taken.all -= 1;
        if let Some(of_caller) = taken.by_caller.get_mut(&self.caller) {
            *of_caller -= 1;
            if *of_caller == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use order_model::MerchantId;

    use super::*;

    #[test]
    fn places_are_bounded_for_all_and_for_each_and_come_back() {
        let places = Places::new("test", 3, 2);
        let one = || -> Caller { ("one".parse().unwrap(), None) };
        let restaurant = |number| -> Caller { ("pos".parse().unwrap(), Some(MerchantId::from_bytes([number; 16]))) };
        let first = places.take_for(one()).unwrap();
        let second = places.take_for(one()).unwrap();
        assert!(places.take_for(one()).is_none(), "its own are taken");
        let third = places.take_for(restaurant(1)).unwrap();
        assert!(places.take_for(restaurant(2)).is_none(), "all are taken");
        drop(first);
        assert!(places.take_for(restaurant(2)).is_some());
        drop((second, third));
        assert!(places.taken.lock().by_caller.is_empty());
        assert_eq!(places.taken.lock().all, 0);
    }
}
