//! What a merchant says with an action: a reason and a cancellation code.
//!
//! Pure; used by `actions`. No body, `{}`, any other JSON and even what is no JSON are all "nothing said": clients send
//! every one of these with actions that need no body (PARTNER_API, section 8).

use serde_json::Value;

use crate::json_depth::read_if_shallow;

/// The longest reason that is passed on, in characters; a longer one is cut.
const REASON_MAX_CHARS: usize = 1_000;
/// The longest cancellation code, in characters; a longer one is none.
const CODE_MAX_CHARS: usize = 64;

/// The reason and the code; empty when not said.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) reason: String,
    pub(crate) code: String,
}

impl Note {
    pub(crate) fn read(body: &[u8]) -> Self {
        let Some(Value::Object(said)) = read_if_shallow(body) else { return Self::default() };
        let text = |names: &[&str]| {
            let value = names.iter().find_map(|name| said.get(*name).filter(|value| !value.is_null()));
            match value {
                Some(Value::String(text)) => text.trim().to_owned(),
                Some(Value::Number(number)) => number.to_string(),
                _ => String::new(),
            }
        };
        let code = text(&["cancellationCode", "cancelCodeId", "cancellation_code", "code"]);
        Self {
            reason: text(&["reason"]).chars().take(REASON_MAX_CHARS).collect(),
            code: if code.chars().count() <= CODE_MAX_CHARS { code } else { String::new() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_is_tolerated_and_what_is_said_is_read() {
        let said = |reason: &str, code: &str| Note { reason: reason.to_owned(), code: code.to_owned() };
        for (body, expected) in [
            ("", said("", "")),
            ("{}", said("", "")),
            ("[1,2]", said("", "")),
            ("null", said("", "")),
            ("not json", said("", "")),
            (r#"{"reason":"no gas","cancellationCode":"501"}"#, said("no gas", "501")),
            (r#"{"cancellationCode":501}"#, said("", "501")),
            (r#"{"reason":null,"cancellationCode":null,"code":"503"}"#, said("", "503")),
            (r#"{"reason":{"a":1}}"#, said("", "")),
        ] {
            assert_eq!(Note::read(body.as_bytes()), expected, "{body}");
        }
        let long = format!(r#"{{"reason":"{}","code":"{}"}}"#, "é".repeat(2_000), "9".repeat(65));
        let note = Note::read(long.as_bytes());
        assert_eq!((note.reason.chars().count(), note.code.len()), (1_000, 0));
    }
}
