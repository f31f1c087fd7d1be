//! I9: some time after healing, all replicas of a partition have applied as much, and the same.

use super::finals;
use crate::history::History;

/// Its name.
pub const NAME: &str = "I9 convergence";

/// Nodes that hold a partition, as far as there are that many.
const REPLICATION_FACTOR: u64 = 3;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let wanted = history.about.nodes.min(REPLICATION_FACTOR);
    let finals = finals(history);
    for partition in 0..history.about.partitions {
        let replicas = finals.get(&partition).map(Vec::as_slice).unwrap_or_default();
        if replicas.len() as u64 != wanted {
            wrong.push(format!("partition {partition} has {} replicas instead of {wanted}", replicas.len()));
        }
        for pair in replicas.windows(2) {
            let [one, other] = pair else { continue };
            let (node, than) = (one.node, other.node);
            if one.count != other.count {
                let counts = (one.count, other.count);
                wrong.push(format!("partition {partition}: nodes {node} and {than} have applied {counts:?} commands"));
            } else if one.digest != other.digest || one.elements != other.elements {
                wrong.push(format!("partition {partition}: nodes {node} and {than} differ after as many commands"));
            }
        }
    }
    wrong
}
