//! I12: what raft promises, as far as it shows outside of it.
//!
//! One leader per term; a node never leads in an earlier term than before, however often it crashed; at most one node holds both leases of a partition at a time; and
//! what was applied at a place of the log is the same on every node, at any time of the run, however often it crashed.
//! openraft's own checks of its engine are on in the simulation: one that fails panics, which breaks the run off.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Observation, Seen};

/// Its name.
pub const NAME: &str = "I12 raft";

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    check_openraft(history, &mut wrong);
    check_leaders(history, &mut wrong);
    check_leases(history, &mut wrong);
    check_committed(history, &mut wrong);
    wrong
}

fn check_openraft(history: &History, wrong: &mut Vec<String>) {
    for seen in &history.seen {
        if let Observation::Broken { reason } = &seen.what
            && reason.contains("/openraft-")
        {
            wrong.push(format!("openraft found its own rules violated: {reason}"));
        }
    }
}

fn check_leaders(history: &History, wrong: &mut Vec<String>) {
    let mut leaders: BTreeMap<(u16, u64), u64> = BTreeMap::new();
    let mut led: BTreeMap<(u64, u16), u64> = BTreeMap::new();
    for seen in &history.seen {
        let Observation::Leadership { node, partition, leader, term, is_ours, .. } = seen.what else { continue };
        if let Some(leader) = leader
            && *leaders.entry((partition, term)).or_insert(leader) != leader
        {
            let other = leaders.get(&(partition, term));
            wrong.push(format!("partition {partition}: {leader} and {other:?} both led in term {term}"));
        }
        // Who another one leads is a hint, and a hint may be older than the one before it.
        if is_ours {
            let last = led.entry((node, partition)).or_default();
            if term < *last {
                wrong.push(format!("partition {partition}: node {node} led in term {last}, and then in {term}"));
            }
            *last = term.max(*last);
        }
    }
}

fn check_leases(history: &History, wrong: &mut Vec<String>) {
    let mut serving: BTreeMap<u16, BTreeSet<u64>> = BTreeMap::new();
    // What is seen at one instant is looked at together: one lease may end in it and another begin.
    for at_once in history.seen.chunk_by(|one: &Seen, other: &Seen| one.at_us == other.at_us) {
        for seen in at_once {
            if let Observation::Leadership { node, partition, serves, .. } = seen.what {
                let nodes = serving.entry(partition).or_default();
                if serves {
                    nodes.insert(node)
                } else {
                    nodes.remove(&node)
                };
            }
        }
        for (partition, nodes) in serving.iter().filter(|(_, nodes)| nodes.len() > 1) {
            let at_us = at_once.first().map_or(0, |seen| seen.at_us);
            wrong.push(format!("partition {partition} was served by {nodes:?} at once, at {at_us} us"));
        }
    }
}

fn check_committed(history: &History, wrong: &mut Vec<String>) {
    let mut digests: BTreeMap<(u16, u64), (u64, u64, u64)> = BTreeMap::new();
    for seen in &history.seen {
        let Observation::Applied { node, partition, count, digest, .. } = seen.what else { continue };
        let (known, on, at_us) = *digests.entry((partition, count)).or_insert((digest, node, seen.at_us));
        if known != digest {
            let now_us = seen.at_us;
            wrong.push(format!(
                "partition {partition}: after {count} commands node {node} differs at {now_us} us from node {on} at {at_us} us"
            ));
        }
    }
}
