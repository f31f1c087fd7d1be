//! Comparisons that are read from the fallback together: a read of fifty merchants costs little more than one of one.
//!
//! Pure; used by [`super::shadow`]. What is put together is of one application and one filter, about different merchants,
//! and so small that the page of all of them is not cut.

use super::shadow::Comparison;

/// Merchants read together: as many as the fallback looks up with one request when nothing is pending.
pub const MERCHANTS_MAX: usize = 50;

/// Events that the primary answered to polls read together. Far below a page, so that what arrives meanwhile fits.
pub const EVENTS_MAX: usize = 200;

/// Puts together what can be, in any order.
pub fn merge(comparisons: Vec<Comparison>) -> Vec<Comparison> {
    let mut merged: Vec<Comparison> = Vec::new();
    for comparison in comparisons {
        match merged.iter_mut().find(|into| fits(into, &comparison)) {
            Some(into) => join(into, comparison),
            None => merged.push(comparison),
        }
    }
    merged
}

fn fits(into: &Comparison, more: &Comparison) -> bool {
    let (merchants, added) = (into.authorised.merchants(), more.authorised.merchants());
    into.filter == more.filter
        && into.authorised.application() == more.authorised.application()
        && merchants.len() + added.len() <= MERCHANTS_MAX
        && into.primary.len() + more.primary.len() <= EVENTS_MAX
        && added.iter().all(|one| merchants.iter().all(|other| one.merchant != other.merchant))
}

fn join(into: &mut Comparison, more: Comparison) {
    into.authorised.join(&more.authorised);
    into.primary.extend(more.primary);
    into.polls += more.polls;
}

#[cfg(test)]
mod tests {
    use event_feed::{AuthorisedMerchants, Filter, GrantedMerchant};
    use order_model::{EventCode, MerchantId, Timestamp};
    use proptest::prelude::*;

    use super::*;

    fn comparison(application: u8, merchants: &[u8], is_filtered: bool) -> Comparison {
        let granted = |number: &u8| GrantedMerchant {
            merchant: MerchantId::from_bytes([*number; 16]),
            visible_from: Timestamp::default(),
        };
        let application = format!("app-{application}").parse().unwrap();
        let types = is_filtered.then(|| vec![EventCode::Placed]);
        Comparison {
            authorised: AuthorisedMerchants::vouched_for_by_peer(application, merchants.iter().map(granted).collect()),
            filter: Filter { types, ..Filter::default() },
            primary: Vec::new(),
            polls: 1,
        }
    }

    #[test]
    fn what_differs_in_application_or_filter_or_repeats_a_merchant_stays_apart() {
        let all = [
            comparison(1, &[1], false),
            comparison(1, &[2, 3], false),
            comparison(2, &[4], false),
            comparison(1, &[5], true),
            comparison(1, &[3], false),
        ];
        let merchants = |one: &Comparison| one.authorised.merchants().len();
        let merged: Vec<_> = merge(all.into()).iter().map(|one| (merchants(one), one.polls)).collect();
        assert_eq!(merged, [(3, 2), (1, 1), (1, 1), (1, 1)]);
    }

    proptest! {
        /// No poll is lost, and no read is larger than it may be.
        #[test]
        fn every_poll_is_compared_once(numbers in prop::collection::vec((0u8..3, 0u8..=255, any::<bool>()), 0..300)) {
            let all: Vec<_> = numbers.iter().map(|(app, merchant, filtered)| comparison(*app, &[*merchant], *filtered)).collect();
            let (polls, merged) = (all.len(), merge(all));
            prop_assert_eq!(merged.iter().map(|one| one.polls as usize).sum::<usize>(), polls);
            for one in &merged {
                let merchants = one.authorised.merchants();
                let distinct: std::collections::BTreeSet<_> = merchants.iter().map(|granted| granted.merchant).collect();
                prop_assert!(merchants.len() <= MERCHANTS_MAX && distinct.len() == merchants.len());
            }
        }
    }
}
