//! Pictures of menus: what is taken, how many, and how they are shown to everybody.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::catalog_table::{Pos, Tables, path};
use crate::client::Answer;
use crate::documentation::differences;
use crate::rig::{Rig, merchant};

const UPLOAD: &str = "/image/upload";
const IMAGE_MAX_BYTES: usize = 190 * 1024;
const JPEG: &[u8] = b"\xff\xd8\xff\xe0 and the rest";
const WEBP: &[u8] = b"RIFF\x10\x00\x00\x00WEBPVP8 and the rest";

/// Of so many bytes, and each number another one.
fn png(number: u8, bytes: usize) -> Vec<u8> {
    let mut picture = b"\x89PNG\r\n\x1a\n".to_vec();
    picture.resize(bytes, number);
    picture
}

fn url(bytes: &[u8]) -> String {
    format!("data:image/png;base64,{}", STANDARD.encode(bytes))
}

async fn upload(pos: &Pos, bytes: &[u8]) -> Answer {
    pos.send("POST", UPLOAD, &json!({ "image": url(bytes) })).await
}

async fn path_of(pos: &Pos, bytes: &[u8]) -> String {
    let answer = upload(pos, bytes).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    answer.json()["imagePath"].as_str().unwrap().to_owned()
}

fn count_key() -> [(&'static str, AttributeValue); 2] {
    let text = |text: String| AttributeValue::S(text);
    [("pk", text(format!("merchant#{}", merchant(1)))), ("sk", text("images".to_owned()))]
}

async fn count(tables: &Tables) -> Option<u32> {
    let [(pk, of), (sk, what)] = count_key();
    let get = tables.dynamodb().get_item().table_name("t-catalog").key(pk, of).key(sk, what);
    let item = get.consistent_read(true).send().await.unwrap().item?;
    item["image_count"].as_n().unwrap().parse().ok()
}

async fn set_count(tables: &Tables, count: u32) {
    let [(pk, of), (sk, what)] = count_key();
    let update = tables.dynamodb().update_item().table_name("t-catalog").key(pk, of).key(sk, what);
    let update = update.update_expression("SET image_count = :count");
    update.expression_attribute_values(":count", AttributeValue::N(count.to_string())).send().await.unwrap();
}

#[tokio::test]
async fn a_picture_is_kept_once_and_shown_to_everybody() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let picture = png(1, 60_000);
    let at = path_of(&pos, &picture).await;
    assert_eq!(path_of(&pos, &picture).await, at, "the same again is the same");
    assert_eq!(count(&tables).await, Some(1));
    // Through another instance, which has not seen it, and without a token.
    let (fresh, _) = tables.rig().await;
    for client in [&rig.client, &fresh.client, &fresh.client] {
        let shown = client.get(&at).await;
        assert_eq!((shown.status.as_u16(), shown.body.as_ref()), (200, picture.as_slice()));
        for (header, value) in [
            ("content-type", "image/png"),
            ("cache-control", "public, max-age=31536000, immutable"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(shown.headers[header], value);
        }
        let tag = shown.headers["etag"].to_str().unwrap().to_owned();
        let known = client.send("GET", &at, &[("if-none-match", &tag)], "").await;
        assert_eq!((known.status.as_u16(), known.body.len(), &known.headers["etag"]), (304, 0, &shown.headers["etag"]));
        assert_eq!(client.send("GET", &at, &[("if-none-match", "\"other\"")], "").await.body.len(), picture.len());
    }
    let head = rig.client.send("HEAD", &at, &[], "").await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    for (bytes, content_type, extension) in [(JPEG, "image/jpeg", ".jpg"), (WEBP, "image/webp", ".webp")] {
        let at = path_of(&pos, bytes).await;
        assert!(at.ends_with(extension), "{at}: the text says PNG, the bytes do not");
        assert_eq!(rig.client.get(&at).await.headers["content-type"], content_type);
    }
    let product = pos.done("POST", "/products", &json!({ "id": "p", "name": "Prato", "imagePath": at })).await;
    assert_eq!(product["imagePath"], at.as_str());
}

#[tokio::test]
async fn what_there_is_not_is_a_404_however_it_is_asked_for() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let at = path_of(&pos, &png(1, 100)).await;
    let unknown = format!("{:064x}", 1);
    let (own, file) = (merchant(1).to_string(), at.rsplit('/').next().unwrap());
    for other in [
        at.replace(".png", ".jpg"),
        at.replace(&own, &merchant(2).to_string()),
        at.replace(&own, "none"),
        at.replace(file, &format!("{unknown}.png")),
        at.replace(file, "none"),
        at.replace(file, &file.to_uppercase()),
    ] {
        let tag = format!("\"{unknown}\"");
        let answer = rig.client.send("GET", &other, &[("if-none-match", &tag)], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "NotFound"), "{other}");
        assert!(!answer.headers.contains_key("cache-control"), "it may come");
    }
    assert_eq!(rig.client.get(&at.replace(file, "")).await.status, 404, "there is no list of them");
    // A table that does not answer is another thing, and not asked for what no picture can be.
    let down = Rig::start().await;
    assert_eq!(down.client.get(&at).await.status, 503);
    assert_eq!(down.client.get(&at.replace(".png", ".svg")).await.status, 404);
}

