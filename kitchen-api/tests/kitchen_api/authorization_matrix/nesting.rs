//! Bodies that nest: 32 levels are read, 33 are a 400 that says so. Actions that say nothing, or may, take any body
//! (PARTNER_API, 8.3).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::authorization_matrix::case::{Case, Filled};
use crate::authorization_matrix::platform::{Platform, State};
use crate::authorization_matrix::{DOCUMENTS, Findings, cases};
use crate::client::{Answer, Client};

const DEPTH_MAX: usize = 32;
/// What a refusal says.
const REFUSAL: &str = "at most 32 objects and arrays";

/// Every documented operation that reads JSON, and whether it reads any body there is.
async fn readers(client: &Client) -> BTreeMap<String, bool> {
    let mut readers = BTreeMap::new();
    for path in DOCUMENTS {
        let document = client.get(path).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation.pointer("/requestBody/content/application~1json").is_none() {
                    continue;
                }
                let is_update = path == "/v1/menuUpdated" || path == "/v1/merchantUpdate";
                let is_cancellation = path.ends_with("/requestCancellation") || path.ends_with("/{id}/cancel");
                let is_optional = operation["requestBody"]["required"] != true && !is_update;
                let takes_anything = is_optional || (is_cancellation && !path.starts_with("/v1/"));
                readers.insert(format!("{method} {path}"), takes_anything);
            }
        }
    }
    readers
}

/// The case's own request, with one field more, which makes its body so deep.
fn nested(platform: &Platform, case: &Case, depth: usize) -> Filled {
    let request = case.filled(&platform.own, &platform.own, &[]);
    let text = if request.body.is_empty() { "{}" } else { &request.body };
    let mut body: Value = serde_json::from_str(text).unwrap();
    let (object, above) = match &mut body {
        Value::Array(objects) => (&mut objects[0], 2),
        object => (object, 1),
    };
    let (open, close) = ("[".repeat(depth - above), "]".repeat(depth - above));
    object["nested"] = serde_json::from_str(&format!("{open}{close}")).unwrap();
    Filled { body: body.to_string(), ..request }
}

async fn ask(platform: &Platform, case: &Case, depth: usize) -> Answer {
    platform.prepare(case).await;
    platform.ask(&platform.pos, &nested(platform, case, depth)).await
}

#[tokio::test]
async fn a_body_of_depth_32_is_read_and_one_of_depth_33_is_400_wherever_json_is_read() {
    let platform = Platform::start(State::Primary).await;
    let readers = readers(&platform.pos).await;
    assert!(readers.len() > 40, "{}", readers.len());
    let (mut findings, mut asked) = (Findings::default(), BTreeSet::new());
    for case in cases().into_iter().filter(|case| case.headers.is_empty()) {
        let Some(&takes_anything) = readers.get(&case.operation) else { continue };
        asked.insert(case.operation.clone());
        let title = case.title();
        for depth in [DEPTH_MAX, DEPTH_MAX + 1, 100] {
            let answer = ask(&platform, &case, depth).await;
            let says_so = String::from_utf8_lossy(&answer.body).contains(REFUSAL);
            let is_right = match (takes_anything, depth > DEPTH_MAX) {
                (true, _) => answer.status.as_u16() == case.own,
                (false, true) => answer.status == 400 && says_so,
                (false, false) => answer.status.as_u16() < 500 && !says_so,
            };
            findings.check(is_right, || format!("{title}: depth {depth}: {answer:?}"));
        }
    }
    for operation in readers.keys().filter(|operation| !asked.contains(*operation)) {
        findings.check(false, || format!("{operation} was not asked"));
    }
    findings.none();
}
