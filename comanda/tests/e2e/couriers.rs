//! A courier of the platform from its quote to the door, as a restaurant with a site of its own would try it on `comanda dev`.

use std::time::Duration;

use bytes::Bytes;
use comanda::kitchen_client::KitchenClient;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::platform::{Dev, eventually};

const MERCHANT: &str = "00000000-0000-4000-8000-000000000001";
const LIMIT: Duration = Duration::from_secs(30);

/// Some 580 m from the first seeded merchant.
fn address(street: &str) -> Value {
    json!({
        "streetName": street, "streetNumber": "1", "neighborhood": "Consolacao", "city": "Sao Paulo", "state": "SP",
        "country": "BR", "postalCode": "01305000", "coordinates": { "latitude": -23.565, "longitude": -46.66 },
    })
}

fn order(quote: &Value) -> Value {
    json!({
        "customer": { "name": "Ana", "phone": { "countryCode": "55", "areaCode": "11", "number": "999990000" } },
        "delivery": { "merchantFee": 7.9, "quoteId": quote["id"], "deliveryAddress": address("Rua Augusta") },
        "items": [{ "id": "1", "name": "Pizza", "quantity": 1, "unitPrice": 40, "price": 40, "optionsPrice": 0, "totalPrice": 40 }],
        "payments": { "methods": [{ "method": "CASH", "type": "OFFLINE", "value": 47.9 }] },
    })
}

async fn post(pos: &KitchenClient, path: &str, body: &Value) -> (StatusCode, Value) {
    let answer = pos.call(Method::POST, path, &[], Bytes::from(body.to_string())).await.unwrap();
    let body = if answer.body.is_empty() { Value::Null } else { answer.json() };
    (answer.status, body)
}

/// The codes of the order's pending events in their order, and all they say, once there are so many.
async fn events(pos: &KitchenClient, order: &str, count: usize) -> (Vec<String>, String) {
    eventually(&format!("{count} events"), LIMIT, async || {
        let mut events = pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
        events.retain(|event| event["orderId"] == order);
        events.sort_by_key(|event| event["sequence"].as_u64());
        let codes = events.iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect();
        (events.len() >= count).then(|| (codes, Value::from(events).to_string()))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_made_outside_gets_a_courier_and_goes_elsewhere() {
    let dev = Dev::start(&[], &[]);
    let pos = dev.pos().await;
    let place = format!("/shipping/v1.0/merchants/{MERCHANT}/deliveryAvailabilities?latitude=-23.565&longitude=-46.66");
    let quote = eventually("the store is connected, and a quote", LIMIT, async || {
        pos.poll(&[MERCHANT.to_owned()]).await.unwrap();
        let answer = pos.call(Method::GET, &place, &[], Bytes::new()).await.unwrap();
        (answer.status == StatusCode::OK).then(|| answer.json())
    })
    .await;
    assert!((500..700).contains(&quote["distance"].as_u64().unwrap()), "{quote}");

    let orders = format!("/shipping/v1.0/merchants/{MERCHANT}/orders");
    let (status, placed) = post(&pos, &orders, &order(&quote)).await;
    assert_eq!(status, StatusCode::ACCEPTED, "{placed}");
    let id = placed["id"].as_str().unwrap().to_owned();
    assert_eq!(post(&pos, &orders, &order(&quote)).await, (StatusCode::ACCEPTED, placed.clone()), "the same order");
    assert_eq!(events(&pos, &id, 3).await.0, ["PLC", "CFM", "RDR"]);

    let change = |tail: &str| format!("/shipping/v1.0/orders/{id}/{tail}");
    let asked = post(&pos, &change("deliveryAddressChangeRequest"), &address("Rua Canary")).await;
    assert_eq!(asked.0, StatusCode::ACCEPTED, "{}", asked.1);
    let again = post(&pos, &change("deliveryAddressChangeRequest"), &address("Rua Canary")).await;
    assert_eq!(again.0, StatusCode::CONFLICT, "one at a time");
    let shown = async || {
        let path = format!("/order/v1.0/orders/{id}");
        pos.call(Method::GET, &path, &[], Bytes::new()).await.unwrap().json()["delivery"].clone()
    };
    let waiting = shown().await;
    let streets =
        |delivery: &Value| [&delivery["deliveryAddress"], &delivery["newAddress"]].map(|a| a["streetName"].clone());
    assert_eq!(streets(&waiting), [json!("Rua Augusta"), json!("Rua Canary")]);
    assert_eq!(post(&pos, &change("acceptDeliveryAddressChange"), &json!({})).await.0, StatusCode::ACCEPTED);
    assert_eq!(streets(&shown().await), [json!("Rua Canary"), Value::Null]);
    let (codes, said) = events(&pos, &id, 5).await;
    assert_eq!(codes, ["PLC", "CFM", "RDR", "DAR", "DAA"]);
    assert!(!said.contains("Canary") && !said.contains("Augusta"), "no event carries an address: {said}");
}
