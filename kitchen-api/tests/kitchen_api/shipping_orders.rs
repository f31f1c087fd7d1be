//! Orders made outside: placed, confirmed and given a courier, once for each quote (PARTNER_API, section 1.7).

use std::sync::atomic::Ordering;
use std::time::Duration;

use proto::gateway_core::{Action, Conflict, submit_request::Content};
use serde_json::{Value, json};

use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::documentation::differences;
use crate::rig::{Rig, merchant};
use crate::shipping::{NEAR, TARIFF, address, place, rig};

fn orders(number: u8) -> String {
    format!("/shipping/v1.0/merchants/{}/orders", merchant(number))
}

async fn quote(client: &Client, number: u8) -> String {
    let answer = client.get(&place(merchant(number), NEAR)).await;
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

fn order(quote: &str) -> Value {
    json!({
        "customer": { "name": "Ana", "phone": { "type": "CUSTOMER", "countryCode": "55", "areaCode": "11", "number": "999990000" } },
        "delivery": { "merchantFee": 7.9, "preparationTime": 600, "quoteId": quote, "deliveryAddress": address() },
        "items": [{ "id": "i", "name": "Pizza", "quantity": 2, "unitPrice": 30, "price": 60, "optionsPrice": 0, "totalPrice": 60 }],
        "payments": { "methods": [{ "method": "CASH", "type": "OFFLINE", "value": 67.9 }] },
        "displayId": "A-17",
    })
}

async fn send(client: &Client, body: &Value) -> Answer {
    client.post(&orders(1), body.to_string()).await
}

fn actions(rig: &Rig) -> Vec<(i32, String)> {
    let acts = std::mem::take(&mut *rig.peers.core.acts.lock());
    acts.into_iter().map(|act| (act.action, act.idempotency_key)).collect()
}

fn field(answer: &Answer) -> (u16, String) {
    (answer.status.as_u16(), answer.json()["error"]["field"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn an_order_is_placed_taken_and_given_a_courier() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let quote = quote(&pos, 1).await;
    let answer = send(&pos, &order(&quote)).await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let document = pos.get("/openapi/merchant.json").await.json();
    let responses = &document["paths"]["/shipping/v1.0/merchants/{id}/orders"]["post"]["responses"];
    let schema = &responses["202"]["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, schema, &answer.json(), "placed"), [""; 0]);
    assert!(answer.json().get("trackingUrl").is_none());

    let id = answer.json()["id"].as_str().unwrap().to_owned();
    let shown = pos.get(&format!("/order/v1.0/orders/{id}")).await;
    let text = std::str::from_utf8(&shown.body).unwrap();
    assert!(text.contains(r#""subTotal":60.00,"deliveryFee":7.90"#) && text.contains(r#""netValue":6.66"#), "{text}");
    let shown = shown.json();
    assert_eq!((&shown["id"], &shown["displayId"]), (&json!(id), &json!("A-17")));
    assert_eq!(shown["delivery"]["deliveryAddress"]["streetName"], "Avenida Paulista");
    assert_eq!(shown["total"]["orderAmount"], 67.9);
    {
        let taken = rig.peers.core.submissions.taken.lock();
        let Some(Content::Place(place)) = &taken[0].content else { panic!() };
        let facts = place.facts.as_ref().unwrap();
        assert_eq!((facts.order_type.as_str(), facts.delivered_by.as_str()), ("DELIVERY", "MERCHANT"));
        assert_eq!((taken[0].source.as_str(), facts.sales_channel.as_str()), ("comanda-shipping", "POS"));
    }
    let actions = actions(&rig).into_iter().map(|(action, _)| action).collect::<Vec<_>>();
    assert_eq!(actions, [i32::from(Action::Confirm), i32::from(Action::RequestDriver)]);
}

#[tokio::test]
async fn the_same_request_again_is_the_same_order_with_a_key_and_without() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let body = order(&quote(&pos, 1).await);
    let first = send(&pos, &body).await;
    let steps = actions(&rig);
    let again = send(&pos, &body).await;
    assert_eq!((again.status.as_u16(), &again.body), (202, &first.body));
    assert_eq!(actions(&rig), steps, "the core answers the same steps as the first time");
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 1);

    let other = order(&quote(&pos, 1).await);
    let keyed = async || pos.send("POST", &orders(1), &[("idempotency-key", "k")], other.to_string()).await;
    let (first, again) = (keyed().await, keyed().await);
    assert_eq!((first.status.as_u16(), &first.body), (202, &again.body));
    assert_eq!(again.headers["idempotency-replayed"], "true");
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 2);

    let mut changed = body.clone();
    changed["displayId"] = json!("A-18");
    let answer = send(&pos, &changed).await;
    assert_eq!((field(&answer), answer.error_code()), ((409, "delivery.quoteId".to_owned()), "QuoteUsed".to_owned()));
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 2);
}

#[tokio::test]
async fn a_step_that_fails_is_said_and_finished_by_the_same_request() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let body = order(&quote(&pos, 1).await);
    rig.peers.core.submissions.answers_lost.store(1, Ordering::SeqCst);
    assert_eq!(send(&pos, &body).await.status, 503, "nobody knows whether it was placed");
    rig.peers.core.submissions.gate_is_shut.store(true, Ordering::SeqCst);
    let begun = send(&pos, &body).await;
    let id = rig.peers.core.submissions.orders()[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(begun.status, 503);
    assert!(begun.headers.contains_key("retry-after") && begun.json()["message"].as_str().unwrap().contains(&id));
    rig.peers.core.submissions.open_gate();
    // The store has closed and the quote expired since: the order stands all the same.
    rig.peers.merchants.change(merchant(1), |merchant| merchant.shifts.clear());
    rig.clock.jump(TARIFF.quote_validity + Duration::from_secs(1));
    let finished = send(&pos, &body).await;
    assert_eq!((finished.status.as_u16(), finished.json()), (202, json!({ "id": id })));
    assert_eq!(rig.peers.core.submissions.taken.lock().len(), 1);

    let conflict = Conflict { state: "CANCELLED".to_owned(), legal: Vec::new(), message: "it is over".to_owned() };
    *rig.peers.core.conflict.lock() = Some(conflict);
    let refused = send(&pos, &body).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (409, "Conflict"));
    assert!(refused.json()["message"].as_str().unwrap().contains(&id), "{refused:?}");
    assert_eq!(refused.json()["error"]["details"][0]["state"], "CANCELLED");
}

#[tokio::test]
async fn a_quote_counts_for_its_application_merchant_and_time_only() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let other = rig.as_application("other").await;
    let unknown = send(&pos, &order("00000000-0000-8000-8000-000000000000")).await;
    assert_eq!(field(&unknown), (400, "delivery.quoteId".to_owned()));
    for foreign in [quote(&other, 3).await, quote(&pos, 2).await] {
        let answer = send(&pos, &order(&foreign)).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body));
    }
    let expired = order(&quote(&pos, 1).await);
    rig.clock.jump(TARIFF.quote_validity);
    let answer = send(&pos, &expired).await;
    assert_eq!(field(&answer), (400, "delivery.quoteId".to_owned()));
    assert!(answer.json()["message"].as_str().unwrap().contains("expired"));
    assert!(rig.peers.core.submissions.taken.lock().is_empty() && actions(&rig).is_empty());
}

#[tokio::test]
async fn what_a_quote_did_not_promise_is_refused_and_nothing_is_placed() {
    let tables = Tables::start().await;
    let (rig, pos) = rig(&tables).await;
    let quoted = quote(&pos, 1).await;
    let mut farther = order(&quoted);
    farther["delivery"]["deliveryAddress"]["coordinates"]["latitude"] = json!(-23.562);
    assert_eq!(field(&send(&pos, &farther).await), (400, "delivery.deliveryAddress.coordinates".to_owned()));
    let mut nameless = order(&quoted);
    nameless["customer"]["name"] = json!(null);
    assert_eq!(field(&send(&pos, &nameless).await), (400, "customer.name".to_owned()));
    rig.peers.merchants.change(merchant(1), |merchant| merchant.shifts.clear());
    assert_eq!(send(&pos, &order(&quoted)).await.error_code(), "OffOpeningHours");
    for foreign in [3, 9] {
        assert_eq!(pos.post(&orders(foreign), order(&quoted).to_string()).await.status, 403);
    }
    assert!(rig.peers.core.submissions.taken.lock().is_empty() && actions(&rig).is_empty());
}
