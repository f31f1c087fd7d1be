//! A change of an order's delivery address: where the new one stands until it is answered.
//!
//! It stands in the order's body, `delivery.newAddress`, and nowhere else: an address is personal data, which no event carries.
//! Whoever sees `DAR` reads the order. `DAA` makes it the order's `deliveryAddress`, `DAD` drops it. Read from the wire by
//! `acting`, applied by `planning`. What an address has to hold is deliberately absent: kitchen-api, which takes it, says that.

use order_model::EventCode;
use sha2::{Digest, Sha256};

use crate::codes::OrderBody;
use crate::order_patch::OrderPatch;
use crate::raw_json::Fields;

const DELIVERY: &str = "delivery";
const NEW_ADDRESS: &str = "newAddress";
const DELIVERY_ADDRESS: &str = "deliveryAddress";
/// The largest new address.
const ADDRESS_BYTES_MAX: usize = 16 * 1024;

/// An address as JSON. Has no `Debug` of its text: it is personal data.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct NewAddress(String);

impl std::fmt::Debug for NewAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewAddress")
    }
}

impl NewAddress {
    /// `None` for what is no JSON object, or too large.
    pub(crate) fn read(json: &[u8]) -> Option<Self> {
        if json.len() > ADDRESS_BYTES_MAX {
            return None;
        }
        let fields: Fields<'_> = serde_json::from_slice(json).ok()?;
        Some(Self(fields.to_json()))
    }

    /// What tells two of them apart in an idempotency record, and is no address.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// The patches that write it into an order, in the place of one that was there.
    pub(crate) fn patches(&self) -> Vec<OrderPatch> {
        vec![in_delivery(NEW_ADDRESS, "null"), in_delivery(NEW_ADDRESS, &self.0)]
    }
}

/// Whether an event of this code may change a body by what stands there.
pub(crate) const fn settles(code: EventCode) -> bool {
    matches!(
        code,
        EventCode::AddressChangeRequested | EventCode::AddressChangeAccepted | EventCode::AddressChangeDenied
    )
}

/// What an event of this code that brings no address itself makes of `body`; nothing where no new address stands. An
/// internal app's `DAR` asks for another change than the one that stands there, and says in no field for which.
pub(crate) fn settling(body: &OrderBody, code: EventCode) -> Vec<OrderPatch> {
    let Some(new_address) = standing(body).filter(|_| settles(code)) else { return Vec::new() };
    let dropped = in_delivery(NEW_ADDRESS, "null");
    if code != EventCode::AddressChangeAccepted {
        return vec![dropped];
    }
    // Null first: the new one takes the place of the old one, and is not merged into it.
    vec![dropped, in_delivery(DELIVERY_ADDRESS, "null"), in_delivery(DELIVERY_ADDRESS, &new_address)]
}

/// The address that waits for an answer.
fn standing(body: &OrderBody) -> Option<String> {
    let order: Fields<'_> = serde_json::from_slice(&body.json).ok()?;
    let delivery: Fields<'_> = serde_json::from_str(order.last(DELIVERY)?.get()).ok()?;
    let address = delivery.last(NEW_ADDRESS)?.get();
    address.starts_with('{').then(|| address.to_owned())
}

fn in_delivery(field: &'static str, value: &str) -> OrderPatch {
    OrderPatch::of_field(DELIVERY, field, value)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn applied(body: &str, patches: &[OrderPatch]) -> String {
        let body = OrderBody::split(&Bytes::copy_from_slice(body.as_bytes()));
        let patched = patches.iter().try_fold(body, |body, patch| patch.apply(&body)).unwrap();
        String::from_utf8(patched.json.to_vec()).unwrap()
    }

    fn settled(body: &str, code: EventCode) -> String {
        let patches = settling(&OrderBody::split(&Bytes::copy_from_slice(body.as_bytes())), code);
        applied(body, &patches)
    }

    const ORDER: &str = r#"{"id":"1","delivery":{"deliveredBy":"MERCHANT","deliveryAddress":{"streetName":"Rua A","complement":"ap 2"}},"total":{"orderAmount":68.10}}"#;

    #[test]
    fn a_new_address_stands_beside_the_old_one_until_it_is_answered() {
        let new = NewAddress::read(br#"{"streetName":"Rua B","coordinates":{"latitude":-23.5500}}"#).unwrap();
        let asked = applied(ORDER, &new.patches());
        let expected = r#"{"id":"1","delivery":{"deliveredBy":"MERCHANT","deliveryAddress":{"streetName":"Rua A","complement":"ap 2"},"newAddress":{"streetName":"Rua B","coordinates":{"latitude":-23.5500}}},"total":{"orderAmount":68.10}}"#;
        assert_eq!(asked, expected);
        let other = NewAddress::read(br#"{"streetName":"Rua C"}"#).unwrap();
        assert!(applied(&asked, &other.patches()).contains(r#""newAddress":{"streetName":"Rua C"}}"#), "not merged");
        assert_eq!(settled(&asked, EventCode::AddressChangeDenied), ORDER);
        assert_eq!(settled(&asked, EventCode::AddressChangeRequested), ORDER, "another one is asked for");
        let accepted = settled(&asked, EventCode::AddressChangeAccepted);
        let expected = r#""delivery":{"deliveredBy":"MERCHANT","deliveryAddress":{"streetName":"Rua B","coordinates":{"latitude":-23.5500}}}"#;
        assert!(accepted.contains(expected), "{accepted}");
        assert_eq!(settled(&asked, EventCode::AddressChangeUserConfirmed), asked);
    }

    #[test]
    fn an_answer_without_an_address_changes_nothing() {
        for body in [ORDER, "{}", "not json", r#"{"delivery":7}"#, r#"{"delivery":{"newAddress":null}}"#] {
            let body = OrderBody::split(&Bytes::copy_from_slice(body.as_bytes()));
            assert!(EventCode::ALL.iter().all(|code| settling(&body, *code).is_empty()), "{body:?}");
        }
    }

    #[test]
    fn an_address_is_an_object_of_a_bounded_size_and_never_shown() {
        for wrong in ["", "[]", "null", "7", r#"{"a":1"#] {
            assert_eq!(NewAddress::read(wrong.as_bytes()), None, "{wrong}");
        }
        let long = format!(r#"{{"streetName":"{}"}}"#, "x".repeat(ADDRESS_BYTES_MAX));
        assert_eq!(NewAddress::read(long.as_bytes()), None);
        let address = NewAddress::read(br#"{"streetName":"Rua B"}"#).unwrap();
        assert_eq!(format!("{address:?} {:?}", address.patches()), "NewAddress [OrderPatch, OrderPatch]");
    }
}
