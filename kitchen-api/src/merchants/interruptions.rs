//! Interruptions: how a client writes one, which of them applies now, which are over.
//!
//! Pure; used by `interruptions_endpoint` and `status`. Whether two overlap is deliberately absent: merchant-connection, which
//! keeps them, refuses that.

use http::StatusCode;
use order_model::Timestamp;
use proto::merchant_connection::Interruption;
use serde_json::{Map, Value, json};

use super::store_clock::{Edge, StoreClock};
use crate::errors::ApiError;

/// The longest one, in days of the store's calendar.
pub(super) const DAYS_MAX: i64 = 7;
/// The longest description, in characters.
pub(crate) const DESCRIPTION_MAX_CHARS: usize = 500;
/// The longest id that a client may choose, in bytes: it stands in a path.
pub(crate) const ID_MAX_BYTES: usize = 64;
/// Of one merchant, those that are over not counted: more than a year of weekly closings.
pub(crate) const INTERRUPTIONS_MAX: usize = 100;
/// How long one that is over is kept unless it is in the way: longer than a clock may be wrong unnoticed.
const KEPT_FOR_MS: i64 = 7 * 24 * 3600 * 1000;

/// Reads one off a request's body. `fresh_id` is its id when the client has not chosen one.
pub(super) fn read(
    body: &Map<String, Value>,
    clock: &StoreClock,
    fresh_id: &str,
    now: Timestamp,
) -> Result<Interruption, ApiError> {
    let id = text(body, "id")?.filter(|id| !id.is_empty()).unwrap_or(fresh_id);
    if id.len() > ID_MAX_BYTES || !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(wrong("id", format!("id is at most {ID_MAX_BYTES} letters, digits, - and _.")));
    }
    let description = text(body, "description")?.unwrap_or_default().trim();
    if description.chars().count() > DESCRIPTION_MAX_CHARS {
        return Err(wrong("description", format!("description is at most {DESCRIPTION_MAX_CHARS} characters.")));
    }
    let start_ms = time(body, "start", clock, Edge::Start)?;
    let end_ms = time(body, "end", clock, Edge::End)?;
    if end_ms <= start_ms {
        return Err(wrong("end", "end must be after start.".to_owned()));
    }
    if clock.days_later(start_ms, DAYS_MAX).is_none_or(|latest| end_ms > latest) {
        return Err(wrong("end", format!("end is at most {DAYS_MAX} days after start.")));
    }
    if end_ms <= now.unix_ms() {
        return Err(wrong("end", "end must not be over.".to_owned()));
    }
    Ok(Interruption { id: id.to_owned(), description: description.to_owned(), start_ms, end_ms })
}

fn time(body: &Map<String, Value>, field: &'static str, clock: &StoreClock, edge: Edge) -> Result<i64, ApiError> {
    text(body, field)?.and_then(|text| clock.read(text, edge)).ok_or_else(|| {
        let message =
            format!("{field} must be a time such as 2026-11-20T18:30:00 in the store's time zone, or with an offset.");
        wrong(field, message)
    })
}

/// A text of the body; `None` when it is absent or null.
fn text<'a>(body: &'a Map<String, Value>, field: &'static str) -> Result<Option<&'a str>, ApiError> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(wrong(field, format!("{field} must be a string."))),
    }
}

fn wrong(field: &'static str, message: String) -> ApiError {
    ApiError::bad_request(message).at_field(field)
}

/// One as it is answered: times are the store's, without an offset.
pub(super) fn to_json(one: &Interruption, clock: &StoreClock) -> Value {
    json!({
        "id": one.id,
        "description": one.description,
        "start": clock.write(one.start_ms),
        "end": clock.write(one.end_ms),
    })
}

/// Whether it closes the store no more.
pub(super) fn is_over(one: &Interruption, now: Timestamp) -> bool {
    one.end_ms <= now.unix_ms()
}

/// Leaves out those that are over.
pub(super) fn drop_past(interruptions: &mut Vec<Interruption>, now: Timestamp) {
    interruptions.retain(|one| !is_over(one, now));
}

