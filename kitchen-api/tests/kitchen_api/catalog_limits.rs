//! Wrong input to the catalog: what is refused, with which field, and how much is taken.

use serde_json::{Value, json};

use crate::catalog_table::{Tables, burger, path, simple_item};
use crate::rate_limits::limit_named_by;

#[tokio::test]
async fn what_does_not_fit_is_a_400_that_names_its_field() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    let mut priced = burger();
    priced["item"]["price"]["value"] = json!(10.001);
    let long = "x".repeat(151);
    for (method, tail, body, field) in [
        ("POST", "/categories", json!({}), json!("name")),
        ("POST", "/categories", json!({ "name": long }), json!("name")),
        ("POST", "/categories", json!({ "name": "K", "id": "a b" }), json!("id")),
        ("POST", "/categories", json!({ "name": "K", "status": "ON" }), json!("status")),
        ("POST", "/categories", json!({ "name": "K", "template": "SUSHI" }), json!("template")),
        ("POST", "/categories", json!({ "name": "K", "index": "1" }), json!("index")),
        ("POST", "/categories", json!([]), Value::Null),
        ("PATCH", "/categories/lanches", json!({ "name": "" }), json!("name")),
        ("PUT", "/items", priced, json!("item.price.value")),
        ("PUT", "/items", json!({}), json!("item")),
        ("PUT", "/items", simple_item("i", "nowhere", 1), json!("item.categoryId")),
        ("POST", "/products", json!({ "name": 5 }), json!("name")),
        (
            "POST",
            "/products",
            json!({ "name": "N", "optionGroups": [{ "id": "g", "max": 1 }] }),
            json!("optionGroups[0].id"),
        ),
        ("PUT", "/products/p", json!({}), json!("name")),
        ("PATCH", "/items/price", json!({ "itemId": "i" }), json!("price")),
        ("PATCH", "/items/price", json!([]), Value::Null),
        ("PATCH", "/items/price", json!([{ "itemId": "i", "price": { "value": -1 } }]), json!("[0].price.value")),
        ("PATCH", "/items/status", json!("AVAILABLE"), Value::Null),
        ("PATCH", "/options/status", json!({ "status": "AVAILABLE" }), json!("optionId")),
    ] {
        let answer = pos.send(method, tail, &body).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{method} {tail}");
        assert_eq!(answer.json()["error"]["field"], field, "{method} {tail}: {:?}", answer.body);
    }
    for body in ["", "{", "null", "{\"item\":", "\u{0}"] {
        let answer = pos.client.send("PUT", &path("/items"), &[], body).await;
        assert_eq!(answer.error_code(), "BadRequest", "{body:?}");
    }
    assert_eq!(pos.get("/categories?include_items=maybe").await.json()["error"]["field"], "include_items");
}

#[tokio::test]
async fn bodies_and_batches_have_a_largest_size() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let padded = |bytes: usize| format!("{{\"x\":\"{}\"}}", "x".repeat(bytes - 8));
    let most = 256 * 1024;
    assert_eq!(pos.client.send("PUT", &path("/items"), &[], padded(most)).await.status, 400);
    let answer = pos.client.send("PUT", &path("/items"), &[], padded(most + 1)).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (413, "PayloadTooLarge"));
    let batch = |entries: usize| Value::from(vec![json!({ "itemId": "i", "status": "AVAILABLE" }); entries]);
    assert_eq!(pos.send("PATCH", "/items/status", &batch(2_001)).await.status, 400);
    assert_eq!(pos.send("PATCH", "/items/status", &batch(2_000)).await.status, 202);
    let deep = format!("{{\"item\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(pos.client.send("PUT", &path("/items"), &[], deep).await.status, 400);
}

#[tokio::test]
async fn if_match_keeps_what_somebody_else_has_changed() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    pos.category("lanches").await;
    let send = |method: &'static str, tail: &'static str, body: Value, tag: String| {
        let pos = pos.clone();
        async move { pos.client.send(method, &path(tail), &[("if-match", &tag)], body.to_string()).await }
    };
    assert_eq!(send("PUT", "/items", burger(), "*".to_owned()).await.error_code(), "PreconditionFailed");
    pos.done("PUT", "/items", &burger()).await;
    for (tail, method, body) in [
        ("/items/burger", "PUT", burger()),
        ("/categories/lanches", "PATCH", json!({ "name": "Novo" })),
        ("/products/p-rings", "PUT", json!({ "name": "Novo" })),
    ] {
        let seen = pos.get(tail).await.headers["etag"].to_str().unwrap().to_owned();
        let to = if method == "PUT" && tail == "/items/burger" { "/items" } else { tail };
        for wrong in ["\"r999\"", "\"r0\""] {
            assert_eq!(send(method, to, body.clone(), wrong.to_owned()).await.status, 412, "{tail}");
        }
        assert_eq!(send(method, to, body.clone(), "r1".to_owned()).await.json()["error"]["field"], "If-Match");
        assert_eq!(send("DELETE", tail, Value::Null, "\"r999\"".to_owned()).await.status, 412, "{tail}");
        assert_eq!(send(method, to, body.clone(), seen.clone()).await.status, 200, "{tail}");
        assert_eq!(send(method, to, body, "*".to_owned()).await.status, 200, "{tail}");
    }
    let seen = pos.get("/items/burger").await.headers["etag"].to_str().unwrap().to_owned();
    let price = |value: u32| json!({ "itemId": "burger", "price": { "value": value } });
    assert_eq!(send("PATCH", "/items/price", price(1), seen.clone()).await.status, 200);
    assert_eq!(send("PATCH", "/items/price", price(2), seen).await.status, 412, "it was changed by the first");
}

#[tokio::test]
async fn a_merchant_has_so_many_batches_open_and_no_more() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let batch = json!([{ "itemId": "i", "status": "AVAILABLE" }]);
    let head = aws_sdk_dynamodb::types::AttributeValue::S(format!("merchant#{}", crate::rig::merchant(1)));
    let open = |count: u32| {
        let (dynamodb, head) = (tables.dynamodb(), head.clone());
        async move {
            let update = dynamodb.update_item().table_name("t-catalog").key("pk", head);
            let update = update.key("sk", aws_sdk_dynamodb::types::AttributeValue::S("head".to_owned()));
            let update = update.update_expression("SET open_batches = :open, #format = :format");
            let update = update.expression_attribute_names("#format", "format");
            let number = |number: u32| aws_sdk_dynamodb::types::AttributeValue::N(number.to_string());
            let update = update.expression_attribute_values(":open", number(count));
            update.expression_attribute_values(":format", number(1)).send().await.unwrap();
        }
    };
    open(20).await;
    let refused = pos.send("PATCH", "/items/status", &batch).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (429, "TooManyRequests"));
    assert_eq!(limit_named_by(&refused), 20);
    open(19).await;
    let taken = pos.send("PATCH", "/items/status", &batch).await;
    assert_eq!(taken.status, 202);
    pos.finished(taken.json()["batchId"].as_str().unwrap()).await;
    assert_eq!(pos.send("PATCH", "/items/status", &batch).await.status, 202, "a finished one makes room");
    drop(rig);
}
