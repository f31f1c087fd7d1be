//! I4 for the grid: what is proposed once is applied at most once.
//!
//! `Grid::propose` promises it by never sending a proposal again that may have reached a log: forwarding and waiting for a
//! quorum repeat only what was certainly not taken. That what was acknowledged is applied at least once is I8's business.

use super::{adds, finals};
use crate::history::{Answer, History, Outcome};

/// Its name.
pub const NAME: &str = "I4 exactly once";

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    for add in adds(history) {
        if let Outcome::Ok(Answer::Added { times, .. }) = add.operation.outcome
            && times != 1
        {
            wrong.push(format!("element {} had been applied {times} times when it was acknowledged", add.element));
        }
    }
    for (partition, replicas) in finals(history) {
        for replica in replicas.iter().filter(|replica| !replica.repeated.is_empty()) {
            let (node, repeated) = (replica.node, replica.repeated);
            wrong.push(format!("node {node} applied elements of partition {partition} repeatedly: {repeated:?}"));
        }
    }
    wrong
}
