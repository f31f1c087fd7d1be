//! A run that shows nothing fails: without the faults that were planned, without a new leader, or without success in quiet
//! times.

use std::collections::BTreeSet;

use super::adds;
use crate::history::{Answer, History, Observation, Outcome};
use crate::schedule::QUIET_BEFORE;

/// Its name.
pub const NAME: &str = "vacuity";

/// Of the operations of quiet times, in percent, at least so many succeed.
const QUIET_SUCCESS_MIN: usize = 90;

/// After forming and healing, elections are not over yet: it is quiet from then on, µs.
const QUIET_AFTER_US: u64 = 3_000_000;

/// Fewer operations than this prove nothing.
const QUIET_ADDS_MIN: usize = 100;
const READS_MIN: usize = 200;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let (Some(formed_us), Some(healed_us)) = (history.phase_us("formed"), history.phase_us("healed")) else {
        return vec!["it was not formed and healed".to_owned()];
    };
    let begins_us = u64::try_from(QUIET_BEFORE.as_micros()).unwrap_or(u64::MAX);
    check_faults(history, &mut wrong);
    if history.about.faults_ms > 0 {
        check_disturbance(history, begins_us, healed_us, &mut wrong);
    }
    check_quiet(history, "before the faults", formed_us + QUIET_AFTER_US, begins_us, &mut wrong);
    check_quiet(history, "after healing", healed_us + QUIET_AFTER_US, u64::MAX, &mut wrong);
    let reads = history.operations.iter().filter(|read| matches!(read.outcome, Outcome::Ok(Answer::Set(_)))).count();
    if reads < READS_MIN {
        wrong.push(format!("only {reads} reads were answered"));
    }
    wrong
}

/// Every kind that was planned happened.
pub(super) fn check_faults(history: &History, wrong: &mut Vec<String>) {
    check_faults_but(history, &[], wrong);
}

/// Every kind that was planned happened, but for those of `may_miss`.
pub(super) fn check_faults_but(history: &History, may_miss: &[&str], wrong: &mut Vec<String>) {
    let mut happened = BTreeSet::new();
    for seen in &history.seen {
        if let Observation::Fault(text) = &seen.what {
            happened.insert(kind_of(text));
        }
    }
    let must = history.about.planned.iter().filter(|planned| !may_miss.contains(&planned.as_str()));
    for planned in must.filter(|planned| !happened.contains(planned.as_str())) {
        wrong.push(format!("no fault of the kind {planned} took effect"));
    }
}

/// The kind of a fault, from its text.
pub fn kind_of(text: &str) -> &str {
    text.split('(').next().unwrap_or(text)
}

/// The faults were felt: somebody else came to lead.
pub(super) fn check_leaders(history: &History, begins_us: u64, healed_us: u64, wrong: &mut Vec<String>) {
    let mut leaderships = BTreeSet::new();
    for seen in history.seen.iter().filter(|seen| (begins_us..healed_us).contains(&seen.at_us)) {
        if let Observation::Leadership { node, partition, term, is_ours: true, .. } = seen.what {
            leaderships.insert((partition, term, node));
        }
    }
    if leaderships.len() <= usize::from(history.about.partitions) {
        wrong.push("nobody came to lead while things went wrong".to_owned());
    }
}

/// And some operation did not succeed.
fn check_disturbance(history: &History, begins_us: u64, healed_us: u64, wrong: &mut Vec<String>) {
    check_leaders(history, begins_us, healed_us, wrong);
    let mut during = adds(history).filter(|add| (begins_us..healed_us).contains(&add.operation.invoked_us));
    if during.all(|add| add.acknowledged().is_some()) {
        wrong.push("not one operation felt a fault".to_owned());
    }
}

fn check_quiet(history: &History, when: &str, from_us: u64, until_us: u64, wrong: &mut Vec<String>) {
    let quiet: Vec<bool> = adds(history)
        .filter(|add| (from_us..until_us).contains(&add.operation.invoked_us))
        .map(|add| add.acknowledged().is_some())
        .collect();
    let succeeded = quiet.iter().filter(|succeeded| **succeeded).count();
    if quiet.len() < QUIET_ADDS_MIN || succeeded * 100 < quiet.len() * QUIET_SUCCESS_MIN {
        wrong.push(format!("{when} {succeeded} of {} operations succeeded", quiet.len()));
    }
}
