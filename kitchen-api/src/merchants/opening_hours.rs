//! Whether a merchant is within its opening hours, in its own time zone.
//!
//! Pure. A shift is a weekday, a start and a length; it may cross midnight and the end of the week. Minutes are those of the
//! clock on the wall there, so a shift keeps its hours when daylight saving begins: what the clock skips is never shown, and in
//! an hour that comes twice a shift is open twice.

use jiff::tz::TimeZone;
use order_model::Timestamp;
use proto::merchant_connection::{Merchant, Shift};

const WEEK_MINUTES: u32 = 7 * 24 * 60;

/// Whether some shift of `merchant` covers `now`. Nobody is open without a shift or with a time zone that does not exist.
pub(super) fn is_open(merchant: &Merchant, now: Timestamp) -> bool {
    let Ok(zone) = TimeZone::get(&merchant.time_zone) else { return false };
    let Ok(instant) = jiff::Timestamp::from_millisecond(now.unix_ms()) else { return false };
    let local = instant.to_zoned(zone);
    let number = |value: i8| u32::try_from(value).unwrap_or(0);
    let day = number(local.weekday().to_monday_zero_offset());
    let minute = day * 24 * 60 + number(local.hour()) * 60 + number(local.minute());
    merchant.shifts.iter().any(|shift| covers(*shift, minute))
}

fn covers(shift: Shift, minute_of_week: u32) -> bool {
    if !(1..=7).contains(&shift.day_of_week) || shift.start_minute >= 24 * 60 {
        return false;
    }
    let start = (shift.day_of_week - 1) * 24 * 60 + shift.start_minute;
    let since_start = (minute_of_week + WEEK_MINUTES - start) % WEEK_MINUTES;
    since_start < shift.duration_minutes
}

#[cfg(test)]
mod tests {
    use jiff::Span;
    use jiff::civil::{Date, Time};
    use proptest::prelude::*;

    use super::*;

    fn merchant(zone: &str, shifts: &[(u32, u32, u32)]) -> Merchant {
        let shift = |&(day_of_week, start_minute, duration_minutes): &(u32, u32, u32)| Shift {
            day_of_week,
            start_minute,
            duration_minutes,
        };
        Merchant { time_zone: zone.to_owned(), shifts: shifts.iter().map(shift).collect(), ..Merchant::default() }
    }

    fn open_at(merchant: &Merchant, at: &str) -> bool {
        is_open(merchant, at.parse().unwrap())
    }

    #[test]
    fn hours_are_those_of_the_merchants_clock() {
        // 2026-11-20 is a Friday.
        let lunch = merchant("America/Sao_Paulo", &[(5, 11 * 60, 240)]);
        assert!(!open_at(&lunch, "2026-11-20T10:59:59-03:00"));
        assert!(open_at(&lunch, "2026-11-20T11:00:00-03:00"));
        assert!(open_at(&lunch, "2026-11-20T14:59:59-03:00"));
        assert!(!open_at(&lunch, "2026-11-20T15:00:00-03:00"));
        assert!(!open_at(&lunch, "2026-11-20T11:30:00Z"), "08:30 there");
        assert!(!open_at(&lunch, "2026-11-21T12:00:00-03:00"), "Saturday");
    }

    #[test]
    fn shifts_cross_midnight_and_the_week() {
        let night = merchant("America/Sao_Paulo", &[(7, 22 * 60, 300)]);
        assert!(open_at(&night, "2026-11-22T23:00:00-03:00"), "Sunday");
        assert!(open_at(&night, "2026-11-23T02:59:00-03:00"), "Monday");
        assert!(!open_at(&night, "2026-11-23T03:00:00-03:00"));
        let always: Vec<(u32, u32, u32)> = (1..=7).map(|day| (day, 0, 1440)).collect();
        let always = merchant("America/Sao_Paulo", &always);
        for hour in 0..168 {
            let at = Timestamp::from_unix_ms(1_795_000_000_000 + hour * 3_600_000);
            assert!(is_open(&always, at));
        }
    }

