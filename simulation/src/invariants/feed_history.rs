//! A history of the feed in the terms of its invariants: events, polls, acknowledgments.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Answer, Call, Event, History, Observation, Operation, Outcome};

/// A poll that was answered.
#[derive(Clone, Copy)]
pub(super) struct Poll<'a> {
    pub(super) operation: &'a Operation,
    pub(super) application: &'a str,
    pub(super) merchants: &'a [u32],
    pub(super) events: &'a [Event],
    /// Who answered it.
    pub(super) by: &'a str,
}

/// An acknowledgment that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Acknowledgment<'a> {
    pub(super) operation: &'a Operation,
    pub(super) application: &'a str,
    pub(super) events: &'a [String],
}

impl Acknowledgment<'_> {
    /// Whether it was answered 202.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self.operation.outcome, Outcome::Ok(_))
    }
}

/// Polls that were answered, in the order in which they were asked.
pub(super) fn polls(history: &History) -> impl Iterator<Item = Poll<'_>> {
    history.operations.iter().filter_map(|operation| match (&operation.call, &operation.outcome) {
        (Call::Poll { application, merchants }, Outcome::Ok(Answer::Page { events, by })) => {
            Some(Poll { operation, application, merchants, events, by })
        }
        _ => None,
    })
}

/// Every acknowledgment.
pub(super) fn acknowledgments(history: &History) -> impl Iterator<Item = Acknowledgment<'_>> {
    history.operations.iter().filter_map(|operation| match &operation.call {
        Call::Acknowledge { application, events } => Some(Acknowledgment { operation, application, events }),
        _ => None,
    })
}

/// What the core committed, in order, each with when.
pub(super) fn committed(history: &History) -> impl Iterator<Item = (&Event, u64)> {
    history.seen.iter().filter_map(|seen| match &seen.what {
        Observation::Committed { event, .. } => Some((event, seen.at_us)),
        _ => None,
    })
}

/// The merchants of each application.
pub(super) fn scopes(history: &History) -> BTreeMap<&str, BTreeSet<u32>> {
    let mut scopes: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    for seen in &history.seen {
        if let Observation::Granted { application, merchant } = &seen.what {
            scopes.entry(application).or_default().insert(*merchant);
        }
    }
    scopes
}
