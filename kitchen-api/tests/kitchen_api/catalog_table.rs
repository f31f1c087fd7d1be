//! The table of catalogs in a DynamoDB of this process, and rigs on it.

use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use kitchen_api::{CatalogTable, Config, RequestTable, create_tables};
use local_aws::LocalAws;
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::rig::{Rig, config, eventually, merchant};

fn client(endpoint: &str) -> DynamoDb {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    DynamoDb::from_conf(config)
}

/// One that refuses connections.
pub fn no_table() -> CatalogTable {
    CatalogTable::new(client("http://127.0.0.1:1"), "t-")
}

/// The same of requests.
pub fn no_requests() -> RequestTable {
    RequestTable::new(client("http://127.0.0.1:1"), "t-")
}

/// A DynamoDB with the tables of kitchen-api.
pub struct Tables {
    pub aws: LocalAws,
}

impl Tables {
    pub async fn start() -> Self {
        let aws = LocalAws::start(local_aws::Config::default()).unwrap();
        let tables = Self { aws };
        create_tables(&tables.dynamodb(), "t-").await.unwrap();
        tables
    }

    pub fn dynamodb(&self) -> DynamoDb {
        client(&self.aws.endpoint())
    }

    /// A kitchen-api on these tables, and its client `pos`.
    pub async fn rig(&self) -> (Rig, Pos) {
        self.rig_with(config()).await
    }

    pub async fn rig_with(&self, config: Config) -> (Rig, Pos) {
        let catalog = CatalogTable::new(self.dynamodb(), "t-");
        let rig = Rig::start_on_tables(config, catalog, RequestTable::new(self.dynamodb(), "t-"), |_| ()).await;
        eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
        let pos = Pos { client: rig.as_application("pos").await };
        (rig, pos)
    }
}

/// A POS that keeps the menu of merchant 1.
#[derive(Clone)]
pub struct Pos {
    pub client: Client,
}

pub fn path(tail: &str) -> String {
    format!("/catalog/v2.0/merchants/{}{tail}", merchant(1))
}

impl Pos {
    pub async fn get(&self, tail: &str) -> Answer {
        self.client.get(&path(tail)).await
    }

    pub async fn send(&self, method: &str, tail: &str, body: &Value) -> Answer {
        self.client.send(method, &path(tail), &[], body.to_string()).await
    }

    /// Sends what has to succeed.
    #[track_caller]
    pub fn done(&self, method: &str, tail: &str, body: &Value) -> impl Future<Output = Value> {
        let (pos, method, tail, body) = (self.clone(), method.to_owned(), tail.to_owned(), body.clone());
        async move {
            let answer = pos.send(&method, &tail, &body).await;
            assert!(answer.status.is_success(), "{method} {tail}: {} {:?}", answer.status, answer.body);
            if answer.body.is_empty() { Value::Null } else { answer.json() }
        }
    }

    pub async fn category(&self, id: &str) {
        self.done("POST", "/categories", &json!({ "id": id, "name": format!("Categoria {id}") })).await;
    }

    /// Waits for a batch to be finished and answers with it.
    pub async fn finished(&self, batch: &str) -> Value {
        for _ in 0..2_000 {
            let found = self.get(&format!("/batch/{batch}")).await.json();
            if found["batchStatus"] == "COMPLETED" {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
        panic!("the batch {batch} never ends");
    }
}

/// An item without options.
pub fn simple_item(id: &str, category: &str, price: u32) -> Value {
    json!({
        "item": { "id": id, "categoryId": category, "productId": format!("p-{id}"), "price": { "value": price } },
        "products": [{ "id": format!("p-{id}"), "name": format!("Prato {id}") }],
    })
}

/// The item of PARTNER_API, with one group of two options.
pub fn burger() -> Value {
    json!({
        "item": {
            "id": "burger", "type": "DEFAULT", "categoryId": "lanches", "status": "AVAILABLE",
            "price": { "value": 10, "originalValue": 15.5 }, "externalCode": "XB", "index": 2, "productId": "p-burger",
            "shifts": [{ "startTime": "00:00", "endTime": "20:59", "monday": true, "tuesday": true, "sunday": false }],
            "contextModifiers": [{ "catalogContext": "WHITELABEL", "price": { "value": 13.07 }, "status": "UNAVAILABLE" }],
            "tags": null,
        },
        "products": [
            { "id": "p-burger", "name": "X-Burguer", "description": "Pão, carne, queijo", "externalCode": "PB",
              "serving": "SERVES_2", "dietaryRestrictions": ["VEGETARIAN"], "ean": "789", "imagePath": "a/b.png",
              "optionGroups": [{ "id": "sides", "min": 1, "max": 2 }], "quantity": null },
            { "id": "p-fries", "name": "Batata", "externalCode": null, "optionGroups": null },
            { "id": "p-rings", "name": "Anéis" },
        ],
        "optionGroups": [{ "id": "sides", "name": "Acompanhamentos", "status": "AVAILABLE", "index": 0,
            "optionGroupType": "DEFAULT", "optionIds": ["fries", "rings"] }],
        "options": [
            { "id": "fries", "productId": "p-fries", "price": { "value": 5 }, "index": 1, "contextModifiers": null },
            { "id": "rings", "productId": "p-rings", "price": { "value": 3.5 }, "status": "AVAILABLE", "index": 0 },
        ],
        "unknown": { "deep": [[[[]]]] },
    })
}
