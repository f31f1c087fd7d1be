//! Quotes for couriers of the platform, and changes of an address (PARTNER_API, section 1.7).

use std::time::Duration;

use kitchen_api::{Config, CourierTariff};
use order_model::{MerchantId, OrderId};
use proto::gateway_core::{Action, Conflict};
use proto::merchant_connection::{Coordinates, Interruption};
use serde_json::{Value, json};

use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::rig::{Rig, config, merchant};

pub const TARIFF: CourierTariff = CourierTariff {
    base_fee_cents: 499,
    fee_per_km_cents: 150,
    distance_max_km: 8,
    minutes_base: 15,
    minutes_per_km: 3,
    quote_validity: Duration::from_secs(3_600),
};
/// 1,112 m from where merchants 1 to 3 are.
pub const NEAR: (f64, f64) = (-23.56, -46.63);

/// With couriers; merchants 1 and 2 of `pos` and 3 of `other` are open, connected and at one place.
pub async fn rig(tables: &Tables) -> (Rig, Client) {
    let (rig, pos) = tables.rig_with(Config { courier_tariff: Some(TARIFF), ..config() }).await;
    for id in [1, 2, 3].map(merchant) {
        rig.peers.merchants.put(id, "Cantina");
        let here = Coordinates { latitude_microdegrees: -23_550_000, longitude_microdegrees: -46_630_000 };
        rig.peers.merchants.change(id, |merchant| merchant.coordinates = Some(here));
        rig.peers.merchants.online.lock().insert(id);
    }
    (rig, pos.client)
}

pub fn place(id: MerchantId, (latitude, longitude): (f64, f64)) -> String {
    format!("/shipping/v1.0/merchants/{id}/deliveryAvailabilities?latitude={latitude}&longitude={longitude}")
}

fn of_order(order: OrderId, tail: &str) -> String {
    format!("/shipping/v1.0/orders/{order}/{tail}")
}

fn refusal(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.error_code())
}

#[tokio::test]
async fn a_quote_says_what_a_way_costs_to_the_cent() {
    let tables = Tables::start().await;
    let (_rig, pos) = rig(&tables).await;
    let answer = pos.get(&place(merchant(1), NEAR)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = std::str::from_utf8(&answer.body).unwrap();
    let price = r#""quote":{"grossValue":6.66,"discount":0.00,"raise":0.00,"netValue":6.66}"#;
    assert!(text.contains(price), "decimals as they are: {text}");
    let quote = answer.json();
    assert_eq!((&quote["distance"], &quote["preparationTime"]), (&json!(1_112), &json!(0)));
    assert_eq!(quote["deliveryTime"], json!({ "min": 1_100, "max": 1_700 }));
    assert_eq!((&quote["hasPaymentMethods"], &quote["paymentMethods"]), (&json!(false), &json!([])));
    let instant = |name: &str| quote[name].as_str().unwrap().parse::<order_model::Timestamp>().unwrap();
    assert_eq!(instant("expirationAt").since(instant("createdAt")), TARIFF.quote_validity);
    assert_eq!(quote["id"].as_str().unwrap().len(), 36);
    let another = pos.get(&place(merchant(1), NEAR)).await.json();
    assert_ne!(another["id"], quote["id"]);
    let document = pos.get("/openapi/merchant.json").await.json();
    let path = "/shipping/v1.0/merchants/{id}/deliveryAvailabilities";
    let schema = &document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, schema, &quote, "quote"), [""; 0]);
}

