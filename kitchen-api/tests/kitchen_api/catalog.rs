//! PARTNER_API, section 1.6: each row of it, and whose catalog it is.

use serde_json::{Value, json};

use crate::catalog_table::{Pos, Tables, burger, path, simple_item};
use crate::documentation::differences;
use crate::rig::{Rig, merchant};

async fn catalog_id(pos: &Pos) -> String {
    pos.get("/catalogs").await.json()[0]["catalogId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_merchant_has_one_catalog_from_the_start() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let answer = pos.get("/catalogs").await;
    assert_eq!(answer.status, 200);
    let catalogs = answer.json();
    assert_eq!((catalogs.as_array().unwrap().len(), &catalogs[0]["context"]), (1, &json!(["DEFAULT"])));
    assert_eq!(catalogs[0]["status"], "AVAILABLE");
    let id = catalog_id(&pos).await;
    assert_eq!(pos.get(&format!("/catalogs/{id}/categories")).await.json(), json!([]));
    assert_eq!(pos.get("/catalogs/another/categories").await.error_code(), "NotFound");
    pos.category("lanches").await;
    let after = pos.get("/catalogs").await.json();
    assert_eq!(after[0]["catalogId"], id.as_str());
    assert!(after[0]["modifiedAt"].as_str() > catalogs[0]["modifiedAt"].as_str(), "{after}");
    let other = rig.as_application("other").await;
    let other = other.get(&format!("/catalog/v2.0/merchants/{}/catalogs", merchant(3))).await.json();
    assert_ne!(other[0]["catalogId"], id.as_str());
}

/// A catalog is as old as its merchant until somebody edits it.
#[tokio::test]
async fn a_catalog_that_was_never_edited_was_modified_when_its_merchant_was_made() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    rig.peers.merchants.change(merchant(1), |merchant| merchant.created_at_ms = 1_790_000_000_123);
    let modified_at = async || pos.get("/catalogs").await.json()[0]["modifiedAt"].as_str().unwrap().to_owned();
    let made_at = order_model::Timestamp::from_unix_ms(1_790_000_000_123).to_string();
    assert_eq!(modified_at().await, made_at);
    rig.peers.merchants.down.store(true, std::sync::atomic::Ordering::SeqCst);
    assert_eq!(pos.get("/catalogs").await.status, 200, "the catalog itself is there");
    rig.peers.merchants.down.store(false, std::sync::atomic::Ordering::SeqCst);
    pos.category("lanches").await;
    assert!(modified_at().await > made_at);
    pos.send("DELETE", "/categories/lanches", &Value::Null).await;
    assert!(modified_at().await > made_at, "an emptied one was edited");
}

#[tokio::test]
async fn categories_are_created_listed_changed_and_removed() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let id = catalog_id(&pos).await;
    let new = json!({ "name": "Lanches", "status": "AVAILABLE", "template": "DEFAULT", "index": 5 });
    let answer = pos.send("POST", "/categories", &new).await;
    assert_eq!(answer.status, 201);
    let first = answer.json();
    assert_eq!((&first["name"], &first["sequence"], &first["index"]), (&json!("Lanches"), &json!(5), &json!(5)));
    let pizza = json!({ "id": "pizzas", "name": "Pizzas", "template": "PIZZA", "extra": 1 });
    let second = pos.done("POST", &format!("/catalogs/{id}/categories"), &pizza).await;
    assert_eq!((&second["id"], &second["template"]), (&json!("pizzas"), &json!("PIZZA")));
    assert_eq!(pos.send("POST", "/categories", &pizza).await.status, 201, "the same again is the same");
    let other = json!({ "id": "pizzas", "name": "Massas" });
    assert_eq!(pos.send("POST", "/categories", &other).await.status, 409);
    for list in ["/categories".to_owned(), format!("/catalogs/{id}/categories")] {
        assert_eq!(pos.get(&list).await.json(), json!([second, first]), "by their index: {list}");
    }
    let one = format!("/categories/{}", first["id"].as_str().unwrap());
    let changed = pos.done("PATCH", &one, &json!({ "status": "UNAVAILABLE", "index": 0 })).await;
    assert_eq!((&changed["status"], &changed["name"]), (&json!("UNAVAILABLE"), &json!("Lanches")));
    assert_eq!(pos.get(&one).await.json(), changed);
    assert_eq!(pos.send("DELETE", &one, &Value::Null).await.status, 204);
    for (method, body) in [("DELETE", Value::Null), ("GET", Value::Null), ("PATCH", json!({}))] {
        assert_eq!(pos.send(method, &one, &body).await.error_code(), "NotFound", "{method}");
    }
    assert_eq!(pos.get("/categories").await.json(), json!([second]));
}

