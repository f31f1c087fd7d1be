//! A page is fair, full and never starves: even a client that acknowledges nothing sees every event in the end.

use std::collections::BTreeSet;

use event_feed::Candidate;
use event_feed::page::{fill, reserved_for_fresh};
use order_model::Timestamp;
use proptest::prelude::*;

fn candidates(sizes: &[usize], delivered: &BTreeSet<(usize, usize)>) -> Vec<Vec<Candidate<(usize, usize)>>> {
    let one = |merchant: usize, number: usize| Candidate {
        created_at: Timestamp::from_unix_ms(i64::try_from(number).unwrap()),
        delivered_before: delivered.contains(&(merchant, number)),
        bytes: 400,
        item: (merchant, number),
    };
    sizes.iter().enumerate().map(|(merchant, size)| (0..*size).map(|number| one(merchant, number)).collect()).collect()
}

proptest! {
    #[test]
    fn a_client_that_never_acknowledges_sees_everything(
        sizes in prop::collection::vec(0usize..60, 1..8), limit in 1usize..40, first in 0usize..10,
    ) {
        let total: usize = sizes.iter().sum();
        let mut delivered = BTreeSet::new();
        for poll in 0..=total.div_ceil(reserved_for_fresh(limit)) {
            delivered.extend(fill(candidates(&sizes, &delivered), limit, first + poll));
        }
        prop_assert_eq!(delivered.len(), total);
    }

    #[test]
    fn a_page_is_full_ordered_and_fair(
        sizes in prop::collection::vec(0usize..60, 1..8), limit in 1usize..40, first in 0usize..10,
        delivered in prop::collection::btree_set((0usize..8, 0usize..60), 0..80),
    ) {
        let page = fill(candidates(&sizes, &delivered), limit, first);
        let total: usize = sizes.iter().sum();
        prop_assert_eq!(page.len(), total.min(limit));
        prop_assert!(page.is_sorted(), "merchant by merchant, oldest first, nothing twice");
        prop_assert_eq!(page.iter().collect::<BTreeSet<_>>().len(), page.len());
        let fresh_in_page = page.iter().filter(|item| !delivered.contains(item)).count();
        let fresh = candidates(&sizes, &delivered).into_iter().flatten().filter(|candidate| !candidate.delivered_before).count();
        prop_assert!(fresh_in_page >= fresh.min(reserved_for_fresh(limit)));
        if delivered.is_empty() {
            let taken = |merchant| page.iter().filter(|item| item.0 == merchant).count();
            let most = (0..sizes.len()).map(taken).max().unwrap_or(0);
            for (merchant, size) in sizes.iter().enumerate() {
                prop_assert!(taken(merchant) + 2 >= most.min(*size), "two rounds of taking turns, one apart each");
            }
        }
    }
}
