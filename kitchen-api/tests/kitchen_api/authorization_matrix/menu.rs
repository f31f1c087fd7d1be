//! The catalog of one application: one of everything that a path or a body can name, and a batch.

use std::time::Duration;

use serde_json::{Value, json};

use crate::authorization_matrix::case::World;
use crate::client::{Answer, Client};

/// What its parts are called.
pub struct Menu {
    mark: String,
    text: String,
}

impl Menu {
    /// Ids of one length whatever the mark is; `text` is in every name.
    pub fn of(mark: &str, text: &str) -> Self {
        Self { mark: mark.to_owned(), text: text.to_owned() }
    }

    fn id(&self, kind: &str) -> String {
        format!("{kind}-{}", self.mark)
    }

    /// What stands for the tokens of a catalog.
    pub fn names(&self, catalog: &str, batch: &str) -> Vec<(&'static str, String)> {
        vec![
            ("{catalog}", catalog.to_owned()),
            ("{batch}", batch.to_owned()),
            ("{category}", self.id("category")),
            ("{empty}", self.id("empty")),
            ("{item}", self.id("item")),
            ("{product}", self.id("product")),
            ("{free}", self.id("free")),
            ("{option}", self.id("option")),
        ]
    }

    fn item(&self) -> Value {
        let name = &self.text;
        let side = self.id("side");
        json!({
            "item": { "id": self.id("item"), "categoryId": self.id("category"), "productId": self.id("product"),
                "price": { "value": 10 } },
            "products": [
                { "id": self.id("product"), "name": name, "optionGroups": [{ "id": self.id("group"), "min": 0, "max": 1 }] },
                { "id": side, "name": name },
            ],
            "optionGroups": [{ "id": self.id("group"), "name": name, "status": "AVAILABLE", "index": 0,
                "optionGroupType": "DEFAULT", "optionIds": [self.id("option")] }],
            "options": [{ "id": self.id("option"), "productId": side, "price": { "value": 5 }, "index": 1 }],
        })
    }
}

/// Keeps whatever is missing of it. Answers with what stands for its tokens.
pub async fn keep_menu(client: &Client, world: &World, menu: &Menu) -> Vec<(&'static str, String)> {
    let root = format!("/catalog/v2.0/merchants/{}", world.value("{merchant}"));
    let send = async |method: &str, tail: &str, body: Value| -> Answer {
        client.send(method, &format!("{root}{tail}"), &[], body.to_string()).await
    };
    for (tail, id) in [("/categories", "category"), ("/categories", "empty"), ("/products", "free")] {
        let kept = send("POST", tail, json!({ "id": menu.id(id), "name": menu.text })).await;
        // 409: it is there, and an own request has changed it since.
        assert!([201, 409].contains(&kept.status.as_u16()), "{id}: {kept:?}");
    }
    let kept = send("PUT", "/items", menu.item()).await;
    assert_eq!(kept.status, 200, "{kept:?}");
    let catalogs = client.get(&format!("{root}/catalogs")).await.json();
    let catalog = catalogs[0]["catalogId"].as_str().unwrap();
    if world.0.iter().any(|(token, _)| *token == "{batch}") {
        return menu.names(catalog, world.value("{batch}"));
    }
    let prices = json!([{ "itemId": menu.id("item"), "price": { "value": 10 } }]);
    let batch = send("PATCH", "/items/price", prices).await;
    assert_eq!(batch.status, 202, "{batch:?}");
    let batch = batch.json()["batchId"].as_str().unwrap().to_owned();
    finished(client, &root, &batch).await;
    menu.names(catalog, &batch)
}

/// The batch below `root`, once it is worked off.
pub async fn finished(client: &Client, root: &str, batch: &str) -> Value {
    for _ in 0..2_000 {
        let found = client.get(&format!("{root}/batch/{batch}")).await.json();
        if found["batchStatus"] == "COMPLETED" {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the batch {batch} never ends");
}
