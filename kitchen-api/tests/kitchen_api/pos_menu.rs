//! The POS's document: onboarding, how reading went, and `menuUpdated` (PARTNER_API, section 4).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::{Config, Dependencies};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::open_delivery::{OWN_ID, problem};
use crate::rig::{InMemoryApplications, Rig, eventually, merchant};
use crate::webhook_platform::{Ground, HANGS, Receiver, stop};

const ONBOARDING: &str = "/v1/merchantOnboarding";
const MENU_UPDATED: &str = "/v1/menuUpdated";

fn document() -> String {
    document_of(OWN_ID, "Pizzas")
}

/// A POS's document, with an amount that a binary float would change.
pub fn document_of(id: &str, category: &str) -> String {
    let price = r#"{"value":12345678901234567890.10,"originalValue":50.1000,"currency":"BRL"}"#;
    format!(
        r#"{{"id":"{id}","lastUpdate":"2026-11-20T12:00:00Z","TTL":600,"status":"AVAILABLE",
        "basicInfo":{{"name":"Loja","document":"22815773000169","corporateName":"Loja","description":"","averagePreparationTime":30,
            "minOrderValue":{{"value":1,"currency":"BRL"}},"merchantType":"RESTAURANT","merchantCategories":["PIZZA"],"address":{{}},
            "contactEmails":[],"contactPhones":{{}},"logoImage":{{}}}},
        "services":[{{"id":"s","status":"AVAILABLE","serviceType":"DELIVERY","menuId":"m","serviceHours":{{}}}}],
        "menus":[{{"id":"m","name":"Cardápio","externalCode":"m","categoryId":["c"]}}],
        "categories":[{{"id":"c","index":0,"name":"{category}","externalCode":"c","status":"AVAILABLE","itemOfferId":["o"]}}],
        "itemOffers":[{{"id":"o","itemId":"i","index":0,"price":{price}}}],
        "items":[{{"id":"i","name":"Pizza","description":"","externalCode":"i","unit":"UN"}}]}}"#
    )
}

/// A POS that serves its document, and a platform where merchant 1 calls itself [`OWN_ID`].
async fn start() -> (Ground, Arc<Receiver>, Rig, Client) {
    let (ground, pos) = (Ground::new().await, Receiver::start().await);
    ground.peers.merchants.put(merchant(1), "Loja");
    ground.peers.merchants.change(merchant(1), |profile| OWN_ID.clone_into(&mut profile.open_delivery_id));
    pos.answers(200);
    *pos.answer.lock() = document();
    let rig = ground.start().await;
    let client = rig.as_application("pos").await;
    (ground, pos, rig, client)
}

fn endpoints(pos: &Receiver) -> Value {
    json!({ "getMerchantURL": { "baseURL": format!("http://{}/loja-1/", pos.address), "apiKey": "pos-key" } })
}

async fn onboard(client: &Client, named: &str, body: &Value) -> Answer {
    client.send("PUT", &format!("{ONBOARDING}?merchantId={named}"), &[], body.to_string()).await
}

async fn reading(client: &Client) -> Answer {
    client.get(&format!("/v1/merchantStatus?merchantId={OWN_ID}")).await
}

async fn menu(client: &Client) -> Answer {
    client.get(&format!("/comanda/v1/merchants/{}/menu", merchant(1))).await
}