#[tokio::test]
async fn an_item_comes_with_its_products_groups_and_options_and_is_read_everywhere() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    pos.category("bebidas").await;
    let item = pos.done("PUT", "/items", &burger()).await;
    assert_eq!(
        (&item["id"], &item["name"], &item["productId"]),
        (&json!("burger"), &json!("X-Burguer"), &json!("p-burger"))
    );
    let text = String::from_utf8(pos.get("/items/burger").await.body.to_vec()).unwrap();
    for decimal in [r#""value":10.00"#, r#""originalValue":15.50"#, r#""value":13.07"#, r#""value":3.50"#] {
        assert!(text.contains(decimal), "{decimal}: {text}");
    }
    let group = &item["optionGroups"][0];
    assert_eq!((&group["min"], &group["max"], &item["hasOptionGroups"]), (&json!(1), &json!(2), &json!(true)));
    let options: Vec<&Value> = group["options"].as_array().unwrap().iter().map(|option| &option["name"]).collect();
    assert_eq!(options, [&json!("Anéis"), &json!("Batata")], "by their index");
    assert_eq!((&item["shifts"][0]["endTime"], &item["shifts"][0]["friday"]), (&json!("20:59"), &json!(false)));
    let contexts = item["contextModifiers"].as_array().unwrap();
    assert_eq!((contexts.len(), &contexts[0]["catalogContext"]), (2, &json!("DEFAULT")));
    assert_eq!((&contexts[1]["catalogContext"], &contexts[1]["status"]), (&json!("WHITELABEL"), &json!("UNAVAILABLE")));
    assert_ne!(contexts[0]["itemContextId"], contexts[1]["itemContextId"]);
    let soda = pos.done("PUT", "/items", &simple_item("soda", "bebidas", 6)).await;
    assert_eq!(pos.get("/items/burger").await.json(), item);
    for spelling in ["include_items", "includeItems"] {
        let all = pos.get(&format!("/categories?{spelling}=true")).await.json();
        assert_eq!((&all[0]["items"], &all[1]["items"]), (&json!([soda]), &json!([item])));
    }
    assert!(pos.get("/categories").await.json()[0].get("items").is_none());
    let of_one = pos.get("/categories/lanches/items").await.json();
    assert_eq!((&of_one["categoryId"], &of_one["items"]), (&json!("lanches"), &json!([item])));
    assert_eq!(of_one["products"][0]["id"], "p-burger");
    assert_eq!(pos.get("/categories/none/items").await.error_code(), "NotFound");
    // The same again is the same, another category is a move.
    let version = pos.get("/items/burger").await.headers["etag"].clone();
    pos.done("PUT", "/items", &burger()).await;
    assert_eq!(pos.get("/items/burger").await.headers["etag"], version);
    let mut moved = burger();
    moved["item"]["categoryId"] = json!("bebidas");
    pos.done("PUT", "/items", &moved).await;
    assert_eq!(pos.get("/categories/lanches/items").await.json()["items"], json!([]));
    assert_eq!(pos.get("/categories/bebidas/items").await.json()["items"].as_array().unwrap().len(), 2);
    let refused = pos.send("DELETE", "/categories/bebidas", &Value::Null).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (409, "Conflict"), "it has items");
    for item in ["burger", "soda"] {
        assert_eq!(pos.send("DELETE", &format!("/items/{item}"), &Value::Null).await.status, 204);
    }
    assert_eq!(pos.send("DELETE", "/items/soda", &Value::Null).await.status, 404);
    assert_eq!(pos.send("DELETE", "/categories/bebidas", &Value::Null).await.status, 204);
    assert_eq!(pos.get("/products/p-burger").await.status, 200, "a product stays");
}

