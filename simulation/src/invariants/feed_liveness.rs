//! I10 for the feed: soon after healing every node answers polls out of the grid, and takes acknowledgments.

use std::collections::BTreeMap;

use super::feed_history::{acknowledgments, polls};
use super::not_started;
use crate::history::History;

/// Its name.
pub const NAME: &str = "I10 liveness";

/// How soon, µs.
const WITHIN_US: u64 = 10_000_000;

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let Some(healed_us) = history.phase_us("healed") else { return vec!["it was never healed".to_owned()] };
    let mut wrong = not_started(history);
    let mut first: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let mut note = |client: &str, what, ended_us: u64| {
        let node = client.split('/').next().unwrap_or(client).to_owned();
        let known = first.entry((node, what)).or_insert(ended_us);
        *known = (*known).min(ended_us);
    };
    for poll in polls(history).filter(|poll| poll.operation.invoked_us > healed_us && poll.by == "Primary") {
        note(&poll.operation.client, "a poll", poll.operation.returned_us);
    }
    for one in acknowledgments(history).filter(|one| one.operation.invoked_us > healed_us && one.is_taken()) {
        note(&one.operation.client, "an acknowledgment", one.operation.returned_us);
    }
    for node in (1..=history.about.nodes).map(|number| format!("n{number}")) {
        for what in ["a poll", "an acknowledgment"] {
            match first.get(&(node.clone(), what)) {
                Some(ended_us) if *ended_us <= healed_us + WITHIN_US => {}
                Some(ended_us) => wrong.push(format!("{node} needed {} us for {what}", ended_us - healed_us)),
                None => wrong.push(format!("{node} never answered {what} after healing")),
            }
        }
    }
    wrong
}
