//! A bounded memory of what was seen lately: two generations, the older one forgotten whole when the younger is full.
//!
//! Used for what was delivered and which gaps were looked at. Only good where forgetting costs little; it is per
//! process and never stored.

use std::collections::HashSet;
use std::hash::Hash;

/// Remembers at least the last `generation_max` distinct keys and at most twice as many.
#[derive(Debug)]
pub(crate) struct Recent<K> {
    generation_max: usize,
    young: HashSet<K>,
    old: HashSet<K>,
}

impl<K: Eq + Hash> Recent<K> {
    pub(crate) fn new(generation_max: usize) -> Self {
        Self { generation_max, young: HashSet::new(), old: HashSet::new() }
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.young.contains(key) || self.old.contains(key)
    }

    /// Remembers `key`; whether it was new.
    pub(crate) fn insert(&mut self, key: K) -> bool {
        let is_new = !self.contains(&key);
        if self.young.len() >= self.generation_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key);
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_forgets_the_oldest_and_stays_bounded() {
        let mut recent = Recent::new(10);
        assert!(recent.insert(0) && !recent.insert(0));
        (1..=1_000).for_each(|key| assert!(recent.insert(key)));
        assert!((991..=1_000).all(|key| recent.contains(&key)) && !recent.contains(&0));
        assert!(recent.young.len() + recent.old.len() <= 20);
    }
}
