//! Times as a store reads them off its wall: without an offset, in its IANA time zone.
//!
//! Pure; used by what reads and writes interruptions. A clock that is moved has times that do not exist and times that come
//! twice. Here the first are the instant at which the clock skips them, and of the second a span begins at the first and ends
//! at the last: so that a span never comes out backwards or shorter than it was meant.

use jiff::civil::DateTime;
use jiff::fmt::temporal::Pieces;
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{Span, Timestamp};
use proto::merchant_connection::Merchant;

/// No notation of a time is longer, in bytes.
const TIME_MAX_BYTES: usize = 64;

/// A store's clock.
#[derive(Debug, Clone)]
pub(super) struct StoreClock(TimeZone);

/// Which end of a span a time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    Start,
    End,
}

impl StoreClock {
    /// The clock of `merchant`; none when its time zone does not exist.
    pub(super) fn of(merchant: &Merchant) -> Option<Self> {
        TimeZone::get(&merchant.time_zone).ok().map(Self)
    }

    /// Reads an ISO 8601 time, in ms since 1970. One with an offset or `Z` is that instant, one without is the store's.
    pub(super) fn read(&self, text: &str, edge: Edge) -> Option<i64> {
        let text = text.trim();
        if text.len() > TIME_MAX_BYTES {
            return None;
        }
        let pieces = Pieces::parse(text).ok()?;
        // It would have to agree with the store's.
        if pieces.time_zone_annotation().is_some() {
            return None;
        }
        let written = pieces.date().to_datetime(pieces.time()?);
        let instant = match pieces.to_numeric_offset() {
            Some(offset) => offset.to_timestamp(written).ok(),
            None => self.instant(written, edge),
        };
        instant.map(Timestamp::as_millisecond)
    }

