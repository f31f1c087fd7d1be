//! How deep JSON may nest, and whether a text does: one pass over its bytes, before a parser sees them. Pure.
//!
//! Used wherever JSON of strangers is read: bodies (`body`), documents of POSes (`pos_menu`), receivers' answers (`webhooks`); what is
//! read while it arrives counts for itself (`events::id_scanner`), up to the same limit. Whether the text is JSON at all is the parser's
//! to say.

use serde::de::DeserializeOwned;

/// Objects and arrays inside each other, in anything that comes from the network.
pub(crate) const JSON_DEPTH_MAX: usize = 32;

/// Whether objects and arrays stand deeper than [`JSON_DEPTH_MAX`]. Brackets in strings are text.
pub(crate) fn is_too_deep(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut is_escaped) = (0usize, false, false);
    for byte in json {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if in_string => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => {
                depth += 1;
                if depth > JSON_DEPTH_MAX {
                    return true;
                }
            }
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// What a text says where anything may be sent; nothing where it is no such JSON, or too deep.
pub(crate) fn read_if_shallow<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    if is_too_deep(json) { None } else { serde_json::from_slice(json).ok() }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn nested(open: &str, close: &str, depth: usize) -> String {
        format!("{}1{}", open.repeat(depth), close.repeat(depth))
    }

    #[test]
    fn depth_32_is_read_and_depth_33_is_not() {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}"), (r#"{ "a\"[[" : "#, " } ")] {
            assert!(!is_too_deep(nested(open, close, JSON_DEPTH_MAX).as_bytes()), "{open}");
            assert!(is_too_deep(nested(open, close, JSON_DEPTH_MAX + 1).as_bytes()), "{open}");
            assert!(read_if_shallow::<Value>(nested(open, close, JSON_DEPTH_MAX).as_bytes()).is_some(), "{open}");
            assert_eq!(read_if_shallow::<Value>(nested(open, close, JSON_DEPTH_MAX + 1).as_bytes()), None, "{open}");
        }
    }

    #[test]
    fn what_is_long_and_not_deep_is_read() {
        let side_by_side = format!("[{}[]]", "[],{},".repeat(1_000));
        let in_a_string = format!(r#"["{}\\","{}\"{}"]"#, "[".repeat(100), "{".repeat(100), "[".repeat(100));
        for text in [side_by_side, in_a_string] {
            assert!(!is_too_deep(text.as_bytes()));
            assert!(serde_json::from_str::<Value>(&text).is_ok(), "{text}");
        }
    }

    #[test]
    fn what_is_no_json_is_left_to_the_parser() {
        for text in ["", "]]]]", "\"", "\"\\", "not json", "[\"["] {
            assert!(!is_too_deep(text.as_bytes()), "{text}");
            assert_eq!(read_if_shallow::<Value>(text.as_bytes()), None, "{text}");
        }
    }
}