/// The reading, once it has this status.
async fn once(client: &Client, status: &str) -> Value {
    for _ in 0..500 {
        let found = reading(client).await.json();
        if found["status"] == status {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never {status}: {:?}", reading(client).await);
}

async fn update(client: &Client, query: &str, body: impl Into<String>) -> Answer {
    client.post(&format!("{MENU_UPDATED}{query}"), body.into()).await
}

fn id() -> String {
    format!("?merchantId={OWN_ID}")
}

#[tokio::test]
async fn onboarding_reads_the_poss_document_and_keeps_it_as_it_is() {
    let (_ground, pos, rig, client) = start().await;
    assert_eq!(problem(&reading(&client).await), 404, "not onboarded yet");
    assert_eq!(menu(&client).await.status, 404);
    let answer = onboard(&client, OWN_ID, &endpoints(&pos)).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.json()["orderingAppMerchantId"], merchant(1).to_string());
    assert!(!answer.json().to_string().contains("pos-key"), "a key is not told again");
    let found = once(&client, "SUCCESS").await;
    assert!(found.get("moreInfo").is_none() && found["lastRead"].is_string(), "{found}");
    let asked = pos.all().remove(0);
    assert_eq!((asked.path.as_str(), asked.header("x-api-key")), ("/loja-1/v1/merchant", "pos-key"));
    assert_eq!(menu(&client).await.body, document().as_bytes(), "every digit");
    let again = onboard(&client, &merchant(1).to_string(), &endpoints(&pos)).await;
    assert_eq!((again.status.as_u16(), again.body.len()), (204, 0));
    eventually("it is read again", || pos.count() == 2).await;
    once(&client, "SUCCESS").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(pos.count(), 2, "its time is not over");
    rig.clock.jump(Duration::from_secs(601));
    eventually("its time is over", || pos.count() == 3).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_told_without_values_tried_again_and_replaces_nothing() {
    let (_ground, pos, rig, client) = start().await;
    onboard(&client, OWN_ID, &endpoints(&pos)).await;
    once(&client, "SUCCESS").await;
    let too_long = format!("{}{}", document(), " ".repeat(3 * 1024 * 1024));
    for (status, answer, told) in [
        (500, document(), "GET /v1/merchant was answered with 500."),
        (302, document(), "GET /v1/merchant was answered with 302."),
        (200, "[]".to_owned(), "the document: expected a JSON object"),
        (200, document().replace(OWN_ID, "secret-name"), "id: expected the id that the merchant was onboarded with"),
        (
            200,
            document().replace(r#""itemId":"i""#, r#""itemId":"x""#),
            "itemOffers[0].itemId: expected ids that the document has",
        ),
        (200, too_long, "The document did not arrive whole, or has more than 2 MiB."),
    ] {
        pos.answers(status);
        *pos.answer.lock() = answer;
        assert_eq!(update(&client, &id(), "").await.status, 204);
        let found = once(&client, "FAIL").await;
        assert_eq!(found["moreInfo"], told);
        assert_eq!(menu(&client).await.body, document().as_bytes(), "the last good one stays");
    }
    pos.answers(200);
    *pos.answer.lock() = document();
    rig.clock.jump(Duration::from_secs(61));
    once(&client, "SUCCESS").await;
    pos.answers(HANGS);
    assert_eq!(update(&client, &id(), "{}").await.status, 204);
    assert_eq!(once(&client, "PROCESSING").await["status"], "PROCESSING");
    assert_eq!(once(&client, "FAIL").await["moreInfo"], "GET /v1/merchant was not answered in time.");
}

#[tokio::test]
async fn wrong_onboardings_are_refused() {
    let (_ground, pos, rig, client) = start().await;
    let good = endpoints(&pos);
    for (pointer, value) in [
        ("/getMerchantURL", Value::Null),
        ("/getMerchantURL", json!("http://127.0.0.1:9/")),
        ("/getMerchantURL/baseURL", Value::Null),
        ("/getMerchantURL/baseURL", json!("http://10.0.0.1/")),
        ("/getMerchantURL/baseURL", json!("http://169.254.169.254/latest")),
        ("/getMerchantURL/baseURL", json!("http://user:pass@127.0.0.1/")),
        ("/getMerchantURL/baseURL", json!("http://127.0.0.1:9/?a=b")),
        ("/getMerchantURL/apiKey", json!(7)),
        ("/getMerchantURL/apiKey", json!("a\nb")),
        ("/getMerchantURL/apiKey", json!("k".repeat(513))),
    ] {
        let mut wrong = good.clone();
        *wrong.pointer_mut(pointer).unwrap() = value.clone();
        assert_eq!(problem(&onboard(&client, OWN_ID, &wrong).await), 400, "{pointer}: {value}");
    }
    let mut wrong = good.clone();
    wrong["ordersWebhookURL"] = json!(7);
    assert_eq!(problem(&onboard(&client, OWN_ID, &wrong).await), 400);
    for body in ["", "[]", "{}", "x"] {
        let answer = client.send("PUT", &format!("{ONBOARDING}?merchantId={OWN_ID}"), &[], body).await;
        assert_eq!(problem(&answer), 400, "{body}");
    }
    assert_eq!(problem(&client.send("PUT", ONBOARDING, &[], good.to_string()).await), 400, "no merchantId");
    assert_eq!(problem(&client.get("/v1/merchantStatus").await), 400);
    let foreign = merchant(3).to_string();
    let unknown = "99999999999999-dbc7e35a-c936-4665-9e13-eb55eb8b6824";
    let answers = [onboard(&client, &foreign, &good).await, onboard(&client, unknown, &good).await];
    assert_eq!((problem(&answers[0]), answers[0].body.clone()), (404, answers[1].body.clone()));
    for path in ["/v1/merchantStatus", MENU_UPDATED] {
        for named in [&foreign, unknown] {
            let method = if path == MENU_UPDATED { "POST" } else { "GET" };
            let answer = client.send(method, &format!("{path}?merchantId={named}"), &[], "").await;
            assert_eq!(problem(&answer), 404, "{path} {named}");
        }
    }
    let other = client.get(&format!("/comanda/v1/merchants/{}/menu", merchant(3))).await;
    assert_eq!(other.status, 403);
    assert_eq!(rig.client.send("PUT", ONBOARDING, &[], good.to_string()).await.status, 401);
    assert_eq!(pos.count(), 0, "nothing was asked for");
}

#[tokio::test]
async fn a_webhook_named_at_onboarding_is_kept_and_the_pos_is_told_how_to_set_one() {
    let (_ground, pos, _rig, client) = start().await;
    let mut body = endpoints(&pos);
    body["ordersWebhookURL"] = json!("https://pos.example.com/od");
    assert_eq!(onboard(&client, OWN_ID, &body).await.json()["ordersWebhookURL"], "https://pos.example.com/od");
    let found = once(&client, "SUCCESS").await;
    assert!(found["moreInfo"].as_str().unwrap().contains("PUT /comanda/v1/webhook"), "{found}");
}

#[tokio::test]
async fn parts_of_a_document_are_replaced_without_reading_it_again() {
    let (_ground, pos, _rig, client) = start().await;
    let item = json!({ "id": "i", "name": "Calzone", "description": "", "externalCode": "i", "unit": "UN" });
    let parts = json!({ "entityType": "ITEM", "updatedObjects": [item] }).to_string();
    assert_eq!(problem(&update(&client, &id(), parts.clone()).await), 404, "not onboarded");
    onboard(&client, OWN_ID, &endpoints(&pos)).await;
    once(&client, "SUCCESS").await;
    let answer = update(&client, &id(), parts).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    let stored = menu(&client).await;
    assert_eq!(stored.json()["items"], json!([item]));
    let text = String::from_utf8(stored.body.to_vec()).unwrap();
    assert!(text.contains("12345678901234567890.10") && text.contains("50.1000"), "what nobody sent keeps its digits");
    assert_eq!(pos.count(), 1);
    let older = format!("/v1/merchantUpdate{}", id());
    let answer = client.post(&older, json!({ "merchantStatus": "AVAILABLE" }).to_string()).await;
    assert_eq!(answer.status, 204, "the older name");
    for wrong in [
        json!({ "entityType": "ITEM" }),
        json!({ "entityType": "ITEM", "updatedObjects": [] }),
        json!({ "entityType": "ITEM", "updatedObjects": {} }),
        json!({ "entityType": "ITEM", "updatedObjects": [{ "name": "x" }] }),
        json!({ "entityType": "ITEM", "updatedObjects": [{ "id": "i" }] }),
        json!({ "entityType": "BASIC_INFO", "updatedObjects": [{}] }),
        json!({ "entityType": "POTATO", "updatedObjects": [item] }),
        json!({ "updatedObjects": [item] }),
        json!({ "merchantStatus": "OPEN" }),
        json!([]),
    ] {
        assert_eq!(problem(&update(&client, &id(), wrong.to_string()).await), 400, "{wrong}");
    }
    assert_eq!(menu(&client).await.json()["items"], json!([item]), "nothing has changed");
    assert_eq!(problem(&update(&client, "", "").await), 400, "the application has several merchants");
}

#[tokio::test]
async fn a_merchant_without_a_profile_is_unknown_whatever_is_updated() {
    let (ground, _pos, _rig, client) = start().await;
    ground.peers.merchants.merchants.lock().remove(&merchant(1));
    let named = format!("?merchantId={}", merchant(1));
    let item = json!({ "id": "i", "name": "Calzone", "description": "", "externalCode": "i", "unit": "UN" });
    for body in [
        json!({ "entityType": "ITEM", "updatedObjects": [item] }),
        json!({ "merchantStatus": "UNAVAILABLE" }),
        json!({ "merchantStatus": "AVAILABLE" }),
    ] {
        assert_eq!(problem(&update(&client, &named, body.to_string()).await), 404, "{body}");
    }
    ground.peers.merchants.down.store(true, Ordering::SeqCst);
    let parts = json!({ "entityType": "ITEM", "updatedObjects": [item] });
    assert_eq!(problem(&update(&client, &named, parts.to_string()).await), 503, "who could say is away");
}

#[tokio::test]
async fn a_pos_closes_its_store_and_opens_it_again() {
    let (ground, _pos, rig, _client) = start().await;
    ground.applications.put("single", "single-secret", &[merchant(1)]);
    let client = rig.once_known("single").await;
    let interruptions = || {
        let merchants = rig.peers.merchants.merchants.lock();
        merchants[&merchant(1)].interruptions.clone()
    };
    let now_ms = || order_model::Clock::now(&*rig.clock).unix_ms();
    rig.peers.merchants.change(merchant(1), |profile| {
        profile.interruptions = vec![proto::merchant_connection::Interruption {
            id: "planned".to_owned(),
            description: String::new(),
            start_ms: now_ms() + 3_600_000,
            end_ms: now_ms() + 7_200_000,
        }];
    });
    assert_eq!(update(&client, "", json!({ "merchantStatus": "UNAVAILABLE" }).to_string()).await.status, 204);
    let closed = interruptions();
    assert_eq!(closed.len(), 3, "before and after the planned one: {closed:?}");
    assert!(closed.iter().any(|one| one.start_ms <= now_ms() && now_ms() < one.end_ms));
    assert_eq!(update(&client, "", json!({ "merchantStatus": "AVAILABLE" }).to_string()).await.status, 204);
    assert_eq!(interruptions().iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["planned"]);
}

#[tokio::test]
async fn a_document_is_not_read_for_an_application_that_has_lost_the_merchant() {
    let (_ground, pos, rig, client) = start().await;
    onboard(&client, OWN_ID, &endpoints(&pos)).await;
    once(&client, "SUCCESS").await;
    rig.applications.change("pos", |stored| stored.grants.retain(|grant| grant.merchant != merchant(1)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    rig.clock.jump(Duration::from_secs(601));
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(pos.count(), 1);
}

#[tokio::test]
async fn an_instance_that_does_not_know_the_application_yet_reads_on_once_it_does() {
    let (ground, pos, rig, client) = start().await;
    onboard(&client, OWN_ID, &endpoints(&pos)).await;
    once(&client, "SUCCESS").await;
    stop(rig).await;
    // Read before the application came, and not again by itself.
    let behind = Arc::new(InMemoryApplications::default());
    let (config, given) = ground.parts(|_| ());
    let config = Config { directory_refresh: Duration::from_secs(3_600), ..config };
    let _second = ground.run(config, Dependencies { applications: behind.clone(), ..given }).await;
    behind.down.store(true, Ordering::SeqCst);
    let before = behind.looks.load(Ordering::SeqCst);
    ground.clock.jump(Duration::from_secs(601));
    eventually("it looks again", || behind.looks.load(Ordering::SeqCst) > before).await;
    behind.put("pos", "pos-secret", &[merchant(1)]);
    behind.down.store(false, Ordering::SeqCst);
    // Whatever it waits for: the time of the document, or for what it could not ask.
    ground.clock.jump(Duration::from_secs(601));
    eventually("it reads", || pos.count() >= 2).await;
}

#[tokio::test]
async fn a_process_that_dies_while_it_reads_is_replaced() {
    let (ground, pos) = (Ground::new().await, Receiver::start().await);
    ground.peers.merchants.put(merchant(1), "Loja");
    ground.peers.merchants.change(merchant(1), |profile| OWN_ID.clone_into(&mut profile.open_delivery_id));
    pos.answers(HANGS);
    let (doomed, client) = ground.start_doomed().await;
    assert_eq!(onboard(&client, OWN_ID, &endpoints(&pos)).await.status, 201);
    eventually("it reads", || pos.count() == 1).await;
    doomed.shutdown_background();
    pos.answers(200);
    *pos.answer.lock() = document();
    let rig = ground.start().await;
    rig.clock.jump(Duration::from_secs(61));
    once(&rig.as_application("pos").await, "SUCCESS").await;
}

#[tokio::test]
async fn onboarding_is_answered_as_documented() {
    let (_ground, pos, _rig, client) = start().await;
    let document = client.get("/openapi/open-delivery.json").await.json();
    let content = |path: &str, method: &str, status: &str| {
        document["paths"][path][method]["responses"][status]["content"]["application/json"]["schema"].clone()
    };
    let body = endpoints(&pos);
    let wanted = &document["paths"][ONBOARDING]["put"]["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, wanted, &body, "body"), [""; 0]);
    let answer = onboard(&client, OWN_ID, &body).await;
    assert_eq!(differences(&document, &content(ONBOARDING, "put", "201"), &answer.json(), "put"), [""; 0]);
    pos.answers(404);
    onboard(&client, OWN_ID, &body).await;
    let found = once(&client, "FAIL").await;
    assert_eq!(differences(&document, &content("/v1/merchantStatus", "get", "200"), &found, "get"), [""; 0]);
}