/// Every field of an item that can be sent, as PARTNER_API names it, each with a value that is no default.
fn full_item() -> Value {
    json!({
        "item": {
            "id": "pizza", "type": "COMBO", "categoryId": "pizzas", "status": "UNAVAILABLE", "productId": "p-pizza",
            "price": { "value": 45.5, "originalValue": 50.25 }, "externalCode": "X-PIZZA", "index": 7,
            "shifts": [
                { "startTime": "08:05", "endTime": "11:59", "monday": true, "tuesday": false, "wednesday": true,
                  "thursday": false, "friday": true, "saturday": false, "sunday": true },
                { "startTime": "18:30:00", "endTime": "23:59", "monday": false, "tuesday": true, "wednesday": false,
                  "thursday": true, "friday": false, "saturday": true, "sunday": false },
            ],
            "contextModifiers": [
                { "catalogContext": "WHITELABEL", "price": { "value": 41.5, "originalValue": 42.5 },
                  "status": "AVAILABLE", "externalCode": "X-WHITE" },
                { "catalogContext": "INDOOR", "price": { "value": 39.75 }, "status": "UNAVAILABLE",
                  "externalCode": "X-INDOOR" },
                { "catalogContext": "DEFAULT", "price": { "value": 44.25 }, "status": "AVAILABLE",
                  "externalCode": "X-DEFAULT" },
            ],
        },
        "products": [
            { "id": "p-pizza", "name": "Pizza grande", "description": "Massa fina", "additionalInformation": "Forno a lenha",
              "externalCode": "P-PIZZA", "ean": "7890000000017", "imagePath": "https://x.example/pizza.png",
              "serving": "SERVES_4", "dietaryRestrictions": ["VEGETARIAN", "ORGANIC"],
              "optionGroups": [{ "id": "borders", "min": 1, "max": 3 }] },
            { "id": "p-cheddar", "name": "Cheddar", "description": "Cremoso", "externalCode": "P-CHEDDAR",
              "imagePath": "cheddar.jpg" },
        ],
        "optionGroups": [{ "id": "borders", "name": "Bordas", "externalCode": "G-BORDERS", "status": "UNAVAILABLE",
            "index": 3, "optionGroupType": "CRUST", "optionIds": ["cheddar"] }],
        "options": [{ "id": "cheddar", "productId": "p-cheddar", "status": "UNAVAILABLE", "index": 2,
            "price": { "value": 6.25, "originalValue": 8.75 }, "externalCode": "O-CHEDDAR",
            "contextModifiers": [{ "catalogContext": "WHITELABEL", "price": { "value": 5.5 }, "status": "AVAILABLE",
                "externalCode": "O-WHITE" }] }],
    })
}