#[tokio::test]
async fn what_is_no_picture_is_refused_with_its_field_and_kept_nowhere() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    for image in [
        json!(null),
        json!(""),
        json!(7),
        json!("hello"),
        json!(STANDARD.encode(png(1, 10))),
        json!("data:image/png;base64,"),
        json!("data:image/png;base64,%%%"),
        json!(url(b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>")),
        json!(url(b"GIF89a")),
    ] {
        let answer = pos.send("POST", UPLOAD, &json!({ "image": image })).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{image}");
        assert_eq!(answer.json()["error"]["field"], "image", "{image}");
    }
    assert_eq!(pos.send("POST", UPLOAD, &json!([])).await.status, 400);
    assert_eq!(count(&tables).await, None);
    path_of(&pos, &png(1, IMAGE_MAX_BYTES)).await;
    let large = upload(&pos, &png(1, IMAGE_MAX_BYTES + 1)).await;
    assert_eq!((large.error_code().as_str(), &large.json()["error"]["field"]), ("CatalogLimit", &json!("image")));
    assert_eq!(upload(&pos, &png(1, 200 * 1024)).await.status, 413, "the body is too large");
    assert_eq!(count(&tables).await, Some(1));
}

#[tokio::test]
async fn a_merchant_has_so_many_pictures_and_no_more() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let first = path_of(&pos, &png(1, 100)).await;
    set_count(&tables, 1_999).await;
    path_of(&pos, &png(2, 100)).await;
    let refused = upload(&pos, &png(3, 100)).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (400, "CatalogLimit"));
    assert_eq!(refused.json()["error"]["field"], "image");
    assert_eq!(path_of(&pos, &png(1, 100)).await, first, "one that is kept takes no place");
    assert_eq!(count(&tables).await, Some(2_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_come_at_the_same_time_are_counted_once_each() {
    let tables = Tables::start().await;
    let (_one, first) = tables.rig().await;
    let (_two, second) = tables.rig().await;
    let uploads = (0..24u8).map(|number| {
        let pos = if number % 2 == 0 { first.clone() } else { second.clone() };
        async move { path_of(&pos, &png(number / 3, 1_000)).await }
    });
    let mut paths = join_all(uploads).await;
    paths.sort();
    paths.dedup();
    assert_eq!((paths.len(), count(&tables).await), (8, Some(8)));
    set_count(&tables, 1_995).await;
    let uploads = (100..110u8).map(|number| {
        let pos = if number % 2 == 0 { first.clone() } else { second.clone() };
        async move { upload(&pos, &png(number, 1_000)).await.status.as_u16() }
    });
    let statuses = join_all(uploads).await;
    assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 5, "{statuses:?}");
    assert!(statuses.iter().all(|status| [201, 400].contains(status)), "{statuses:?}");
    assert_eq!(count(&tables).await, Some(2_000));
}

#[tokio::test]
async fn foreign_and_unknown_merchants_are_refused_alike_and_the_answer_is_as_documented() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let body = json!({ "image": url(&png(1, 100)) }).to_string();
    let mut refusals = Vec::new();
    for other in [merchant(3), merchant(9)] {
        let upload = path(UPLOAD).replace(&merchant(1).to_string(), &other.to_string());
        let answer = pos.client.post(&upload, body.clone()).await;
        assert_eq!(answer.status, 403);
        refusals.push(answer.json());
        assert_eq!(rig.client.post(&upload, body.clone()).await.status, 401);
    }
    assert_eq!(refusals[0], refusals[1]);
    let answer = upload(&pos, &png(1, 100)).await;
    let document: Value = rig.client.get("/openapi/merchant.json").await.json();
    let operation = &document["paths"]["/catalog/v2.0/merchants/{id}/image/upload"]["post"];
    let schema = &operation["responses"]["201"]["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, schema, &answer.json(), "image"), [""; 0]);
}

async fn remove(pos: &Pos, at: &str) -> Answer {
    pos.client.send("DELETE", at, &[], "").await
}

/// Whoever has as many as it may makes room by removing one that no product has.
#[tokio::test]
async fn a_picture_that_no_product_has_is_removed_and_gives_its_place_back() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let (used, free) = (path_of(&pos, &png(1, 100)).await, path_of(&pos, &png(2, 100)).await);
    let product = json!({ "id": "p", "name": "Prato", "imagePath": format!("https://menus.example{used}") });
    pos.done("POST", "/products", &product).await;
    let refused = remove(&pos, &used).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (409, "Conflict"));
    assert!(refused.json()["error"]["message"].as_str().unwrap().contains("product p "), "{refused:?}");
    assert_eq!(rig.client.get(&used).await.status, 200, "it is still shown");

    set_count(&tables, 2_000).await;
    assert_eq!(upload(&pos, &png(3, 100)).await.error_code(), "CatalogLimit");
    // Not only in the table: this instance keeps what was asked for lately.
    assert_eq!(rig.client.get(&free).await.status, 200);
    for other in [free.replace(".png", ".jpg"), free.replace(".png", ".svg")] {
        assert_eq!(remove(&pos, &other).await.error_code(), "NotFound", "{other}");
    }
    let removed = remove(&pos, &free).await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    assert_eq!(rig.client.get(&free).await.status, 404);
    assert_eq!(remove(&pos, &free).await.error_code(), "NotFound", "it is gone");
    assert_eq!(count(&tables).await, Some(1_999), "counted once");
    path_of(&pos, &png(3, 100)).await;

    pos.done("PUT", "/products/p", &json!({ "name": "Prato" })).await;
    assert_eq!(remove(&pos, &used).await.status, 204, "no product has it any more");
    assert_eq!(count(&tables).await, Some(1_999));
    assert_eq!(path_of(&pos, &png(1, 100)).await, used, "and it can come back");
}

