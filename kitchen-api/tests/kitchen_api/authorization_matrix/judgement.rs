//! What tells a foreign thing from an unknown one: everything of an answer but what the request itself named. Pure.

use crate::authorization_matrix::case::{Place, World};
use crate::client::Answer;

/// In whatever the other application keeps: it must be in no answer to anybody else.
pub const CANARY: &str = "canario-9c41e7";

/// What differs from answer to answer and says nothing of what was asked for: only the time of day.
const IGNORED_HEADERS: [&str; 1] = ["date"];

/// An answer in lower case without what the request named.
pub fn seen(answer: &Answer, named: &[String]) -> String {
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| !IGNORED_HEADERS.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    headers.sort();
    let body = String::from_utf8_lossy(&answer.body);
    let text = format!("{}\n{}\n\n{body}", answer.status.as_u16(), headers.join("\n")).to_lowercase();
    let mut forms: Vec<String> =
        named.iter().map(|id| id.to_lowercase()).flat_map(|id| [id.replace('-', ""), id]).collect();
    forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
    forms.iter().fold(text, |text, form| text.replace(form, "<named>"))
}

/// What of the other application's is in an answer as it was seen.
pub fn leaks(seen: &str, foreign: &World) -> Vec<String> {
    let values = foreign.0.iter().map(|(_, value)| value.as_str()).chain([CANARY]);
    let found = values.filter(|value| !value.is_empty() && seen.contains(&value.to_lowercase()));
    found.map(str::to_owned).collect()
}

/// Other spellings of an id, at a place; none may get another answer than a foreign or an unknown one, or a 400.
pub fn spellings(id: &str, own: &str, place: Place) -> Vec<String> {
    let encoded: String = id.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let first_encoded = format!("%{:02x}{}", id.as_bytes()[0], &id[1..]);
    let plain = [id.to_uppercase(), id.replace('-', ""), format!("urn:uuid:{id}")];
    let more = match place {
        Place::Path => vec![
            format!("{id}%20"),
            format!("%20{id}"),
            format!("%7B{id}%7D"),
            format!("{id}%00"),
            format!("{id};a=b"),
            format!("{id}%2F"),
            format!("{id}/."),
            format!("./{id}"),
            format!("{own}/../{id}"),
            format!("{own}%2F..%2F{id}"),
            format!("{own}%2C{id}"),
            first_encoded,
            encoded,
        ],
        Place::Query => vec![
            format!("{id}%20"),
            format!("%20{id}"),
            format!("%7B{id}%7D"),
            format!("{id}%00"),
            format!("{own}%2C{id}"),
            format!("{own}/../{id}"),
            first_encoded,
            encoded,
        ],
        Place::Header | Place::Body => vec![format!("{id} "), format!(" {id}"), format!("{{{id}}}"), encoded],
    };
    plain.into_iter().chain(more).collect()
}

#[test]
fn an_answer_that_tells_is_seen() {
    let foreign = World(vec![("{order}", "f3-order".to_owned()), ("{merchant}", "F4-MERCHANT".to_owned())]);
    let answer = |text: &str| Answer {
        status: http::StatusCode::NOT_FOUND,
        headers: [("x-of", "f4-Merchant"), ("date", "now")]
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
            .collect::<http::HeaderMap>(),
        body: text.to_owned().into(),
    };
    let named = seen(&answer("There is no f3-ORDER or f3order."), &["f3-order".to_owned()]);
    assert_eq!(named, "404\nx-of: f4-merchant\n\nthere is no <named> or <named>.");
    assert_eq!(leaks(&named, &foreign), ["F4-MERCHANT"], "what was not named");
    assert_eq!(leaks(&format!("a {CANARY} sings"), &foreign), [CANARY]);
}