#[tokio::test]
async fn each_reason_for_no_courier_has_its_published_code() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let (own, merchants) = (merchant(1), &rig.peers.merchants);
    let code = async || refusal(&pos.get(&place(own, NEAR)).await);
    assert_eq!(pos.get(&place(own, NEAR)).await.status, 200);
    let far = pos.get(&place(own, (-23.63, -46.63))).await;
    assert_eq!(refusal(&far), (400, "DeliveryDistanceTooHigh".to_owned()));
    assert!(far.json()["message"].as_str().unwrap().contains("8 km"));

    merchants.online.lock().remove(&own);
    assert_eq!(code().await, (400, "MerchantStatusAvailability".to_owned()));
    let pause = Interruption { id: "p".to_owned(), end_ms: i64::MAX, ..Interruption::default() };
    merchants.change(own, |merchant| merchant.interruptions = vec![pause]);
    assert_eq!(code().await, (400, "BadRequestMerchant".to_owned()));
    merchants.change(own, |merchant| merchant.shifts.clear());
    assert_eq!(code().await, (400, "OffOpeningHours".to_owned()));
    merchants.change(own, |merchant| merchant.coordinates = None);
    assert_eq!(code().await, (400, "OriginNotFound".to_owned()));

    for (query, field) in [
        ("", "latitude"),
        ("?latitude=1", "longitude"),
        ("?latitude=91&longitude=1", "latitude"),
        ("?latitude=-90.000001&longitude=1", "latitude"),
        ("?latitude=1&longitude=180.000001", "longitude"),
        ("?latitude=1&longitude=-181", "longitude"),
        ("?latitude=x&longitude=1", "latitude"),
        ("?latitude=1&longitude=NaN", "longitude"),
    ] {
        let answer = pos.get(&format!("/shipping/v1.0/merchants/{own}/deliveryAvailabilities{query}")).await;
        assert_eq!(refusal(&answer), (400, "BadRequest".to_owned()), "{query}");
        assert_eq!(answer.json()["error"]["field"], field);
    }
}

/// The poles and the date line are places too, though far away.
#[tokio::test]
async fn the_last_degrees_are_degrees() {
    let tables = Tables::start().await;
    let (_rig, pos) = rig(&tables).await;
    for edge in [(90.0, 180.0), (-90.0, -180.0)] {
        let answer = pos.get(&place(merchant(1), edge)).await;
        assert_eq!(refusal(&answer), (400, "DeliveryDistanceTooHigh".to_owned()), "{edge:?}");
    }
}

/// The published fields stand in the documents, though nobody here has a way to pay a courier yet.
#[tokio::test]
async fn the_fields_of_a_quote_and_of_a_way_to_pay_are_documented_as_published() {
    let rig = Rig::start().await;
    let document = rig.client.get("/openapi/merchant.json").await.json();
    let fields = |schema: &str| -> Vec<String> {
        document["components"]["schemas"][schema]["properties"].as_object().unwrap().keys().cloned().collect()
    };
    let sorted = |mut names: Vec<&'static str>| {
        names.sort_unstable();
        names
    };
    let of = |schema: &str| {
        let mut found = fields(schema);
        found.sort_unstable();
        found
    };
    let quote = ["id", "expirationAt", "createdAt", "distance", "preparationTime", "quote", "deliveryTime"];
    let quote = [&quote[..], &["hasPaymentMethods", "paymentMethods"]].concat();
    assert_eq!(of("DeliveryAvailability"), sorted(quote));
    assert_eq!(of("DeliveryQuote"), sorted(vec!["grossValue", "discount", "raise", "netValue"]));
    assert_eq!(of("DeliveryPaymentMethod"), sorted(vec!["id", "brand", "liability", "paymentType", "method"]));
    let methods = &document["components"]["schemas"]["DeliveryAvailability"]["properties"]["paymentMethods"];
    assert_eq!(methods["items"]["$ref"], "#/components/schemas/DeliveryPaymentMethod");
}

#[tokio::test]
async fn a_platform_without_a_tariff_offers_no_couriers() {
    let rig = Rig::start().await;
    rig.peers.merchants.put(merchant(1), "Cantina");
    let answer = rig.as_application("pos").await.get(&place(merchant(1), NEAR)).await;
    assert_eq!(refusal(&answer), (400, "ServiceAreaMismatch".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains("offers no couriers"));
}

#[tokio::test]
async fn a_foreign_merchant_and_an_unknown_one_answer_alike() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    let granted_and_gone = pos.get(&place(merchant(2), NEAR)).await;
    for id in [merchant(3), merchant(9)] {
        let answer = pos.get(&place(id, NEAR)).await;
        assert_eq!((answer.status, &answer.body), (granted_and_gone.status, &granted_and_gone.body));
        assert_eq!(answer.status, 403);
    }
    assert_eq!(rig.client.get(&place(merchant(1), NEAR)).await.status, 401);
}