#[tokio::test]
async fn every_field_of_an_item_that_was_sent_is_read_back() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("pizzas").await;
    let sent = full_item();
    let put = pos.done("PUT", "/items", &sent).await;
    let read = pos.get("/items/pizza").await.json();
    assert_eq!(put, read, "what is put is answered");
    // Where it is read, and where it was sent.
    for (answered, asked) in [
        ("/id", "/item/id"),
        ("/type", "/item/type"),
        ("/categoryId", "/item/categoryId"),
        ("/productId", "/item/productId"),
        ("/status", "/item/status"),
        ("/externalCode", "/item/externalCode"),
        ("/index", "/item/index"),
        ("/sequence", "/item/index"),
        ("/price", "/item/price"),
        ("/shifts/0", "/item/shifts/0"),
        ("/name", "/products/0/name"),
        ("/description", "/products/0/description"),
        ("/additionalInformation", "/products/0/additionalInformation"),
        ("/ean", "/products/0/ean"),
        ("/imagePath", "/products/0/imagePath"),
        ("/serving", "/products/0/serving"),
        ("/dietaryRestrictions", "/products/0/dietaryRestrictions"),
        ("/optionGroups/0/id", "/products/0/optionGroups/0/id"),
        ("/optionGroups/0/min", "/products/0/optionGroups/0/min"),
        ("/optionGroups/0/max", "/products/0/optionGroups/0/max"),
        ("/optionGroups/0/name", "/optionGroups/0/name"),
        ("/optionGroups/0/externalCode", "/optionGroups/0/externalCode"),
        ("/optionGroups/0/status", "/optionGroups/0/status"),
        ("/optionGroups/0/index", "/optionGroups/0/index"),
        ("/optionGroups/0/sequence", "/optionGroups/0/index"),
        ("/optionGroups/0/optionGroupType", "/optionGroups/0/optionGroupType"),
        ("/optionGroups/0/options/0/id", "/options/0/id"),
        ("/optionGroups/0/options/0/productId", "/options/0/productId"),
        ("/optionGroups/0/options/0/status", "/options/0/status"),
        ("/optionGroups/0/options/0/index", "/options/0/index"),
        ("/optionGroups/0/options/0/price", "/options/0/price"),
        ("/optionGroups/0/options/0/externalCode", "/options/0/externalCode"),
        ("/optionGroups/0/options/0/contextModifiers/0", "/options/0/contextModifiers/0"),
        ("/optionGroups/0/options/0/name", "/products/1/name"),
        ("/optionGroups/0/options/0/description", "/products/1/description"),
        ("/optionGroups/0/options/0/imagePath", "/products/1/imagePath"),
    ] {
        assert!(sent.pointer(asked).is_some(), "{asked}");
        assert_eq!(read.pointer(answered), sent.pointer(asked), "{answered}");
    }
    assert_eq!(read["hasOptionGroups"], json!(true));
    assert_eq!(read["shifts"].as_array().unwrap().len(), 2);
    let mut evening = sent["item"]["shifts"][1].clone();
    evening["startTime"] = json!("18:30");
    assert_eq!(read["shifts"][1], evening, "seconds are not answered");
    assert_eq!(read["optionGroups"][0]["options"].as_array().unwrap().len(), 1);
    contexts_are_read_back(&read, &sent);
}

/// In the order of the contexts, each with an id of its own that is the item's and stays.
fn contexts_are_read_back(read: &Value, sent: &Value) {
    let modifiers = read["contextModifiers"].as_array().unwrap();
    let contexts: Vec<&Value> = modifiers.iter().map(|one| &one["catalogContext"]).collect();
    assert_eq!(contexts, [&json!("DEFAULT"), &json!("WHITELABEL"), &json!("INDOOR")]);
    let mut ids = std::collections::BTreeSet::new();
    for one in modifiers {
        let asked = sent["item"]["contextModifiers"].as_array().unwrap();
        let asked = asked.iter().find(|asked| asked["catalogContext"] == one["catalogContext"]).unwrap();
        for field in ["price", "status", "externalCode"] {
            assert_eq!(one[field], asked[field], "{field} of {}", one["catalogContext"]);
        }
        let id = one["itemContextId"].as_str().unwrap();
        assert!(uuid::Uuid::parse_str(id).is_ok() && ids.insert(id), "{id}");
    }
}

#[tokio::test]
async fn a_put_that_is_refused_changes_nothing() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    let mut broken = burger();
    broken["options"][1]["productId"] = json!("nowhere");
    let refused = pos.send("PUT", "/items", &broken).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (400, "BadRequest"));
    assert_eq!(refused.json()["error"]["field"], "options[1].productId");
    assert_eq!(pos.get("/products").await.json(), json!([]));
    assert_eq!(pos.get("/items/burger").await.status, 404);
}

