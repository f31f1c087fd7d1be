//! The invariants, one file each: pure functions from a history to what is wrong with it.
//!
//! Called after a run and when a history is judged again. Numbers are those of RELIABILITY 2.2; `time` and `vacuity` are
//! beside them.

mod feed_history;
pub mod feed_liveness;
pub mod feed_vacuity;
pub mod i01_no_loss;
pub mod i02_no_resurrection;
pub mod i03_order;
pub mod i04_exactly_once;
pub mod i06_presence;
pub mod i07_isolation;
pub mod i08_linearizable;
pub mod i09_convergence;
pub mod i10_liveness;
pub mod i11_unknowns;
pub mod i12_raft;
mod presence_history;
pub mod presence_liveness;
pub mod presence_vacuity;
pub mod time;
pub mod vacuity;

use std::collections::BTreeMap;
use std::fmt;

use crate::history::{Answer, Call, History, Observation, Operation, Outcome};

/// The most violations of one invariant that are reported: the first few tell the story.
const REPORTED_MAX: usize = 5;

/// Something that must not happen did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Of which invariant.
    pub invariant: &'static str,
    /// What.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.invariant, self.detail)
    }
}

type Check = fn(&History) -> Vec<String>;

/// Those that hold at any time of a run of the grid.
const ALWAYS: &[(&str, Check)] = &[
    (i04_exactly_once::NAME, i04_exactly_once::check),
    (i08_linearizable::NAME, i08_linearizable::check),
    (i11_unknowns::NAME, i11_unknowns::check),
    (i12_raft::NAME, i12_raft::check),
    (time::NAME, time::check),
];

/// Those of a run of the feed.
const ALWAYS_OF_THE_FEED: &[(&str, Check)] = &[
    (i02_no_resurrection::NAME, i02_no_resurrection::check),
    (i03_order::NAME, i03_order::check),
    (i07_isolation::NAME, i07_isolation::check),
    (i12_raft::NAME, i12_raft::check),
];

const IN_THE_END_OF_THE_FEED: &[(&str, Check)] = &[
    (i01_no_loss::NAME, i01_no_loss::check),
    (i09_convergence::NAME, i09_convergence::check),
    (feed_liveness::NAME, feed_liveness::check),
    (feed_vacuity::NAME, feed_vacuity::check),
];

/// Those of a run of presence.
const ALWAYS_OF_PRESENCE: &[(&str, Check)] =
    &[(i06_presence::NAME, i06_presence::check), (i12_raft::NAME, i12_raft::check)];

const IN_THE_END_OF_PRESENCE: &[(&str, Check)] = &[
    (i06_presence::NAME, i06_presence::check_in_the_end),
    (i09_convergence::NAME, i09_convergence::check),
    (presence_liveness::NAME, presence_liveness::check),
    (presence_vacuity::NAME, presence_vacuity::check),
];

/// Those that only a run that came to its end can show.
const IN_THE_END: &[(&str, Check)] = &[
    (i09_convergence::NAME, i09_convergence::check),
    (i10_liveness::NAME, i10_liveness::check),
    (vacuity::NAME, vacuity::check),
];

/// What a run that broke off has violated, whatever else it has.
const UNBROKEN: &str = "unbroken";

/// Whatever is wrong with `history`, by invariant.
pub fn judge(history: &History) -> Vec<Violation> {
    let broken = history.seen.iter().find_map(|seen| match &seen.what {
        Observation::Broken { reason } => Some(Violation { invariant: UNBROKEN, detail: reason.clone() }),
        _ => None,
    });
    let (always, in_the_end) = match history.about.scenario.as_str() {
        "feed" => (ALWAYS_OF_THE_FEED, IN_THE_END_OF_THE_FEED),
        "presence" => (ALWAYS_OF_PRESENCE, IN_THE_END_OF_PRESENCE),
        _ => (ALWAYS, IN_THE_END),
    };
    let in_the_end = if broken.is_some() { &[] } else { in_the_end };
    let mut violations: Vec<Violation> = broken.into_iter().collect();
    for (invariant, check) in always.iter().chain(in_the_end) {
        let found = check(history).into_iter().take(REPORTED_MAX);
        violations.extend(found.map(|detail| Violation { invariant, detail }));
    }
    violations
}

/// Nodes that could not be started; for whoever judges liveness.
fn not_started(history: &History) -> Vec<String> {
    let failed = |seen: &crate::history::Seen| match &seen.what {
        Observation::NotStarted { node, reason } => Some(format!("node {node} did not start: {reason}")),
        _ => None,
    };
    history.seen.iter().filter_map(failed).collect()
}

/// An operation that adds, taken apart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Add<'a> {
    pub(crate) operation: &'a Operation,
    pub(crate) partition: u16,
    pub(crate) key: u32,
    pub(crate) element: u32,
}

impl Add<'_> {
    /// When its success was known, and where in its partition it was applied.
    pub(crate) fn acknowledged(&self) -> Option<(u64, u64)> {
        match &self.operation.outcome {
            Outcome::Ok(Answer::Added { position, .. }) => Some((self.operation.returned_us, *position)),
            _ => None,
        }
    }
}

/// Every operation that adds.
pub(crate) fn adds(history: &History) -> impl Iterator<Item = Add<'_>> {
    history.operations.iter().filter_map(|operation| match operation.call {
        Call::Add { partition, key, element } => Some(Add { operation, partition, key, element }),
        _ => None,
    })
}

/// A replica when the run ended.
pub(crate) struct FinalState<'a> {
    pub(crate) node: u64,
    pub(crate) count: u64,
    pub(crate) digest: u64,
    pub(crate) elements: &'a [u32],
    pub(crate) repeated: &'a [u32],
    pub(crate) time_error_ms: i64,
}

/// The replicas of each partition when the run ended.
pub(crate) fn finals(history: &History) -> BTreeMap<u16, Vec<FinalState<'_>>> {
    let mut found: BTreeMap<u16, Vec<FinalState<'_>>> = BTreeMap::new();
    for seen in &history.seen {
        if let Observation::Final { node, partition, count, digest, elements, repeated, time_error_ms } = &seen.what {
            found.entry(*partition).or_default().push(FinalState {
                node: *node,
                count: *count,
                digest: *digest,
                elements,
                repeated,
                time_error_ms: *time_error_ms,
            });
        }
    }
    found
}
