//! Opening hours as a client writes and reads them.
//!
//! Pure; used by `opening_hours_endpoint`. Whether two shifts overlap is deliberately absent: merchant-connection, which keeps
//! them, refuses that.

use jiff::civil::Time;
use order_model::MerchantId;
use proto::merchant_connection::Shift;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::identifiers::uuid_text;
use crate::errors::ApiError;

/// As clients name them, from the first day of the week.
pub(crate) const DAYS: [&str; 7] = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"];
/// The longest shift.
pub(crate) const DAY_MINUTES: u32 = 24 * 60;
/// Seven days of at most a dozen shifts each.
pub(crate) const SHIFTS_MAX: usize = 84;

/// Reads the shifts of a request's body.
pub(super) fn read(body: &Map<String, Value>, merchant: MerchantId) -> Result<Vec<Shift>, ApiError> {
    // Anything else there says nothing: clients fill it with what they call the store.
    let named = body.get("storeId").and_then(Value::as_str).and_then(|id| id.trim().parse::<MerchantId>().ok());
    if named.is_some_and(|named| named != merchant) {
        return Err(wrong("storeId", "storeId must be the merchant of the path.".to_owned()));
    }
    let Some(Value::Array(shifts)) = body.get("shifts") else {
        return Err(wrong("shifts", "shifts must be an array; an empty one closes the store.".to_owned()));
    };
    if shifts.len() > SHIFTS_MAX {
        return Err(wrong("shifts", format!("There are at most {SHIFTS_MAX} shifts.")));
    }
    shifts.iter().enumerate().map(|(index, shift)| read_one(index, shift)).collect()
}

fn read_one(index: usize, shift: &Value) -> Result<Shift, ApiError> {
    let text = |field: &str| shift.get(field).and_then(Value::as_str).map(str::trim);
    let refuse = |field, expected: &str| wrong(field, format!("shifts[{index}].{field} must be {expected}."));
    let day = text("dayOfWeek").and_then(|name| DAYS.iter().position(|day| day.eq_ignore_ascii_case(name)));
    let day = day.and_then(|day| u32::try_from(day + 1).ok());
    let day_of_week = day.ok_or_else(|| refuse("dayOfWeek", "MONDAY to SUNDAY"))?;
    let start = text("start").and_then(start_minute);
    let start_minute = start.ok_or_else(|| refuse("start", "a time of day on a full minute, such as 09:30:00"))?;
    let duration = shift.get("duration").and_then(whole_minutes);
    let duration_minutes = duration.ok_or_else(|| refuse("duration", "a whole number of minutes, 1 to 1440"))?;
    Ok(Shift { day_of_week, start_minute, duration_minutes })
}

/// Reads `60`, and `60.0` as JSON's only kind of number, from 1 to 1440.
fn whole_minutes(number: &Value) -> Option<u32> {
    let minutes = number.as_f64().filter(|minutes| minutes.fract() == 0.0)?;
    // A few numbers to look among: no conversion that could go wrong.
    (1..=DAY_MINUTES).find(|whole| f64::from(*whole) == minutes)
}

/// Reads `09:30` or `09:30:00`. Nothing else that is a time to jiff: a date or an offset would not be looked at.
fn start_minute(text: &str) -> Option<u32> {
    let is_bare =
        text.get(2..3) == Some(":") && text.bytes().all(|byte| byte.is_ascii_digit() || b":.".contains(&byte));
    let time: Time = text.parse().ok().filter(|_| is_bare)?;
    let minute = u32::try_from(i32::from(time.hour()) * 60 + i32::from(time.minute())).ok()?;
    (time.second() == 0 && time.subsec_nanosecond() == 0).then_some(minute)
}

fn wrong(field: &'static str, message: String) -> ApiError {
    ApiError::bad_request(message).at_field(field)
}

