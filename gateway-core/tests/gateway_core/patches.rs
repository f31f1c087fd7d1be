//! `OPA` with a patch: what the order's body becomes, over the real tables.

use order_model::{EventCode, OrderId};
use proto::gateway_core as wire;

use crate::platform::{Platform, TestCore, bytes_of, config, order_id, placing, rejection, updating};

async fn body(core: &TestCore, order: OrderId) -> String {
    String::from_utf8(core.get(order).await.unwrap().body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_patch_changes_the_body_and_is_published_nowhere() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let before = core.get(order).await.unwrap();
    let patch = r#"{"patch":{"total":{"orderAmount":70.00},"customer":{"name":"Bia Canary"},"note":"x"},"why":"1.50"}"#;
    let reply = core.submit(updating(order, "2", EventCode::OrderPatched, patch)).await;
    assert_eq!((reply.outcome(), reply.event_ids.len()), (wire::Outcome::Committed, 1));
    let after = core.get(order).await.unwrap();
    assert!(after.version > before.version && after.last_sequence == 2);
    let text = body(&core, order).await;
    assert!(text.contains(r#""orderAmount":70.00"#) && text.contains("Bia Canary"), "{text}");
    assert!(!text.contains("68.10") && text.contains("Pizza"), "{text}");
    let events = core.events(order).await;
    let event = std::str::from_utf8(&events[1].body).unwrap();
    assert!(!event.contains("Bia") && !event.contains("patch\"") && event.contains(r#""why":"1.50""#), "{event}");
    let again = core.submit(updating(order, "2", EventCode::OrderPatched, patch)).await;
    assert_eq!(again.outcome(), wire::Outcome::Repeated);
    let plain = core.submit(updating(order, "3", EventCode::OrderPatched, "")).await;
    assert_eq!(plain.outcome(), wire::Outcome::Committed, "without a patch it only tells");
    assert_eq!(body(&core, order).await, text);
}

#[tokio::test]
async fn what_an_order_is_cannot_be_patched() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    let before = body(&core, order).await;
    for (message, patch) in [
        ("a", r#"{"patch":{"id":"1"}}"#.to_owned()),
        ("b", r#"{"patch":{"merchant":{"id":"1"}}}"#.to_owned()),
        ("c", r#"{"patch":{"items":null}}"#.to_owned()),
        ("d", r#"{"patch":7}"#.to_owned()),
        ("e", format!(r#"{{"patch":{}1{}}}"#, r#"{"a":"#.repeat(40), "}".repeat(40))),
    ] {
        let reply = core.submit(updating(order, message, EventCode::OrderPatched, &patch)).await;
        assert_eq!(rejection(&reply), ("MALFORMED", false), "{patch}");
        assert!(reply.rejection.unwrap().detail.contains("metadata.patch"));
    }
    assert_eq!(body(&core, order).await, before);
    assert_eq!(core.events(order).await.len(), 1);
    let unknown = updating(order_id(), "f", EventCode::OrderPatched, r#"{"patch":{"note":"x"}}"#);
    assert_eq!(rejection(&core.submit(unknown).await), ("UNKNOWN_ORDER", true));
}

#[tokio::test]
async fn an_erased_order_stays_erased() {
    let platform = Platform::start().await;
    let core = platform.idle_core(config());
    let order = order_id();
    core.submit(placing(order, "1", 1)).await;
    core.api.clone().erase_order(wire::EraseOrderRequest { order_id: bytes_of(order) }).await.unwrap();
    let patch = r#"{"patch":{"customer":{"name":"Bia Canary"},"note":"x","delivery":{"dropCode":"1"}}}"#;
    core.submit(updating(order, "2", EventCode::OrderPatched, patch)).await;
    let text = body(&core, order).await;
    assert!(!text.contains("Bia") && !text.contains("dropCode") && text.contains(r#""note":"x""#), "{text}");
}
