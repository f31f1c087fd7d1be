//! I1: every event that the core committed is shown to every application of its merchant, sooner or later, and one that
//! nobody acknowledges goes on being shown.
//!
//! Stricter than RELIABILITY's wording, which asks it of events whose message was deleted: here the others must come
//! as well, because a run heals and waits. Nothing may be dead-lettered, for nothing is malformed.

use std::collections::{BTreeMap, BTreeSet};

use super::feed_history::{acknowledgments, committed, polls, scopes};
use crate::history::{History, Observation};

/// Its name.
pub const NAME: &str = "I1 no loss";

/// The polls of this last part of a run show whatever is pending, µs.
const LAST_US: u64 = 8_000_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut wrong = Vec::new();
    let ended_us = history.phase_us("end").unwrap_or(u64::MAX);
    let mut ever: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut last: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for poll in polls(history) {
        let shown = poll.events.iter().map(|event| event.id.as_str());
        ever.entry(poll.application).or_default().extend(shown.clone());
        if poll.operation.invoked_us + LAST_US >= ended_us {
            last.entry(poll.application).or_default().extend(shown);
        }
    }
    let mut touched: BTreeSet<(&str, &str)> = BTreeSet::new();
    for acknowledgment in acknowledgments(history) {
        touched.extend(acknowledgment.events.iter().map(|id| (acknowledgment.application, id.as_str())));
    }
    for (application, merchants) in scopes(history) {
        for (event, at_us) in committed(history).filter(|(event, _)| merchants.contains(&event.merchant)) {
            let is_in = |shown: &BTreeMap<&str, BTreeSet<&str>>| {
                shown.get(application).is_some_and(|shown| shown.contains(event.id.as_str()))
            };
            let (order, sequence) = (&event.order, event.sequence);
            if !is_in(&ever) {
                wrong.push(format!("{application} never saw {sequence} of {order}, committed at {at_us} us"));
            } else if !touched.contains(&(application, event.id.as_str())) && !is_in(&last) {
                wrong.push(format!("{application} sees {sequence} of {order} no more, which nobody acknowledged"));
            }
        }
    }
    if history.seen.iter().any(|seen| matches!(seen.what, Observation::DeadLettered { .. })) {
        wrong.push("a message was dead-lettered".to_owned());
    }
    wrong
}
