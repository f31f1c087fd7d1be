//! The paths of before: they answer as their successors do, and say that they are deprecated (RFC 9745).

use std::sync::atomic::Ordering;

use order_model::EventCode;
use serde_json::json;

use crate::client::Answer;
use crate::peers::event;
use crate::rig::{Rig, merchant};

const POLL: &str = "/events/v1.0/events:polling";
const OLD_POLL: &str = "/order/v1.0/events:polling";
const ACKNOWLEDGE: &str = "/events/v1.0/events/acknowledgment";
const OLD_ACKNOWLEDGE: &str = "/order/v1.0/events/acknowledgment";

fn said(answer: &Answer) -> [Option<String>; 2] {
    let text = |name| answer.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    ["deprecation", "link"].map(text)
}

/// What an answer says on a path whose successor this is.
fn succeeded_by(path: &str) -> [Option<String>; 2] {
    [Some("@1767225600".to_owned()), Some(format!("<{path}>; rel=\"successor-version\""))]
}

#[tokio::test]
async fn a_poll_on_the_old_path_answers_the_same_and_says_that_it_is_deprecated() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let id = merchant(1).to_string();
    for has_events in [false, true] {
        if has_events {
            rig.peers.feed.publish(event(merchant(1), 1, EventCode::Placed));
        }
        // Answered at once, after waiting for the primary, and held.
        for (is_local, query) in [(true, ""), (false, ""), (false, "?wait=1")] {
            rig.peers.feed.local.store(is_local, Ordering::SeqCst);
            let headers = [("x-polling-merchants", id.as_str())];
            let new = pos.send("GET", &format!("{POLL}{query}"), &headers, "").await;
            let old = pos.send("GET", &format!("{OLD_POLL}{query}"), &headers, "").await;
            assert_eq!(new.status, if has_events { 200 } else { 204 });
            assert_eq!((new.status, &new.body), (old.status, &old.body));
            assert_eq!(said(&new), [None, None]);
            assert_eq!(said(&old), succeeded_by(POLL), "{is_local} {query}");
        }
    }
    let encoded = pos.get("/order/v1.0/events%3Apolling").await;
    assert_eq!((encoded.status.as_u16(), said(&encoded)), (200, succeeded_by(POLL)));
}

#[tokio::test]
async fn an_acknowledgment_on_the_old_path_counts_and_says_that_it_is_deprecated() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let placed = event(merchant(1), 1, EventCode::Placed);
    let body = json!([{ "id": placed.id.to_string() }]).to_string();
    let old = pos.post(OLD_ACKNOWLEDGE, body.clone()).await;
    assert_eq!((old.status.as_u16(), said(&old)), (202, succeeded_by(ACKNOWLEDGE)));
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [placed.id]);
    let new = pos.post(ACKNOWLEDGE, body).await;
    assert_eq!((new.status.as_u16(), said(&new)), (202, [None, None]));
}

#[tokio::test]
async fn errors_on_an_old_path_say_so_too() {
    let rig = Rig::start().await;
    for (method, path, status, successor) in [
        ("GET", OLD_POLL, 401, POLL),
        ("POST", OLD_ACKNOWLEDGE, 401, ACKNOWLEDGE),
        ("POST", OLD_POLL, 405, POLL),
        ("GET", OLD_ACKNOWLEDGE, 405, ACKNOWLEDGE),
    ] {
        let answer = rig.client.send(method, path, &[], "").await;
        assert_eq!((answer.status.as_u16(), said(&answer)), (status, succeeded_by(successor)), "{method} {path}");
    }
}

#[tokio::test]
async fn the_document_marks_the_old_paths_and_no_other() {
    let rig = Rig::start().await;
    let mut deprecated = Vec::new();
    for path in ["/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"] {
        let document = rig.client.get(path).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for operation in item.as_object().unwrap().values().filter(|operation| operation["deprecated"] == true) {
                for (status, response) in operation["responses"].as_object().unwrap() {
                    let headers = &response["headers"];
                    assert!(headers["Deprecation"].is_object() && headers["Link"].is_object(), "{path} {status}");
                }
                deprecated.push(path.clone());
            }
        }
    }
    deprecated.sort();
    assert_eq!(deprecated, [OLD_ACKNOWLEDGE, OLD_POLL]);
}