#[tokio::test]
async fn an_item_larger_than_a_transaction_is_put_whole_and_pruned_whole() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    let mut large = burger();
    let ids: Vec<String> = (0..150).map(|number| format!("o{number}")).collect();
    large["optionGroups"][0]["optionIds"] = json!(ids);
    large["products"]
        .as_array_mut()
        .unwrap()
        .extend(ids.iter().map(|id| json!({ "id": format!("p-{id}"), "name": id })));
    large["options"] =
        ids.iter().map(|id| json!({ "id": id, "productId": format!("p-{id}"), "price": { "value": 1 } })).collect();
    let item = pos.done("PUT", "/items", &large).await;
    assert_eq!(item["optionGroups"][0]["options"].as_array().unwrap().len(), 150);
    assert_eq!(pos.get("/products?limit=100&page=2").await.json().as_array().unwrap().len(), 53);
    pos.done("PUT", "/items", &burger()).await;
    let gone = pos.send("PATCH", "/options/price", &json!({ "optionId": "o7", "price": { "value": 1 } })).await;
    assert_eq!(gone.status, 404, "options go with their last group");
    assert_eq!(pos.send("DELETE", "/products/p-o7", &Value::Null).await.status, 204, "and give their products back");
    let left = tables.dynamodb().scan().table_name("t-catalog").send().await.unwrap();
    let journals = left.items().iter().filter(|item| item["sk"].as_s().unwrap().starts_with("journal"));
    assert_eq!(journals.count(), 0, "nothing is left over");
}

#[tokio::test]
async fn prices_and_statuses_are_patched_at_once() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    pos.done("PUT", "/items", &burger()).await;
    let price = json!({ "itemId": "burger", "price": { "value": 12.9, "originalValue": 20 } });
    let item = pos.done("PATCH", "/items/price", &price).await;
    assert_eq!(item["price"], json!({ "value": 12.90, "originalValue": 20.00 }));
    assert_eq!(item["contextModifiers"][1]["price"]["value"], json!(13.07), "what differs by context stays");
    let by = json!({ "itemId": "burger", "priceByCatalog": [{ "catalogContext": "INDOOR", "value": 9 }] });
    let item = pos.done("PATCH", "/items/price", &by).await;
    assert_eq!((&item["price"]["value"], &item["contextModifiers"][2]["price"]["value"]), (&json!(12.9), &json!(9.0)));
    let item = pos.done("PATCH", "/items/status", &json!({ "itemId": "burger", "status": "UNAVAILABLE" })).await;
    assert_eq!(item["status"], "UNAVAILABLE");
    let by =
        json!({ "itemId": "burger", "statusByCatalog": [{ "catalogContext": "WHITELABEL", "status": "AVAILABLE" }] });
    let item = pos.done("PATCH", "/items/status", &by).await;
    assert_eq!((&item["status"], &item["contextModifiers"][1]["status"]), (&json!("UNAVAILABLE"), &json!("AVAILABLE")));
    let option = pos.done("PATCH", "/options/price", &json!({ "optionId": "fries", "price": { "value": 7 } })).await;
    assert_eq!((&option["name"], &option["price"]["value"]), (&json!("Batata"), &json!(7.0)));
    let option = pos.done("PATCH", "/options/status", &json!({ "optionId": "fries", "status": "UNAVAILABLE" })).await;
    assert_eq!((&option["status"], &option["price"]["value"]), (&json!("UNAVAILABLE"), &json!(7.0)));
    for (tail, body) in [
        ("/items/price", json!({ "itemId": "fries", "price": { "value": 1 } })),
        ("/items/status", json!({ "itemId": "none", "status": "AVAILABLE" })),
        ("/options/price", json!({ "optionId": "burger", "price": { "value": 1 } })),
        ("/options/status", json!({ "optionId": "none", "status": "AVAILABLE" })),
    ] {
        assert_eq!(pos.send("PATCH", tail, &body).await.error_code(), "NotFound", "{tail}");
    }
}

