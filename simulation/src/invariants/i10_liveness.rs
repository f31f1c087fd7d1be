//! I10: soon after healing every node can write to every partition, and every partition is served.

use std::collections::BTreeMap;

use super::not_started;
use crate::history::{History, Observation};

/// Its name.
pub const NAME: &str = "I10 liveness";

/// How soon.
const WITHIN_MS: u64 = 10_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = not_started(history);
    let mut probes: BTreeMap<(u64, &str), Option<u64>> = BTreeMap::new();
    for seen in &history.seen {
        if let Observation::Probe { node, what, took_ms } = &seen.what {
            probes.insert((*node, what), *took_ms);
        }
    }
    for ((node, what), took_ms) in &probes {
        match took_ms {
            None => wrong.push(format!("node {node} never did this: {what}")),
            Some(took_ms) if *took_ms > WITHIN_MS => wrong.push(format!("node {node} took {took_ms} ms: {what}")),
            Some(_) => {}
        }
    }
    let (nodes, partitions) = (history.about.nodes, u64::from(history.about.partitions));
    // Each node writes to each partition; one of them sees each partition read.
    let expected = (nodes + 1) * partitions;
    if probes.len() as u64 != expected {
        wrong.push(format!("{} probes ended, of {expected}", probes.len()));
    }
    wrong
}
