//! What the agent remembers of messages between their attempts, bounded.
//!
//! Used by the worker. What is evicted is forgotten, never wrong: a forgotten message begins anew, and the queue's
//! count of receives bounds how often that can happen (see [`crate::decision`]).

use std::collections::{BTreeMap, HashMap};

use crate::decision::History;

/// Histories by the broker's message id; the oldest is forgotten first.
pub(crate) struct Histories {
    entries_max: usize,
    next: u64,
    by_id: HashMap<String, (u64, History)>,
    by_age: BTreeMap<u64, String>,
}

impl Histories {
    /// Remembers at most `entries_max` messages.
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries_max, next: 0, by_id: HashMap::new(), by_age: BTreeMap::new() }
    }

    /// The history of a message, new if it has none.
    pub(crate) fn of(&self, message_id: &str, receive_count: u32) -> History {
        self.by_id.get(message_id).map_or_else(|| History::new(receive_count), |(_, history)| *history)
    }

    /// Remembers the history of a message that will come back.
    pub(crate) fn remember(&mut self, message_id: &str, history: History) {
        if let Some((_, known)) = self.by_id.get_mut(message_id) {
            *known = history;
            return;
        }
        while self.by_id.len() >= self.entries_max {
            let Some((_, oldest)) = self.by_age.pop_first() else {
                break;
            };
            self.by_id.remove(&oldest);
        }
        self.by_id.insert(message_id.to_owned(), (self.next, history));
        self.by_age.insert(self.next, message_id.to_owned());
        self.next += 1;
    }

    /// Forgets a message that will not come back.
    pub(crate) fn forget(&mut self, message_id: &str) {
        if let Some((age, _)) = self.by_id.remove(message_id) {
            self.by_age.remove(&age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_is_forgotten_first() {
        let mut histories = Histories::new(2);
        let mut retried = History::new(1);
        retried.not_moved();
        for id in ["a", "b", "c"] {
            histories.remember(id, retried);
        }
        assert_eq!(histories.of("a", 1), History::new(1));
        assert_eq!((histories.of("b", 1), histories.of("c", 1)), (retried, retried));
        histories.forget("b");
        histories.forget("b");
        histories.remember("d", retried);
        assert_eq!((histories.of("c", 1), histories.of("d", 1)), (retried, retried));
        assert_eq!((histories.by_age.len(), histories.by_id.len()), (2, 2));
    }
}
