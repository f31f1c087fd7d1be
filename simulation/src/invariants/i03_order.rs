//! I3: an application sees the events of an order in their order at first, unless a later one had waited for an earlier
//! one for as long as it must.

use std::collections::BTreeMap;

use event_feed::HOLD_BACK;

use super::feed_history::{committed, polls};
use crate::history::History;

/// Its name.
pub const NAME: &str = "I3 order";

/// When an event was first shown, as the end of a poll; its place in the page; its id.
type Shown<'a> = (u64, usize, &'a str);

/// What is wrong.
pub fn check(history: &History) -> Vec<String> {
    let committed_us: BTreeMap<&str, u64> =
        committed(history).map(|(event, at_us)| (event.id.as_str(), at_us)).collect();
    let mut first: BTreeMap<(&str, &str), BTreeMap<u32, Shown<'_>>> = BTreeMap::new();
    for poll in polls(history) {
        for (place, event) in poll.events.iter().enumerate() {
            let order = first.entry((poll.application, event.order.as_str())).or_default();
            let shown = (poll.operation.returned_us, place, event.id.as_str());
            let known = order.entry(event.sequence).or_insert(shown);
            *known = (*known).min(shown);
        }
    }
    let hold_back_us = u64::try_from(HOLD_BACK.as_micros()).unwrap_or(u64::MAX);
    let mut wrong = Vec::new();
    for ((application, order), shown) in first {
        for (later, (later_us, later_place, id)) in &shown {
            let waited_us = later_us.saturating_sub(committed_us.get(id).copied().unwrap_or(0));
            let overtaken =
                shown.range(..*later).find(|(_, (at_us, place, _))| (at_us, place) > (later_us, later_place));
            if let Some((earlier, _)) = overtaken
                && waited_us < hold_back_us
            {
                wrong.push(format!("{application} saw {later} of {order} before {earlier}, after {waited_us} us"));
            }
        }
    }
    wrong
}
