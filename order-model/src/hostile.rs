//! Texts and numbers as a stranger might write them: each is refused, or survives being written and read again.

use std::fmt::Display;
use std::str::FromStr;

use proptest::prelude::*;

use crate::lifecycle::DisputeId;
use crate::{ApplicationId, Coordinates, EventId, MerchantId, OrderId, Timestamp};

/// Whether `text` is refused, or what was read of it is read again from what is written of it.
fn survives<T: FromStr + Display + PartialEq>(text: &str) -> bool {
    text.parse::<T>().map_or(true, |value| value.to_string().parse::<T>().is_ok_and(|again| again == value))
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![any::<String>(), "[0-9a-fA-F{}:#-]{0,40}", "[0-9+.eE, -]{0,70}", "\\PC{0,140}"]
}

/// Nearly RFC 3339, in and out of every range.
fn instant() -> impl Strategy<Value = String> {
    "[+-]?[0-9]{4,6}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\\.[0-9]{1,12})?(Z|[+-][0-2][0-9]:[0-6][0-9])?(\\[UTC\\])?"
}

proptest! {
    #[test]
    fn texts_are_refused_or_survive(text in prop_oneof![any_text(), instant()]) {
        prop_assert!(survives::<Timestamp>(&text) && survives::<Coordinates>(&text));
        prop_assert!(survives::<OrderId>(&text) && survives::<MerchantId>(&text) && survives::<EventId>(&text));
        prop_assert!(survives::<ApplicationId>(&text) && survives::<DisputeId>(&text));
    }

    /// Whatever a number says, there is an instant, and a text of it that says the same.
    #[test]
    fn any_number_is_an_instant_that_survives_its_text(
        unix_ms in prop_oneof![
            any::<i64>(),
            Just(i64::MIN),
            Just(i64::MAX),
            (Timestamp::MAX.unix_ms() - 5)..(Timestamp::MAX.unix_ms() + 5),
        ],
    ) {
        let at = Timestamp::from_unix_ms(unix_ms);
        prop_assert_eq!(at.to_string().parse(), Ok(at));
        prop_assert!(at.unix_s_ceil() >= at.unix_ms() / 1000);
        prop_assert!(at.plus(std::time::Duration::MAX) == Timestamp::MAX && at.minus(std::time::Duration::MAX).unix_ms() == 0);
    }

    #[test]
    fn any_bytes_are_an_id_that_survives_its_text(bytes in any::<[u8; 16]>()) {
        let id = EventId::from_bytes(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert!(id.created_at() <= Timestamp::MAX);
    }
}
