//! Which parts of an order are personal data, and how they are blanked without touching anything else.
//!
//! Called to erase an order's body, and on the metadata of every event before it is committed: metadata reaches a
//! topic and other services, where personal data may never go. The JSON is rewritten piece by piece: whatever is not
//! personal stays byte for byte as it was, numbers included (they are decimals and must not pass through an `f64`).

use order_model::EventCode;
use serde_json::value::RawValue;

use crate::raw_json::{Elements, Fields};

/// Deeper JSON is not walked: such a value is blanked whole. Orders have a depth of about 6.
const DEPTH_MAX: usize = 32;

/// Names of personal fields, lower case without `_` or `-`: customers, addresses, free text of customers, codes that
/// open a door, documents and phones. `pickupAreaCode` and cancellation codes are not among them.
const PERSONAL: [&str; 21] = [
    "customer",
    "customername",
    "consumer",
    "deliveryaddress",
    "newaddress",
    "address",
    "formattedaddress",
    "observations",
    "pickupcode",
    "dropcode",
    "deliverycode",
    "returncode",
    "confirmationcode",
    "documentnumber",
    "taxpayeridentificationnumber",
    "phone",
    "phonenumber",
    "email",
    "localizer",
    "latitude",
    "longitude",
];

/// A text was not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object")]
pub(crate) struct NotAnObject;

/// The JSON object `json` with every personal field blanked: texts empty, numbers 0, flags false, lists empty, and
/// objects blanked field by field, so that strict readers still find the shape they expect.
///
/// # Errors
/// When `json` is not a JSON object.
pub(crate) fn blanked(json: &[u8]) -> Result<String, NotAnObject> {
    blank_fields(json, false)
}

/// The metadata of an event with `code`, fit for a topic: as [`blanked`], and in the events about codes that open a
/// door a field that is just called `code` is blanked too. So is the `content` of any evidence: what a dispute may bring was taken
/// out before, anywhere else it has no place.
///
/// # Errors
/// When `json` is not a JSON object.
pub(crate) fn publishable_metadata(code: EventCode, json: &[u8]) -> Result<String, NotAnObject> {
    let is_about_a_code = matches!(
        code,
        EventCode::DropCodeRequested
            | EventCode::DropCodeValidated
            | EventCode::PickupCodeRequested
            | EventCode::PickupCodeValidated
            | EventCode::ReturnCodeRequested
    );
    blank_fields(json, is_about_a_code)
}

fn blank_fields(json: &[u8], codes_too: bool) -> Result<String, NotAnObject> {
    let raw: &RawValue = serde_json::from_slice(json).map_err(|_| NotAnObject)?;
    if !raw.get().starts_with('{') {
        return Err(NotAnObject);
    }
    let mut writer = Writer { out: String::with_capacity(json.len()), codes_too, in_evidence: false };
    writer.value(raw, false, 0).map_err(|_| NotAnObject)?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    codes_too: bool,
    /// Within a list of evidence, whose files may stand nowhere but in an item of their own.
    in_evidence: bool,
}

impl Writer {
    fn is_personal(&self, plain: &str) -> bool {
        PERSONAL.contains(&plain) || (self.codes_too && plain == "code") || (self.in_evidence && plain == "content")
    }

    fn value(&mut self, raw: &RawValue, blank: bool, depth: usize) -> Result<(), serde_json::Error> {
        let text = raw.get();
        let too_deep = depth >= DEPTH_MAX;
        match text.as_bytes().first() {
            Some(b'{') if too_deep => self.out.push_str("{}"),
            Some(b'[') if too_deep || blank => self.out.push_str("[]"),
            Some(b'{') => self.object(raw, blank, depth)?,
            Some(b'[') => self.array(raw, depth)?,
            _ if !blank => self.out.push_str(text),
            Some(b'"') => self.out.push_str("\"\""),
            Some(b't' | b'f') => self.out.push_str("false"),
            Some(b'n') | None => self.out.push_str("null"),
            Some(_) => self.out.push('0'),
        }
        Ok(())
    }

