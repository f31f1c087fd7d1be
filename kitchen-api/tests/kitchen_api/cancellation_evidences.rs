//! PARTNER_API, section 1.4: the files that disputes link to.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use order_model::{EvidenceId, OrderId};
use proto::gateway_core::GetEvidenceReply;

use crate::rig::{Rig, merchant};

const CONTENT: &[u8] = b"\x89PNG\r\n\x1A\n\0\xFFnot text";

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

fn evidence(number: u8) -> EvidenceId {
    EvidenceId::from_bytes([number; 16])
}

fn path(order: impl std::fmt::Display, evidence: impl std::fmt::Display) -> String {
    format!("/order/v1.0/orders/{order}/cancellationEvidences/{evidence}")
}

/// Order 1 is one that `pos` sees, order 3 one that it does not; both have files 1 and 2.
async fn rig() -> Rig {
    let rig = Rig::start().await;
    for number in [1, 3] {
        let file = |content_type: &str| GetEvidenceReply {
            merchant_id: proto::conversions::to_bytes(merchant(number).as_bytes()),
            content_type: content_type.to_owned(),
            content: Bytes::from_static(CONTENT),
        };
        let files = [
            ((order(number), evidence(1)), file("image/png")),
            ((order(number), evidence(2)), file("application/pdf")),
        ];
        rig.peers.core.evidence.lock().extend(files);
    }
    rig
}

#[tokio::test]
async fn a_file_is_served_as_it_was_sent_and_nothing_may_guess_what_it_is() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for (number, content_type, disposition) in [(1, "image/png", "inline"), (2, "application/pdf", "attachment")] {
        let answer = pos.get(&path(order(1), evidence(number))).await;
        assert_eq!((answer.status.as_u16(), &answer.body[..]), (200, CONTENT));
        for (name, value) in [
            ("content-type", content_type),
            ("content-disposition", disposition),
            ("x-content-type-options", "nosniff"),
            ("cache-control", "private"),
        ] {
            assert_eq!(answer.headers[name], value, "{name}");
        }
    }
}

#[tokio::test]
async fn a_foreign_file_is_as_unknown() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let unknown = pos.get(&path(order(1), evidence(9))).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (404, "NotFound"));
    for stranger in [
        path(order(3), evidence(1)),
        path(order(9), evidence(1)),
        path(order(1), "none"),
        path("none", evidence(1)),
        path(order(1), evidence(1).to_string().replace('-', "")),
    ] {
        let answer = pos.get(&stranger).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger}");
    }
    let other = rig.as_application("other").await;
    assert_eq!(other.get(&path(order(3), evidence(1))).await.status, 200, "its own");
    assert_eq!(other.get(&path(order(1), evidence(1))).await.status, 404);
}

#[tokio::test]
async fn without_the_core_or_a_token_no_file_is_served() {
    let rig = rig().await;
    assert_eq!(rig.client.get(&path(order(1), evidence(1))).await.status, 401);
    let pos = rig.as_application("pos").await;
    rig.peers.core.down.store(true, Ordering::SeqCst);
    let answer = pos.get(&path(order(1), evidence(1))).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn the_document_names_the_types_of_files() {
    let rig = rig().await;
    let document = rig.client.get("/openapi/merchant.json").await.json();
    let operation = &document["paths"]["/order/v1.0/orders/{id}/cancellationEvidences/{evidenceId}"]["get"];
    let content = operation["responses"]["200"]["content"].as_object().unwrap();
    let types: Vec<&str> = content.keys().map(String::as_str).collect();
    for name in ["image/jpeg", "image/png", "image/webp", "application/pdf"] {
        assert!(types.contains(&name), "{types:?}");
    }
}