const ORDER: &str = r#"{"orderType":"DELIVERY","delivery":{"deliveredBy":"MERCHANT","deliveryAddress":{"coordinates":{"latitude":-23.56,"longitude":-46.63}}}}"#;

#[tokio::test]
async fn an_order_is_quoted_by_its_own_address() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let order = |number: u8| OrderId::from_bytes([number; 16]);
    rig.peers.core.put(order(1), merchant(1), ORDER);
    rig.peers.core.put(order(3), merchant(3), ORDER);
    rig.peers.core.put(order(4), merchant(1), r#"{"orderType":"TAKEOUT"}"#);
    rig.peers.core.put(order(5), merchant(1), r#"{"orderType":"DELIVERY","delivery":{"deliveredBy":"MERCHANT"}}"#);
    let quote = pos.get(&of_order(order(1), "deliveryAvailabilities")).await;
    assert_eq!((quote.status.as_u16(), &quote.json()["distance"]), (200, &json!(1_112)));
    for number in [4, 5] {
        let answer = pos.get(&of_order(order(number), "deliveryAvailabilities")).await;
        assert_eq!(refusal(&answer), (400, "BadRequest".to_owned()), "{number}");
    }
    let foreign = pos.get(&of_order(order(3), "deliveryAvailabilities")).await;
    let unknown = pos.get(&of_order(order(9), "deliveryAvailabilities")).await;
    assert_eq!((foreign.status.as_u16(), &foreign.body), (404, &unknown.body));
    rig.peers.core.orders.lock().get_mut(&order(1)).unwrap().state = "CANCELLED".to_owned();
    let over = pos.get(&of_order(order(1), "deliveryAvailabilities")).await;
    assert_eq!(refusal(&over), (400, "BadRequest".to_owned()));
}

pub fn address() -> Value {
    json!({
        "postalCode": "01310100", "streetNumber": "900", "streetName": "Avenida Paulista", "neighborhood": "Bela Vista",
        "city": "Sao Paulo", "state": "SP", "country": "BR", "complement": "ap 2", "unknown": true,
        "coordinates": { "latitude": NEAR.0, "longitude": NEAR.1 },
    })
}

#[tokio::test]
async fn a_change_of_address_reaches_the_core_and_nothing_else_does() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    let order = |number: u8| OrderId::from_bytes([number; 16]);
    rig.peers.core.put(order(1), merchant(1), "{}");
    rig.peers.core.put(order(3), merchant(3), "{}");
    let change = |number| of_order(order(number), "deliveryAddressChangeRequest");
    let answer = pos.post(&change(1), address().to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
    let act = rig.peers.core.acts.lock().pop().unwrap();
    assert_eq!(act.action, i32::from(Action::RequestAddressChange));
    let sent: Value = serde_json::from_slice(&act.new_address).unwrap();
    assert_eq!((&sent["formattedAddress"], &sent["complement"]), (&json!("Avenida Paulista, 900"), &json!("ap 2")));
    assert!(sent.get("unknown").is_none() && sent["coordinates"]["latitude"] == NEAR.0);

    for (name, value) in [("city", json!(null)), ("streetName", json!(7.5)), ("coordinates", json!({}))] {
        let mut wrong = address();
        wrong[name] = value;
        let answer = pos.post(&change(1), wrong.to_string()).await;
        assert_eq!(refusal(&answer), (400, "BadRequest".to_owned()), "{name}");
        assert!(answer.json()["error"]["field"].as_str().unwrap().starts_with(name));
    }
    for number in [3, 9] {
        assert_eq!(pos.post(&change(number), address().to_string()).await.status, 404);
    }
    assert!(rig.peers.core.acts.lock().is_empty());
    let legal = vec!["acceptDeliveryAddressChange".to_owned()];
    *rig.peers.core.conflict.lock() =
        Some(Conflict { state: "CONFIRMED".to_owned(), legal, message: "not the next step".to_owned() });
    let answer = pos.post(&change(1), address().to_string()).await;
    assert_eq!(refusal(&answer), (409, "Conflict".to_owned()));
    assert_eq!(answer.json()["error"]["details"][0]["legal"][0], "acceptDeliveryAddressChange");
}