    fn object(&mut self, raw: &RawValue, blank: bool, depth: usize) -> Result<(), serde_json::Error> {
        let Fields(fields) = serde_json::from_str(raw.get())?;
        self.out.push('{');
        for (position, (name, value)) in fields.into_iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.out.push_str(&serde_json::to_string(&name)?);
            self.out.push(':');
            let plain: String = name.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect();
            let outside = self.in_evidence;
            let blank = blank || self.is_personal(&plain);
            self.in_evidence |= plain == "evidences";
            self.value(value, blank, depth + 1)?;
            self.in_evidence = outside;
        }
        self.out.push('}');
        Ok(())
    }

    fn array(&mut self, raw: &RawValue, depth: usize) -> Result<(), serde_json::Error> {
        let Elements(elements) = serde_json::from_str(raw.get())?;
        self.out.push('[');
        for (position, value) in elements.into_iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.value(value, false, depth + 1)?;
        }
        self.out.push(']');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_personal_stays_byte_for_byte() {
        let json = r#"{"total":{"orderAmount":68.00,"fee":1.10e1},"unknown":[1.000,{"x":null}],"merchant":{"name":"Caf\u00e9"},"total2":123456789012345678901234567890.12}"#;
        assert_eq!(blanked(json.as_bytes()).unwrap(), json);
    }

    #[test]
    fn personal_fields_are_blanked_and_keep_their_shape() {
        let json = r#"{"id":"1","customer":{"name":"Ana","ordersCountOnMerchant":3,"vip":true,"phone":{"number":"0800"},"tags":["a"],"x":null},
            "items":[{"name":"Pizza","observations":"sem cebola","options":[{"observations":"bem"}]}],
            "delivery":{"deliveredBy":"MERCHANT","pickupCode":"1234","deliveryAddress":{"city":"SP","coordinates":{"latitude":-23.5}}},
            "metadata":{"DROP_CODE":"99","PICKUP_AREA_CODE":"A"}}"#;
        let blank = blanked(json.as_bytes()).unwrap();
        let expected = concat!(
            r#"{"id":"1","customer":{"name":"","ordersCountOnMerchant":0,"vip":false,"phone":{"number":""},"tags":[],"x":null},"#,
            r#""items":[{"name":"Pizza","observations":"","options":[{"observations":""}]}],"#,
            r#""delivery":{"deliveredBy":"MERCHANT","pickupCode":"","deliveryAddress":{"city":"","coordinates":{"latitude":0}}},"#,
            r#""metadata":{"DROP_CODE":"","PICKUP_AREA_CODE":"A"}}"#,
        );
        assert_eq!(blank, expected);
        assert_eq!(blanked(blank.as_bytes()).unwrap(), blank, "blanking twice changes nothing");
    }

    #[test]
    fn metadata_about_a_code_loses_the_code_and_other_metadata_keeps_it() {
        let json = br#"{"code":"4711","CANCEL_CODE":"501"}"#;
        let about_code = publishable_metadata(EventCode::DropCodeRequested, json).unwrap();
        assert_eq!(about_code, r#"{"code":"","CANCEL_CODE":"501"}"#);
        assert_eq!(publishable_metadata(EventCode::Cancelled, json).unwrap().as_bytes(), json);
    }

    #[test]
    fn a_file_stays_in_no_evidence_of_any_event() {
        let json = br#"{"content":"1","evidences":[{"content":"AAAA","url":"u"},"x"],"a":{"Evidences":{"b":[{"content":7}]}},"content":"2"}"#;
        let expected = r#"{"content":"1","evidences":[{"content":"","url":"u"},"x"],"a":{"Evidences":{"b":[{"content":0}]}},"content":"2"}"#;
        assert_eq!(publishable_metadata(EventCode::HandshakeSettlement, json).unwrap(), expected);
    }

    #[test]
    fn hostile_depth_is_cut_and_other_json_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        if let Ok(blank) = blanked(deep.as_bytes()) {
            assert!(blank.len() < 200);
        }
        for bad in ["[]", "1", "{", "", "{\"a\":1}x"] {
            assert_eq!(blanked(bad.as_bytes()), Err(NotAnObject), "{bad}");
        }
    }
}
