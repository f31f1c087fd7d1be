//! Who should lead what: one transfer at a time, from a node that leads too much, or should not lead, to one that leads
//! less. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeId;

/// A partition that has a leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::replicated) struct Led {
    pub(in crate::replicated) partition: u16,
    pub(in crate::replicated) leader: NodeId,
    /// Its other voters that have nearly everything the leader has.
    pub(in crate::replicated) ready: Vec<NodeId>,
}

/// The transfer that evens most; `willing` are the nodes that are reached and may lead. `None` when no transfer brings
/// two nodes closer.
pub(in crate::replicated) fn next_transfer(led: &[Led], willing: &BTreeSet<NodeId>) -> Option<(u16, NodeId)> {
    let mut leads: BTreeMap<NodeId, usize> = willing.iter().map(|node| (*node, 0)).collect();
    for led in led {
        if let Some(count) = leads.get_mut(&led.leader) {
            *count += 1;
        }
    }
    let transfers = led.iter().flat_map(|led| {
        let leads = &leads;
        led.ready.iter().filter_map(move |to| {
            let there = *leads.get(to)?;
            // A leader that should not lead at all has more than any.
            let gain = leads.get(&led.leader).map_or(usize::MAX, |here| here.saturating_sub(there));
            (gain >= 2).then_some((gain, std::cmp::Reverse(there), led.partition, *to))
        })
    });
    transfers.max().map(|(_, _, partition, to)| (partition, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn led(partition: u16, leader: u64, others: &[u64]) -> Led {
        Led { partition, leader: NodeId(leader), ready: others.iter().copied().map(NodeId).collect() }
    }

    fn willing(nodes: &[u64]) -> BTreeSet<NodeId> {
        nodes.iter().copied().map(NodeId).collect()
    }

    #[test]
    fn leaders_spread_until_they_are_even() {
        let mut all: Vec<Led> = (0..16).map(|partition| led(partition, 1, &[2, 3])).collect();
        let nodes = willing(&[1, 2, 3]);
        let mut transfers = 0;
        while let Some((partition, to)) = next_transfer(&all, &nodes) {
            let moved = &mut all[usize::from(partition)];
            let from = std::mem::replace(&mut moved.leader, to);
            moved.ready.retain(|node| *node != to);
            moved.ready.push(from);
            transfers += 1;
            assert!(transfers < 20);
        }
        let count = |node| all.iter().filter(|led| led.leader == NodeId(node)).count();
        let mut counts = [count(1), count(2), count(3)];
        counts.sort_unstable();
        assert_eq!((counts, transfers), ([5, 5, 6], 10));
    }

    #[test]
    fn a_node_that_should_not_lead_gives_up_even_its_last() {
        let all = [led(0, 1, &[2]), led(1, 2, &[1])];
        assert_eq!(next_transfer(&all, &willing(&[2])), Some((0, NodeId(2))));
        assert_eq!(next_transfer(&all, &willing(&[1, 2])), None);
    }

    #[test]
    fn nobody_leads_who_is_not_ready() {
        assert_eq!(next_transfer(&[led(0, 1, &[]), led(1, 1, &[]), led(2, 1, &[])], &willing(&[1, 2])), None);
    }
}
