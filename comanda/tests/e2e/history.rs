//! The whole history of a run, and the judge of it.
//!
//! Clients record what they sent and saw; [`History::verdict`] names every broken promise. Each check is proved below by
//! a history that breaks it. A request that timed out is unknown, never assumed to have failed or succeeded.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One event as a poll showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub event: String,
    pub order: String,
    pub merchant: String,
    pub sequence: u64,
    pub code: String,
    pub body: String,
    /// When the poll was sent and when it was answered, on the clock of the run.
    pub asked_at: Duration,
}

/// One acknowledgment that was answered 202.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    pub event: String,
    /// When the 202 arrived.
    pub at: Duration,
}

/// One request of a POS.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// `poll`, `acknowledgment` or `action`.
    pub kind: &'static str,
    pub sent_at: Duration,
    pub ended_at: Duration,
    pub is_success: bool,
}

/// Everything that happened.
#[derive(Debug, Default)]
pub struct History {
    /// Orders whose message the queue took.
    pub placed: BTreeSet<String>,
    /// By order, the codes its events must end up with, by their sequence.
    pub expected_codes: BTreeMap<String, Vec<String>>,
    pub seen: Vec<Seen>,
    pub acknowledged: Vec<Acknowledged>,
    /// Presence transitions to OFFLINE of merchants that never stopped polling.
    pub false_offline: Vec<String>,
    pub faults: usize,
    /// From when to when something was away, where the run notes it.
    pub fault_windows: Vec<(Duration, Duration)>,
    pub operations: Vec<Operation>,
    pub polls_answered: usize,
    pub polls_failed: usize,
}

/// Of a hundred requests of a kind that met no fault, so many must succeed; fewer, and the run showed nothing.
const QUIET_SUCCEEDED_PERCENT: usize = 90;

/// What a run must have had to mean anything.
#[derive(Debug, Clone, Copy)]
pub struct Minimum {
    pub orders: usize,
    pub faults: usize,
    pub polls: usize,
    /// Of a hundred polls, faults included, this many were answered.
    pub polls_answered_percent: usize,
}

impl History {
    /// Every broken promise, as a sentence each.
    pub fn verdict(&self, minimum: Minimum) -> Vec<String> {
        let mut broken = Vec::new();
        self.check_not_vacuous(minimum, &mut broken);
        self.check_answered(minimum, &mut broken);
        self.check_quiet_phase(&mut broken);
        self.check_nothing_lost(&mut broken);
        self.check_identity(&mut broken);
        self.check_nothing_back(&mut broken);
        for merchant in &self.false_offline {
            broken.push(format!("merchant {merchant} was marked OFFLINE while it polled"));
        }
        broken
    }

    fn check_not_vacuous(&self, minimum: Minimum, broken: &mut Vec<String>) {
        for (what, had, needed) in [
            ("orders", self.placed.len(), minimum.orders),
            ("faults", self.faults, minimum.faults),
            ("polls", self.polls_answered, minimum.polls),
        ] {
            if had < needed {
                broken.push(format!("vacuous: {had} {what}, at least {needed} are needed"));
            }
        }
    }

    fn check_answered(&self, minimum: Minimum, broken: &mut Vec<String>) {
        let (answered, failed) = (self.polls_answered, self.polls_failed);
        if answered * 100 < minimum.polls_answered_percent * (answered + failed) {
            let needed = minimum.polls_answered_percent;
            broken.push(format!("vacuous: {failed} polls failed and {answered} were answered, {needed} % are needed"));
        }
    }

