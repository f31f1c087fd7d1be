//! I2, and I8 for the feed: after the 202 of an acknowledgment no poll that is begun later shows the event.
//!
//! Over all nodes, across failover and fallback. The set of acknowledged events of an application only grows, and a poll
//! shows what is outside of it: with I1, which demands that everything else is shown, this is the set check of
//! [`super::i08_linearizable`] with acknowledging for adding.
//!
//! The one exception of DESIGN: a leader and a kitchen-api that are cut off from DynamoDB together while another
//! kitchen-api reaches it. Such a poll is answered without the fence, at a machine that an outage for some concerns. The
//! leader may have come to lead after the acknowledgment, and have had no chance to read of it.
//!
//! The second exception, of ARCHITECTURE: DynamoDB fails for everybody, and a leader is elected that could not read what was
//! acknowledged behind its fence before. A DynamoDB that answers later than anybody waits has failed too. To refuse its polls would hide new orders as long as the outage lasts.

use std::collections::{BTreeMap, BTreeSet};

use super::feed_history::{acknowledgments, polls};
use crate::history::{History, Observation};

/// Its name.
pub const NAME: &str = "I2 no resurrection";

/// How kitchen-api calls an answer, or what it has of one, that may be by a leader that cannot read its fence.
const MAY_BE_WITHOUT_FENCE: &[&str] = &["PrimaryUnfenced", "Partly"];

/// A leader may serve for so long on its last read of the fence; one elected so shortly before an outage has read nothing.
const FENCE_US: u64 = 3_000_000;

/// How long order-events waits for its fence: a store slower than this is as good as none.
const FENCE_READ_DEADLINE_MS: u64 = 1_500;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let mut taken: BTreeMap<(&str, &str), (u64, &str)> = BTreeMap::new();
    for acknowledgment in acknowledgments(history).filter(super::feed_history::Acknowledgment::is_taken) {
        let at_us = acknowledgment.operation.returned_us;
        for id in acknowledgment.events {
            let client = acknowledgment.operation.client.as_str();
            let first = taken.entry((acknowledgment.application, id)).or_insert((at_us, client));
            *first = (*first).min((at_us, client));
        }
    }
    let (outages, elections) = (outages(history), elections(history));
    let mut wrong = Vec::new();
    for poll in polls(history) {
        let (begun_us, ended_us) = (poll.operation.invoked_us, poll.operation.returned_us);
        let node = poll.operation.client.split('/').next().unwrap_or_default();
        let is_unfenced = MAY_BE_WITHOUT_FENCE.contains(&poll.by);
        let mut during = outages.iter().filter(|out| is_unfenced && out.from_us < ended_us && begun_us < out.until_us);
        if during.clone().any(|out| out.nodes.contains(node)) {
            continue;
        }
        let total = during.find(|out| out.nodes.is_empty());
        let knew_nothing = |taken_us: u64| {
            let is_new = |from_us: u64, at_us: u64| taken_us < at_us && at_us < ended_us && from_us < at_us + FENCE_US;
            total.is_some_and(|out| elections.iter().any(|at_us| is_new(out.from_us, *at_us)))
        };
        for event in poll.events {
            if let Some((taken_us, by)) = taken.get(&(poll.application, event.id.as_str()))
                && *taken_us < begun_us
                && !knew_nothing(*taken_us)
            {
                let (client, side, id) = (&poll.operation.client, poll.by, &event.id);
                wrong.push(format!(
                    "{client} was shown {id} by {side} at {begun_us} us, which {by} had acknowledged at {taken_us} us"
                ));
            }
        }
    }
    wrong
}

/// When somebody was first seen leading a partition in a term.
fn elections(history: &History) -> Vec<u64> {
    let mut seen: BTreeSet<(u16, u64)> = BTreeSet::new();
    let first = |observed: &crate::history::Seen| match observed.what {
        Observation::Leadership { partition, term, is_ours: true, .. } => {
            seen.insert((partition, term)).then_some(observed.at_us)
        }
        _ => None,
    };
    history.seen.iter().filter_map(first).collect()
}

/// A time in which DynamoDB failed for these machines, or, when none is named, for all.
struct Outage {
    nodes: BTreeSet<String>,
    from_us: u64,
    until_us: u64,
}

fn slow_ms(fault: &str) -> Option<u64> {
    fault.strip_prefix("StoreSlow(")?.strip_suffix(')')?.parse().ok()
}

fn outages(history: &History) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for seen in &history.seen {
        let Observation::Fault(fault) = &seen.what else { continue };
        if let Some(list) = fault.strip_prefix("StoreDown([").and_then(|rest| rest.strip_suffix("])")) {
            let nodes =
                list.split(", ").filter(|number| !number.is_empty()).map(|number| format!("n{number}")).collect();
            outages.push(Outage { nodes, from_us: seen.at_us, until_us: u64::MAX });
        } else if slow_ms(fault).is_some_and(|ms| ms >= FENCE_READ_DEADLINE_MS) {
            outages.push(Outage { nodes: BTreeSet::new(), from_us: seen.at_us, until_us: u64::MAX });
        } else if fault == "StoreUp"
            && let Some(last) = outages.last_mut()
        {
            last.until_us = last.until_us.min(seen.at_us);
        }
    }
    outages
}
