//! The shapes clients send, what is refused, and that cutting a text anywhere changes nothing.

use proptest::prelude::*;

use super::*;

const A: &str = "0b8e1c34-7f70-8c2f-9a55-6d1de6a3c901";
const B: &str = "1b8e1c34-7f70-8c2f-9a55-6d1de6a3c902";

fn scan_chunks<'a>(chunks: impl IntoIterator<Item = &'a [u8]>, max: usize) -> Result<Vec<String>, ScanError> {
    let mut scanner = IdScanner::new(max);
    for chunk in chunks {
        scanner.push(chunk)?;
    }
    scanner.finish().map(|ids| ids.iter().map(ToString::to_string).collect())
}

fn scan(text: &str) -> Result<Vec<String>, ScanError> {
    scan_chunks([text.as_bytes()], 10)
}

#[test]
fn every_shape_clients_send_is_read() {
    let both = Ok(vec![A.to_owned(), B.to_owned()]);
    for text in [
        format!(r#"[{{"id":"{A}"}},{{"id":"{B}"}}]"#),
        format!(r#"["{A}", "{B}"]"#),
        format!(r#"{{"events":[{{"id":"{A}"}},{{"id":"{B}"}}]}}"#),
        format!(r#"{{"acknowledgedEventIds":["{A}","{B}"]}}"#),
        format!(r#"[{{"id":"{A}","orderId":"x","eventType":"CREATED"}},{{"eventId":"{B}"}}]"#),
        format!(
            r#"[{{"full_code":"PLACED","created_at":"2026-11-20T12:00:00Z","metadata":{{"id":"{B}","a":[1,{{}}]}},"order_id":"{B}","id":"{A}"}},
               {{"Id":"{B}","fullCode":"PLACED","metadata":null,"salesChannel":"IFOOD","n":-1.5e3,"t":true}}]"#
        ),
        format!("\r\n[ \"{}\" ,\t\"{B}\" ]\n", A.to_uppercase()),
    ] {
        assert_eq!(scan(&text), both, "{text}");
    }
    assert_eq!(scan(&format!(r#"{{"id":"{A}"}}"#)), Ok(vec![A.to_owned()]));
}

#[test]
fn what_is_no_id_is_skipped_and_never_refused() {
    for text in [
        "[]",
        "{}",
        r#"[{}]"#,
        r#"["not a uuid","",{"id":5},{"id":null},{"id":{"id":"x"}},7,true,null,[]]"#,
        r#"{"events":null}"#,
        r#""text""#,
        "12345678901234567890123456789012345678901234567890",
        r#"[{"id":"\u0030b8e1c34-7f70-8c2f-9a55-6d1de6a3c901"}]"#,
    ] {
        assert_eq!(scan(text), Ok(vec![]), "{text}");
    }
    assert_eq!(scan(&format!(r#"{{"other":["{A}"],"metadata":{{"id":"{A}"}}}}"#)), Ok(vec![]));
}

#[test]
fn what_is_not_json_is_refused() {
    for text in [
        "",
        " ",
        "[",
        "]",
        "{",
        "[,]",
        "[1,]",
        "{,}",
        r#"{"a"}"#,
        r#"{"a":}"#,
        r#"{"a":1,}"#,
        "[1 2]",
        "[}",
        "{]",
        "[]]",
        "[] []",
        r#"["a"#,
        "[tru]",
        "[nul]",
        "[01x]",
        "id=1&x=2",
        "\u{1}",
        "[\"a\nb\"]",
        "[--1]",
    ] {
        assert_eq!(scan(text), Err(ScanError::Malformed), "{text}");
    }
}

#[test]
fn depth_and_number_are_limited() {
    assert!(scan(&("[".repeat(32) + &"]".repeat(32))).is_ok());
    assert_eq!(scan(&"[".repeat(33)), Err(ScanError::TooDeep));
    let list = |count: usize| format!("[{}]", vec![format!("\"{A}\""); count].join(","));
    assert_eq!(scan(&list(10)).unwrap().len(), 10);
    assert_eq!(scan(&list(11)), Err(ScanError::TooMany));
    assert_eq!(scan(&format!("[{}]", ["{}"; 11].join(","))), Err(ScanError::TooMany), "unknown ones count as well");
    let repeated = format!("[{{{}}}]", vec![format!("\"id\":\"{A}\""); 11].join(","));
    assert_eq!(scan(&repeated), Err(ScanError::TooMany), "one object cannot carry more either");
}

proptest! {
    #[test]
    fn cutting_a_text_anywhere_changes_nothing(at in 0usize..200, size in 1usize..7) {
        let text = format!(r#"{{"x":[1,"\"é",{{}}],"events":[{{"id":"{A}","m":{{"k":"v"}}}},"{B}",-2.5]}}"#);
        let whole = scan(&text);
        let (head, tail) = text.as_bytes().split_at(at.min(text.len()));
        prop_assert_eq!(&scan_chunks([head, tail], 10), &whole);
        prop_assert_eq!(&scan_chunks(text.as_bytes().chunks(size), 10), &whole);
    }

    #[test]
    fn whatever_is_json_is_read_and_whatever_is_not_is_refused(text in r#"[\[\]{}",:0-9a-z\\ -]{0,24}"#) {
        let is_json = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
        let read = scan(&text);
        // Escapes inside texts are not looked at: a wrong one is let through.
        if is_json || !text.contains('\\') {
            prop_assert_eq!(read.is_ok(), is_json, "{}", text);
        }
    }
}
