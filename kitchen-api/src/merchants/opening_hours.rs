//! Whether a merchant is within its opening hours, in its own time zone.
//!
//! Pure. A shift is a weekday, a start and a length; it may cross midnight and the end of the week. Minutes are those of the
//! clock on the wall there, so a shift keeps its hours when daylight saving begins.

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

    #[test]
    fn nonsense_is_closed() {
        let at = "2026-11-20T12:00:00Z";
        assert!(!open_at(&merchant("America/Sao_Paulo", &[]), at));
        assert!(!open_at(&merchant("Mars/Olympus", &[(5, 0, 1440)]), at));
        assert!(!open_at(&merchant("UTC", &[(0, 0, 1440), (8, 0, 1440), (5, 1440, 10), (5, 0, 0)]), at));
    }
}
