//! Merging two sides' pages.

use std::collections::BTreeMap;
use std::time::Duration;

use event_feed::FeedEvent;
use proptest::prelude::*;

use super::fakes::{authorised, event, merchant_in};
use crate::feed::page::{drop_foreign, merge};

fn events(partition: u16, merchants: usize, each: u64) -> Vec<FeedEvent> {
    let of = |nth| {
        let merchant = merchant_in(partition, nth);
        (0..each).map(move |index| {
            let mut event = event(merchant, 1, 0);
            event.created_at = event.created_at.plus(Duration::from_millis(index * 10 + nth as u64));
            event
        })
    };
    (0..merchants).flat_map(of).collect()
}

#[test]
fn a_merged_page_is_bounded_fair_and_oldest_first() {
    let page = merge(events(3, 2, 500), events(4, 1, 900));
    assert_eq!(page.len(), 1_000);
    assert!(page.is_sorted_by_key(|event| event.created_at));
    let mut per_merchant: BTreeMap<_, usize> = BTreeMap::new();
    for event in &page {
        *per_merchant.entry(event.merchant).or_default() += 1;
    }
    assert!(per_merchant.values().all(|&events| events >= 333), "{per_merchant:?}");
    let mut large = events(3, 1, 10);
    for event in &mut large {
        event.body = bytes::Bytes::from(vec![b' '; 1024 * 1024]);
    }
    let bytes: usize = merge(large.clone(), large).iter().map(|event| event.body.len()).sum();
    assert!(bytes <= 5 * 1024 * 1024, "{bytes}");
}

proptest! {
    #[test]
    fn exactly_the_foreign_events_are_dropped(own in 1usize..12, foreign in 0usize..12, each in 1u64..30) {
        let mut all = events(3, own + foreign, each);
        let merchants: Vec<_> = (0..own).map(|nth| merchant_in(3, nth)).collect();
        let expected: Vec<_> = all.iter().filter(|event| merchants.contains(&event.merchant)).cloned().collect();
        let dropped = drop_foreign(&mut all, &authorised(&merchants));
        prop_assert_eq!(dropped as u64, foreign as u64 * each);
        prop_assert_eq!(all, expected);
    }
}
