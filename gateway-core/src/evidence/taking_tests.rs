//! What of an `HSD`'s metadata is taken out, and what stays.

use proptest::prelude::*;

use super::*;

const ORDER: OrderId = OrderId::from_bytes([4; 16]);
const LINKS: Links<'_> = Links { public_url: "https://api.example.com", order: ORDER };
const PNG: &[u8] = b"\x89PNG\r\n\x1A\nthe rest";
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0the rest";

fn base64(content: &[u8]) -> String {
    BASE64.encode(content)
}

fn taken(metadata: &str) -> Taken {
    take(metadata.as_bytes(), &LINKS).unwrap().unwrap()
}

fn refused(metadata: &str) -> String {
    take(metadata.as_bytes(), &LINKS).unwrap_err().into_owned()
}

fn link(file: &Evidence) -> String {
    format!("https://api.example.com/order/v1.0/orders/{ORDER}/cancellationEvidences/{}", file.id)
}

#[test]
fn a_file_becomes_a_link_and_every_other_byte_stays() {
    let metadata = |evidences: &str| {
        format!(
            r#" {{ "disputeId":"d-1", "amount" : 1.10e1,"long":123456789012345678901234567890.12, "metadata":{{"items":[{{"q":1.50}}], "evidences": {evidences} ,"x":"caf\u00e9"}},"z":null}}"#
        )
    };
    let own = r#"{ "contentType":"image/png", "url":"https://elsewhere.example/1.png","size":1.0 }"#;
    let (png, jpeg) = (base64(PNG), base64(JPEG));
    let sent = metadata(&format!(
        r#"[{own},{{"contentType":"image/png","content":"{png}","taken":2.50}}, {{"url":"x","content":"{jpeg}"}}]"#
    ));
    let taken = taken(&sent);
    let [first, second] = &taken.files[..] else { panic!("{:?}", taken.files) };
    assert_eq!((first.content_type, &first.content[..]), (ContentType::Png, PNG));
    assert_eq!((second.content_type, &second.content[..]), (ContentType::Jpeg, JPEG));
    let expected = metadata(&format!(
        r#"[{own},{{"contentType":"image/png","url":"{}","taken":2.50}},{{"contentType":"image/jpeg","url":"{}"}}]"#,
        link(first),
        link(second)
    ));
    assert_eq!(taken.with_links, expected);
    assert_eq!(taken.without, metadata(&format!("[{own}]")));
}

#[test]
fn without_a_file_there_is_nothing_to_take() {
    for metadata in [
        "{}",
        r#"{"disputeId":"d","metadata":{"evidences":[]}}"#,
        r#"{"metadata":{"evidences":[{"contentType":"image/png","url":"https://elsewhere.example/1"}]}}"#,
        r#"{"metadata":{"evidences":[{"content":null,"url":"u"},7,"text",null]}}"#,
        r#"{"metadata":{"evidences":{"content":"x"}}}"#,
        r#"{"metadata":[{"evidences":[{"content":"x"}]}],"evidences":[{"content":"x"}]}"#,
    ] {
        assert_eq!(take(metadata.as_bytes(), &LINKS).unwrap(), None, "{metadata}");
    }
}

