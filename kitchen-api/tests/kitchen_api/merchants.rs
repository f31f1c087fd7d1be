//! PARTNER_API, section 1.5: the list, details and status of merchants.

use std::sync::atomic::Ordering;

use order_model::MerchantId;
use proto::merchant_connection::Interruption;
use serde_json::json;

use crate::rig::{Rig, config, eventually, merchant};

async fn rig() -> Rig {
    let rig = Rig::start().await;
    for number in 1..=3 {
        rig.peers.merchants.put(merchant(number), &format!("Loja {number}"));
    }
    rig
}

fn path(number: u8, tail: &str) -> String {
    format!("/merchant/v1.0/merchants/{}{tail}", merchant(number))
}

#[tokio::test]
async fn the_list_shows_the_applications_merchants_page_by_page() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let list = pos.get("/merchant/v1.0/merchants").await.json();
    let first = json!({ "id": merchant(1).to_string(), "name": "Loja 1", "corporateName": "Loja 1 LTDA" });
    assert_eq!((list.as_array().unwrap().len(), &list[0]), (2, &first));
    let second = pos.get("/merchant/v1.0/merchants?page=2&size=1").await.json();
    assert_eq!(second[0]["name"], "Loja 2");
    assert_eq!(pos.get("/merchant/v1.0/merchants?page=3&size=1").await.json(), json!([]));
    let answer = pos.get("/merchant/v1.0/merchants?page=0").await;
    assert_eq!((answer.status.as_u16(), answer.json()["error"]["field"].as_str()), (400, Some("page")));
}

/// A hundred closings of 500 characters each at every store of a page are more than one message may carry.
#[tokio::test]
async fn the_list_is_answered_however_much_its_merchants_keep() {
    let rig = Rig::start_cold(config(), |applications| {
        let stores: Vec<MerchantId> = (1..=100).map(merchant).collect();
        applications.put("chain", "chain-secret", &stores);
    })
    .await;
    eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
    let pause = |number: u32| Interruption {
        id: format!("{number:064}"),
        description: "🍕".repeat(500),
        start_ms: i64::from(number),
        end_ms: i64::from(number) + 1,
    };
    for number in 1..=100 {
        rig.peers.merchants.put(merchant(number), &format!("Loja {number}"));
        rig.peers.merchants.change(merchant(number), |merchant| merchant.interruptions = (0..100).map(pause).collect());
    }
    let chain = rig.as_application("chain").await;
    let answer = chain.get("/merchant/v1.0/merchants").await;
    assert_eq!(answer.status, 200);
    let names: Vec<String> =
        answer.json().as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names, (1..=100).map(|number| format!("Loja {number}")).collect::<Vec<_>>(), "in their order");
}

/// Clients written against the published object read each field without asking whether it is there.
#[tokio::test]
async fn details_have_every_published_field_also_where_nobody_has_said_anything() {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    let pos = rig.as_application("pos").await;
    let details = pos.get(&path(1, "")).await.json();
    let fields = ["description", "averageTicket", "exclusive"].map(|field| &details[field]);
    assert_eq!(fields, [&json!(""), &json!(0.0), &json!(false)]);
    let parts = ["country", "state", "city", "district", "street", "number", "postalCode"];
    let nothing: serde_json::Map<String, serde_json::Value> =
        parts.into_iter().map(|part| (part.to_owned(), json!(""))).collect();
    assert_eq!(details["address"], json!(nothing), "degrees are left out: 0 is a place");
    let document = pos.get("/openapi.json").await.json();
    let schema = json!({ "$ref": "#/components/schemas/Merchant" });
    assert_eq!(crate::documentation::differences(&document, &schema, &details, "merchant"), [""; 0]);
}