    fn instant(&self, local: DateTime, edge: Edge) -> Option<Timestamp> {
        let found = self.0.to_ambiguous_timestamp(local);
        match (found.offset(), edge) {
            (AmbiguousOffset::Gap { .. }, _) => {
                let before_the_gap = found.earlier().ok()?;
                self.0.following(before_the_gap).next().map(|transition| transition.timestamp())
            }
            (AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. }, Edge::Start) => found.earlier().ok(),
            (AmbiguousOffset::Fold { .. } | AmbiguousOffset::Unambiguous { .. }, Edge::End) => found.later().ok(),
        }
    }

    /// An instant as the store writes it, such as `2026-11-20T18:30:00`.
    pub(super) fn write(&self, instant_ms: i64) -> String {
        let instant = Timestamp::from_millisecond(instant_ms).unwrap_or_default();
        instant.to_zoned(self.0.clone()).datetime().to_string()
    }

    /// The same time of the clock so many days later, the last where it comes twice, in ms since 1970.
    pub(super) fn days_later(&self, instant_ms: i64, days: i64) -> Option<i64> {
        let start = Timestamp::from_millisecond(instant_ms).ok()?.to_zoned(self.0.clone()).datetime();
        let later = start.checked_add(Span::new().days(days)).ok()?;
        self.0.to_ambiguous_timestamp(later).later().ok().map(Timestamp::as_millisecond)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::merchants) fn clock(zone: &str) -> StoreClock {
        StoreClock(TimeZone::get(zone).unwrap())
    }

    fn ms(instant: &str) -> i64 {
        instant.parse::<Timestamp>().unwrap().as_millisecond()
    }

    #[test]
    fn an_offset_counts_and_without_one_it_is_the_stores_time() {
        let sao_paulo = clock("America/Sao_Paulo");
        let expected = ms("2026-11-20T21:30:00Z");
        for text in [
            "2026-11-20T18:30:00",
            "2026-11-20T18:30",
            "2026-11-20 18:30:00.000",
            "2026-11-20T21:30:00Z",
            "2026-11-20T21:30:00.000Z",
            "2026-11-20T22:30:00+01:00",
        ] {
            assert_eq!(sao_paulo.read(text, Edge::Start), Some(expected), "{text}");
        }
        assert_eq!(sao_paulo.write(expected), "2026-11-20T18:30:00");
        for wrong in ["", "tomorrow", "2026-13-01T00:00:00", "2026-11-20T25:00:00", "20/11/2026 10:00", "1795000000"] {
            assert_eq!(sao_paulo.read(wrong, Edge::Start), None, "{wrong}");
        }
        assert_eq!(sao_paulo.read("2026-11-20T18:30:00[Europe/Lisbon]", Edge::Start), None);
        assert_eq!(sao_paulo.read("2026-11-20", Edge::Start), None, "no time");
        assert_eq!(sao_paulo.read(&format!("2026-11-20T18:30:00.{}", "0".repeat(99)), Edge::Start), None);
    }

    /// An offset that leads out of the calendar must not be taken for the store's own.
    #[test]
    fn times_beyond_the_calendar_are_refused() {
        let kiritimati = clock("Pacific/Kiritimati");
        for beyond in [
            "9999-12-31T00:00:00+00:00",
            "9999-12-31T23:59:59Z",
            "-009999-01-01T00:00:00+20:00",
            "+010000-01-01T00:00:00",
            "99999999999-01-01T00:00:00",
            "2026-11-20T18:30:00+99:00",
        ] {
            assert_eq!(kiritimati.read(beyond, Edge::Start), None, "{beyond}");
        }
        assert!(kiritimati.read("9999-12-31T00:00:00", Edge::Start).is_some(), "there it is earlier");
    }

    /// In Lisbon 01:00 to 02:00 does not exist on 2026-03-29, and comes twice on 2026-10-25.
    #[test]
    fn times_that_do_not_exist_are_the_instant_that_skips_them() {
        let lisbon = clock("Europe/Lisbon");
        for text in ["2026-03-29T01:00:00", "2026-03-29T01:30:00", "2026-03-29T01:59:59"] {
            for edge in [Edge::Start, Edge::End] {
                assert_eq!(lisbon.read(text, edge), Some(ms("2026-03-29T01:00:00Z")), "{text}");
            }
        }
        assert_eq!(lisbon.read("2026-03-29T00:59:59", Edge::End), Some(ms("2026-03-29T00:59:59Z")));
        assert_eq!(lisbon.read("2026-03-29T02:00:00", Edge::Start), Some(ms("2026-03-29T01:00:00Z")));
    }

    #[test]
    fn a_span_begins_at_the_first_of_two_and_ends_at_the_last() {
        let lisbon = clock("Europe/Lisbon");
        assert_eq!(lisbon.read("2026-10-25T01:30:00", Edge::Start), Some(ms("2026-10-25T00:30:00Z")));
        assert_eq!(lisbon.read("2026-10-25T01:30:00", Edge::End), Some(ms("2026-10-25T01:30:00Z")));
        for instant in ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"] {
            assert_eq!(lisbon.write(ms(instant)), "2026-10-25T01:30:00");
        }
    }

    #[test]
    fn a_day_later_is_the_same_time_of_the_clock() {
        let lisbon = clock("Europe/Lisbon");
        assert_eq!(lisbon.days_later(ms("2026-10-24T11:00:00Z"), 1), Some(ms("2026-10-25T12:00:00Z")));
        assert_eq!(lisbon.days_later(i64::MAX, 1), None);
        let ends_twice = lisbon.days_later(ms("2026-10-18T00:30:00Z"), 7);
        assert_eq!(ends_twice, Some(ms("2026-10-25T01:30:00Z")), "of two the last: a span ends there");
    }

    const ZONES: [&str; 5] =
        ["America/Sao_Paulo", "Europe/Lisbon", "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"];

    /// So many minutes after the clock of `zone` is moved for the `nth` time since 2000: forward, back, by half an hour in
    /// Lord Howe and by a day in Apia.
    fn near_a_move(zone: &TimeZone, nth: usize, minutes: i64) -> DateTime {
        let since: Timestamp = "2000-01-01T00:00:00Z".parse().unwrap();
        let moves: Vec<Timestamp> = zone.following(since).take(60).map(|transition| transition.timestamp()).collect();
        let moved = moves[nth % moves.len()].to_zoned(zone.clone()).datetime();
        moved.checked_add(Span::new().minutes(minutes)).unwrap()
    }

    proptest! {
        #[test]
        fn a_later_time_of_the_clock_is_no_earlier_instant(
            zone in 0..ZONES.len(), nth in 0usize..60, first in -1_600i64..1_600, minutes in 0i64..1_600
        ) {
            let clock = clock(ZONES[zone]);
            let start = near_a_move(&clock.0, nth, first);
            let end = start.checked_add(Span::new().minutes(minutes)).unwrap();
            let read = (clock.read(&start.to_string(), Edge::Start), clock.read(&end.to_string(), Edge::End));
            prop_assert!(read.0.is_some() && read.0 <= read.1, "{start} to {end}: {read:?}");
        }

        /// Seven days of the clock are seven days, wherever it is moved.
        #[test]
        fn a_span_of_days_ends_no_later_than_so_many_days_later(
            zone in 0..ZONES.len(), nth in 0usize..60, minutes in -1_600i64..1_600, days in 0i64..8, ends_there: bool
        ) {
            let clock = clock(ZONES[zone]);
            let near = near_a_move(&clock.0, nth, minutes);
            let days_of = Span::new().days(days);
            let first = if ends_there { near.checked_sub(days_of).unwrap() } else { near };
            let start = clock.read(&first.to_string(), Edge::Start).unwrap();
            let end = clock.read(&first.checked_add(days_of).unwrap().to_string(), Edge::End).unwrap();
            prop_assert!(end <= clock.days_later(start, days).unwrap(), "{first} and {days} days");
        }

        /// No text makes it panic.
        #[test]
        fn any_text_is_read_or_refused(text in "[-+0-9T:.Z\\[\\]]{0,40}|.{0,40}", zone in 0..ZONES.len()) {
            let clock = clock(ZONES[zone]);
            for edge in [Edge::Start, Edge::End] {
                if let Some(at_ms) = clock.read(&text, edge) {
                    prop_assert!(!clock.write(at_ms).is_empty());
                    clock.days_later(at_ms, 7);
                }
            }
        }

        /// What is written reads as an instant that is written alike.
        #[test]
        fn what_is_written_reads_as_the_same_time(zone in 0..ZONES.len(), nth in 0usize..60, second in -9_000i64..9_000) {
            let clock = clock(ZONES[zone]);
            let near = near_a_move(&clock.0, nth, 0).to_zoned(clock.0.clone()).unwrap().timestamp();
            let written = clock.write(near.as_millisecond() + second * 1000);
            for edge in [Edge::Start, Edge::End] {
                let read = clock.read(&written, edge).unwrap();
                prop_assert_eq!(clock.write(read), written.clone());
            }
        }
    }
}
