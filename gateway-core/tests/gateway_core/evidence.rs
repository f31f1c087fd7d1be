//! The files that come with disputes (PARTNER_API 1.4 and 2.5), over the real tables.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gateway_core::Config;
use order_model::{EventCode, EvidenceId, OrderId};
use proto::gateway_core as wire;
use serde_json::{Value, json};
use tonic::Code;

use crate::platform::{MERCHANT, Platform, TestCore, bytes_of, config, order_id, placing, rejection, updating};

const PNG: &[u8] = b"\x89PNG\r\n\x1A\na canary of a photo";
const JPEG: &[u8] = b"\xFF\xD8\xFF\xE0another canary of a photo";

/// A dispute that comes with `evidences`; a counter-offer to `parent`, where there is one.
fn dispute(id: &str, parent: Option<&str>, evidences: &Value) -> String {
    json!({ "disputeId": id, "parentDisputeId": parent, "expiresAt": "2099-01-01T00:00:00Z", "timeoutAction": "VOID",
        "metadata": { "items": [], "evidences": evidences } })
    .to_string()
}

fn file(content: &[u8]) -> Value {
    json!({ "contentType": "image/png", "content": STANDARD.encode(content) })
}

async fn placed(core: &TestCore) -> OrderId {
    let order = order_id();
    core.submit(placing(order, &format!("place {order}"), 1)).await;
    order
}

/// What the last event's list of evidence says.
async fn shown(core: &TestCore, order: OrderId) -> Value {
    let events = core.events(order).await;
    let event: Value = serde_json::from_slice(&events.last().unwrap().body).unwrap();
    event["metadata"]["metadata"]["evidences"].clone()
}

fn id_in(entry: &Value) -> EvidenceId {
    entry["url"].as_str().unwrap().rsplit('/').next().unwrap().parse().unwrap()
}

/// How many files the table holds.
async fn stored(platform: &Platform) -> usize {
    let scan = platform.dynamodb().scan().table_name("test-orders").send().await.unwrap();
    let is_file = |item: &&std::collections::HashMap<String, _>| {
        let key: &aws_sdk_dynamodb::types::AttributeValue = &item["pk"];
        key.as_s().unwrap().starts_with("evidence#")
    };
    scan.items().iter().filter(is_file).count()
}

