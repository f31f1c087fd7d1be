//! The specification itself: acknowledgments beat events in any order, expiry and hold-back end when they should.

use std::time::Duration;

use event_feed::acknowledgment::{remembered_until, tombstone_until};
use event_feed::oracle::Oracle;
use event_feed::{AuthorisedMerchants, Filter, GrantedMerchant, HOLD_BACK};
use order_model::{ApplicationId, MerchantId, Timestamp};
use proptest::prelude::*;

use crate::{START_MS, event};

fn authorised(merchants: &[u8]) -> AuthorisedMerchants {
    let granted = |byte: &u8| GrantedMerchant {
        merchant: MerchantId::from_bytes([*byte; 16]),
        visible_from: Timestamp::from_unix_ms(START_MS),
    };
    AuthorisedMerchants::vouched_for_by_peer(application(), merchants.iter().map(granted).collect())
}

fn application() -> ApplicationId {
    "app".parse().unwrap()
}

fn at(age: i64) -> Timestamp {
    Timestamp::from_unix_ms(START_MS + age)
}

#[derive(Debug, Clone)]
enum Step {
    Arrive(usize),
    Acknowledge(usize),
}

proptest! {
    #[test]
    fn an_acknowledgment_beats_its_event_in_any_order(
        steps in Just((0..12).map(|number| if number % 2 == 0 { Step::Arrive(number / 2) } else { Step::Acknowledge(number / 2) })
            .collect::<Vec<_>>()).prop_shuffle(),
        acknowledged in prop::collection::vec(any::<bool>(), 6),
    ) {
        let events: Vec<_> = (0..6u8).map(|order| event(1, order * 5, 1, i64::from(order))).collect();
        let mut oracle = Oracle::default();
        for step in steps {
            match step {
                Step::Arrive(number) => oracle.append(events[number].clone(), Duration::ZERO),
                Step::Acknowledge(number) if acknowledged[number] => oracle.acknowledge(&application(), [events[number].id]),
                Step::Acknowledge(_) => {}
            }
        }
        let shown = oracle.answer(&authorised(&[1]), &Filter::default(), at(100), Duration::ZERO).shown;
        let expected: Vec<_> = events.iter().zip(&acknowledged).filter(|(_, acked)| !**acked).map(|(event, _)| event.clone()).collect();
        prop_assert_eq!(shown, expected);
    }
}

#[test]
fn an_event_is_held_until_its_gap_fills_or_the_bound_passes_and_expires_exactly() {
    let mut oracle = Oracle::default();
    let second = event(1, 5, 2, 10);
    oracle.append(second.clone(), Duration::from_secs(1));
    let shown = |oracle: &Oracle, age, elapsed| {
        oracle.answer(&authorised(&[1]), &Filter::default(), at(age), elapsed).shown.len()
    };
    assert_eq!(shown(&oracle, 20, Duration::from_secs(1)), 0);
    assert_eq!(shown(&oracle, 20, Duration::from_secs(1) + HOLD_BACK), 1);
    oracle.append(event(1, 5, 1, 5), Duration::from_secs(1));
    assert_eq!(shown(&oracle, 20, Duration::from_secs(1)), 2);
    assert_eq!(shown(&oracle, 60_009, Duration::from_secs(9)), 1, "the first expired");
    assert_eq!(shown(&oracle, 60_010, Duration::from_secs(9)), 0);
    assert!(remembered_until(second.expires_at) > second.expires_at && tombstone_until(second.id) > second.expires_at);
}

#[test]
fn a_judge_notices_what_is_wrong() {
    let mut oracle = Oracle::default();
    (0..3).for_each(|order| oracle.append(event(1, order * 5, 1, i64::from(order)), Duration::ZERO));
    let answer = oracle.answer(&authorised(&[1]), &Filter::default(), at(100), Duration::ZERO);
    let [first, second, third] = [0, 1, 2].map(|number: usize| answer.shown[number].clone());
    assert_eq!(Oracle::judge(&answer, &[first.clone(), third.clone()], &[], 2), Ok(()));
    for wrong in [
        vec![first.clone()],
        vec![third.clone(), first.clone()],
        vec![first.clone(), first],
        vec![second, event(2, 9, 1, 0)],
    ] {
        assert!(Oracle::judge(&answer, &wrong, &[], 2).is_err());
    }
    assert!(Oracle::judge(&answer, &answer.shown, &[third.id], 10).is_err());
}
