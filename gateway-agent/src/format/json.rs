//! JSON as borrowed text: objects and arrays are opened one level at a time, everything below stays verbatim.
//!
//! The parsers read through it. Numbers are never turned into floats, nor is anything rendered again that need not
//! be. Recursion over what a producer sent is deliberately absent, except below [`DEPTH_MAX`].

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::invalid::{Invalid, Path, Reason};

/// How deep objects and arrays may nest, the message itself being 1: far more than any order has, and little enough for
/// every reader downstream to recurse.
pub const DEPTH_MAX: usize = 32;

/// Checks that `text` is one JSON value that every later reader can read.
///
/// # Errors
/// When it is not JSON, nests deeper than [`DEPTH_MAX`], or holds half of a surrogate pair, which is no text.
pub(crate) fn document(text: &str) -> Result<&RawValue, Invalid> {
    let malformed = |detail: String| Invalid::new(Reason::Malformed, detail);
    // serde_json's own text is left out: it may quote what it found.
    let value: &RawValue = serde_json::from_str(text)
        .map_err(|error| malformed(format!("not JSON at line {} column {}", error.line(), error.column())))?;
    check_depth_and_escapes(value.get().as_bytes()).map_err(|problem| malformed(problem.to_owned()))?;
    Ok(value)
}

/// One pass over text that is known to be JSON.
fn check_depth_and_escapes(json: &[u8]) -> Result<(), &'static str> {
    let (mut depth, mut in_string, mut at) = (0usize, false, 0usize);
    while let Some(&byte) = json.get(at) {
        at += 1;
        match (in_string, byte) {
            (_, b'"') => in_string = !in_string,
            (true, b'\\') => at = after_escape(json, at)?,
            (true, _) => {}
            (false, b'{' | b'[') => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err("nested deeper than 32 levels");
                }
            }
            (false, b'}' | b']') => depth = depth.saturating_sub(1),
            (false, _) => {}
        }
    }
    Ok(())
}

/// The position after the escape whose letter stands at `at`.
fn after_escape(json: &[u8], at: usize) -> Result<usize, &'static str> {
    if json.get(at) != Some(&b'u') {
        return Ok(at + 1);
    }
    let next = at + 5;
    match code_unit(json, at + 1) {
        Some(0xD800..=0xDBFF) => {
            let low = (json.get(next..next + 2) == Some(b"\\u")).then(|| code_unit(json, next + 2)).flatten();
            match low {
                Some(0xDC00..=0xDFFF) => Ok(next + 6),
                _ => Err("a string holds half of a surrogate pair"),
            }
        }
        Some(0xDC00..=0xDFFF) => Err("a string holds half of a surrogate pair"),
        _ => Ok(next),
    }
}

fn code_unit(json: &[u8], at: usize) -> Option<u16> {
    let digits = std::str::from_utf8(json.get(at..at + 4)?).ok()?;
    u16::from_str_radix(digits, 16).ok()
}

/// What kind of value a text is, for an error message.
pub(crate) fn kind(value: &RawValue) -> &'static str {
    match value.get().as_bytes().first() {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// The text of a string; `None` for any other value.
pub(crate) fn text(value: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(value.get()).ok().map(|text| text.0)
}

/// The digits of a number exactly as they were sent; `None` for any other value.
pub(crate) fn number(value: &RawValue) -> Option<&str> {
    (kind(value) == "a number").then(|| value.get())
}

/// The elements of an array; `None` for any other value.
pub(crate) fn elements(value: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(value.get()).ok()
}

/// The fields of a JSON object in the order they were sent.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Opens an object.
    ///
    /// # Errors
    /// When `value` is something else, or a name appears twice: one reader would take the first value and another the
    /// last, so there is no such thing as what the producer meant.
    pub(crate) fn open(path: Path<'_>, value: &'a RawValue) -> Result<Self, Invalid> {
        let object: Self = serde_json::from_str(value.get())
            .map_err(|_| Invalid::at(path, format_args!("expected an object, found {}", kind(value))))?;
        let mut names: Vec<&str> = object.fields.iter().map(|(name, _)| name.as_ref()).collect();
        names.sort_unstable();
        match names.windows(2).any(|pair| pair[0] == pair[1]) {
            true => Err(Invalid::at(path, "a field name appears twice")),
            false => Ok(object),
        }
    }

    /// The field's value; `None` when it is absent or null.
    pub(crate) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let (_, value) = self.fields.iter().find(|(known, _)| known == name)?;
        (value.get() != "null").then_some(value)
    }

    /// Every field.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &'a RawValue)> {
        self.fields.iter().map(|(name, value)| (name.as_ref(), *value))
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    fields.push((name.0, value));
                }
                Ok(Object { fields })
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// A string, borrowed where it has no escape.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Borrowed;
        impl<'de> Visitor<'de> for Borrowed {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Borrowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_is_counted_outside_strings() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(document(&nested(32)).is_ok());
        assert_eq!(document(&nested(33)).unwrap_err().detail, "nested deeper than 32 levels");
        assert!(document(&format!("\"{}\\\"[\"", "[".repeat(99))).is_ok());
        assert!(document(&nested(100_000)).is_err(), "no recursion on what was sent");
    }

    #[test]
    fn half_a_surrogate_pair_is_no_text() {
        assert!(document(r#""😀 \u0041""#).is_ok());
        for bad in [r#""\ud83d""#, r#""\ud83dx""#, r#""\ude00""#, r#""\ud83dA""#, r#"{"\uD800":1}"#] {
            assert_eq!(document(bad).unwrap_err().detail, "a string holds half of a surrogate pair", "{bad}");
        }
    }

    #[test]
    fn names_are_compared_unescaped() {
        let twice = document(r#"{"id":1,"i\u0064":2}"#).unwrap();
        assert_eq!(Object::open(Path::ROOT, twice).unwrap_err().detail, "the message: a field name appears twice");
        let escaped = document(r#"{"i\u0064":2.50}"#).unwrap();
        let object = Object::open(Path::ROOT, escaped).unwrap();
        assert_eq!(number(object.get("id").unwrap()), Some("2.50"));
    }
}