#[tokio::test]
async fn products_have_a_life_of_their_own() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let answer = pos.send("POST", "/products", &json!({ "name": "Coxinha", "externalCode": "C1" })).await;
    assert_eq!(answer.status, 201);
    let made = answer.json();
    let one = format!("/products/{}", made["id"].as_str().unwrap());
    assert_eq!(pos.get(&one).await.json(), made);
    let taken = pos.send("POST", "/products", &json!({ "name": "Outra", "externalCode": "C1" })).await;
    assert_eq!((taken.status.as_u16(), &taken.json()["error"]["field"]), (409, &json!("externalCode")));
    let put = pos.done("PUT", &one, &json!({ "name": "Coxinha grande" })).await;
    assert_eq!((&put["name"], put.get("externalCode")), (&json!("Coxinha grande"), None), "replaced as a whole");
    pos.done("POST", "/products", &json!({ "id": "z", "name": "Outra", "externalCode": "C1" })).await;
    assert_eq!(pos.send("PUT", "/products/none", &json!({ "name": "X" })).await.status, 404);
    assert_eq!(pos.send("PUT", &one, &json!({ "id": "z", "name": "X" })).await.json()["error"]["field"], "id");
    let all = pos.get("/products").await.json();
    assert_eq!(all.as_array().unwrap().len(), 2);
    assert_eq!(pos.get("/products?page=2&limit=1").await.json(), json!([all[1]]));
    assert_eq!(pos.get("/products?page=3&limit=1").await.json(), json!([]));
    for wrong in ["page=0", "limit=0", "limit=101", "page=x", "page=20001"] {
        assert_eq!(pos.get(&format!("/products?{wrong}")).await.status, 400, "{wrong}");
    }
    pos.category("lanches").await;
    pos.done("PUT", "/items", &burger()).await;
    for used in ["p-burger", "p-fries"] {
        let refused = pos.send("DELETE", &format!("/products/{used}"), &Value::Null).await;
        assert_eq!(refused.status, 409, "{used} is an item's or an option's");
    }
    assert_eq!(pos.send("DELETE", &one, &Value::Null).await.status, 204);
    assert_eq!(pos.get(&one).await.status, 404);
}

#[tokio::test]
async fn what_cannot_be_ordered_is_listed_with_its_reasons() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let tail = format!("/catalogs/{}/unsellableItems", catalog_id(&pos).await);
    pos.category("lanches").await;
    pos.category("bebidas").await;
    pos.done("PUT", "/items", &burger()).await;
    pos.done("PUT", "/items", &simple_item("soda", "bebidas", 6)).await;
    assert_eq!(pos.get(&tail).await.json(), json!({ "categories": [] }));
    // Under the version that clients were seen to ask.
    let alias = path(&tail).replace("v2.0", "v1.0");
    for option in ["fries", "rings"] {
        pos.done("PATCH", "/options/status", &json!({ "optionId": option, "status": "UNAVAILABLE" })).await;
    }
    let found = pos.get(&tail).await.json();
    let item = &found["categories"][0]["unsellableItems"][0];
    assert_eq!((&item["id"], &item["restrictions"]), (&json!("burger"), &json!(["REQUIRED_OPTIONS_UNAVAILABLE"])));
    pos.done("PATCH", "/items/status", &json!({ "itemId": "burger", "status": "UNAVAILABLE" })).await;
    pos.done("PATCH", "/categories/bebidas", &json!({ "status": "UNAVAILABLE" })).await;
    let found = pos.get(&tail).await.json();
    assert_eq!(found["categories"][0]["restrictions"], json!(["CATEGORY_PAUSED"]));
    assert_eq!(found["categories"][0]["unsellableItems"][0]["restrictions"], json!(["CATEGORY_PAUSED"]));
    let reasons = json!(["ITEM_PAUSED", "REQUIRED_OPTIONS_UNAVAILABLE"]);
    assert_eq!(found["categories"][1]["unsellableItems"][0]["restrictions"], reasons);
    let by_alias = pos.client.get(&alias).await;
    assert_eq!((by_alias.status.as_u16(), by_alias.json()), (200, found));
    let another = alias.replace("/unsellableItems", "x/unsellableItems");
    assert_eq!(pos.client.get(&another).await.error_code(), "NotFound", "of no catalog there is");
}

