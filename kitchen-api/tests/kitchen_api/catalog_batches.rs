//! Asynchronous batches: accepted when stored, worked off by anybody, each entry with its result.

use std::time::Duration;

use serde_json::{Value, json};

use crate::catalog_table::{Pos, Tables, burger, simple_item};

fn prices(entries: usize, value: u32) -> Value {
    (0..entries).map(|number| json!({ "itemId": format!("i{}", number % 3), "price": { "value": value } })).collect()
}

async fn three_items(pos: &Pos) {
    pos.category("lanches").await;
    for number in 0..3 {
        pos.done("PUT", "/items", &simple_item(&format!("i{number}"), "lanches", 1)).await;
    }
}

async fn take(pos: &Pos, tail: &str, body: &Value) -> String {
    let answer = pos.send("PATCH", tail, body).await;
    assert_eq!(answer.status, 202, "{:?}", answer.body);
    answer.json()["batchId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_batch_is_accepted_and_each_entry_has_its_result() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    three_items(&pos).await;
    pos.done("PUT", "/items", &burger()).await;
    let mixed = json!([
        { "itemId": "i0", "price": { "value": 5.55 } },
        { "itemId": "none", "price": { "value": 1 } },
        { "itemId": "i1", "priceByCatalog": [{ "catalogContext": "INDOOR", "value": 4 }] },
        { "itemId": "i0", "price": { "value": 6.66 } },
    ]);
    let batch = take(&pos, "/items/price", &mixed).await;
    let found = pos.finished(&batch).await;
    assert_eq!((&found["total"], &found["processed"], &found["failed"]), (&json!(4), &json!(4), &json!(1)));
    let results: Vec<(&str, &str)> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| (result["resourceId"].as_str().unwrap(), result["result"].as_str().unwrap()))
        .collect();
    assert_eq!(results, [("i0", "SUCCESS"), ("none", "FAILED"), ("i1", "SUCCESS"), ("i0", "SUCCESS")]);
    assert!(found["results"][1]["message"].as_str().unwrap().contains("no such"));
    assert!(found["finishedAt"].as_str() >= found["createdAt"].as_str());
    assert_eq!(pos.get("/items/i0").await.json()["price"]["value"], json!(6.66), "in their order");
    for (tail, body) in [
        ("/items/status", json!([{ "itemId": "i2", "status": "UNAVAILABLE" }])),
        ("/options/price", json!([{ "optionId": "fries", "price": { "value": 8 } }])),
        ("/options/status", json!([{ "optionId": "rings", "status": "UNAVAILABLE" }])),
    ] {
        let batch = take(&pos, tail, &body).await;
        assert_eq!(pos.finished(&batch).await["failed"], 0, "{tail}");
    }
    assert_eq!(pos.get("/items/i2").await.json()["status"], "UNAVAILABLE");
    let options = pos.get("/items/burger").await.json()["optionGroups"][0]["options"].clone();
    assert_eq!((&options[0]["status"], &options[1]["price"]["value"]), (&json!("UNAVAILABLE"), &json!(8.0)));
    for unknown in ["none", &batch[..8]] {
        assert_eq!(pos.get(&format!("/batch/{unknown}")).await.error_code(), "NotFound");
    }
}

#[tokio::test]
async fn a_batch_outlives_whoever_took_it() {
    let tables = Tables::start().await;
    let (one, first) = tables.rig().await;
    three_items(&first).await;
    let batch = take(&first, "/items/price", &prices(2_000, 42)).await;
    // Killed with some of it done: nothing of it winds down.
    let done = loop {
        let found = first.get(&format!("/batch/{batch}")).await.json();
        let processed = found["processed"].as_u64().unwrap();
        if processed > 0 {
            break processed;
        }
    };
    one.running.abort();
    assert!(one.running.await.unwrap_err().is_cancelled());
    let (two, second) = tables.rig().await;
    let found = second.get(&format!("/batch/{batch}")).await.json();
    let left = found["processed"].as_u64().unwrap();
    assert!(done <= left && left < 2_000, "it was killed in the middle: {left}");
    // Its lease is not over yet; then another one takes it.
    two.clock.jump(Duration::from_secs(60));
    let found = second.finished(&batch).await;
    assert_eq!((&found["processed"], &found["failed"]), (&json!(2_000), &json!(0)));
    let succeeded = found["results"].as_array().unwrap().iter().filter(|result| result["result"] == "SUCCESS");
    assert_eq!(succeeded.count(), 2_000);
    for number in 0..3 {
        assert_eq!(second.get(&format!("/items/i{number}")).await.json()["price"]["value"], json!(42.0));
    }
}

#[tokio::test]
async fn a_service_that_is_shut_down_gives_its_batch_to_another_one_at_once() {
    let tables = Tables::start().await;
    let (one, first) = tables.rig().await;
    three_items(&first).await;
    let batch = take(&first, "/items/price", &prices(2_000, 43)).await;
    while first.get(&format!("/batch/{batch}")).await.json()["processed"] == 0 {}
    one.shutdown.cancel();
    one.running.await.unwrap().unwrap();
    let (_two, second) = tables.rig().await;
    assert_eq!(second.finished(&batch).await["failed"], 0, "without its lease having to run out");
}

#[tokio::test]
async fn a_big_batch_is_in_nobodys_way() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    three_items(&pos).await;
    let batch = take(&pos, "/items/price", &prices(2_000, 44)).await;
    let price = json!({ "itemId": "i0", "status": "UNAVAILABLE" });
    pos.done("PATCH", "/items/status", &price).await;
    pos.done("PUT", "/items", &burger()).await;
    let small = take(&pos, "/items/price", &prices(1, 45)).await;
    assert_eq!(pos.finished(&small).await["failed"], 0);
    let big = pos.get(&format!("/batch/{batch}")).await.json();
    assert_eq!(big["batchStatus"], "COMPLETED", "a merchant's batches are worked off in their order");
    let item = pos.get("/items/i0").await.json();
    assert_eq!((&item["price"]["value"], &item["status"]), (&json!(45.0), &json!("UNAVAILABLE")));
}

#[tokio::test]
async fn a_finished_batch_expires_and_an_unfinished_one_does_not() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    three_items(&pos).await;
    let batch = take(&pos, "/items/price", &prices(60, 46)).await;
    pos.finished(&batch).await;
    let items = tables.dynamodb().scan().table_name("t-catalog").send().await.unwrap();
    let expiring = items.items().iter().filter(|item| item.contains_key("expires_at_s"));
    let names: Vec<&str> = expiring.map(|item| item["sk"].as_s().unwrap().as_str()).collect();
    assert_eq!(names.len(), 3, "the batch and its two pages: {names:?}");
    assert!(items.items().iter().all(|item| !item["pk"].as_s().unwrap().starts_with("pending")));
    drop(rig);
}
