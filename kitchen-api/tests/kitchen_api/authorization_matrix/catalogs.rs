//! The cases of the catalog: each merchant of a path, and each part of its menu that a path or a body names. Pure data.

use crate::authorization_matrix::case::{Case, Needs, case};
use crate::authorization_matrix::platform::OWN;

const CATEGORY: &str = r#"{"name":"Nova"}"#;
const CHANGE: &str = r#"{"index":1}"#;
const ITEM: &str = r#"{
    "item": { "id": "new-item", "categoryId": "{category}", "productId": "new-product", "price": { "value": 1 } },
    "products": [{ "id": "new-product", "name": "Novo" }]
}"#;

/// The digest of the picture that is uploaded here.
const PICTURE: &str = "4c4b6a3be1314ab86138bef4314dde022e600960d8689a2c8f8631802d20dab6.png";

pub fn cases() -> Vec<Case> {
    let all = [categories(), items(), prices(), products(), pictures()].concat();
    all.into_iter().map(|case| case.needs(Needs::Catalog)).collect()
}

fn of(operation: &str, own: u16) -> Case {
    let (method, tail) = operation.split_once(' ').unwrap();
    case(&format!("{method} /catalog/v2.0/merchants/{{id}}{tail}"), own)
}

fn categories() -> Vec<Case> {
    let mut cases = vec![
        of("get /catalogs", 200).shows("{catalog}"),
        of("get /catalogs/{catalogId}/unsellableItems", 200),
        case("get /catalog/v1.0/merchants/{id}/catalogs/{catalogId}/unsellableItems", 200),
        of("get /categories/{categoryId}/items", 200).shows("{item}"),
    ];
    for list in ["/categories", "/catalogs/{catalogId}/categories"] {
        let one = format!("{list}/{{categoryId}}");
        cases.extend([
            of(&format!("get {list}"), 200).shows("{category}"),
            of(&format!("get {list}"), 200).query("include_items=true").shows("{item}"),
            of(&format!("post {list}"), 201).body(CATEGORY),
            of(&format!("get {one}"), 200).shows("{category}"),
            of(&format!("patch {one}"), 200).body(CHANGE),
            of(&format!("delete {one}"), 204).naming("{category}", "{empty}"),
        ]);
    }
    cases
}

fn items() -> Vec<Case> {
    vec![
        of("put /items", 200).body(ITEM),
        of("get /items/{itemId}", 200).shows("{item}"),
        of("delete /items/{itemId}", 204),
    ]
}

/// One at once, and many as a batch: what a batch makes of foreign items is looked at in `lists`.
fn prices() -> Vec<Case> {
    vec![
        of("patch /items/price", 200).body(r#"{"itemId":"{item}","price":{"value":2}}"#),
        of("patch /items/status", 200).body(r#"{"itemId":"{item}","status":"AVAILABLE"}"#),
        of("patch /options/price", 200).body(r#"{"optionId":"{option}","price":{"value":2}}"#),
        of("patch /options/status", 200).body(r#"{"optionId":"{option}","status":"AVAILABLE"}"#),
        of("patch /items/price", 202).body(r#"[{"itemId":"none","price":{"value":2}}]"#),
        of("patch /items/status", 202).body(r#"[{"itemId":"none","status":"AVAILABLE"}]"#),
        of("patch /options/price", 202).body(r#"[{"optionId":"none","price":{"value":2}}]"#),
        of("patch /options/status", 202).body(r#"[{"optionId":"none","status":"AVAILABLE"}]"#),
        of("get /batch/{batchId}", 200).shows("{batch}"),
    ]
}

fn products() -> Vec<Case> {
    vec![
        of("get /products", 200).shows("{product}"),
        of("post /products", 201).body(r#"{"name":"Novo"}"#),
        of("get /products/{productId}", 200).shows("{product}"),
        of("put /products/{productId}", 200).naming("{product}", "{free}").body(r#"{"name":"Outro"}"#),
        of("delete /products/{productId}", 204).naming("{product}", "{free}"),
    ]
}

fn pictures() -> Vec<Case> {
    vec![
        of("post /image/upload", 201).body(r#"{"image":"data:image/png;base64,iVBORw0KGgo="}"#),
        case("get /catalog/v2.0/images/{merchantId}/{file}", 200)
            .naming("{merchantId}", OWN)
            .naming("page.js", PICTURE)
            .names_nothing("pictures of menus are for everybody"),
        case("delete /catalog/v2.0/images/{merchantId}/{file}", 204)
            .naming("{merchantId}", "{merchant}")
            .naming("page.js", PICTURE)
            .refused(403),
    ]
}