#[tokio::test]
async fn a_photo_is_kept_apart_and_its_link_alone_is_published() {
    let platform = Platform::start().await;
    let public_url = Some("https://api.example.com/".to_owned());
    let core = platform.core(Config { public_url, ..config() });
    let order = placed(&core).await;
    let own = json!({ "contentType": "image/png", "url": "https://elsewhere.example/1.png" });
    let metadata = dispute("d-1", None, &json!([file(PNG), own, file(JPEG)]));
    let opened = updating(order, "open", EventCode::HandshakeDispute, &metadata);
    assert_eq!(core.submit(opened.clone()).await.outcome(), wire::Outcome::Committed);

    let evidences = shown(&core, order).await;
    let (png, jpeg) = (id_in(&evidences[0]), id_in(&evidences[2]));
    let url = |id| format!("https://api.example.com/order/v1.0/orders/{order}/cancellationEvidences/{id}");
    let expected = json!([{ "contentType": "image/png", "url": url(png) }, own,
        { "contentType": "image/jpeg", "url": url(jpeg) }]);
    assert_eq!(evidences, expected);
    for (id, content_type, content) in [(png, "image/png", PNG), (jpeg, "image/jpeg", JPEG)] {
        let read = core.evidence(order, id).await.unwrap();
        assert_eq!((read.content_type.as_str(), &read.content[..]), (content_type, content));
        assert_eq!(read.merchant_id[..], MERCHANT.as_bytes()[..]);
    }
    let published = platform.published_until(|published| published.len() == 2).await;
    for notification in published {
        let file = STANDARD.encode(PNG);
        assert!(!notification.body.contains(&file[..16]), "{}", notification.body);
    }

    // Again, under its own id and under another one: nothing more.
    assert_eq!(core.submit(opened).await.outcome(), wire::Outcome::Repeated);
    let again = updating(order, "again", EventCode::HandshakeDispute, &metadata);
    assert_eq!(core.submit(again).await.outcome(), wire::Outcome::Repeated);
    assert_eq!(stored(&platform).await, 2);
    core.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found_whosever_it_is() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let (order, other) = (placed(&core).await, placed(&core).await);
    let metadata = dispute("d-1", None, &json!([file(PNG)]));
    core.submit(updating(order, "open", EventCode::HandshakeDispute, &metadata)).await;
    let evidences = shown(&core, order).await;
    let id = id_in(&evidences[0]);
    assert!(evidences[0]["url"].as_str().unwrap().starts_with("/order/v1.0/orders/"), "no public URL: a path");
    assert!(core.evidence(order, id).await.is_ok());
    for (order, id) in [(other, id), (order_id(), id), (order, EvidenceId::from_bytes([1; 16]))] {
        let error = core.evidence(order, id).await.unwrap_err();
        assert_eq!((error.code(), error.message()), (Code::NotFound, "no such evidence"));
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_file_is_named_and_the_dispute_is_not_opened() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = placed(&core).await;
    for (message, evidences, field) in [
        ("base64", json!([file(PNG), { "content": "?" }]), "metadata.metadata.evidences[1].content (base64"),
        ("type", json!([file(b"GIF89a")]), "metadata.metadata.evidences[0].content (a file of image/jpeg"),
        (
            "size",
            json!([file(&[PNG, &vec![0; 128 * 1024]].concat())]),
            "metadata.metadata.evidences[0].content (at most",
        ),
        ("count", json!(vec![file(PNG); 9]), "metadata.metadata.evidences (at most 8 files"),
    ] {
        let metadata = dispute("d-1", None, &evidences);
        let reply = core.submit(updating(order, message, EventCode::HandshakeDispute, &metadata)).await;
        assert_eq!(rejection(&reply), ("MALFORMED", false), "{message}");
        let detail = reply.rejection.unwrap().detail;
        assert!(detail.starts_with(field), "{detail}");
    }
    assert_eq!((core.events(order).await.len(), stored(&platform).await), (1, 0));
}

#[tokio::test]
async fn an_order_has_a_bounded_number_of_files() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = placed(&core).await;
    let mut parent: Option<String> = None;
    for round in 0..4 {
        let id = format!("d-{round}");
        let metadata = dispute(&id, parent.as_deref(), &json!(vec![file(PNG); 8]));
        let opened = core.submit(updating(order, &id, EventCode::HandshakeDispute, &metadata)).await;
        assert_eq!(opened.outcome(), wire::Outcome::Committed, "{round}: {opened:?}");
        parent = Some(id);
    }
    let one_more = dispute("d-9", parent.as_deref(), &json!([file(PNG)]));
    let refused = core.submit(updating(order, "d-9", EventCode::HandshakeDispute, &one_more)).await;
    assert_eq!(rejection(&refused), ("MALFORMED", false));
    assert!(refused.rejection.unwrap().detail.contains("metadata.metadata.evidences"));
    let without = dispute("d-9", parent.as_deref(), &json!([]));
    let opened = core.submit(updating(order, "without", EventCode::HandshakeDispute, &without)).await;
    assert_eq!((opened.outcome(), stored(&platform).await), (wire::Outcome::Committed, 32));
}

#[tokio::test]
async fn an_order_that_is_erased_loses_its_files_and_takes_no_new_ones() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let (order, other) = (placed(&core).await, placed(&core).await);
    let mut ids = Vec::new();
    for (order, id) in [(order, "d-1"), (other, "d-2")] {
        let metadata = dispute(id, None, &json!([file(PNG), file(JPEG)]));
        core.submit(updating(order, id, EventCode::HandshakeDispute, &metadata)).await;
        ids.push(id_in(&shown(&core, order).await[0]));
    }
    core.api.clone().erase_order(wire::EraseOrderRequest { order_id: bytes_of(order) }).await.unwrap();
    assert_eq!(core.evidence(order, ids[0]).await.unwrap_err().code(), Code::NotFound);
    assert!(core.evidence(other, ids[1]).await.is_ok(), "another order's stays");
    assert_eq!(stored(&platform).await, 2);

    let own = json!({ "contentType": "image/png", "url": "https://elsewhere.example/1.png" });
    let metadata = dispute("d-3", Some("d-1"), &json!([file(PNG), own]));
    let opened = core.submit(updating(order, "d-3", EventCode::HandshakeDispute, &metadata)).await;
    assert_eq!(opened.outcome(), wire::Outcome::Committed);
    assert_eq!((shown(&core, order).await, stored(&platform).await), (json!([own]), 2));
}
