//! I11: an outcome that is unknown may have been either; one that is refused never was, and nothing comes from nowhere.
//!
//! The other invariants hold their part of it by asking only of acknowledged additions that they be there.

use std::collections::{BTreeMap, BTreeSet};

use super::{adds, finals};
use crate::history::{Answer, History, Outcome};

/// Its name.
pub const NAME: &str = "I11 unknowns";

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut asked: BTreeSet<u32> = BTreeSet::new();
    let mut refused: BTreeMap<u32, &str> = BTreeMap::new();
    for add in adds(history) {
        asked.insert(add.element);
        if let Outcome::Refused(reason) = &add.operation.outcome {
            refused.insert(add.element, reason);
        }
    }
    let mut look = |elements: &[u32], whose: String| {
        for element in elements {
            if let Some(reason) = refused.get(element) {
                wrong.push(format!("{whose} holds {element}, which was refused: {reason}"));
            } else if !asked.contains(element) {
                wrong.push(format!("{whose} holds {element}, which nobody asked for"));
            }
        }
    };
    for operation in &history.operations {
        if let Outcome::Ok(Answer::Set(elements)) = &operation.outcome {
            look(elements, format!("the read by {} at {} us", operation.client, operation.invoked_us));
        }
    }
    for (partition, replicas) in finals(history) {
        for replica in replicas {
            look(replica.elements, format!("partition {partition} on node {}", replica.node));
        }
    }
    wrong
}