/// Removing one moves no revision, also not that of a catalog that has none yet.
#[tokio::test]
async fn a_picture_is_removed_before_the_first_edit_and_edits_go_on() {
    let tables = Tables::start().await;
    let (_rig, pos) = tables.rig().await;
    let at = path_of(&pos, &png(1, 100)).await;
    assert_eq!(remove(&pos, &at).await.status, 204);
    pos.category("lanches").await;
    let tag = pos.get("/categories/lanches").await.headers["etag"].clone();
    let at = path_of(&pos, &png(1, 100)).await;
    assert_eq!(remove(&pos, &at).await.status, 204);
    assert_eq!(pos.get("/categories/lanches").await.headers["etag"], tag);
    pos.category("bebidas").await;
}

/// However many ask for it at once: its place is given back once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_is_removed_twice_at_once_is_counted_once() {
    let tables = Tables::start().await;
    let (_one, first) = tables.rig().await;
    let (_two, second) = tables.rig().await;
    let at = path_of(&first, &png(1, 100)).await;
    path_of(&first, &png(2, 100)).await;
    let removals = (0..8).map(|number| remove(if number % 2 == 0 { &first } else { &second }, &at));
    let mut statuses: Vec<u16> = join_all(removals).await.iter().map(|answer| answer.status.as_u16()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 404, 404, 404, 404, 404, 404, 404]);
    assert_eq!(count(&tables).await, Some(1));
}