/// The shifts as they are answered, by day and time.
pub(super) fn to_json(shifts: &[Shift], merchant: MerchantId) -> Value {
    let mut shifts = shifts.to_vec();
    shifts.sort_unstable_by_key(|shift| (shift.day_of_week, shift.start_minute));
    shifts.iter().filter_map(|shift| one_to_json(shift, merchant)).collect()
}

/// Nothing for a day that there is not.
fn one_to_json(shift: &Shift, merchant: MerchantId) -> Option<Value> {
    let day = DAYS.get(usize::try_from(shift.day_of_week.checked_sub(1)?).ok()?)?;
    Some(json!({
        "id": id_of(shift, merchant),
        "dayOfWeek": day,
        "start": format!("{:02}:{:02}:00", shift.start_minute / 60, shift.start_minute % 60),
        "duration": shift.duration_minutes,
    }))
}

/// Shifts do not overlap, so where one starts names it. Nothing is stored for that, and a shift that stays keeps its id.
fn id_of(shift: &Shift, merchant: MerchantId) -> String {
    let mut hash = Sha256::new();
    hash.update(merchant.as_bytes());
    hash.update(shift.day_of_week.to_be_bytes());
    hash.update(shift.start_minute.to_be_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finalize()[..16]);
    uuid_text(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn merchant() -> MerchantId {
        MerchantId::from_bytes([7; 16])
    }

    fn read_json(body: &Value) -> Result<Vec<Shift>, String> {
        read(body.as_object().unwrap(), merchant()).map_err(|error| format!("{} {error:?}", error.status()))
    }

    #[test]
    fn shifts_are_read_in_any_case_and_with_or_without_seconds() {
        let body = json!({
            "storeId": merchant().to_string(),
            "other": 1,
            "shifts": [
                { "id": "x", "dayOfWeek": "sunday", "start": "22:30", "duration": 1440 },
                { "dayOfWeek": "MONDAY", "start": "09:00:00", "duration": 1 },
            ],
        });
        let shifts = read_json(&body).unwrap();
        let expected = [(7, 22 * 60 + 30, 1440), (1, 9 * 60, 1)];
        assert_eq!(
            shifts,
            expected.map(|(day_of_week, start_minute, duration_minutes)| Shift {
                day_of_week,
                start_minute,
                duration_minutes
            })
        );
        let written = to_json(&shifts, merchant());
        assert_eq!((&written[0]["dayOfWeek"], &written[0]["start"]), (&json!("MONDAY"), &json!("09:00:00")));
        assert_eq!((&written[1]["start"], &written[1]["duration"]), (&json!("22:30:00"), &json!(1440)));
        assert_ne!(written[0]["id"], written[1]["id"]);
        assert_ne!(to_json(&shifts, MerchantId::from_bytes([8; 16]))[0]["id"], written[0]["id"]);
        for says_nothing in [Value::Null, json!(7), json!(""), json!("loja-1")] {
            assert_eq!(read_json(&json!({ "storeId": says_nothing, "shifts": [] })).unwrap(), []);
        }
    }

    /// JSON knows one kind of number.
    #[test]
    fn a_whole_number_of_minutes_may_have_a_decimal_point() {
        for (written, minutes) in [("60.0", 60), ("6e1", 60), ("1440.0", 1440)] {
            let text = format!(r#"{{"shifts":[{{"dayOfWeek":"MONDAY","start":"09:00","duration":{written}}}]}}"#);
            let shifts = read_json(&serde_json::from_str(&text).unwrap()).unwrap();
            assert_eq!(shifts[0].duration_minutes, minutes, "{written}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_field() {
        let shift = |field: &str, value: Value| {
            let mut shift = json!({ "dayOfWeek": "MONDAY", "start": "09:00:00", "duration": 60 });
            shift[field] = value;
            json!({ "shifts": [{ "dayOfWeek": "FRIDAY", "start": "09:00:00", "duration": 60 }, shift] })
        };
        for (field, body) in [
            ("storeId", json!({ "storeId": MerchantId::from_bytes([8; 16]).to_string(), "shifts": [] })),
            ("shifts", json!({})),
            ("shifts", json!({ "shifts": {} })),
            ("shifts", json!({ "shifts": vec![json!({}); 85] })),
            ("dayOfWeek", json!({ "shifts": [5] })),
            ("dayOfWeek", shift("dayOfWeek", json!("SEGUNDA"))),
            ("dayOfWeek", shift("dayOfWeek", json!(1))),
            ("start", shift("start", json!("24:00:00"))),
            ("start", shift("start", json!("09:00:30"))),
            ("start", shift("start", json!("9"))),
            ("start", shift("start", json!("09:00:00Z"))),
            ("start", shift("start", json!("09:00-03:00"))),
            ("start", shift("start", json!("2026-11-20T09:00:00"))),
            ("start", shift("start", json!(540))),
            ("duration", shift("duration", json!(0))),
            ("duration", shift("duration", json!(1441))),
            ("duration", shift("duration", json!(1.5))),
            ("duration", shift("duration", json!(-60))),
            ("duration", shift("duration", json!(-60.0))),
            ("duration", shift("duration", json!(u64::MAX))),
            ("duration", shift("duration", json!(1e300))),
            ("duration", shift("duration", json!("60"))),
            ("duration", shift("duration", Value::Null)),
        ] {
            let refused = read_json(&body).unwrap_err();
            assert!(
                refused.starts_with("400") && refused.contains(&format!("field: Some({field:?})")),
                "{body}: {refused}"
            );
        }
        let refused = read_json(&shift("duration", json!(0))).unwrap_err();
        assert!(refused.contains("shifts[1].duration"), "says which: {refused}");
    }

    proptest! {
        #[test]
        fn what_is_written_reads_as_it_was(all in prop::collection::vec((1u32..=7, 0u32..1440, 1u32..=1440), 0..20)) {
            let shift = |&(day_of_week, start_minute, duration_minutes)| Shift { day_of_week, start_minute, duration_minutes };
            let mut shifts: Vec<Shift> = all.iter().map(shift).collect();
            shifts.sort_by_key(|shift| (shift.day_of_week, shift.start_minute));
            shifts.dedup_by_key(|shift| (shift.day_of_week, shift.start_minute));
            let body = json!({ "shifts": to_json(&shifts, merchant()) });
            prop_assert_eq!(read_json(&body).unwrap(), shifts);
        }
    }

    mod hostile {
        use hostile_inputs::{json_of, survives};

        use super::*;

        fn sample() -> Value {
            json!({
                "storeId": merchant().to_string(),
                "shifts": [
                    { "dayOfWeek": "SUNDAY", "start": "22:30:00", "duration": 1440 },
                    { "dayOfWeek": "MONDAY", "start": "09:00:00", "duration": 1 },
                ],
            })
        }

        /// What is read of a text, in the order in which it is answered.
        fn read_text(text: &str) -> Option<Vec<Shift>> {
            let body: Value = serde_json::from_str(text).ok()?;
            let mut shifts = read(body.as_object()?, merchant()).ok()?;
            shifts.sort_unstable_by_key(|shift| (shift.day_of_week, shift.start_minute));
            Some(shifts)
        }

        proptest! {
            #[test]
            fn shifts_are_refused_or_fit_and_survive(text in json_of(sample())) {
                let shifts = read_text(&text);
                for shift in shifts.iter().flatten() {
                    prop_assert!((1..=7).contains(&shift.day_of_week) && shift.start_minute < DAY_MINUTES);
                    prop_assert!((1..=DAY_MINUTES).contains(&shift.duration_minutes));
                }
                // Two that start together keep no order of their own.
                let starts: std::collections::BTreeSet<_> =
                    shifts.iter().flatten().map(|shift| (shift.day_of_week, shift.start_minute)).collect();
                if shifts.as_ref().is_some_and(|shifts| shifts.len() == starts.len()) {
                    survives(shifts, |shifts| {
                        read_text(&json!({ "shifts": to_json(shifts, merchant()) }).to_string())
                    });
                }
            }
        }
    }
}
