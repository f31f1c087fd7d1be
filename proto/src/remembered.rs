//! What another service answered and what changes rarely, remembered for some minutes: two generations bound the number and the age of
//! entries.
//!
//! Used by gateway-core and kitchen-api for what merchants are called. Which answers may be remembered, and to whom they are shown, is the
//! caller's to say; the time is passed in.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

/// A generation is replaced after this; an entry lives one to two of them.
const GENERATION_AGE_MAX: Duration = Duration::from_secs(300);

/// Two generations of entries: what is in neither is asked again.
#[derive(Debug)]
pub struct Remembered<K, V> {
    entries_max: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    since: Duration,
}

impl<K: Eq + Hash, V: Clone> Remembered<K, V> {
    /// Holds at most twice `entries_max` entries. `now` is a monotonic time, here and below.
    pub fn new(now: Duration, entries_max: usize) -> Self {
        Self { entries_max, young: HashMap::new(), old: HashMap::new(), since: now }
    }

    /// What is remembered of `key`.
    pub fn get<Q>(&mut self, key: &Q, now: Duration) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.turn(now);
        self.young.get(key).or_else(|| self.old.get(key)).cloned()
    }

    /// Remembers what was answered at `now`.
    pub fn insert(&mut self, key: K, value: V, now: Duration) {
        self.turn(now);
        self.young.insert(key, value);
    }

    fn turn(&mut self, now: Duration) {
        let age = now.saturating_sub(self.since);
        if age >= GENERATION_AGE_MAX || self.young.len() >= self.entries_max {
            self.old = std::mem::take(&mut self.young);
            if age >= 2 * GENERATION_AGE_MAX {
                self.old.clear();
            }
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_bounded_in_number_and_age() {
        let mut known = Remembered::new(Duration::ZERO, 2);
        for number in 0..5 {
            known.insert(number, number, Duration::ZERO);
        }
        assert!(known.young.len() + known.old.len() <= 4);
        assert_eq!(known.get(&0, Duration::ZERO), None);
        assert_eq!(known.get(&4, Duration::ZERO), Some(4));
        assert_eq!(known.get(&4, GENERATION_AGE_MAX), Some(4), "one generation later");
        assert_eq!(known.get(&4, 2 * GENERATION_AGE_MAX), None);
        known.insert(4, 4, 2 * GENERATION_AGE_MAX);
        assert_eq!(known.get(&4, 9 * GENERATION_AGE_MAX), None, "nobody asked for a long time");
    }
}
