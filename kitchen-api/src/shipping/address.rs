//! A delivery address as an application sends it: read field by field, and written as an order shows it. Pure.
//!
//! Unknown fields are ignored. Everything here is personal data: it gets into the order's body and nowhere else.

use order_model::Coordinates;
use serde_json::{Map, Value, json};

use crate::catalog::reader::Object;
use crate::catalog::refusal::Refusal;

/// The longest name of a street, quarter, city, state or country, complement and reference, in characters.
const PART_MAX_CHARS: usize = 200;
/// The longest number of a house or postal code, in characters.
const NUMBER_MAX_CHARS: usize = 30;

/// What an address has to say, and how long it may be.
pub(crate) const REQUIRED: [(&str, usize); 7] = [
    ("streetName", PART_MAX_CHARS),
    ("streetNumber", NUMBER_MAX_CHARS),
    ("neighborhood", PART_MAX_CHARS),
    ("city", PART_MAX_CHARS),
    ("state", PART_MAX_CHARS),
    ("country", PART_MAX_CHARS),
    ("postalCode", NUMBER_MAX_CHARS),
];
/// What it may say.
pub(crate) const OPTIONAL: [&str; 2] = ["complement", "reference"];
/// How long that may be, in characters.
pub(crate) const OPTIONAL_MAX_CHARS: usize = PART_MAX_CHARS;

/// An address.
pub(super) struct Address {
    fields: Map<String, Value>,
    pub(super) coordinates: Coordinates,
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// With the field that is missing or wrong.
    pub(super) fn read(sent: &Object<'_>) -> Result<Self, Refusal> {
        let mut fields = Map::new();
        for (name, most_chars) in REQUIRED {
            let text = text_or_number(sent, name, most_chars)?;
            let text = text.ok_or_else(|| sent.wrong(name, &format!("a text of 1 to {most_chars} characters")))?;
            fields.insert(name.to_owned(), text.into());
        }
        for name in OPTIONAL {
            let text = text_or_number(sent, name, OPTIONAL_MAX_CHARS)?;
            fields.insert(name.to_owned(), text.unwrap_or_default().into());
        }
        Ok(Self { fields, coordinates: coordinates(sent)? })
    }

    /// As an order shows it.
    pub(super) fn to_json(&self) -> Value {
        let mut fields = self.fields.clone();
        let text = |name: &str| self.fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let formatted = format!("{}, {}", text("streetName"), text("streetNumber"));
        let (latitude, longitude) = self.coordinates.degrees();
        fields.insert("formattedAddress".to_owned(), formatted.into());
        fields.insert("coordinates".to_owned(), json!({ "latitude": latitude, "longitude": longitude }));
        fields.into()
    }
}

fn coordinates(sent: &Object<'_>) -> Result<Coordinates, Refusal> {
    let object = sent.object("coordinates")?;
    let object = object.ok_or_else(|| sent.wrong("coordinates", "an object with latitude and longitude"))?;
    let angle = |name| {
        let raw = object.raw(name).map(|raw| raw.get().trim_matches('"').trim().to_owned()).unwrap_or_default();
        let alone = if name == "latitude" { Coordinates::read(&raw, "0") } else { Coordinates::read("0", &raw) };
        let most = if name == "latitude" { 90 } else { 180 };
        let expected = || object.wrong(name, &format!("a number of degrees from -{most} to {most}"));
        alone.map(|_| raw).ok_or_else(expected)
    };
    let (latitude, longitude) = (angle("latitude")?, angle("longitude")?);
    Coordinates::read(&latitude, &longitude).ok_or_else(|| sent.wrong("coordinates", "a place"))
}

/// A text, which some clients write as a number: of a house, a postal code, a telephone.
pub(super) fn text_or_number(sent: &Object<'_>, name: &str, most_chars: usize) -> Result<Option<String>, Refusal> {
    match sent.raw(name).map(|raw| raw.get()) {
        Some(digits) if digits.len() <= most_chars && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(Some(digits.to_owned()))
        }
        _ => sent.text(name, most_chars),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::shipping) fn sample() -> Value {
        json!({
            "postalCode": "01310100", "streetNumber": 900, "streetName": "Avenida Paulista", "complement": "ap 2",
            "neighborhood": "Bela Vista", "city": "Sao Paulo", "state": "SP", "country": "BR", "unknown": [1],
            "coordinates": { "latitude": -23.565, "longitude": "-46.6517" },
        })
    }

    fn read(sent: &Value) -> Result<Value, String> {
        let text = sent.to_string();
        let object = Object::body(text.as_bytes()).unwrap();
        Address::read(&object).map(|address| address.to_json()).map_err(|refusal| refusal.field.unwrap_or_default())
    }

    #[test]
    fn an_address_is_shown_as_orders_show_them() {
        let expected = json!({
            "streetName": "Avenida Paulista", "streetNumber": "900", "formattedAddress": "Avenida Paulista, 900",
            "neighborhood": "Bela Vista", "complement": "ap 2", "reference": "", "postalCode": "01310100",
            "city": "Sao Paulo", "state": "SP", "country": "BR",
            "coordinates": { "latitude": -23.565, "longitude": -46.6517 },
        });
        assert_eq!(read(&sample()).unwrap(), expected);
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (name, most_chars) in REQUIRED {
            for wrong in [json!(null), json!(""), json!([]), json!("x".repeat(most_chars + 1)), json!("a\u{0}b")] {
                let mut sent = sample();
                sent[name] = wrong;
                assert_eq!(read(&sent), Err(name.to_owned()));
            }
        }
        for (pointer, value, field) in [
            ("complement", json!({}), "complement"),
            ("coordinates", json!(null), "coordinates"),
            ("coordinates", json!(7), "coordinates"),
            ("coordinates", json!({ "longitude": 1 }), "coordinates.latitude"),
            ("coordinates", json!({ "latitude": 91, "longitude": 1 }), "coordinates.latitude"),
            ("coordinates", json!({ "latitude": 1, "longitude": "east" }), "coordinates.longitude"),
        ] {
            let mut sent = sample();
            sent[pointer] = value;
            assert_eq!(read(&sent), Err(field.to_owned()));
        }
    }
}