#[tokio::test]
async fn details_show_how_a_store_presents_itself_and_where_it_is() {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Loja");
    let here =
        proto::merchant_connection::Coordinates { latitude_microdegrees: -23_550_100, longitude_microdegrees: 5 };
    let text = |text: &str| text.to_owned();
    let presentation = proto::merchant_connection::Presentation {
        description: text("Massas"),
        average_ticket_cents: 4_550,
        exclusive: true,
        country: text("BR"),
        state: text("SP"),
        city: text("São Paulo"),
        district: text("Centro"),
        street: text("Rua A"),
        number: text("1"),
        postal_code: text("01000000"),
    };
    rig.peers.merchants.change(merchant(1), |merchant| {
        merchant.coordinates = Some(here);
        merchant.presentation = Some(presentation);
    });
    let pos = rig.as_application("pos").await;
    let details = pos.get(&path(1, "")).await.json();
    let fields = ["description", "averageTicket", "exclusive"].map(|field| &details[field]);
    assert_eq!(fields, [&json!("Massas"), &json!(45.5), &json!(true)]);
    let address = json!({
        "country": "BR", "state": "SP", "city": "São Paulo", "district": "Centro", "street": "Rua A", "number": "1",
        "postalCode": "01000000", "latitude": -23.5501, "longitude": 0.000005,
    });
    assert_eq!(details["address"], address);
    let document = pos.get("/openapi.json").await.json();
    let schema = json!({ "$ref": "#/components/schemas/Merchant" });
    assert_eq!(crate::documentation::differences(&document, &schema, &details, "merchant"), [""; 0]);
}

/// Times of a store are answered without an offset, so a POS must be able to see whose clock they are of.
#[tokio::test]
async fn details_name_the_operations_and_the_time_zone() {
    let rig = rig().await;
    rig.peers.merchants.change(merchant(1), |merchant| merchant.time_zone = "America/Manaus".to_owned());
    let pos = rig.as_application("pos").await;
    let details = pos.get(&path(1, "")).await.json();
    let fields = ["id", "name", "corporateName", "type", "status", "createdAt", "timeZone"].map(|name| &details[name]);
    let created_at = "1970-01-01T00:00:00.000Z";
    let expected =
        [&merchant(1).to_string(), "Loja 1", "Loja 1 LTDA", "RESTAURANT", "AVAILABLE", created_at, "America/Manaus"];
    assert_eq!(fields.map(|field| field.as_str().unwrap()), expected);
    let channels = json!([{ "name": "ifood-app", "enabled": true }]);
    let operations = ["DELIVERY", "TAKEOUT", "INDOOR"].map(|name| json!({ "name": name, "salesChannels": channels }));
    assert_eq!(details["operations"], json!(operations));
}

#[tokio::test]
async fn a_foreign_and_an_unknown_merchant_are_403_alike() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    assert_eq!(pos.get(&path(1, "")).await.json()["type"], "RESTAURANT");
    let foreign = pos.get(&path(3, "")).await;
    assert_eq!((foreign.status.as_u16(), foreign.error_code().as_str()), (403, "Forbidden"));
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    for other in [
        path(99, ""),
        path(2, ""),
        path(3, "/status"),
        path(99, "/status"),
        path(3, "/status/delivery"),
        "/merchant/v1.0/merchants/not-an-id".to_owned(),
    ] {
        let answer = pos.get(&other).await;
        assert_eq!((answer.status, &answer.body), (foreign.status, &foreign.body), "{other}");
    }
}

#[tokio::test]
async fn status_follows_presence_and_operations_are_named_in_any_case() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let status = pos.get(&path(1, "/status")).await.json();
    let operations: Vec<&str> =
        status.as_array().unwrap().iter().map(|one| one["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["delivery", "takeout", "indoor"]);
    assert_eq!((&status[0]["state"], &status[0]["available"]), (&json!("ERROR"), &json!(false)));
    rig.peers.merchants.online.lock().insert(merchant(1));
    let status = pos.get(&path(1, "/status/DELIVERY")).await.json();
    assert_eq!((&status["state"], &status["available"]), (&json!("OK"), &json!(true)));
    assert_eq!(status["message"]["title"], "Loja aberta");
    assert_eq!(pos.get(&path(1, "/status/drone")).await.status, 404);
}

#[tokio::test]
async fn without_merchant_connection_merchants_are_503_and_polls_go_on() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    for path in [path(1, ""), path(1, "/status"), "/merchant/v1.0/merchants".to_owned()] {
        let answer = pos.get(&path).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    }
    assert_eq!(pos.get("/events/v1.0/events:polling").await.status, 204);
}
