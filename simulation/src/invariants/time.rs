//! Replicated time never goes back, and never follows a clock that jumps.
//!
//! It may be ahead by what a leader is allowed to believe, and behind where no command was applied.

use std::collections::BTreeMap;

use super::finals;
use crate::history::{History, Observation};

/// Its name.
pub const NAME: &str = "time";

/// How far it may be ahead: a step of a second is believed, and clocks drift; jumps of an hour must not show.
const AHEAD_MAX_MS: i64 = 3_000;

/// How far it may be behind when the run ends: operations end ten seconds before that.
const BEHIND_MAX_MS: i64 = 15_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut by_place: BTreeMap<u16, BTreeMap<u64, i64>> = BTreeMap::new();
    for seen in &history.seen {
        let Observation::Applied { node, partition, count, time_ms, .. } = seen.what else { continue };
        by_place.entry(partition).or_default().insert(count, time_ms);
        let ahead_ms = time_ms - i64::try_from(seen.at_us / 1_000).unwrap_or(i64::MAX);
        if ahead_ms > AHEAD_MAX_MS {
            wrong.push(format!("partition {partition} on node {node} was {ahead_ms} ms ahead after {count} commands"));
        }
    }
    for (partition, times) in by_place {
        let mut last_ms = i64::MIN;
        for (count, time_ms) in times {
            if time_ms < last_ms {
                wrong.push(format!("time of partition {partition} went back at {count} commands"));
            }
            last_ms = time_ms;
        }
    }
    for (partition, replicas) in finals(history) {
        for replica in replicas.iter().filter(|replica| replica.count > 0) {
            let (node, error_ms) = (replica.node, replica.time_error_ms);
            if !(-BEHIND_MAX_MS..=AHEAD_MAX_MS).contains(&error_ms) {
                wrong.push(format!("partition {partition} on node {node} ended {error_ms} ms off"));
            }
        }
    }
    wrong
}