/// Every path of the catalog, and a body that would be taken.
fn everything(catalog: &str) -> Vec<(&'static str, String, Value)> {
    let category = json!({ "id": "k", "name": "K" });
    let price = |name: &str| json!({ name: "burger", "price": { "value": 1 }, "status": "AVAILABLE" });
    vec![
        ("GET", "/catalogs".to_owned(), Value::Null),
        ("GET", format!("/catalogs/{catalog}/categories"), Value::Null),
        ("POST", format!("/catalogs/{catalog}/categories"), category.clone()),
        ("GET", format!("/catalogs/{catalog}/categories/lanches"), Value::Null),
        ("PATCH", format!("/catalogs/{catalog}/categories/lanches"), json!({ "index": 1 })),
        ("DELETE", format!("/catalogs/{catalog}/categories/k"), Value::Null),
        ("GET", format!("/catalogs/{catalog}/unsellableItems"), Value::Null),
        ("POST", "/categories".to_owned(), category),
        ("GET", "/categories?include_items=true".to_owned(), Value::Null),
        ("GET", "/categories/lanches".to_owned(), Value::Null),
        ("PATCH", "/categories/lanches".to_owned(), json!({ "index": 2 })),
        ("DELETE", "/categories/k".to_owned(), Value::Null),
        ("GET", "/categories/lanches/items".to_owned(), Value::Null),
        ("PUT", "/items".to_owned(), burger()),
        ("GET", "/items/burger".to_owned(), Value::Null),
        ("PATCH", "/items/price".to_owned(), price("itemId")),
        ("PATCH", "/items/status".to_owned(), price("itemId")),
        ("PATCH", "/options/price".to_owned(), json!({ "optionId": "fries", "price": { "value": 1 } })),
        ("PATCH", "/options/status".to_owned(), json!([{ "optionId": "fries", "status": "AVAILABLE" }])),
        ("GET", "/products".to_owned(), Value::Null),
        ("POST", "/products".to_owned(), json!({ "id": "new", "name": "N" })),
        ("GET", "/products/new".to_owned(), Value::Null),
        ("PUT", "/products/new".to_owned(), json!({ "name": "M" })),
        ("DELETE", "/products/new".to_owned(), Value::Null),
        ("GET", "/batch/none".to_owned(), Value::Null),
        ("DELETE", "/items/burger".to_owned(), Value::Null),
    ]
}

#[tokio::test]
async fn answers_are_as_documented() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let document = pos.client.get("/openapi.json").await.json();
    pos.category("lanches").await;
    let id = catalog_id(&pos).await;
    for (method, tail, body) in everything(&id) {
        let answer = pos.send(method, &tail, &body).await;
        let path = tail.split('?').next().unwrap().replace(&id, "{catalogId}");
        let names = [
            ("/categories/lanches", "/categories/{categoryId}"),
            ("/categories/k", "/categories/{categoryId}"),
            ("/items/burger", "/items/{itemId}"),
            ("/products/new", "/products/{productId}"),
            ("/batch/none", "/batch/{batchId}"),
        ];
        let path = names.iter().fold(path, |path, (concrete, named)| path.replace(concrete, named));
        let path = format!("/catalog/v2.0/merchants/{{id}}{path}");
        let operation = &document["paths"][&path][method.to_lowercase()];
        let response = &operation["responses"][answer.status.as_str()];
        assert!(response.is_object(), "{method} {path} answered {}", answer.status);
        if answer.status != 204 {
            let schema = &response["content"]["application/json"]["schema"];
            assert_eq!(differences(&document, schema, &answer.json(), method), [""; 0], "{method} {path}");
        }
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if schema.is_object() && schema.get("oneOf").is_none() && tail != "/items" {
            assert_eq!(differences(&document, schema, &body, "body"), [""; 0], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn without_its_table_the_catalog_is_503_and_polls_go_on() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let answer = pos.get(&path("/catalogs")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(pos.send("PUT", &path("/items"), &[], burger().to_string()).await.status, 503);
    assert_eq!(pos.get("/events/v1.0/events:polling").await.status, 204);
}
