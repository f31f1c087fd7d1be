//! A filter never loses what it was not sent for.

use event_feed::{CategoryFilter, Dialect, Filter, Verdict};
use order_model::{EventCategory, EventCode, EventGroup};
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

pub fn any_filter() -> impl Strategy<Value = Filter> {
    let types = prop::option::of(subsequence(EventCode::ALL.to_vec(), 0..6));
    let groups = prop::option::of(subsequence(EventGroup::ALL[..9].to_vec(), 0..4));
    let categories = prop_oneof![
        Just(CategoryFilter::Default),
        Just(CategoryFilter::All),
        subsequence(EventCategory::ALL[..4].to_vec(), 0..4).prop_map(CategoryFilter::Sent),
    ];
    let dialect = select(vec![Dialect::Merchant, Dialect::OpenDelivery]);
    (dialect, types, groups, categories, any::<bool>()).prop_map(
        |(dialect, types, groups, categories, keeps_hidden)| Filter {
            dialect,
            types,
            groups,
            categories,
            keeps_hidden,
        },
    )
}

proptest! {
    #[test]
    fn nothing_is_acknowledged_unless_something_known_was_sent(
        filter in any_filter(), code in select(EventCode::ALL), category in select(EventCategory::ALL.to_vec()),
    ) {
        let verdict = filter.verdict_on(code, category);
        let codes_sent = filter.types.is_some() || filter.groups.is_some();
        let categories_sent = matches!(filter.categories, CategoryFilter::Sent(_));
        if filter.asks_for_nothing() {
            prop_assert_eq!(verdict, Verdict::Hide);
        } else if verdict == Verdict::HideAndAcknowledge {
            prop_assert!((codes_sent || categories_sent) && !filter.keeps_hidden);
        }
        if !filter.dialect.has(code) {
            prop_assert_eq!(verdict, Verdict::Hide);
        } else if verdict == Verdict::Hide && !filter.asks_for_nothing() && !filter.keeps_hidden {
            prop_assert_eq!(filter.categories, CategoryFilter::Default);
        }
    }

    /// What is shown is the same; only what becomes of the rest differs.
    #[test]
    fn keeping_what_is_hidden_changes_nothing_else(
        filter in any_filter(), code in select(EventCode::ALL), category in select(EventCategory::ALL.to_vec()),
    ) {
        let keeping = Filter { keeps_hidden: true, ..filter.clone() }.verdict_on(code, category);
        let acknowledging = Filter { keeps_hidden: false, ..filter }.verdict_on(code, category);
        prop_assert_eq!(keeping == Verdict::Show, acknowledging == Verdict::Show);
        prop_assert!(keeping != Verdict::HideAndAcknowledge);
    }

    #[test]
    fn asking_for_more_never_shows_less(
        filter in any_filter(), more in select(EventCode::ALL), code in select(EventCode::ALL), category in select(EventCategory::ALL.to_vec()),
    ) {
        let mut wider = filter.clone();
        wider.types.get_or_insert_default().push(more);
        let sends_codes = filter.types.is_some() || filter.groups.is_some();
        if sends_codes && filter.verdict_on(code, category) == Verdict::Show {
            prop_assert_eq!(wider.verdict_on(code, category), Verdict::Show);
        }
    }
}
