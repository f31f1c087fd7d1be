//! `Idempotency-Key`: the same request has one effect and one answer; another request, or one at the same time, has none.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::Config;
use order_model::OrderId;
use proto::gateway_core::Conflict;
use serde_json::json;

use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::rig::{Rig, config, eventually, merchant};

fn order(number: u8) -> OrderId {
    OrderId::from_bytes([number; 16])
}

async fn rig(tables: &Tables) -> (Rig, Client) {
    // Long enough for a request that the core lets wait.
    let (rig, pos) = tables.rig_with(Config { call_timeout: Duration::from_secs(15), ..config() }).await;
    rig.peers.core.put(order(1), merchant(1), "{}");
    rig.peers.core.put(order(2), merchant(2), "{}");
    rig.peers.core.put(order(3), merchant(3), "{}");
    rig.peers.core.disputes.lock().insert("own".to_owned(), order(1));
    (rig, pos.client)
}

fn path(order: OrderId, tail: &str) -> String {
    format!("/order/v1.0/orders/{order}/{tail}")
}

async fn send(pos: &Client, path: &str, key: &str, body: &str) -> Answer {
    pos.send("POST", path, &[("idempotency-key", key)], body.to_owned()).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

#[tokio::test]
async fn the_same_request_has_one_effect_and_the_same_answer_on_every_order_action() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let actions = [
        "confirm",
        "startPreparation",
        "readyToPickup",
        "dispatch",
        "requestCancellation",
        "acceptCancellation",
        "denyCancellation",
    ];
    let paths = actions.map(|tail| path(order(1), tail)).into_iter();
    let disputes = ["accept", "reject", "alternatives/a-1"].map(|tail| format!("/order/v1.0/disputes/own/{tail}"));
    for path in paths.chain(disputes) {
        let body = r#"{"reason":"r","cancellationCode":"501"}"#;
        let first = send(&pos, &path, &path, body).await;
        let again = send(&pos, &path, &path, body).await;
        assert!(first.status.is_success() && !is_replayed(&first) && is_replayed(&again), "{path}: {first:?}");
        assert_eq!((first.status, &first.body), (again.status, &again.body), "{path}");
        assert_eq!(first.headers.get("content-type"), again.headers.get("content-type"), "{path}");
        let acts = std::mem::take(&mut *rig.peers.core.acts.lock());
        assert_eq!(acts.len(), 1, "{path} was carried out once");
        assert_eq!(acts[0].idempotency_key.len(), 32, "what the core remembers it under");
    }
}

#[tokio::test]
async fn another_request_with_the_same_key_is_422_and_has_no_effect() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    assert_eq!(send(&pos, &path(order(1), "confirm"), "k", "{}").await.status, 202);
    for (path, body) in [
        (path(order(1), "confirm"), r#"{"reason":"x"}"#),
        (path(order(1), "dispatch"), "{}"),
        (path(order(2), "confirm"), "{}"),
    ] {
        let answer = send(&pos, &path, "k", body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (422, "IdempotencyKeyReused"), "{path}");
        let error = &answer.json()["error"];
        assert_eq!(error["field"], "idempotency-key");
        assert!(error["hint"].is_string());
    }
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
    let other = rig.as_application("other").await;
    assert_eq!(send(&other, &path(order(3), "confirm"), "k", "{}").await.status, 202, "keys are an application's own");
}

#[tokio::test]
async fn an_answer_is_kept_from_an_application_that_may_not_see_the_merchant_any_more() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let (seen, gone) = (path(order(1), "confirm"), path(order(2), "confirm"));
    for (path, key) in [(&seen, "1"), (&gone, "2")] {
        assert_eq!(send(&pos, path, key, "").await.status, 202);
        assert!(is_replayed(&send(&pos, path, key, "").await));
    }
    rig.peers.merchants.put(merchant(2), "Filial");
    rig.applications.put("pos", "pos-secret", &[merchant(1)]);
    let merchant_2 = format!("/merchant/v1.0/merchants/{}", merchant(2));
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    while pos.get(&merchant_2).await.status != 403 {
        assert!(tokio::time::Instant::now() < deadline, "the grant is never taken away");
    }
    let (refused, stranger) = (send(&pos, &gone, "2", "").await, send(&pos, &gone, "3", "").await);
    assert_eq!((refused.status, &refused.body), (stranger.status, &stranger.body), "as one that never had a key");
    assert_eq!(refused.status, 404);
    assert!(!is_replayed(&refused));

    let effects: Vec<String> = rig.peers.core.acts.lock().drain(..).map(|act| act.idempotency_key).collect();
    assert_eq!(send(&pos, &seen, "1", "").await.status, 202, "the other one is judged anew");
    let again: Vec<String> = rig.peers.core.acts.lock().drain(..).map(|act| act.idempotency_key).collect();
    assert_eq!(again, effects[..1], "and carried out under the key of its first effect");
    assert!(is_replayed(&send(&pos, &seen, "1", "").await));
}

#[tokio::test]
async fn a_request_at_the_same_time_is_409_and_the_first_ones_answer_is_given_once_it_is_there() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    rig.peers.core.submissions.gate_is_shut.store(true, Ordering::SeqCst);
    let first = {
        let pos = pos.clone();
        tokio::spawn(async move { send(&pos, &path(order(1), "confirm"), "k", "").await })
    };
    eventually("the core is asked", || !rig.peers.core.acts.lock().is_empty()).await;
    let second = send(&pos, &path(order(1), "confirm"), "k", "").await;
    assert_eq!((second.status.as_u16(), second.error_code().as_str()), (409, "IdempotencyKeyInUse"));
    assert!(second.headers.contains_key("retry-after"));
    rig.peers.core.submissions.open_gate();
    assert_eq!(first.await.unwrap().status, 202);
    let third = send(&pos, &path(order(1), "confirm"), "k", "").await;
    assert!(third.status == 202 && is_replayed(&third), "{third:?}");
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
}

