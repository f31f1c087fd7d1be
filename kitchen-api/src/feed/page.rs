//! One page out of what the sides answered: nobody else's merchants, at most 1,000 events, fair, oldest first.
//!
//! Pure but for one counter. Which events are pending, and in which order a side lists them, was that side's decision.

use std::collections::{BTreeMap, HashSet};

use event_feed::page::{Candidate, PAGE_BYTES_MAX, PAGE_EVENTS_MAX, fill};
use event_feed::{AuthorisedMerchants, FeedEvent};
use order_model::MerchantId;

/// Up to this many comparisons, looking through a list beats building a set.
const COMPARISONS_MAX: usize = 256;

/// Takes out events of merchants that were not asked for, says so, and answers how many there were. There must be none:
/// this is the last place that can keep a mistaken answer from a foreign merchant's POS.
pub(super) fn drop_foreign(events: &mut Vec<FeedEvent>, authorised: &AuthorisedMerchants) -> usize {
    let before = events.len();
    let merchants = authorised.merchants();
    if merchants.len() * before <= COMPARISONS_MAX {
        events.retain(|event| merchants.iter().any(|granted| granted.merchant == event.merchant));
    } else {
        let known: HashSet<MerchantId> = merchants.iter().map(|granted| granted.merchant).collect();
        events.retain(|event| known.contains(&event.merchant));
    }
    let foreign = before - events.len();
    if foreign > 0 {
        metrics::counter!("comanda_kitchen_api_foreign_events_total").increment(foreign as u64);
        tracing::error!(foreign, "a feed answered events of merchants that were not asked for; they were left out");
    }
    foreign
}

/// Puts the answers of two sides, about different partitions, into one page. What does not fit stays pending.
pub(super) fn merge(mut events: Vec<FeedEvent>, more: Vec<FeedEvent>) -> Vec<FeedEvent> {
    if more.is_empty() {
        return events;
    }
    events.extend(more);
    events.sort_by_key(|event| (event.created_at, event.order, event.sequence));
    let bytes: usize = events.iter().map(|event| event.body.len()).sum();
    if events.len() <= PAGE_EVENTS_MAX && bytes <= PAGE_BYTES_MAX {
        return events;
    }
    let mut merchants: BTreeMap<MerchantId, Vec<Candidate<FeedEvent>>> = BTreeMap::new();
    for event in events {
        // Each side has kept its fifth for events never delivered before; which those are is not told.
        let candidate =
            Candidate { created_at: event.created_at, delivered_before: false, bytes: event.body.len(), item: event };
        merchants.entry(candidate.item.merchant).or_default().push(candidate);
    }
    let mut page = fill(merchants.into_values().collect(), PAGE_EVENTS_MAX, 0);
    page.sort_by_key(|event| (event.created_at, event.order, event.sequence));
    page
}