#[test]
fn no_spelling_hides_a_file() {
    let png = base64(PNG);
    for metadata in [
        format!(r#"{{"m\u0065tadata":{{"\u0065vidences":[{{"cont\u0065nt":"{png}"}}]}}}}"#),
        format!(r#"{{"metadata":{{"evidences":[{{"content":"{png}","content":null}}]}}}}"#),
        format!(r#"{{"metadata":{{"evidences":[{{"content":"x","content":"{png}"}}]}}}}"#),
        format!(r#"{{"metadata":{{"evidences":[],"evidences":[{{"content":"{png}"}}]}},"metadata":{{}}}}"#),
        format!(r#"{{"metadata":{{"evidences":[{{"content":"{}"}}]}}}}"#, png.trim_end_matches('=')),
        format!(r#"{{"metadata":{{"evidences":[{{"content":"{}"}}]}}}}"#, png.replacen('V', "\\u0056", 1)),
    ] {
        let taken = taken(&metadata);
        assert_eq!(taken.files.len(), 1, "{metadata}");
        assert_eq!(&taken.files[0].content[..], PNG);
        for text in [&taken.with_links, &taken.without] {
            assert!(!text.contains(&png[..12]) && !text.contains("nt\":"), "{text}");
        }
    }
}

#[test]
fn what_is_wrong_is_named_with_its_place() {
    let png = base64(PNG);
    let with = |entry: &str| format!(r#"{{"metadata":{{"evidences":[{{"content":"{png}"}},{entry}]}}}}"#);
    let content = |text: &str| with(&format!(r#"{{"content":{text}}}"#));
    let large = base64(&[PNG, &vec![0; EVIDENCE_BYTES_MAX]].concat());
    for (metadata, expected) in [
        (content(r#""not base64!""#), "evidences[1].content (base64 expected)"),
        (content("7"), "evidences[1].content (base64 expected)"),
        (content("{}"), "evidences[1].content (base64 expected)"),
        (content(&format!("\"{}\"", base64(b"GIF89a"))), "evidences[1].content (a file of image/jpeg, image/png"),
        (content(r#""""#), "evidences[1].content (a file of"),
        (content(&format!("\"{large}\"")), "evidences[1].content (at most 131072 bytes expected)"),
        (with(r#"{"url":" DATA:image/png;base64,AAAA"}"#), "evidences[1].url (a link"),
    ] {
        let refused = refused(&metadata);
        assert!(refused.starts_with(&format!("metadata.metadata.{expected}")), "{refused}");
    }
    let many = vec![format!(r#"{{"content":"{png}"}}"#); EVIDENCES_MAX + 1].join(",");
    let refused = refused(&format!(r#"{{"metadata":{{"evidences":[{many}]}}}}"#));
    assert_eq!(refused, "metadata.metadata.evidences (at most 8 files expected)");
}

#[test]
fn the_largest_file_fits_and_as_many_as_may_be() {
    let largest = [PNG, &vec![7; EVIDENCE_BYTES_MAX - PNG.len()]].concat();
    let metadata = format!(r#"{{"metadata":{{"evidences":[{{"content":"{}"}}]}}}}"#, base64(&largest));
    assert!(metadata.len() < crate::wire::CONTENT_BYTES_MAX);
    assert_eq!(taken(&metadata).files[0].content.len(), EVIDENCE_BYTES_MAX);
    let many = vec![format!(r#"{{"content":"{}"}}"#, base64(PNG)); EVIDENCES_MAX].join(",");
    let taken = taken(&format!(r#"{{"metadata":{{"evidences":[{many}]}}}}"#));
    let mut ids: Vec<_> = taken.files.iter().map(|file| file.id).collect();
    ids.dedup();
    assert_eq!(ids.len(), EVIDENCES_MAX, "the same picture twice is two items");
}

#[test]
fn an_id_is_the_same_again_and_another_for_anything_else() {
    let id = |order: u8, dispute: &str, content: &[u8]| {
        let links = Links { public_url: "", order: OrderId::from_bytes([order; 16]) };
        let metadata =
            format!(r#"{{"disputeId":"{dispute}","metadata":{{"evidences":[{{"content":"{}"}}]}}}}"#, base64(content));
        let taken = take(metadata.as_bytes(), &links).unwrap().unwrap();
        assert!(taken.with_links.contains(r#""url":"/order/v1.0/orders/0"#), "a path: {}", taken.with_links);
        taken.files[0].id
    };
    assert_eq!(id(1, "d", PNG), id(1, "d", PNG));
    for other in [id(2, "d", PNG), id(1, "e", PNG), id(1, "d", JPEG)] {
        assert_ne!(other, id(1, "d", PNG));
    }
    let uuid = id(1, "d", PNG).to_string();
    assert_eq!(&uuid[14..15], "8", "{uuid}");
}

proptest! {
    /// Any neighbours, any file: it comes out whole, and what is beside it stays as it was.
    #[test]
    fn any_file_between_any_texts(rest in proptest::collection::vec(any::<u8>(), 0..200), before in any::<String>(), after in any::<String>()) {
        let json = |text: &str| serde_json::to_string(text).unwrap();
        let content = [PNG, &rest].concat();
        let metadata = |entry: &str| format!(
            r#"{{"a":{},"metadata":{{"evidences":[{entry}],"b":{}}}}}"#, json(&before), json(&after)
        );
        let taken = taken(&metadata(&format!(r#"{{"content":"{}"}}"#, base64(&content))));
        prop_assert_eq!(&taken.files[0].content[..], &content[..]);
        let entry = format!(r#"{{"contentType":"image/png","url":"{}"}}"#, link(&taken.files[0]));
        prop_assert_eq!(&taken.with_links, &metadata(&entry));
        prop_assert_eq!(&taken.without, &metadata(""));
    }
}