    #[test]
    fn daylight_saving_moves_the_instant_and_not_the_hour() {
        let morning = merchant("Europe/Lisbon", &[(1, 9 * 60, 60), (7, 9 * 60, 60)]);
        assert!(open_at(&morning, "2026-10-19T08:30:00Z"), "summer time");
        assert!(open_at(&morning, "2026-10-26T09:30:00Z"), "winter time");
        assert!(!open_at(&morning, "2026-10-26T08:30:00Z"));
    }

    /// In Lisbon 01:00 to 02:00 does not exist on Sunday 2026-03-29, and comes twice on Sunday 2026-10-25.
    #[test]
    fn an_hour_that_is_skipped_shortens_a_shift_and_one_that_comes_twice_repeats_it() {
        let night = merchant("Europe/Lisbon", &[(7, 90, 60)]);
        assert!(!open_at(&night, "2026-03-29T00:59:59Z"), "00:59:59 there");
        assert!(open_at(&night, "2026-03-29T01:00:00Z"), "02:00 there");
        assert!(open_at(&night, "2026-03-29T01:29:59Z"));
        assert!(!open_at(&night, "2026-03-29T01:30:00Z"), "02:30 there");
        let twice = merchant("Europe/Lisbon", &[(7, 75, 30)]);
        for open in ["2026-10-25T00:15:00Z", "2026-10-25T00:44:59Z", "2026-10-25T01:15:00Z", "2026-10-25T01:44:59Z"] {
            assert!(open_at(&twice, open), "{open}");
        }
        for closed in ["2026-10-25T00:14:59Z", "2026-10-25T00:45:00Z", "2026-10-25T01:14:59Z", "2026-10-25T01:45:00Z"] {
            assert!(!open_at(&twice, closed), "{closed}");
        }
    }

    /// Oracle: the shift of a calendar day runs from that day's start to so many minutes of the calendar later.
    fn is_open_by_the_calendar(merchant: &Merchant, now: Timestamp) -> bool {
        let zone = TimeZone::get(&merchant.time_zone).unwrap();
        let local = jiff::Timestamp::from_millisecond(now.unix_ms()).unwrap().to_zoned(zone).datetime();
        let covers_on = |day: Date, shift: &Shift| {
            let minutes = |minutes: u32| Span::new().minutes(i64::from(minutes));
            let start = day.to_datetime(Time::midnight()).checked_add(minutes(shift.start_minute)).unwrap();
            let end = start.checked_add(minutes(shift.duration_minutes)).unwrap();
            u32::try_from(day.weekday().to_monday_one_offset()) == Ok(shift.day_of_week)
                && start <= local
                && local < end
        };
        let days = [local.date(), local.date().yesterday().unwrap()];
        merchant.shifts.iter().any(|shift| days.iter().any(|day| covers_on(*day, shift)))
    }

    proptest! {
        #[test]
        fn a_store_is_open_when_its_calendar_says_so(
            zone in 0..ZONES.len(),
            shifts in prop::collection::vec((1u32..=7, 0u32..1440, 1u32..=1440), 0..6),
            second in 946_684_800i64..1_893_456_000,
        ) {
            let merchant = merchant(ZONES[zone], &shifts);
            let now = Timestamp::from_unix_ms(second * 1000);
            prop_assert_eq!(is_open(&merchant, now), is_open_by_the_calendar(&merchant, now));
        }
    }

    const ZONES: [&str; 4] = ["America/Sao_Paulo", "Europe/Lisbon", "Australia/Lord_Howe", "Pacific/Apia"];

    #[test]
    fn nonsense_is_closed() {
        let at = "2026-11-20T12:00:00Z";
        assert!(!open_at(&merchant("America/Sao_Paulo", &[]), at));
        assert!(!open_at(&merchant("Mars/Olympus", &[(5, 0, 1440)]), at));
        assert!(!open_at(&merchant("UTC", &[(0, 0, 1440), (8, 0, 1440), (5, 1440, 10), (5, 0, 0)]), at));
    }
}
