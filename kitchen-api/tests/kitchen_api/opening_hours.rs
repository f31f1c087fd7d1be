//! PARTNER_API, section 1.5: opening hours.

use std::sync::atomic::Ordering;

use proto::merchant_connection::Interruption;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::rig::{Rig, merchant};

async fn rig() -> (Rig, Client) {
    let rig = Rig::start().await;
    for number in 1..=3 {
        rig.peers.merchants.put(merchant(number), &format!("Loja {number}"));
    }
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn path(number: u8) -> String {
    format!("/merchant/v1.0/merchants/{}/opening-hours", merchant(number))
}

fn shift(day: &str, start: &str, duration: u32) -> Value {
    json!({ "dayOfWeek": day, "start": start, "duration": duration })
}

async fn put(client: &Client, number: u8, body: &Value) -> Answer {
    client.send("PUT", &path(number), &[], body.to_string()).await
}

fn without_ids(mut hours: Value) -> Vec<Value> {
    let shifts = hours["shifts"].as_array_mut().unwrap();
    shifts.iter_mut().for_each(|shift| drop(shift.as_object_mut().unwrap().remove("id")));
    std::mem::take(shifts)
}

#[tokio::test]
async fn a_put_replaces_every_shift_and_a_get_shows_them_with_ids() {
    let (_rig, pos) = rig().await;
    let before = pos.get(&path(1)).await.json();
    assert_eq!(before["shifts"].as_array().unwrap().len(), 7);
    assert_eq!(before["shifts"][0]["start"], "00:00:00");
    // The second crosses midnight, the third the end of the week.
    let shifts =
        [shift("MONDAY", "09:00:00", 300), shift("SATURDAY", "22:30:00", 240), shift("SUNDAY", "23:00:00", 600)];
    let body = json!({ "storeId": merchant(1).to_string(), "shifts": shifts });
    let answer = put(&pos, 1, &body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(without_ids(answer.json()), shifts);
    let hours = pos.get(&path(1)).await.json();
    assert_eq!(hours["shifts"], answer.json()["shifts"]);
    let ids: Vec<&str> =
        hours["shifts"].as_array().unwrap().iter().map(|shift| shift["id"].as_str().unwrap()).collect();
    assert!(ids.iter().all(|id| uuid::Uuid::parse_str(id).is_ok()), "{ids:?}");
    assert_eq!(pos.get(&path(2)).await.json()["shifts"].as_array().unwrap().len(), 7, "the other store's stay");
    let closed = put(&pos, 1, &json!({ "shifts": [] })).await;
    assert_eq!((closed.status.as_u16(), pos.get(&path(1)).await.json()), (201, json!({ "shifts": [] })));
}

/// `storeId` is the merchant of the path, when it is sent at all; what else a client adds is not looked at.
#[tokio::test]
async fn the_store_may_be_named_again_and_unknown_fields_are_left_alone() {
    let (_rig, pos) = rig().await;
    let monday = || vec![shift("MONDAY", "09:00:00", 60)];
    for store in [json!(merchant(1).to_string()), json!(merchant(1).to_string().to_uppercase()), Value::Null] {
        let mut extended = monday();
        extended[0]["label"] = json!("almoço");
        let body = json!({ "storeId": store, "shifts": extended, "updatedBy": { "name": "pos" } });
        let answer = put(&pos, 1, &body).await;
        assert_eq!((answer.status.as_u16(), without_ids(answer.json())), (201, monday()), "{store}");
    }
}

/// Clients send back what they read, ids and all.
#[tokio::test]
async fn what_was_read_can_be_put_again_and_keeps_its_ids() {
    let (_rig, pos) = rig().await;
    let before = pos.get(&path(1)).await.json();
    let answer = put(&pos, 1, &before).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["shifts"]), (201, &before["shifts"]));
}

