//! Several writers at one menu, through two kitchen-apis on one table: nothing is lost, nothing is half there.

use std::collections::BTreeSet;

use futures::future::join_all;
use serde_json::{Value, json};

use crate::catalog_table::{Tables, burger, simple_item};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_at_the_same_time_are_all_kept() {
    let tables = Tables::start().await;
    let (_one, first) = tables.rig().await;
    let (_two, second) = tables.rig().await;
    first.category("lanches").await;
    let puts = (0..16).map(|number| {
        let pos = if number % 2 == 0 { first.clone() } else { second.clone() };
        async move { pos.done("PUT", "/items", &simple_item(&format!("i{number}"), "lanches", number)).await }
    });
    join_all(puts).await;
    let items = second.get("/categories/lanches/items").await.json();
    assert_eq!(items["items"].as_array().unwrap().len(), 16);
    // Price and status of one item, by different writers.
    let price = json!({ "itemId": "i1", "price": { "value": 77 } });
    let status = json!({ "itemId": "i1", "status": "UNAVAILABLE" });
    let (_, _) =
        tokio::join!(first.done("PATCH", "/items/price", &price), second.done("PATCH", "/items/status", &status));
    let item = first.get("/items/i1").await.json();
    assert_eq!((&item["price"]["value"], &item["status"]), (&json!(77.0), &json!("UNAVAILABLE")));
    // Of those who saw the same version, one wins.
    let seen = first.get("/items/i2").await.headers["etag"].to_str().unwrap().to_owned();
    let races = (0..8).map(|number| {
        let (pos, seen) = (if number % 2 == 0 { first.clone() } else { second.clone() }, seen.clone());
        async move {
            let body = json!({ "itemId": "i2", "price": { "value": 100 + number } }).to_string();
            pos.client.send("PATCH", &crate::catalog_table::path("/items/price"), &[("if-match", &seen)], body).await
        }
    });
    let answers = join_all(races).await;
    let won: Vec<&crate::client::Answer> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 412).count(), 7);
    assert_eq!(first.get("/items/i2").await.json()["price"], won[0].json()["price"]);
}

/// A category is removed while items are put into it: one of the two wins, and no item is left without a category.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_category_does_not_go_while_an_item_comes() {
    let tables = Tables::start().await;
    let (_one, first) = tables.rig().await;
    let (_two, second) = tables.rig().await;
    for round in 0..8 {
        let category = format!("k{round}");
        first.category(&category).await;
        let (item, tail) = (simple_item(&format!("i{round}"), &category, 1), format!("/categories/{category}"));
        let (put, removed) =
            tokio::join!(first.send("PUT", "/items", &item), second.send("DELETE", &tail, &Value::Null));
        match (put.status.as_u16(), removed.status.as_u16()) {
            (200, 409) => assert_eq!(first.get(&tail).await.status, 200),
            (400, 204) => assert_eq!(second.get(&format!("/items/i{round}")).await.status, 404),
            other => panic!("{other:?}: {:?} {:?}", put.body, removed.body),
        }
    }
}

/// Two writers put the same large item, larger than one transaction, again and again; a reader never sees half of one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_item_is_never_seen_half() {
    let tables = Tables::start().await;
    let (_one, first) = tables.rig().await;
    let (_two, second) = tables.rig().await;
    first.category("lanches").await;
    let large = |letter: char| {
        let mut body = burger();
        let ids: Vec<String> = (0..60).map(|number| format!("{letter}{number}")).collect();
        body["optionGroups"][0]["optionIds"] = json!(ids);
        body["products"].as_array_mut().unwrap().extend(ids.iter().map(|id| json!({ "id": id, "name": id })));
        body["options"] = ids.iter().map(|id| json!({ "id": id, "productId": id, "price": { "value": 1 } })).collect();
        body
    };
    first.done("PUT", "/items", &large('a')).await;
    let write = async {
        for _ in 0..3 {
            let bodies = (large('a'), large('b'));
            let (left, right) =
                tokio::join!(first.send("PUT", "/items", &bodies.0), second.send("PUT", "/items", &bodies.1));
            assert!(left.status == 200 && right.status == 200, "{left:?} {right:?}");
        }
    };
    let read = async {
        for _ in 0..20 {
            let item = second.get("/items/burger").await.json();
            let options = item["optionGroups"][0]["options"].as_array().unwrap().clone();
            let letters: BTreeSet<&str> = options.iter().map(|option| &option["id"].as_str().unwrap()[..1]).collect();
            assert_eq!((options.len(), letters.len()), (60, 1), "{letters:?}");
        }
    };
    tokio::join!(write, read);
}