#[tokio::test]
async fn of_many_at_once_exactly_one_is_carried_out() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let path = path(order(1), "confirm");
    let answers = futures::future::join_all((0..12).map(|_| send(&pos, &path, "k", ""))).await;
    for answer in &answers {
        assert!([202, 409].contains(&answer.status.as_u16()), "{answer:?}");
    }
    assert_eq!(answers.iter().filter(|answer| answer.status == 202 && !is_replayed(answer)).count(), 1);
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
}

#[tokio::test]
async fn a_refusal_is_kept_like_a_success_and_what_did_nothing_is_not() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let confirm = path(order(1), "confirm");
    *rig.peers.core.conflict.lock() = Some(Conflict { state: "CANCELLED".to_owned(), ..Conflict::default() });
    let refused = send(&pos, &confirm, "refused", "").await;
    *rig.peers.core.conflict.lock() = None;
    let again = send(&pos, &confirm, "refused", "").await;
    assert_eq!((refused.status.as_u16(), again.status.as_u16(), &refused.body), (409, 409, &again.body));
    assert!(is_replayed(&again));
    rig.peers.core.down.store(true, Ordering::SeqCst);
    assert_eq!(send(&pos, &confirm, "down", "").await.status, 503);
    rig.peers.core.down.store(false, Ordering::SeqCst);
    assert_eq!(send(&pos, &confirm, "down", "").await.status, 202, "a 503 is judged anew");
    let late = path(order(7), "confirm");
    assert_eq!(send(&pos, &late, "late", "").await.status, 404);
    rig.peers.core.put(order(7), merchant(1), "{}");
    assert_eq!(send(&pos, &late, "late", "").await.status, 202, "so is a 404");
    assert_eq!(send(&pos, &path(order(3), "confirm"), "foreign", "").await.status, 404);
}

#[tokio::test]
async fn a_key_survives_a_restart_and_ends_after_a_day() {
    let tables = Tables::start().await;
    let (first, pos) = rig(&tables).await;
    let confirm = path(order(1), "confirm");
    assert_eq!(send(&pos, &confirm, "k", "").await.status, 202);
    first.shutdown.cancel();
    let (second, pos) = rig(&tables).await;
    let again = send(&pos, &confirm, "k", "").await;
    assert!(again.status == 202 && is_replayed(&again), "{again:?}");
    assert!(second.peers.core.acts.lock().is_empty());
    second.clock.jump(Duration::from_secs(24 * 60 * 60 + 1));
    let pos = second.as_application("pos").await;
    let anew = send(&pos, &confirm, "k", r#"{"reason":"another request"}"#).await;
    assert!(anew.status == 202 && !is_replayed(&anew), "{anew:?}");
    assert_eq!(second.peers.core.acts.lock().len(), 1);
}

/// Whoever held the key died: the next request is carried out in its place, under the same key of the core.
#[tokio::test]
async fn after_a_crash_the_request_is_carried_out_again_under_the_same_effect_key() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let confirm = path(order(1), "confirm");
    rig.peers.core.submissions.gate_is_shut.store(true, Ordering::SeqCst);
    let ask = || {
        let (pos, confirm) = (pos.clone(), confirm.clone());
        tokio::spawn(async move { send(&pos, &confirm, "k", "").await })
    };
    let lost = ask();
    eventually("the core has it", || rig.peers.core.acts.lock().len() == 1).await;
    rig.clock.jump(Duration::from_secs(31));
    let second = ask();
    eventually("the core has it again", || rig.peers.core.acts.lock().len() == 2).await;
    rig.peers.core.submissions.open_gate();
    assert_eq!((lost.await.unwrap().status.as_u16(), second.await.unwrap().status.as_u16()), (202, 202));
    assert!(is_replayed(&send(&pos, &confirm, "k", "").await));
    let acts = rig.peers.core.acts.lock();
    assert_eq!(acts[0].idempotency_key, acts[1].idempotency_key, "so that the core has one effect of both");
}

#[tokio::test]
async fn a_key_that_is_none_is_400_and_without_the_table_nothing_is_done() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let confirm = path(order(1), "confirm");
    for wrong in ["", &"k".repeat(256), "a\tb"] {
        let answer = send(&pos, &confirm, wrong, "").await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!("idempotency-key")));
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(pos.send("POST", &confirm, &twice, "").await.status, 400);
    assert_eq!(send(&pos, &confirm, &"k".repeat(255), "").await.status, 202);
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
    let cut_off = Rig::start().await;
    cut_off.peers.core.put(order(1), merchant(1), "{}");
    let pos = cut_off.as_application("pos").await;
    assert_eq!(send(&pos, &confirm, "k", "").await.status, 503);
    assert!(cut_off.peers.core.acts.lock().is_empty());
    assert_eq!(pos.post(&confirm, "").await.status, 202, "who sends no key needs no table");
}

#[tokio::test]
async fn a_key_needs_a_token_that_counts() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let confirm = path(order(1), "confirm");
    assert_eq!(send(&pos, &confirm, "k", "").await.status, 202);
    assert_eq!(send(&rig.client, &confirm, "k", "").await.status, 401, "not even the answer");
}