#[tokio::test]
async fn what_does_not_fit_is_a_400_that_names_its_field() {
    let (rig, pos) = rig().await;
    for (field, body) in [
        ("storeId", json!({ "storeId": merchant(2).to_string(), "shifts": [] })),
        ("shifts", json!({ "storeId": merchant(1).to_string() })),
        ("shifts", json!({ "shifts": vec![shift("MONDAY", "09:00:00", 1); 85] })),
        ("dayOfWeek", json!({ "shifts": [shift("HOLIDAY", "09:00:00", 60)] })),
        ("start", json!({ "shifts": [shift("MONDAY", "24:00:00", 60)] })),
        ("duration", json!({ "shifts": [shift("MONDAY", "09:00:00", 0)] })),
        ("duration", json!({ "shifts": [shift("MONDAY", "09:00:00", 1441)] })),
    ] {
        let answer = put(&pos, 1, &body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{body}");
        assert_eq!(answer.json()["error"]["field"], field, "{body}");
    }
    assert_eq!(rig.peers.merchants.puts.load(Ordering::SeqCst), 0, "nothing was tried");
    for body in ["", "[]", "{"] {
        assert_eq!(pos.send("PUT", &path(1), &[], body).await.status, 400, "{body}");
    }
    rig.peers.merchants.shifts_overlap.store(true, Ordering::SeqCst);
    let answer = put(&pos, 1, &json!({ "shifts": [shift("MONDAY", "09:00", 60), shift("MONDAY", "09:59", 60)] })).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"));
    assert_eq!(answer.json()["error"]["field"], "shifts");
    assert_eq!(pos.get(&path(1)).await.json()["shifts"].as_array().unwrap().len(), 7, "all is as it was");
}

#[tokio::test]
async fn a_change_made_at_the_same_time_is_tried_again_and_in_the_end_a_503() {
    let (rig, pos) = rig().await;
    let hours = json!({ "shifts": [shift("MONDAY", "09:00:00", 300)] });
    rig.peers.merchants.overtaken.store(1, Ordering::SeqCst);
    assert_eq!(put(&pos, 1, &hours).await.status, 201);
    assert_eq!(without_ids(pos.get(&path(1)).await.json()), [shift("MONDAY", "09:00:00", 300)]);
    rig.peers.merchants.overtaken.store(99, Ordering::SeqCst);
    let answer = put(&pos, 1, &hours).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}

/// They count as gone, and must not stand in the way of a change: those of an earlier release may even overlap.
#[tokio::test]
async fn a_put_forgets_the_interruptions_that_are_over_and_keeps_the_others() {
    let (rig, pos) = rig().await;
    let pause =
        |id: &str, start_ms, end_ms| Interruption { id: id.to_owned(), start_ms, end_ms, ..Interruption::default() };
    let coming = pause("coming", 1_996_000_000_000, 1_996_000_001_000);
    let all = vec![pause("over", 1_000, 3_000), pause("over, too", 2_000, 4_000), coming.clone()];
    rig.peers.merchants.change(merchant(1), |merchant| merchant.interruptions = all);
    assert_eq!(put(&pos, 1, &json!({ "shifts": [] })).await.status, 201);
    assert_eq!(rig.peers.merchants.merchants.lock()[&merchant(1)].interruptions, [coming]);
}

#[tokio::test]
async fn a_foreign_and_an_unknown_merchant_are_403_alike_and_without_a_token_it_is_401() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    let foreign = pos.get(&path(3)).await;
    assert_eq!((foreign.status.as_u16(), foreign.error_code().as_str()), (403, "Forbidden"));
    for number in [3, 2, 99] {
        for (method, body) in [("GET", ""), ("PUT", r#"{"shifts":[]}"#)] {
            let answer = pos.send(method, &path(number), &[], body).await;
            assert_eq!((answer.status, &answer.body), (foreign.status, &foreign.body), "{method} {number}");
            let answer = rig.client.send(method, &path(number), &[], body).await;
            assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (401, "Unauthorized"));
        }
    }
    assert_eq!(rig.peers.merchants.puts.load(Ordering::SeqCst), 0, "nothing was tried");
}

#[tokio::test]
async fn without_merchant_connection_they_are_503() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    for (method, body) in [("GET", ""), ("PUT", r#"{"shifts":[]}"#)] {
        let answer = pos.send(method, &path(1), &[], body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"), "{method}");
    }
}