/// Forgets those that were over long ago. By the clock of one machine, which may be wrong by days: nobody's planned closing
/// may be lost to that.
pub(super) fn drop_old(interruptions: &mut Vec<Interruption>, now: Timestamp) {
    let long_ago_ms = now.unix_ms().saturating_sub(KEPT_FOR_MS);
    interruptions.retain(|one| one.end_ms > long_ago_ms);
}

/// The one that closes the store now. None overlap, so there is at most one.
pub(super) fn current(interruptions: &[Interruption], now: Timestamp) -> Option<&Interruption> {
    interruptions.iter().find(|one| (one.start_ms..one.end_ms).contains(&now.unix_ms()))
}

/// Adds `new`; `false` when it is there already, as after a request that was repeated. One that is over makes room for it.
pub(super) fn add(interruptions: &mut Vec<Interruption>, new: Interruption, now: Timestamp) -> Result<bool, ApiError> {
    if let Some(known) = interruptions.iter().find(|known| known.id == new.id) {
        let taken =
            || ApiError::new(StatusCode::CONFLICT, "Conflict", "Another interruption has this id.").at_field("id");
        return if *known == new { Ok(false) } else { Err(taken()) };
    }
    let is_in_its_way = |one: &Interruption| one.start_ms < new.end_ms && new.start_ms < one.end_ms;
    interruptions.retain(|one| !is_over(one, now) || !is_in_its_way(one));
    while interruptions.len() >= INTERRUPTIONS_MAX {
        let over = interruptions.iter().enumerate().filter(|(_, one)| is_over(one, now));
        let Some((oldest, _)) = over.min_by_key(|(_, one)| one.end_ms) else {
            let message = format!("A merchant has at most {INTERRUPTIONS_MAX} interruptions.");
            return Err(ApiError::new(StatusCode::BAD_REQUEST, "InterruptionLimit", message));
        };
        interruptions.remove(oldest);
    }
    interruptions.push(new);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::store_clock::tests::clock;
    use super::*;

    fn now() -> Timestamp {
        "2026-11-20T12:00:00Z".parse().unwrap()
    }

    fn read_json(body: &Value) -> Result<Interruption, String> {
        let read = read(body.as_object().unwrap(), &clock("America/Sao_Paulo"), "fresh", now());
        read.map_err(|error| format!("{} {error:?}", error.status()))
    }

    fn body(changes: &[(&str, Value)]) -> Value {
        let mut body = json!({ "description": "Férias", "start": "2026-11-21T10:00:00", "end": "2026-11-21T12:00:00" });
        changes.iter().for_each(|(field, value)| body[*field] = value.clone());
        body
    }

    #[test]
    fn one_is_read_and_answered_in_the_stores_time() {
        let read = read_json(&body(&[])).unwrap();
        let start: Timestamp = "2026-11-21T13:00:00Z".parse().unwrap();
        assert_eq!((read.id.as_str(), read.start_ms), ("fresh", start.unix_ms()));
        let with_offset =
            body(&[("start", json!("2026-11-21T13:00:00Z")), ("end", json!("2026-11-21T16:00:00+01:00"))]);
        assert_eq!(read_json(&with_offset).unwrap(), read);
        let mut expected = body(&[("id", json!("fresh"))]);
        expected["description"] = json!("Férias");
        assert_eq!(to_json(&read, &clock("America/Sao_Paulo")), expected);
        assert_eq!(read_json(&body(&[("id", json!("own-1"))])).unwrap().id, "own-1");
        let bare = body(&[("id", Value::Null), ("description", Value::Null), ("other", json!([1]))]);
        assert_eq!(read_json(&bare).unwrap(), Interruption { description: String::new(), ..read });
    }

    #[test]
    fn what_does_not_fit_is_refused_by_its_field() {
        for (field, value) in [
            ("id", json!("a/b")),
            ("id", json!("x".repeat(65))),
            ("id", json!(5)),
            ("description", json!("é".repeat(501))),
            ("description", json!({})),
            ("start", json!("soon")),
            ("start", json!(1_795_000_000)),
            ("start", Value::Null),
            ("end", Value::Null),
            ("end", json!("2026-11-21T10:00:00")),
            ("end", json!("2026-11-21T09:59:59")),
            ("end", json!("2026-11-28T10:00:01")),
        ] {
            let refused = read_json(&body(&[(field, value.clone())])).unwrap_err();
            assert!(refused.starts_with("400"), "{value}: {refused}");
            assert!(refused.contains(&format!("field: Some({field:?})")), "{value}: {refused}");
        }
        assert!(
            read_json(&body(&[("end", json!("2026-11-28T10:00:00")), ("description", json!("é".repeat(500)))])).is_ok()
        );
        let over = body(&[("start", json!("2026-11-20T10:00:00Z")), ("end", json!("2026-11-20T12:00:00Z"))]);
        assert!(read_json(&over).unwrap_err().contains("Some(\"end\")"));
    }

    fn span(start_ms: i64, end_ms: i64) -> Interruption {
        Interruption { id: format!("{start_ms}"), start_ms, end_ms, ..Interruption::default() }
    }

    #[test]
    fn a_repeated_request_adds_nothing_and_a_taken_id_is_a_conflict() {
        let before_all = Timestamp::from_unix_ms(0);
        let mut all = vec![span(1, 5)];
        assert!(add(&mut all, span(7, 9), before_all).unwrap());
        assert!(!add(&mut all, span(7, 9), before_all).unwrap());
        assert_eq!(add(&mut all, span(7, 10), before_all).unwrap_err().status(), 409);
        assert_eq!(all, [span(1, 5), span(7, 9)]);
        let mut full: Vec<Interruption> = (1..=100).map(|number| span(number, number + 1)).collect();
        assert!(!add(&mut full, span(7, 8), before_all).unwrap(), "is there");
        assert_eq!(add(&mut full, span(500, 501), before_all).unwrap_err().status(), 400);
        assert_eq!(full.len(), 100);
    }

    #[test]
    fn those_that_are_over_make_room_and_none_is_forgotten_by_a_clock_that_is_days_ahead() {
        let mut full: Vec<Interruption> = (1..=100).map(|number| span(number, number + 1)).collect();
        assert!(add(&mut full, span(500, 501), Timestamp::from_unix_ms(3)).unwrap());
        assert_eq!((full.len(), full[0].start_ms), (100, 2), "the oldest of those that are over");
        let mut all = vec![span(1, 5), span(10, 20)];
        assert!(add(&mut all, span(4, 9), Timestamp::from_unix_ms(6)).unwrap());
        assert_eq!(all, [span(10, 20), span(4, 9)], "what is over is in nobody's way");
        let days = |days: i64| Timestamp::from_unix_ms(20 + days * 24 * 3600 * 1000);
        drop_old(&mut all, days(2));
        assert_eq!(all.len(), 2);
        drop_old(&mut all, days(7));
        assert_eq!(all, []);
    }

    proptest! {
        /// Closings back to back with gaps: the one that applies is the one whose span holds the instant, and forgetting
        /// those that are over changes nothing about now or later.
        #[test]
        fn what_is_over_is_forgotten_and_what_applies_is_found(
            parts in prop::collection::vec((0i64..3, 1i64..10), 0..8), at in 0i64..100, later in 0i64..50
        ) {
            let mut all = Vec::new();
            let mut end_ms = 0;
            for (gap, length) in parts {
                all.push(span(end_ms + gap, end_ms + gap + length));
                end_ms += gap + length;
            }
            let (now, then) = (Timestamp::from_unix_ms(at), Timestamp::from_unix_ms(at + later));
            let holding: Vec<&Interruption> = all.iter().filter(|one| one.start_ms <= at && at < one.end_ms).collect();
            prop_assert_eq!(current(&all, now), holding.first().copied());
            let mut kept = all.clone();
            drop_past(&mut kept, now);
            prop_assert!(kept.iter().all(|one| one.end_ms > at));
            prop_assert_eq!(current(&kept, now), current(&all, now));
            prop_assert_eq!(current(&kept, then), current(&all, then));
        }
    }
}
