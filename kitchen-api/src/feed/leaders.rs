//! Who leads which partition of order-events, as far as this process knows.
//!
//! [`RoutingTable`] is the pure value: told by hints, asked by whoever splits a poll. [`LeaderMap`] shares one, with a copy
//! that polls read without a lock. Hints come from refusals, from each node's status, and from a grid in the same process.
//! They overtake one another and may be stale: of two the one of the higher term is right, so that two nodes that
//! point at each other cannot be asked in turns for ever. Asking anybody is deliberately absent.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use order_model::{PartitionCount, PartitionId};
use parking_lot::Mutex;

/// A node of order-events' grid, by its number there; never 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node of this number; `None` for 0, which is nobody.
    pub fn from_number(number: u64) -> Option<Self> {
        (number != 0).then_some(Self(number))
    }

    /// Its number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// What a node says of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaderHint {
    /// Of which.
    pub partition: PartitionId,
    /// Who leads it, as far as that node knows.
    pub leader: Option<NodeId>,
    /// The term in which it learnt that.
    pub term: u64,
}

/// The leaders of all partitions: bounded by their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutingTable {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Entry {
    leader: Option<NodeId>,
    term: u64,
    /// Whose word this is.
    told_by: Option<NodeId>,
}

impl RoutingTable {
    /// A table that knows nobody.
    pub fn new(partitions: PartitionCount) -> Self {
        Self { entries: vec![Entry::default(); usize::from(partitions.0.get())] }
    }

    /// Takes in what `told_by` says; whether that was news. Within one term a leader does not change, so only the first to
    /// name one is heard; of partitions that do not exist nothing is.
    pub fn learn(&mut self, told_by: NodeId, hint: &LeaderHint) -> bool {
        let Some(entry) = self.entries.get_mut(usize::from(hint.partition.0)) else { return false };
        let completes = hint.term == entry.term && entry.leader.is_none() && hint.leader.is_some();
        if hint.term > entry.term || completes {
            *entry = Entry { leader: hint.leader, term: hint.term, told_by: Some(told_by) };
            return true;
        }
        false
    }

    /// Forgets what `node` leads and what it said: it cannot be reached, and if it comes back as part of another cluster
    /// the terms it spoke of mean nothing.
    pub fn forget(&mut self, node: NodeId) {
        for entry in &mut self.entries {
            if entry.leader == Some(node) || entry.told_by == Some(node) {
                *entry = Entry::default();
            }
        }
    }

    /// Who leads `partition`.
    pub fn leader_of(&self, partition: PartitionId) -> Option<NodeId> {
        self.entries.get(usize::from(partition.0)).and_then(|entry| entry.leader)
    }

    /// `partitions` by who leads them; under `None` those of which that is not known.
    pub fn route(&self, partitions: &[PartitionId]) -> BTreeMap<Option<NodeId>, Vec<PartitionId>> {
        let mut routes: BTreeMap<Option<NodeId>, Vec<PartitionId>> = BTreeMap::new();
        for partition in partitions {
            routes.entry(self.leader_of(*partition)).or_default().push(*partition);
        }
        routes
    }
}

/// A routing table shared by everybody who routes and everybody who learns. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LeaderMap {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    table: Mutex<RoutingTable>,
    /// The table's leaders once more, 0 for nobody.
    leaders: Box<[AtomicU64]>,
}

impl LeaderMap {
    /// A map that knows nobody.
    pub fn new(partitions: PartitionCount) -> Self {
        let leaders = partitions.iter().map(|_| AtomicU64::new(0)).collect();
        Self { shared: Arc::new(Shared { table: Mutex::new(RoutingTable::new(partitions)), leaders }) }
    }

    /// Takes in what `told_by` says.
    pub fn learn(&self, told_by: NodeId, hints: impl IntoIterator<Item = LeaderHint>) {
        let mut table = self.shared.table.lock();
        let mut is_news = false;
        for hint in hints {
            is_news |= table.learn(told_by, &hint);
        }
        if is_news {
            self.publish(&table);
        }
    }

    /// Forgets what `node` leads and what it said.
    pub fn forget(&self, node: NodeId) {
        let mut table = self.shared.table.lock();
        table.forget(node);
        self.publish(&table);
    }

