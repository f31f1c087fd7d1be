//! What every broker takes, judged before a message leaves the process.
//!
//! Called by [`crate::sqs`], [`crate::sns`] and [`crate::in_memory`], so that all three refuse the same messages with
//! the same codes, and one bad message never spoils the batch it would have travelled in. The rules are those of SQS,
//! the strictest of them.

use std::collections::BTreeMap;

use crate::queue::{ATTRIBUTES_MAX, MESSAGE_BYTES_MAX};

/// What the type of an attribute, always `String`, adds to a message's size.
const TYPE_BYTES: usize = "String".len();
/// The longest name of an attribute, as SQS has it.
const ATTRIBUTE_NAME_CHARACTERS_MAX: usize = 256;

/// Why no broker would take such a message, as a stable code; `None` if it is fine. Codes: `EMPTY_BODY`,
/// `MESSAGE_TOO_LARGE` (over [`MESSAGE_BYTES_MAX`] with its attributes), `INVALID_CHARACTER` (one that XML 1.0 has not,
/// such as NUL), `TOO_MANY_ATTRIBUTES`, `EMPTY_ATTRIBUTE`, `INVALID_ATTRIBUTE_NAME`.
pub fn refusal(body: &str, attributes: &BTreeMap<String, String>) -> Option<&'static str> {
    if body.is_empty() {
        Some("EMPTY_BODY")
    } else if size_bytes(body, attributes) > MESSAGE_BYTES_MAX {
        Some("MESSAGE_TOO_LARGE")
    } else if attributes.len() > ATTRIBUTES_MAX {
        Some("TOO_MANY_ATTRIBUTES")
    } else if !attributes.keys().all(|name| is_attribute_name(name)) {
        Some("INVALID_ATTRIBUTE_NAME")
    } else if attributes.values().any(String::is_empty) {
        Some("EMPTY_ATTRIBUTE")
    } else if !is_text(body) || !attributes.values().all(|value| is_text(value)) {
        Some("INVALID_CHARACTER")
    } else {
        None
    }
}

/// The size that counts against [`MESSAGE_BYTES_MAX`]: the body, and the names, types and values of the attributes.
pub fn size_bytes(body: &str, attributes: &BTreeMap<String, String>) -> usize {
    body.len() + attributes.iter().map(|(name, value)| name.len() + TYPE_BYTES + value.len()).sum::<usize>()
}

/// Whether all characters are ones of XML 1.0, the only ones that SQS carries.
fn is_text(text: &str) -> bool {
    text.chars().all(|character| {
        !matches!(character, '\u{0}'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
    })
}

fn is_attribute_name(name: &str) -> bool {
    let is_reserved = ["aws.", "amazon."].iter().any(|prefix| name.to_ascii_lowercase().starts_with(prefix));
    (1..=ATTRIBUTE_NAME_CHARACTERS_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
        && !name.starts_with('.')
        && !name.ends_with('.')
        && !name.contains("..")
        && !is_reserved
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn ordinary_messages_pass() {
        assert_eq!(refusal("{\"name\":\"José 🍕\"}\r\n\t", &attributes(&[("traceparent", "00-a-b-01")])), None);
        assert_eq!(refusal("x", &BTreeMap::new()), None);
    }

    #[test]
    fn each_rule_has_its_code() {
        assert_eq!(refusal("", &BTreeMap::new()), Some("EMPTY_BODY"));
        assert_eq!(refusal("a\0b", &BTreeMap::new()), Some("INVALID_CHARACTER"));
        assert_eq!(refusal("a", &attributes(&[("n", "\u{1}")])), Some("INVALID_CHARACTER"));
        assert_eq!(refusal("a", &attributes(&[("n", "")])), Some("EMPTY_ATTRIBUTE"));
        for name in ["", "a b", ".a", "a.", "a..b", "AWS.x", "amazon.x", "ação"] {
            assert_eq!(refusal("a", &attributes(&[(name, "v")])), Some("INVALID_ATTRIBUTE_NAME"), "{name}");
        }
        let eleven = (0..11).map(|n| (format!("n{n}"), "v".to_owned())).collect();
        assert_eq!(refusal("a", &eleven), Some("TOO_MANY_ATTRIBUTES"));
    }

    #[test]
    fn the_size_counts_bytes_and_attributes() {
        let with = attributes(&[("n", "v")]);
        let largest = "a".repeat(MESSAGE_BYTES_MAX - size_bytes("", &with));
        assert_eq!(refusal(&largest, &with), None);
        assert_eq!(refusal(&(largest + "a"), &with), Some("MESSAGE_TOO_LARGE"));
        assert_eq!(refusal(&"é".repeat(MESSAGE_BYTES_MAX / 2 + 1), &BTreeMap::new()), Some("MESSAGE_TOO_LARGE"));
    }
}
