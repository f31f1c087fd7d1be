//! `merchant.id` in the body of an order: how it is spelled, and how it becomes our own id of the merchant.
//!
//! Open Delivery orders name their merchant by a string of the POS, which the core resolves; partners look for our UUID in
//! that field. `wire` reads the spelling, `core` puts the id in once it is known. The body is spliced as text: every other
//! byte stays, numbers and white space included. Resolving is deliberately absent: that is [`crate::merchants`]'s.

use bytes::Bytes;
use order_model::MerchantId;
use serde_json::value::RawValue;

use crate::raw_json::{Fields, position_in};

const MERCHANT: &str = "merchant";
const ID: &str = "id";
/// Where the string that the producer sent is kept, beside the id.
const OPEN_DELIVERY_ID: &str = "openDeliveryId";

/// The text of `merchant.id`; `None` when `body` has no such text, or has it twice.
pub(crate) fn spelling(body: &[u8]) -> Option<String> {
    let merchant = merchant(body)?;
    serde_json::from_str(only(&merchant, ID)?.get()).ok()
}

/// `body` with `id` as its `merchant.id`, and what stood there as `merchant.openDeliveryId` right behind it, unless there
/// is such a field already. A body without a text there, or with it twice, comes back as it is.
pub(crate) fn with_id(body: &Bytes, id: MerchantId) -> Bytes {
    spliced(body, id).unwrap_or_else(|| body.clone())
}

fn spliced(body: &[u8], id: MerchantId) -> Option<Bytes> {
    let merchant = merchant(body)?;
    let sent = only(&merchant, ID).filter(|value| value.get().starts_with('"'))?;
    let start = position_in(body, sent)?;
    let (before, rest) = body.split_at_checked(start)?;
    let after = rest.strip_prefix(sent.get().as_bytes())?;
    let mut text = format!("\"{id}\"");
    if merchant.0.iter().all(|(name, _)| name != OPEN_DELIVERY_ID) {
        // Copied as it was written, escapes and all.
        text = format!("{text},\"{OPEN_DELIVERY_ID}\":{}", sent.get());
    }
    Some([before, text.as_bytes(), after].concat().into())
}

fn merchant(body: &[u8]) -> Option<Fields<'_>> {
    let order: Fields<'_> = serde_json::from_slice(body).ok()?;
    serde_json::from_str(only(&order, MERCHANT)?.get()).ok()
}

/// The value of `name`; `None` when there are several, because readers differ on which of them counts.
fn only<'a>(object: &Fields<'a>, name: &str) -> Option<&'a RawValue> {
    let mut values = object.0.iter().filter(|(known, _)| known == name).map(|(_, value)| *value);
    values.next().filter(|_| values.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UUID: &str = "03030303-0303-0303-0303-030303030303";

    fn replaced(body: &str) -> String {
        let body = Bytes::copy_from_slice(body.as_bytes());
        String::from_utf8(with_id(&body, MerchantId::from_bytes([3; 16])).to_vec()).unwrap()
    }

    /// `{}` of `body` is the id: before, what was sent, and after, what partners see.
    fn check(body: &str, sent: &str, shown: &str) {
        assert_eq!(replaced(&body.replacen("{}", sent, 1)), body.replacen("{}", shown, 1));
    }

    #[test]
    fn only_the_id_of_the_merchant_changes() {
        let shown = format!(r#""{UUID}","openDeliveryId":"pos-1""#);
        check(
            r#" {"id":"1","items":[{"id":"pos-1","merchant":{"id":"pos-1"},"price":1.50}],
                "merchant" : { "name":"Caf\u00e9","brand":{"id":"pos-1"} , "id" :{} ,"x":[ ] },
                "total":{"orderAmount":68.00,"fee":1.10e1,"long":123456789012345678901234567890.12},"after":null} "#,
            r#""pos-1""#,
            &shown,
        );
        check(r#"{"merchant":{"id":{}}}"#, r#""pos-1""#, &shown);
        check(r#"{"merchant":{"id":{}},"note":"\"merchant\":{\"id\":1}"}"#, r#""pos-1""#, &shown);
    }

    #[test]
    fn what_was_sent_is_kept_as_it_was_written() {
        let sent = r#""caf\u00e9 \"1\" \/ é""#;
        check(r#"{"merchant":{"id":{}}}"#, sent, &format!(r#""{UUID}","openDeliveryId":{sent}"#));
        check(r#"{"\u006derchant":{"\u0069d":{}}}"#, sent, &format!(r#""{UUID}","openDeliveryId":{sent}"#));
        for kept in [r#""mine""#, "null", "7"] {
            check(&format!(r#"{{"merchant":{{"openDeliveryId":{kept},"id":{{}}}}}}"#), sent, &format!(r#""{UUID}""#));
        }
        assert_eq!(
            replaced(r#"{"merchant":{"id":"a","brand":{"openDeliveryId":"b"}}}"#),
            format!(r#"{{"merchant":{{"id":"{UUID}","openDeliveryId":"a","brand":{{"openDeliveryId":"b"}}}}}}"#)
        );
    }

    #[test]
    fn a_body_that_does_not_say_one_thing_stays_as_it_is() {
        for body in [
            r#"{"id":"1"}"#,
            r#"{"merchant":null}"#,
            r#"{"merchant":"pos-1"}"#,
            r#"{"merchant":[{"id":"pos-1"}]}"#,
            r#"{"merchant":{"name":"x"}}"#,
            r#"{"merchant":{"id":7}}"#,
            r#"{"merchant":{"id":{"id":"pos-1"}}}"#,
            r#"{"merchant":{"id":"a"},"merchant":{"id":"b"}}"#,
            r#"{"merchant":{"id":"a"},"\u006derchant":{}}"#,
            r#"{"merchant":{"id":"a","id":"b"}}"#,
            r#"{"outer":{"merchant":{"id":"pos-1"}}}"#,
            r#"[{"merchant":{"id":"pos-1"}}]"#,
            r#"{"merchant":{"id":"a"}"#,
            "",
        ] {
            assert_eq!(replaced(body), body);
            assert_eq!(spelling(body.as_bytes()), None, "{body}");
        }
    }

    #[test]
    fn the_spelling_is_read_without_its_escapes() {
        assert_eq!(spelling(br#"{"merchant":{"id":"caf\u00e9"},"id":"1"}"#).as_deref(), Some("café"));
        assert_eq!(spelling(replaced(r#"{"merchant":{"id":"a"}}"#).as_bytes()).as_deref(), Some(UUID));
    }

    proptest! {
        /// Any id between any neighbours: both readable afterwards, and everything else where it was.
        #[test]
        fn any_text_survives(sent in any::<String>(), before in any::<String>(), after in any::<String>()) {
            let json = |text: &str| serde_json::to_string(text).unwrap();
            let (id, before, after) = (json(&sent), json(&before), json(&after));
            let body = |merchant: String| format!(r#"{{"a":{before},"merchant":{{"name":{after},{merchant}}},"z":{after}}}"#);
            prop_assert_eq!(
                replaced(&body(format!(r#""id":{id}"#))),
                body(format!(r#""id":"{UUID}","openDeliveryId":{id}"#))
            );
            prop_assert_eq!(spelling(body(format!(r#""id":{id}"#)).as_bytes()), Some(sent));
        }
    }
}
