//! `GET /comanda/v1/merchants/{id}/presence`: transitions with their reasons, by page.

use std::sync::atomic::Ordering;

use order_model::Timestamp;
use serde_json::{Value, json};

use crate::client::Client;
use crate::documentation::differences;
use crate::rig::{Rig, merchant};

const START_MS: i64 = 1_995_000_000_000;

async fn rig() -> (Rig, Client) {
    let rig = Rig::start().await;
    for number in [1, 2, 3] {
        rig.peers.merchants.put(merchant(number), "Loja");
    }
    rig.peers.merchants.history.put(merchant(1), START_MS, 7);
    rig.peers.merchants.history.put(merchant(3), START_MS, 7);
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn path(number: u8, query: &str) -> String {
    format!("/comanda/v1/merchants/{}/presence?{query}", merchant(number))
}

fn at(minute: i64) -> String {
    Timestamp::from_unix_ms(START_MS + 60_000 * minute).to_string()
}

fn sequences(page: &Value) -> Vec<u64> {
    page["transitions"].as_array().unwrap().iter().map(|one| one["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn transitions_come_newest_first_with_their_reasons() {
    let (_rig, pos) = rig().await;
    let answer = pos.get(&path(1, "limit=2")).await;
    assert_eq!(answer.status, 200);
    let online = json!({ "status": "ONLINE", "reason": "HEARTBEAT_RECEIVED", "changedAt": at(7),
        "lastHeartbeatAt": at(7), "sequence": 7 });
    let last_heard = Timestamp::from_unix_ms(START_MS + 6 * 60_000 - 120_500).to_string();
    let offline = json!({ "status": "OFFLINE", "reason": "HEARTBEAT_TIMEOUT", "changedAt": at(6),
        "lastHeartbeatAt": last_heard, "silentForSeconds": 120, "sequence": 6 });
    assert_eq!(answer.json(), json!({ "transitions": [online, offline], "nextTo": at(6) }));
    let never = pos.get(&path(2, "")).await;
    assert_eq!((never.status.as_u16(), never.json()), (200, json!({ "transitions": [] })));
}

#[tokio::test]
async fn pages_follow_each_other_without_a_gap_and_stay_in_their_window() {
    let (_rig, pos) = rig().await;
    let (mut all, mut query) = (Vec::new(), "limit=3".to_owned());
    loop {
        let page = pos.get(&path(1, &query)).await.json();
        all.extend(sequences(&page));
        match page["nextTo"].as_str() {
            Some(to) => query = format!("limit=3&to={to}"),
            None => break,
        }
    }
    assert_eq!(all, [7, 6, 5, 4, 3, 2, 1]);
    let window = pos.get(&path(1, &format!("from={}&to={}", at(3), at(6)))).await.json();
    assert_eq!((sequences(&window), window.get("nextTo")), (vec![5, 4, 3], None), "from is in it, to is not");
}

#[tokio::test]
async fn what_is_wrong_is_refused_at_its_field() {
    let (_rig, pos) = rig().await;
    for (query, field) in [
        ("from=today", "from"),
        ("to=2026-11-20T00:00:00", "to"),
        ("from=2026-11-20T00:00:00Z&to=2026-11-19T00:00:00Z", "to"),
        ("limit=0", "limit"),
        ("limit=101", "limit"),
    ] {
        let answer = pos.get(&path(1, query)).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{query}");
    }
}

#[tokio::test]
async fn a_foreign_merchant_is_as_unknown_and_an_outage_is_503() {
    let (rig, pos) = rig().await;
    let unknown = pos.get(&path(9, "")).await;
    assert_eq!((unknown.status.as_u16(), unknown.error_code().as_str()), (403, "Forbidden"));
    let foreign = pos.get(&path(3, "")).await;
    assert_eq!((foreign.status, &foreign.body), (unknown.status, &unknown.body));
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    let granted = pos.get(&path(2, "")).await;
    assert_eq!((granted.status, &granted.body), (unknown.status, &unknown.body), "granted without existing");
    assert_eq!(rig.client.get(&path(1, "")).await.status, 401);
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    assert_eq!(pos.get(&path(1, "")).await.status, 503);
}

#[tokio::test]
async fn the_history_is_answered_as_documented() {
    let (_rig, pos) = rig().await;
    let document = pos.get("/openapi/comanda.json").await.json();
    let operation = &document["paths"]["/comanda/v1/merchants/{id}/presence"]["get"];
    for query in ["limit=2", "limit=0"] {
        let answer = pos.get(&path(1, query)).await;
        let schema = &operation["responses"][answer.status.as_str()]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), query), [""; 0]);
    }
}
