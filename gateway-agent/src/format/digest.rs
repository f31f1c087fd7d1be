//! The SHA-256 by which the core tells a repeated message from a reused id.
//!
//! It covers what a message says, not how it was written: order of fields, white space and escapes do not count, digits
//! of numbers do. The envelope (times, trace) is deliberately absent, so that a producer may stamp a retry anew and so
//! that one order has one digest in the native format and in CloudEvents. An Open Delivery order is digested as it
//! was sent: a later version of our conversion must not turn its redelivery into another message.

use order_model::{EventCode, OrderId};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use super::invalid::Path;
use super::json::{self, Object};

/// The digest of a placed order.
pub(crate) fn of_order(order: &RawValue) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"order:1:");
    add(&mut hash, order);
    hash.finalize().into()
}

/// The digest of an update.
pub(crate) fn of_update(order: OrderId, code: EventCode, metadata: Option<&RawValue>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(b"update:1:");
    hash.update(order.as_bytes());
    hash.update([code.number()]);
    if let Some(metadata) = metadata {
        add(&mut hash, metadata);
    }
    hash.finalize().into()
}

/// Adds a value; recursion is bounded by [`json::DEPTH_MAX`], which was checked before.
fn add(hash: &mut Sha256, value: &RawValue) {
    match json::kind(value) {
        "an object" => add_object(hash, value),
        "an array" => {
            let elements = json::elements(value).unwrap_or_default();
            add_length(hash, b'a', elements.len());
            elements.into_iter().for_each(|element| add(hash, element));
        }
        "a string" => {
            let text = json::text(value).unwrap_or_default();
            add_length(hash, b's', text.len());
            hash.update(text.as_bytes());
        }
        _ => {
            add_length(hash, b'v', value.get().len());
            hash.update(value.get());
        }
    }
}

fn add_object(hash: &mut Sha256, value: &RawValue) {
    // An unknown object with a name twice is taken as it was written; there is no order of its fields to ignore.
    let Ok(object) = Object::open(Path::ROOT, value) else {
        add_length(hash, b'd', value.get().len());
        hash.update(value.get());
        return;
    };
    let mut fields: Vec<_> = object.fields().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    add_length(hash, b'o', fields.len());
    for (name, value) in fields {
        add_length(hash, b'k', name.len());
        hash.update(name.as_bytes());
        add(hash, value);
    }
}

/// A kind and a length before everything make the encoding unambiguous.
fn add_length(hash: &mut Sha256, kind: u8, length: usize) {
    hash.update([kind]);
    hash.update(u64::try_from(length).unwrap_or(u64::MAX).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> [u8; 32] {
        of_order(json::document(text).unwrap())
    }

    #[test]
    fn writing_does_not_count_but_content_does() {
        let digest_of_one = digest(r#"{"a":[1,{"b":"ç"}],"c":1.50}"#);
        assert_eq!(digest_of_one, digest(" {\"c\" : 1.50, \"a\":[1 ,{\"b\":\"\\u00e7\"}]}\n"));
        for other in
            [r#"{"a":[1,{"b":"ç"}],"c":1.5}"#, r#"{"a":[1,{"b":"c"}],"c":1.50}"#, r#"{"a":[{"b":"ç"},1],"c":1.50}"#]
        {
            assert_ne!(digest_of_one, digest(other), "{other}");
        }
        assert_ne!(digest(r#"["a","b"]"#), digest(r#"["ab"]"#));
        assert_ne!(digest(r#""1""#), digest("1"));
    }
}
