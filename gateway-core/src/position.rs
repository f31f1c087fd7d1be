//! Where the courier of an order was last, as internal apps report it in the metadata of `ADR`, `GTO`, `AAO`, `CLT`, `DSP`
//! and `AAD`: `latitude` and `longitude`, and as far as known `deliveryTime`, `eta`, `etaToDestination`, `etaToOrigin`,
//! `date`, `trackDate`.
//!
//! Read by `wire`, kept in the order's item, dropped when the order ends or is erased: afterwards it says only where
//! somebody lives. Numbers stay the text they were.

use order_model::{EventCode, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::raw_json::Fields;

/// The longest value of a field, in bytes: a coordinate, an instant, a number of seconds. A longer one is left out.
const VALUE_BYTES_MAX: usize = 64;

/// A position and what is expected of it. Values are JSON texts: numbers, and strings with their quotes for instants. What was
/// sent as another type is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Position {
    pub(crate) latitude: String,
    pub(crate) longitude: String,
    pub(crate) delivery_time: String,
    pub(crate) eta: String,
    pub(crate) eta_to_destination: String,
    pub(crate) eta_to_origin: String,
    pub(crate) date: String,
    pub(crate) track_date: String,
}

impl Position {
    /// The position that an update with `code` reports at `at`; `None` when it reports none.
    pub(crate) fn of_update(code: EventCode, metadata: &[u8], at: Option<Timestamp>) -> Option<Self> {
        let is_of_courier = matches!(
            code,
            EventCode::AssignDriver
                | EventCode::GoingToOrigin
                | EventCode::ArrivedAtOrigin
                | EventCode::Collected
                | EventCode::Dispatched
                | EventCode::ArrivedAtDestination
        );
        let fields: Fields<'_> = serde_json::from_slice(metadata).ok().filter(|_| is_of_courier)?;
        let value = |name: &str, is_text: bool| {
            let sent = fields.last(name).and_then(short).filter(|json| json.starts_with('"') == is_text);
            sent.unwrap_or_default()
        };
        let instant = |name: &str| match (value(name, true), at) {
            (sent, Some(at)) if sent.is_empty() => format!("\"{at}\""),
            (sent, _) => sent,
        };
        Some(Self {
            latitude: coordinate(fields.last("latitude")?, 90.0)?,
            longitude: coordinate(fields.last("longitude")?, 180.0)?,
            delivery_time: value("deliveryTime", true),
            eta: value("eta", false),
            eta_to_destination: value("etaToDestination", false),
            eta_to_origin: value("etaToOrigin", false),
            date: instant("date"),
            track_date: instant("trackDate"),
        })
    }
}

/// A text or a number that is not too long, as it was written.
fn short(value: &RawValue) -> Option<String> {
    let json = value.get();
    let is_plain = matches!(json.as_bytes().first(), Some(b'"' | b'-' | b'0'..=b'9'));
    (is_plain && json.len() <= VALUE_BYTES_MAX).then(|| json.to_owned())
}

/// A number of degrees, also from a text, as the number it was written as.
fn coordinate(value: &RawValue, most: f64) -> Option<String> {
    let json = short(value)?;
    let number = json.trim_matches('"').trim().to_owned();
    // Only its range is looked at as a float; what is kept is the text, which must be a JSON number.
    let degrees: f64 = serde_json::from_str(&number).ok()?;
    (degrees.abs() <= most).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(metadata: &str) -> Option<Position> {
        let at = Timestamp::from_unix_ms(1_795_000_000_000);
        Position::of_update(EventCode::GoingToOrigin, metadata.as_bytes(), Some(at))
    }

    #[test]
    fn a_position_is_read_as_it_was_written() {
        let position =
            of(r#"{"latitude":-23.5500,"longitude":"-46.63","eta":12,"deliveryTime":"2026-11-20T12:45:00Z"}"#);
        let position = position.unwrap();
        assert_eq!((position.latitude.as_str(), position.longitude.as_str()), ("-23.5500", "-46.63"));
        assert_eq!((position.eta.as_str(), position.eta_to_origin.as_str()), ("12", ""));
        assert_eq!(position.delivery_time, r#""2026-11-20T12:45:00Z""#);
        assert_eq!(position.track_date, r#""2026-11-18T11:06:40.000Z""#);
    }

    #[test]
    fn what_is_no_position_is_none() {
        for metadata in [
            "{}",
            "[]",
            r#"{"latitude":1}"#,
            r#"{"latitude":91,"longitude":1}"#,
            r#"{"latitude":"north","longitude":1}"#,
            r#"{"latitude":{"a":1},"longitude":1}"#,
        ] {
            assert_eq!(of(metadata), None, "{metadata}");
        }
        let metadata = br#"{"latitude":1,"longitude":1}"#;
        assert_eq!(Position::of_update(EventCode::OrderPatched, metadata, None), None);
        let long = format!(r#"{{"latitude":1,"longitude":1,"eta":"{}"}}"#, "9".repeat(64));
        assert_eq!(of(&long).unwrap().eta, "");
    }
}