    /// Who leads `partition`.
    pub fn leader_of(&self, partition: PartitionId) -> Option<NodeId> {
        let leader = self.shared.leaders.get(usize::from(partition.0))?;
        NodeId::from_number(leader.load(Ordering::Relaxed))
    }

    /// `partitions` by who leads them; under `None` those of which that is not known.
    pub fn route(&self, partitions: &[PartitionId]) -> BTreeMap<Option<NodeId>, Vec<PartitionId>> {
        self.shared.table.lock().route(partitions)
    }

    fn publish(&self, table: &RoutingTable) {
        for (partition, leader) in (0..).map(PartitionId).zip(&self.shared.leaders) {
            leader.store(table.leader_of(partition).map_or(0, NodeId::number), Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(number: u64) -> NodeId {
        NodeId::from_number(number).unwrap()
    }

    fn hint(partition: u16, leader: u64, term: u64) -> LeaderHint {
        LeaderHint { partition: PartitionId(partition), leader: NodeId::from_number(leader), term }
    }

    #[test]
    fn of_two_hints_the_one_of_the_higher_term_is_right() {
        let mut table = RoutingTable::new(PartitionCount::DEFAULT);
        assert!(table.learn(node(1), &hint(3, 2, 5)));
        assert!(!table.learn(node(4), &hint(3, 1, 4)), "stale");
        assert!(!table.learn(node(4), &hint(3, 1, 5)), "nobody else leads in one term");
        assert_eq!(table.leader_of(PartitionId(3)), Some(node(2)));
        assert!(table.learn(node(4), &hint(3, 0, 6)), "an election is under way");
        assert_eq!(table.leader_of(PartitionId(3)), None);
        assert!(!table.learn(node(1), &hint(3, 2, 5)), "and the old leader is not believed in again");
        assert!(table.learn(node(4), &hint(3, 1, 6)));
        assert_eq!(table.leader_of(PartitionId(3)), Some(node(1)));
        assert!(!table.learn(node(4), &hint(16, 1, 6)), "there is no such partition");
    }

    #[test]
    fn a_node_that_is_gone_is_forgotten_with_all_it_said() {
        let mut table = RoutingTable::new(PartitionCount::DEFAULT);
        table.learn(node(1), &hint(0, 2, 9));
        table.learn(node(2), &hint(1, 3, 9));
        table.learn(node(1), &hint(2, 3, 9));
        table.forget(node(2));
        let leaders = [0, 1, 2].map(|partition| table.leader_of(PartitionId(partition)));
        assert_eq!(leaders, [None, None, Some(node(3))]);
        assert!(table.learn(node(1), &hint(0, 1, 2)), "a cluster made anew begins with low terms");
    }

    #[test]
    fn partitions_are_routed_by_node() {
        let map = LeaderMap::new(PartitionCount::DEFAULT);
        map.learn(node(1), [hint(0, 1, 1), hint(1, 2, 1), hint(2, 1, 1)]);
        let routes = map.route(&[0, 1, 2, 3].map(PartitionId));
        assert_eq!(routes[&Some(node(1))], [PartitionId(0), PartitionId(2)]);
        assert_eq!(routes[&Some(node(2))], [PartitionId(1)]);
        assert_eq!(routes[&None], [PartitionId(3)]);
        assert_eq!(map.leader_of(PartitionId(1)), Some(node(2)));
        map.forget(node(2));
        assert_eq!(map.leader_of(PartitionId(1)), None);
    }

    proptest! {
        /// In whatever order hints arrive, the leader of the highest term is known in the end. Each term has one leader.
        #[test]
        fn the_order_of_hints_does_not_matter(terms in prop::collection::vec((1u64..9, 1u64..4, any::<bool>()), 1..40)) {
            let mut table = RoutingTable::new(PartitionCount::DEFAULT);
            let mut changes = 0;
            for (term, told_by, knows) in &terms {
                let leader = if *knows { term % 3 + 1 } else { 0 };
                changes += usize::from(table.learn(node(*told_by), &hint(5, leader, *term)));
            }
            let highest = terms.iter().map(|(term, ..)| *term).max().unwrap();
            let is_known = terms.iter().any(|(term, _, knows)| *term == highest && *knows);
            let expected = is_known.then(|| node(highest % 3 + 1));
            prop_assert_eq!(table.leader_of(PartitionId(5)), expected);
            prop_assert!(changes <= 16, "at most twice for each term, however often hints repeat");
        }
    }
}
