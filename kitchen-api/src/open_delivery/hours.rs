//! Opening hours as this dialect writes them: days and times of the clock on the wall there, with its offset.
//!
//! Pure. A shift that crosses midnight is two periods, because a period has one day.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use order_model::Timestamp;
use proto::merchant_connection::{Merchant, Shift};
use serde_json::{Value, json};

use crate::merchants::shift_list::{DAY_MINUTES, DAYS};

/// The hours of `merchant`, days with the same period together; none in a time zone that does not exist.
pub(super) fn week_hours(merchant: &Merchant, now: Timestamp) -> Vec<Value> {
    let Some(offset) = offset(&merchant.time_zone, now) else { return Vec::new() };
    let mut days_of: BTreeMap<(u32, u32), Vec<usize>> = BTreeMap::new();
    for (day, start, end) in merchant.shifts.iter().flat_map(periods) {
        let days = days_of.entry((start, end)).or_default();
        if !days.contains(&day) {
            days.push(day);
        }
    }
    let hours = days_of.into_iter().map(|((start, end), mut days)| {
        days.sort_unstable();
        let names: Vec<&str> = days.into_iter().map(|day| DAYS[day]).collect();
        let period = json!({ "startTime": time(start, &offset), "endTime": time(end, &offset) });
        json!({ "dayOfWeek": names, "timePeriods": period })
    });
    hours.collect()
}

/// The periods of a shift: day from 0, start and end in minutes. None for a shift that there cannot be.
fn periods(shift: &Shift) -> Vec<(usize, u32, u32)> {
    let day = shift.day_of_week.checked_sub(1).and_then(|day| usize::try_from(day).ok());
    let Some(day) = day.filter(|day| *day < DAYS.len() && shift.start_minute < DAY_MINUTES) else {
        return Vec::new();
    };
    let end = shift.start_minute.saturating_add(shift.duration_minutes.min(DAY_MINUTES));
    let mut periods = vec![(day, shift.start_minute, end.min(DAY_MINUTES))];
    if end > DAY_MINUTES {
        periods.push(((day + 1) % DAYS.len(), 0, end - DAY_MINUTES));
    }
    periods
}

/// Midnight at the end of a day has no name of its own.
fn time(minute: u32, offset: &str) -> String {
    if minute >= DAY_MINUTES {
        return format!("23:59:59{offset}");
    }
    format!("{:02}:{:02}:00{offset}", minute / 60, minute % 60)
}

/// The zone's offset at `now`, as RFC 3339 writes it.
fn offset(zone: &str, now: Timestamp) -> Option<String> {
    let instant = jiff::Timestamp::from_millisecond(now.unix_ms()).ok()?;
    Some(instant.to_zoned(TimeZone::get(zone).ok()?).strftime("%:z").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(zone: &str, shifts: &[(u32, u32, u32)]) -> Value {
        let shift = |&(day_of_week, start_minute, duration_minutes): &(u32, u32, u32)| Shift {
            day_of_week,
            start_minute,
            duration_minutes,
        };
        let merchant =
            Merchant { time_zone: zone.to_owned(), shifts: shifts.iter().map(shift).collect(), ..Merchant::default() };
        Value::from(week_hours(&merchant, "2026-11-20T12:00:00Z".parse().unwrap()))
    }

    fn period(days: &[&str], start: &str, end: &str) -> Value {
        json!({ "dayOfWeek": days, "timePeriods": { "startTime": start, "endTime": end } })
    }

    #[test]
    fn days_with_the_same_hours_stand_together() {
        let lunch = hours("America/Sao_Paulo", &[(2, 660, 240), (1, 660, 240), (1, 1080, 60)]);
        let [noon, evening] = [("11:00:00-03:00", "15:00:00-03:00"), ("18:00:00-03:00", "19:00:00-03:00")];
        assert_eq!(
            lunch,
            json!([period(&["MONDAY", "TUESDAY"], noon.0, noon.1), period(&["MONDAY"], evening.0, evening.1)])
        );
    }

    #[test]
    fn midnight_parts_a_shift() {
        let night = hours("UTC", &[(7, 22 * 60, 300)]);
        let expected = [
            period(&["MONDAY"], "00:00:00+00:00", "03:00:00+00:00"),
            period(&["SUNDAY"], "22:00:00+00:00", "23:59:59+00:00"),
        ];
        assert_eq!(night, json!(expected));
        let whole_day = hours("UTC", &[(1, 0, 1440)]);
        assert_eq!(whole_day, json!([period(&["MONDAY"], "00:00:00+00:00", "23:59:59+00:00")]));
    }

    #[test]
    fn what_there_cannot_be_is_left_out() {
        assert_eq!(hours("Nowhere/Land", &[(1, 0, 60)]), json!([]));
        assert_eq!(hours("UTC", &[(0, 0, 60), (8, 0, 60), (1, 1440, 60)]), json!([]));
    }
}
