//! Errors on our own paths: every one has a stable code and says what to do about it, as our document promises.

use std::sync::atomic::Ordering;

use kitchen_api::Config;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::rig::{Rig, config, merchant};

const OWN: &str = "/comanda/v1/";

/// Every documented operation below [`OWN`], as a method in capitals and a path whose parameters name nothing.
fn operations(document: &Value) -> Vec<(String, String)> {
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with(OWN));
    let mut operations = Vec::new();
    for (path, item) in paths {
        let filled = path.split('/').map(|segment| if segment.starts_with('{') { "none" } else { segment });
        let filled = filled.collect::<Vec<_>>().join("/");
        let methods = item.as_object().unwrap().iter().filter(|(_, operation)| operation.is_object());
        operations.extend(methods.map(|(method, _)| (method.to_uppercase(), filled.clone())));
    }
    operations
}

#[track_caller]
fn says_what_to_do(document: &Value, answer: &Answer, status: u16, at: &str) {
    assert_eq!(answer.status, status, "{at}: {answer:?}");
    assert!(!answer.error_code().is_empty(), "{at}");
    let hint = answer.json()["error"]["hint"].as_str().unwrap_or_default().to_owned();
    assert!(hint.len() > 10, "{at}: no hint in {answer:?}");
    let schema = json!({ "$ref": "#/components/schemas/Error" });
    assert_eq!(differences(document, &schema, &answer.json(), at), [""; 0], "{at}");
}

async fn document(client: &Client) -> Value {
    client.get("/openapi/comanda.json").await.json()
}

#[tokio::test]
async fn every_own_operation_says_what_to_do_about_401_405_and_a_request_that_is_wrong() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let document = document(&pos).await;
    let operations = operations(&document);
    assert!(operations.len() >= 12, "{operations:?}");
    // Wrong for each of them in one way or another: a foreign merchant, a page of nothing, no JSON.
    let (foreign, query) = (merchant(3).to_string(), "?limit=0&size=0");
    for (method, path) in &operations {
        let at = format!("{method} {path}");
        says_what_to_do(&document, &rig.client.send(method, path, &[], "").await, 401, &at);
        let headers = [("x-polling-merchants", foreign.as_str())];
        let wrong = pos.send(method, &format!("{path}{query}"), &headers, "[").await;
        assert!(wrong.status.as_u16() >= 400, "{at}: {wrong:?}");
        says_what_to_do(&document, &wrong, wrong.status.as_u16(), &at);
        says_what_to_do(&document, &pos.send("PATCH", path, &[], "").await, 405, &at);
    }
    says_what_to_do(&document, &pos.get("/comanda/v1/nothing").await, 404, "nothing");
}

#[tokio::test]
async fn every_status_of_own_errors_says_what_to_do() {
    let rig = Rig::start_with(Config { limits_requests: true, ..config() }).await;
    let pos = rig.as_application("pos").await;
    let document = document(&pos).await;
    let replay = |number: u8| format!("/comanda/v1/events?merchantId={}", merchant(number));
    says_what_to_do(&document, &pos.get("/comanda/v1/events").await, 400, "no merchant");
    says_what_to_do(&document, &pos.get(&replay(3)).await, 403, "a foreign merchant");
    let large = pos.post("/comanda/v1/simulator/orders", " ".repeat(256 * 1024 + 1)).await;
    says_what_to_do(&document, &large, 413, "a large body");
    let long = pos.get(&format!("/comanda/v1/events?x={}", "x".repeat(8 * 1024))).await;
    says_what_to_do(&document, &long, 414, "a long URI");
    let text = "y".repeat(16 * 1024);
    let headers = [("x-a", text.as_str()), ("x-b", text.as_str())];
    says_what_to_do(&document, &pos.send("GET", &replay(1), &headers, "").await, 431, "large headers");
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    says_what_to_do(&document, &pos.get(&replay(1)).await, 503, "nobody to ask");
    let mut refused = pos.get(&replay(3)).await;
    for _ in 0..500 {
        if refused.status == 429 {
            break;
        }
        refused = pos.get(&replay(3)).await;
    }
    says_what_to_do(&document, &refused, 429, "too many");
    assert!(refused.headers.contains_key("retry-after"));
}

/// What is not ours keeps the envelope of its dialect, in which a hint is the exception.
#[tokio::test]
async fn our_document_demands_a_hint_and_the_merchant_apis_does_not() {
    let rig = Rig::start().await;
    for (path, is_demanded) in [("/openapi/comanda.json", true), ("/openapi/merchant.json", false)] {
        let document = rig.client.get(path).await.json();
        let required = document["components"]["schemas"]["ErrorBody"]["required"].as_array().unwrap().clone();
        assert_eq!(required.contains(&json!("hint")), is_demanded, "{path}: {required:?}");
    }
    let merchant_api = rig.client.get("/order/v1.0/orders/none").await;
    assert_eq!((merchant_api.status.as_u16(), merchant_api.json()["error"].get("hint")), (401, None));
}
