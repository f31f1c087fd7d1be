//! What is left of the other application's after everything was asked: all of it, and nobody behind us was told otherwise.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::authorization_matrix::Findings;
use crate::authorization_matrix::platform::{Platform, merchant_of};

/// What the other application is shown of its own.
pub async fn kept_by_other(platform: &Platform) -> BTreeMap<String, Value> {
    let merchant = platform.foreign.value("{merchant}");
    let catalog = format!("/catalog/v2.0/merchants/{merchant}");
    let paths = [
        "/events/v1.0/events:polling".to_owned(),
        "/comanda/v1/webhook/deliveries".to_owned(),
        "/comanda/v1/webhook".to_owned(),
        format!("{catalog}/categories?include_items=true"),
        format!("{catalog}/products"),
        format!("{catalog}/batch/{}", platform.foreign.value("{batch}")),
        format!("/merchant/v1.0/merchants/{merchant}/interruptions"),
        format!("/merchant/v1.0/merchants/{merchant}/opening-hours"),
        format!("/comanda/v1/merchants/{merchant}/menu"),
    ];
    let mut kept = BTreeMap::new();
    for path in paths {
        let answer = platform.other.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        kept.insert(path, answer.json());
    }
    kept
}

/// Nothing was tried on what is not the application's own.
pub fn check_peers(platform: &Platform, findings: &mut Findings) {
    let (own, peers) = (merchant_of(&platform.own), &platform.rig.peers);
    for act in peers.core.acts.lock().iter() {
        findings.check(*act.merchant_id == *own.as_bytes(), || format!("an action on another one's order: {act:?}"));
    }
    for order in peers.core.submissions.orders() {
        findings.check(order["merchant"]["id"] == own.to_string(), || format!("an order was simulated: {order}"));
    }
    for asked in peers.fallback.replays.asked.lock().iter() {
        let of = asked.of.clone().unwrap_or_default();
        let is_own = of.merchants.iter().all(|merchant| *merchant.merchant_id == *own.as_bytes());
        findings.check(of.application_id == "other" || is_own, || format!("a replay of another one's: {of:?}"));
    }
    let unknown = merchant_of(&platform.unknown);
    findings.check(!peers.merchants.beats.lock().contains(&unknown), || "an unknown merchant beats".to_owned());
    findings.check(peers.feed.acknowledged_by("other").is_empty(), || "acknowledged for another one".to_owned());
}