    /// By kind of request: how many met no fault, and how many of these succeeded.
    pub fn quiet(&self) -> BTreeMap<&'static str, (usize, usize)> {
        let mut quiet = BTreeMap::new();
        for one in &self.operations {
            let meets = |(from, to): &(Duration, Duration)| one.sent_at <= *to && *from <= one.ended_at;
            if !self.fault_windows.iter().any(meets) {
                let (all, succeeded): &mut (usize, usize) = quiet.entry(one.kind).or_default();
                *all += 1;
                *succeeded += usize::from(one.is_success);
            }
        }
        quiet
    }

    fn check_quiet_phase(&self, broken: &mut Vec<String>) {
        if self.fault_windows.is_empty() {
            return;
        }
        let quiet = self.quiet();
        for kind in ["poll", "acknowledgment", "action"] {
            let (all, succeeded) = quiet.get(kind).copied().unwrap_or_default();
            if all == 0 || succeeded * 100 < QUIET_SUCCEEDED_PERCENT * all {
                broken.push(format!("vacuous: {succeeded} of {all} requests ({kind}) between the faults succeeded"));
            }
        }
    }

    fn check_nothing_lost(&self, broken: &mut Vec<String>) {
        let mut codes: BTreeMap<&str, BTreeMap<u64, &str>> = BTreeMap::new();
        for seen in &self.seen {
            codes.entry(&seen.order).or_default().insert(seen.sequence, &seen.code);
        }
        for order in &self.placed {
            let Some(by_sequence) = codes.get(order.as_str()) else {
                broken.push(format!("order {order} was lost: none of its events was ever seen"));
                continue;
            };
            let last = by_sequence.keys().next_back().copied().unwrap_or(0);
            if by_sequence.len() as u64 != last {
                broken.push(format!("order {order} has a gap: sequences {:?}", by_sequence.keys().collect::<Vec<_>>()));
            }
            if let Some(expected) = self.expected_codes.get(order) {
                let had: Vec<&str> = by_sequence.values().copied().collect();
                if had != *expected {
                    broken.push(format!("order {order} has events {had:?}, expected {expected:?}"));
                }
            }
        }
    }

    fn check_identity(&self, broken: &mut Vec<String>) {
        let mut id_of: BTreeMap<(&str, u64), &str> = BTreeMap::new();
        let mut body_of: BTreeMap<&str, &str> = BTreeMap::new();
        for seen in &self.seen {
            let id = id_of.entry((&seen.order, seen.sequence)).or_insert(&seen.event);
            if *id != seen.event {
                broken.push(format!("order {} has two ids for sequence {}", seen.order, seen.sequence));
            }
            let body = body_of.entry(&seen.event).or_insert(&seen.body);
            if *body != seen.body {
                broken.push(format!("event {} has two contents", seen.event));
            }
        }
    }

    fn check_nothing_back(&self, broken: &mut Vec<String>) {
        let mut acknowledged_at: BTreeMap<&str, Duration> = BTreeMap::new();
        for acknowledged in &self.acknowledged {
            let at = acknowledged_at.entry(&acknowledged.event).or_insert(acknowledged.at);
            *at = (*at).min(acknowledged.at);
        }
        for seen in &self.seen {
            if acknowledged_at.get(seen.event.as_str()).is_some_and(|at| seen.asked_at > *at) {
                broken.push(format!(
                    "event {} came back after its 202 at {:?} (asked at {:?})",
                    seen.event,
                    acknowledged_at[seen.event.as_str()],
                    seen.asked_at
                ));
            }
        }
    }
}

mod tests {
    use super::*;

    fn seen(order: &str, sequence: u64, event: &str, asked_ms: u64) -> Seen {
        Seen {
            event: event.to_owned(),
            order: order.to_owned(),
            merchant: "m".to_owned(),
            sequence,
            code: if sequence == 1 { "PLC" } else { "CFM" }.to_owned(),
            body: event.to_owned(),
            asked_at: Duration::from_millis(asked_ms),
        }
    }

    fn good() -> History {
        History {
            placed: BTreeSet::from(["a".to_owned()]),
            expected_codes: BTreeMap::from([("a".to_owned(), vec!["PLC".to_owned(), "CFM".to_owned()])]),
            seen: vec![seen("a", 1, "e1", 1), seen("a", 2, "e2", 2), seen("a", 1, "e1", 3)],
            acknowledged: vec![Acknowledged { event: "e1".to_owned(), at: Duration::from_millis(4) }],
            faults: 1,
            fault_windows: vec![(Duration::from_millis(10), Duration::from_millis(20))],
            operations: [
                ("poll", 1, 2, true),
                ("acknowledgment", 2, 4, true),
                ("action", 3, 3, true),
                ("poll", 5, 12, false),
            ]
            .map(|(kind, sent_ms, ended_ms, is_success)| {
                let (sent_at, ended_at) = (Duration::from_millis(sent_ms), Duration::from_millis(ended_ms));
                Operation { kind, sent_at, ended_at, is_success }
            })
            .to_vec(),
            polls_answered: 3,
            ..History::default()
        }
    }

    const MINIMUM: Minimum = Minimum { orders: 1, faults: 1, polls: 1, polls_answered_percent: 90 };

    #[test]
    fn a_good_history_passes() {
        assert_eq!(good().verdict(MINIMUM), Vec::<String>::new());
    }

    #[test]
    fn each_check_catches_its_bug() {
        let broken = |change: fn(&mut History)| {
            let mut history = good();
            change(&mut history);
            history.verdict(MINIMUM).join("; ")
        };
        assert!(broken(|history| history.seen.clear()).contains("was lost"));
        assert!(broken(|history| history.placed.extend(["b".to_owned()])).contains("order b was lost"));
        assert!(broken(|history| history.seen[1].sequence = 3).contains("has a gap"));
        assert!(broken(|history| history.seen[1].code = "CAN".to_owned()).contains("has events"));
        assert!(
            broken(|history| history.expected_codes.values_mut().for_each(|codes| codes.reverse()))
                .contains("has events")
        );
        assert!(broken(|history| history.seen[2].event = "e9".to_owned()).contains("two ids for sequence 1"));
        assert!(broken(|history| history.seen[2].body = "other".to_owned()).contains("two contents"));
        assert!(broken(|history| history.seen.push(seen("a", 1, "e1", 5))).contains("came back after its 202"));
        assert!(broken(|history| history.false_offline.push("m".to_owned())).contains("marked OFFLINE"));
        assert!(broken(|history| history.faults = 0).contains("vacuous"));
        assert!(
            broken(|history| history.operations[1].is_success = false).contains("0 of 1 requests (acknowledgment)")
        );
        assert!(broken(|history| history.fault_windows[0].0 = Duration::ZERO).contains("0 of 0 requests (poll)"));
        assert!(broken(|history| history.polls_failed = 1).contains("1 polls failed"));
        assert!(broken(|history| history.seen.swap(0, 1)).is_empty(), "polls may show them in any order");
    }
}
