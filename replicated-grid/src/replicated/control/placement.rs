//! Which nodes hold which partition: pure functions of the members and of where the partitions are.
//!
//! Every node holds about the same number of replicas. A change moves one replica of one partition, and only when the
//! map becomes better by it: adding a node to n moves about 1/(n+1) of the replicas, removing one moves what it had.

use std::collections::{BTreeMap, BTreeSet};

use crate::node::NodeId;

/// The placement of a new grid. The first replica of consecutive partitions goes round the nodes.
pub(in crate::replicated) fn initial(
    members: &[NodeId],
    partitions: u16,
    replication_factor: usize,
) -> Vec<Vec<NodeId>> {
    let members: BTreeSet<NodeId> = members.iter().copied().collect();
    let replicas = replication_factor.min(members.len());
    let round = |partition: u16| members.iter().copied().cycle().skip(usize::from(partition) % members.len().max(1));
    (0..partitions).map(|partition| round(partition).take(replicas).collect()).collect()
}

/// The next change to `placed`: what must not stay moves first, then what is uneven. `None` when all is well.
pub(in crate::replicated) fn next_change(
    staying: &BTreeSet<NodeId>,
    replication_factor: usize,
    placed: &[Vec<NodeId>],
) -> Option<(u16, Vec<NodeId>)> {
    let wanted = replication_factor.min(staying.len());
    if wanted == 0 {
        return None;
    }
    let loads = loads(staying, placed);
    (0..)
        .zip(placed)
        .find_map(|(partition, replicas)| repaired(replicas, &loads, wanted).map(|replicas| (partition, replicas)))
        .or_else(|| evened(placed, &loads))
}

/// How many replicas each of the staying nodes has.
fn loads(staying: &BTreeSet<NodeId>, placed: &[Vec<NodeId>]) -> BTreeMap<NodeId, usize> {
    let mut loads: BTreeMap<NodeId, usize> = staying.iter().map(|node| (*node, 0)).collect();
    for node in placed.iter().flatten() {
        if let Some(load) = loads.get_mut(node) {
            *load += 1;
        }
    }
    loads
}

/// `replicas` with one replaced that must go, one added that is missing, or one dropped that is too many.
fn repaired(replicas: &[NodeId], loads: &BTreeMap<NodeId, usize>, wanted: usize) -> Option<Vec<NodeId>> {
    let free = || {
        let others = loads.iter().filter(|(node, _)| !replicas.contains(node));
        others.min_by_key(|(node, load)| (**load, **node)).map(|(node, _)| *node)
    };
    let mut repaired = replicas.to_vec();
    if let Some(leaving) = replicas.iter().position(|node| !loads.contains_key(node)) {
        match free() {
            Some(free) if replicas.len() <= wanted => repaired[leaving] = free,
            _ => drop(repaired.remove(leaving)),
        }
    } else if replicas.len() < wanted {
        repaired.push(free()?);
    } else if replicas.len() > wanted {
        let fullest = replicas.iter().max_by_key(|node| (loads.get(node), **node))?;
        repaired.retain(|node| node != fullest);
    } else {
        return None;
    }
    Some(repaired)
}

/// One replica from a node that has at least two more than another moves there.
fn evened(placed: &[Vec<NodeId>], loads: &BTreeMap<NodeId, usize>) -> Option<(u16, Vec<NodeId>)> {
    let mut best: Option<(usize, u16, NodeId, NodeId)> = None;
    for (partition, replicas) in (0..).zip(placed) {
        for from in replicas {
            for (to, load) in loads.iter().filter(|(node, _)| !replicas.contains(node)) {
                let gain = loads.get(from)?.saturating_sub(*load);
                if gain >= 2 && best.is_none_or(|(largest, ..)| gain > largest) {
                    best = Some((gain, partition, *from, *to));
                }
            }
        }
    }
    let (_, partition, from, to) = best?;
    let replicas = placed.get(usize::from(partition))?.iter();
    Some((partition, replicas.map(|node| if *node == from { to } else { *node }).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nodes(ids: impl IntoIterator<Item = u64>) -> BTreeSet<NodeId> {
        ids.into_iter().map(NodeId).collect()
    }

    fn settle(staying: &BTreeSet<NodeId>, factor: usize, placed: &mut [Vec<NodeId>]) -> usize {
        let mut changes = 0;
        while let Some((partition, replicas)) = next_change(staying, factor, placed) {
            placed[usize::from(partition)] = replicas;
            changes += 1;
            assert!(changes <= 1_000, "it goes round in circles");
        }
        changes
    }

    #[test]
    fn a_new_grid_is_even_and_needs_no_change() {
        let members: Vec<NodeId> = nodes(1..=5).into_iter().collect();
        let placed = initial(&members, 16, 3);
        assert_eq!(next_change(&nodes(1..=5), 3, &placed), None);
        let first: BTreeSet<NodeId> = placed.iter().take(5).map(|replicas| replicas[0]).collect();
        assert_eq!(first.len(), 5, "first replicas go round");
    }

    #[test]
    fn from_three_to_five_nodes_each_holds_three_fifths() {
        let mut placed = initial(&[NodeId(1), NodeId(2), NodeId(3)], 16, 3);
        let changes = settle(&nodes(1..=5), 3, &mut placed);
        let loads = loads(&nodes(1..=5), &placed);
        assert!(loads.values().all(|load| (9..=10).contains(load)), "{loads:?}");
        assert!((18..=20).contains(&changes), "only what the new nodes get moves: {changes}");
    }

    proptest! {
        #[test]
        fn whatever_comes_and_goes_it_ends_even(
            factor in 1usize..=5,
            steps in prop::collection::vec(prop::collection::btree_set(1u64..=7, 1..=7), 1..5),
        ) {
            let mut placed = initial(&[NodeId(1), NodeId(2)], 16, factor);
            for step in steps {
                let staying = nodes(step);
                settle(&staying, factor, &mut placed);
                let loads = loads(&staying, &placed);
                let (least, most) = (loads.values().min().unwrap(), loads.values().max().unwrap());
                prop_assert!(most - least <= 1, "{:?}", loads);
                for replicas in &placed {
                    let distinct: BTreeSet<_> = replicas.iter().collect();
                    prop_assert_eq!(distinct.len(), factor.min(staying.len()));
                    prop_assert!(replicas.iter().all(|node| staying.contains(node)));
                }
            }
        }
    }
}
