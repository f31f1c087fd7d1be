//! Planned closings: what one may be, and which may stand together.
//!
//! Pure; called when a profile is checked. Which closing applies now, and forgetting those that are over, is kitchen-api's.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use serde::{Deserialize, Serialize};

/// The longest closing, in days of the store's calendar (PARTNER_API, section 1.5).
const DAYS_MAX: i64 = 7;
/// The longest id and description of an interruption, in characters: 100 of them stay below DynamoDB's 400 KB an item, even
/// when each character is one that JSON escapes.
const CHARACTERS_MAX: (usize, usize) = (64, 500);

/// One planned closing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interruption {
    /// Its id, one of a kind within the merchant.
    pub id: String,
    /// For people.
    pub description: String,
    /// ms since 1970.
    pub start_ms: i64,
    /// ms since 1970, after the start and at most 7 days later, by the store's calendar.
    pub end_ms: i64,
}

impl Interruption {
    pub(super) fn fits(&self, zone: &TimeZone) -> bool {
        let (id_max, description_max) = CHARACTERS_MAX;
        self.start_ms < self.end_ms
            && self.latest_end_ms(zone).is_some_and(|latest| self.end_ms <= latest)
            && self.id.chars().count() <= id_max
            && self.description.chars().count() <= description_max
    }

    /// Days of the calendar: the week in which clocks are put back is an hour longer. Where that time comes twice, the last.
    fn latest_end_ms(&self, zone: &TimeZone) -> Option<i64> {
        let start = Timestamp::from_millisecond(self.start_ms).ok()?.to_zoned(zone.clone()).datetime();
        let end = start.checked_add(Span::new().days(DAYS_MAX)).ok()?;
        zone.to_ambiguous_timestamp(end).later().ok().map(Timestamp::as_millisecond)
    }
}

/// Whether two of `interruptions` have the same id.
pub(super) fn share_an_id(interruptions: &[Interruption]) -> bool {
    let mut ids = BTreeSet::new();
    !interruptions.iter().all(|one| ids.insert(&one.id))
}

/// Whether two of `interruptions`, each of which fits, have an instant in common. Those that only touch do not.
pub(super) fn overlap(interruptions: &[Interruption]) -> bool {
    let mut spans: Vec<(i64, i64)> = interruptions.iter().map(|one| (one.start_ms, one.end_ms)).collect();
    spans.sort_unstable();
    spans.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    fn span(start_ms: i64, end_ms: i64) -> Interruption {
        Interruption { id: format!("{start_ms}"), description: String::new(), start_ms, end_ms }
    }

    #[test]
    fn seven_days_are_those_of_the_calendar() {
        let lisbon = TimeZone::get("Europe/Lisbon").unwrap();
        // Clocks are put back on 2026-10-25, and on 2026-03-29 put forward.
        for (start, hours) in
            [("2026-10-20T12:00:00Z", 169), ("2026-06-01T12:00:00Z", 168), ("2026-03-25T12:00:00Z", 167)]
        {
            let start_ms = start.parse::<Timestamp>().unwrap().as_millisecond();
            assert!(span(start_ms, start_ms + hours * HOUR_MS).fits(&lisbon), "{start}");
            assert!(!span(start_ms, start_ms + hours * HOUR_MS + 1).fits(&lisbon), "{start}");
        }
        // 01:30 comes twice on 2026-10-25: a closing that ends then ends at the last.
        let start_ms = "2026-10-18T00:30:00Z".parse::<Timestamp>().unwrap().as_millisecond();
        assert!(span(start_ms, start_ms + 169 * HOUR_MS).fits(&lisbon));
        assert!(!span(start_ms, start_ms + 169 * HOUR_MS + 1).fits(&lisbon));
        assert!(!span(5, 5).fits(&lisbon));
        assert!(!span(i64::MIN, i64::MAX).fits(&lisbon), "no instant");
    }

    #[test]
    fn ids_are_one_of_a_kind() {
        assert!(!share_an_id(&[span(1, 2), span(2, 3)]));
        assert!(share_an_id(&[span(1, 2), span(3, 4), span(1, 3)]));
    }

    proptest! {
        /// The oracle compares every pair.
        #[test]
        fn overlap_is_an_instant_in_common(all in prop::collection::vec((0i64..60, 1i64..12), 0..6)) {
            let all: Vec<Interruption> = all.iter().map(|(start, length)| span(*start, start + length)).collect();
            let common = |one: &Interruption, other: &Interruption| {
                (one.start_ms..one.end_ms).any(|at| (other.start_ms..other.end_ms).contains(&at))
            };
            let expected = (0..all.len()).any(|place| all[..place].iter().any(|other| common(&all[place], other)));
            prop_assert_eq!(overlap(&all), expected);
        }
    }
}
