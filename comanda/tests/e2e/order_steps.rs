//! PARTNER_API 1.4, 1.7, 2.1 and 2.3: the steps of orders of every kind, codes, couriers and changes of an address, over HTTP against
//! the real core.

use http::Method;
use serde_json::{Value, json};

use crate::restaurant::{OWN, Restaurant, SHARED, coded, codes, takeout};

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_an_event_and_what_is_none_is_a_conflict() {
    let restaurant = Restaurant::open().await;
    kinds_of_orders_take_their_own_steps(&restaurant).await;
    a_courier_is_asked_for_and_found_or_not(&restaurant).await;
    a_change_of_address_is_confirmed_and_denied(&restaurant).await;
    codes_open_doors_and_wrong_ones_do_not(&restaurant).await;
    a_courier_is_tracked_while_the_order_lasts(&restaurant).await;
    for (delivered_by, leaves) in [("MERCHANT", "DSP"), ("IFOOD", "CLT")] {
        a_logistics_integrator_goes_step_by_step(&restaurant, delivered_by, leaves).await;
    }
}

async fn kinds_of_orders_take_their_own_steps(restaurant: &Restaurant) {
    let fetched = restaurant.confirmed(OWN, takeout).await;
    restaurant.refuses(&fetched, "confirm", "CONFIRMED").await;
    restaurant.refuses(&fetched, "dispatch", "CONFIRMED").await;
    assert_eq!(restaurant.act(&fetched, "startPreparation", "").await.0, 202);
    restaurant.refuses(&fetched, "startPreparation", "PREPARATION_STARTED").await;
    assert_eq!(restaurant.act(&fetched, "readyToPickup", "").await.0, 202);
    restaurant.refuses(&fetched, "readyToPickup", "READY_TO_PICKUP").await;
    restaurant.refuses(&fetched, "confirm", "READY_TO_PICKUP").await;
    restaurant.refuses(&fetched, "dispatch", "READY_TO_PICKUP").await;
    restaurant.reported(&fetched, "CON", Value::Null, 1).await;
    assert_eq!(restaurant.pos.codes_until(&fetched, "CON").await, "PLC CFM PRS RTP CON");

    let delivered = restaurant.confirmed(OWN, |_| {}).await;
    assert_eq!(restaurant.act(&delivered, "dispatch", "").await.0, 202);
    restaurant.refuses(&delivered, "dispatch", "DISPATCHED").await;
    restaurant.reported(&delivered, "CON", Value::Null, 1).await;
    assert_eq!(restaurant.pos.codes_until(&delivered, "CON").await, "PLC CFM DSP CON", "what is refused is no event");

    let groceries = restaurant
        .confirmed(OWN, |order| {
            order["category"] = json!("GROCERY");
            order.as_object_mut().unwrap().remove("salesChannel");
        })
        .await;
    assert_eq!(restaurant.act(&groceries, "startPreparation", "").await, (202, Value::Null));
    restaurant.refuses(&groceries, "startPreparation", "SEPARATION_STARTED").await;
    assert_eq!(restaurant.pos.codes_until(&groceries, "SPS").await, "PLC CFM SPS");
    let started = restaurant.pos.event(&groceries, "SPS").await;
    assert_eq!(
        (&started["fullCode"], &started["metadata"]["CLIENT_ID"]),
        (&json!("SEPARATION_STARTED"), &json!("dev-pos"))
    );
    assert_eq!(started["salesChannel"], "IFOOD", "of an order that names none");
    let totem = restaurant.place(OWN, |order| order["salesChannel"] = json!("TOTEM")).await;
    assert_eq!(restaurant.pos.event(&totem, "PLC").await["salesChannel"], "TOTEM");

    let marketplaces = restaurant.confirmed(OWN, |order| order["delivery"]["deliveredBy"] = json!("IFOOD")).await;
    restaurant.refuses(&marketplaces, "dispatch", "CONFIRMED").await;
    restaurant.refuses(&marketplaces, "requestDriver", "CONFIRMED").await;
}

/// `RDR`, then `RDF` or `RDS`; `DCR`, then `DCRR` or `DCRA`.
async fn a_courier_is_asked_for_and_found_or_not(restaurant: &Restaurant) {
    let order = restaurant.place(OWN, |_| {}).await;
    restaurant.refuses(&order, "requestDriver", "PLACED").await;
    assert_eq!(restaurant.act(&order, "confirm", "").await.0, 202);
    restaurant.refuses(&order, "cancelRequestDriver", "CONFIRMED").await;
    assert_eq!(restaurant.act(&order, "requestDriver", "").await, (202, Value::Null));
    restaurant.refuses(&order, "requestDriver", "CONFIRMED").await;
    restaurant.reported(&order, "RDF", Value::Null, 1).await;
    let path = format!("/shipping/v1.0/orders/{order}/requestDriver");
    assert_eq!(restaurant.call(Method::POST, &path, "").await, (202, Value::Null), "nobody came: it may ask again");
    restaurant.reported(&order, "RDS", Value::Null, 1).await;
    assert_eq!(restaurant.act(&order, "cancelRequestDriver", "").await, (202, Value::Null));
    restaurant.refuses(&order, "cancelRequestDriver", "CONFIRMED").await;
    restaurant.reported(&order, "DCRR", Value::Null, 1).await;
    let path = format!("/shipping/v1.0/orders/{order}/cancelRequestDriver");
    assert_eq!(restaurant.call(Method::POST, &path, "").await, (202, Value::Null));
    restaurant.reported(&order, "DCRA", Value::Null, 1).await;
    let told = restaurant.pos.codes_until(&order, "DCRA").await;
    assert_eq!(told, "PLC CFM RDR RDF RDR RDS DCR DCRR DCR DCRA");
    assert_eq!(restaurant.pos.event(&order, "RDR").await["metadata"], json!({ "CLIENT_ID": "dev-pos" }));
}

async fn a_change_of_address_is_confirmed_and_denied(restaurant: &Restaurant) {
    let order = restaurant.confirmed(OWN, |_| {}).await;
    let answer =
        async |tail: &str| restaurant.call(Method::POST, &format!("/shipping/v1.0/orders/{order}/{tail}"), "").await.0;
    for tail in ["userConfirmAddress", "acceptDeliveryAddressChange", "denyDeliveryAddressChange"] {
        assert_eq!(answer(tail).await, 409, "{tail}: nobody asked");
    }
    restaurant.reported(&order, "DAR", Value::Null, 1).await;
    assert_eq!(answer("userConfirmAddress").await, 202);
    assert_eq!(answer("userConfirmAddress").await, 409, "once");
    assert_eq!(answer("denyDeliveryAddressChange").await, 202);
    assert_eq!(answer("acceptDeliveryAddressChange").await, 409, "it was denied");
    assert_eq!(restaurant.pos.codes_until(&order, "DAD").await, "PLC CFM DAR DAU DAD");
}

async fn codes_open_doors_and_wrong_ones_do_not(restaurant: &Restaurant) {
    let order = restaurant.confirmed(OWN, coded).await;
    assert_eq!(restaurant.pos.codes_until(&order, "DDCR").await, "PLC CFM DDCR", "it is asked for");
    let guess = async |tail: &str, code: &str| restaurant.act(&order, tail, &json!({ "code": code }).to_string()).await;
    assert_eq!(guess("validatePickupCode", "9876").await, (200, json!({ "success": false })));
    for _ in 0..2 {
        assert_eq!(guess("validatePickupCode", "1234").await, (200, json!({ "success": true })));
    }
    assert_eq!(guess("verifyDeliveryCode", "9876").await.0, 409, "it has not left");
    assert_eq!(restaurant.act(&order, "dispatch", "").await.0, 202);
    let (status, refused) = guess("verifyDeliveryCode", "1234").await;
    assert_eq!((status, &refused["message"]), (400, &json!("Confirmation code is invalid")));
    assert_eq!(guess("verifyDeliveryCode", "9876").await, (200, json!({ "success": true })));
    let told = restaurant.pos.codes_until(&order, "DDCS").await;
    assert_eq!(told, "PLC CFM DDCR DPCS DSP DDCS", "one event for each right code");
    let (_, details) = restaurant.call(Method::GET, &format!("/order/v1.0/orders/{order}"), "").await;
    assert_eq!((&details["delivery"]["pickupCode"], details["delivery"].get("dropCode")), (&json!("1234"), None));

    let plain = restaurant.confirmed(OWN, |_| {}).await;
    assert_eq!(restaurant.act(&plain, "validatePickupCode", r#"{"code":"1"}"#).await.0, 409, "it has no code");
    assert_eq!(restaurant.act(&plain, "dispatch", "").await.0, 202);
    assert_eq!(restaurant.pos.codes_until(&plain, "DSP").await, "PLC CFM DSP", "nor is it asked for one");
}

async fn a_courier_is_tracked_while_the_order_lasts(restaurant: &Restaurant) {
    let order = restaurant.confirmed(OWN, |order| order["delivery"]["deliveredBy"] = json!("IFOOD")).await;
    assert_eq!(restaurant.read(&order, "tracking").await.0, 404);
    let position = json!({"latitude": -23.5511, "longitude": -46.6333, "eta": 7, "etaToDestination": 5, "etaToOrigin": 2,
        "deliveryTime": "2026-11-20T12:50:00Z", "date": "2026-11-20T12:44:00Z", "trackDate": "2026-11-20T12:45:00Z"});
    let assigned = restaurant.reported(&order, "ADR", position.clone(), 1).await;
    assert!(!assigned["metadata"].to_string().contains("-23.55"), "no event says where: {assigned}");
    let mut expected = position;
    expected["orderId"] = json!(order);
    assert_eq!(restaurant.read(&order, "tracking").await, (200, expected));
    restaurant.reported(&order, "CAN", Value::Null, 1).await;
    assert_eq!(restaurant.read(&order, "tracking").await.0, 404, "the order is over");
}

const STEPS: [&str; 5] = ["assignDriver", "goingToOrigin", "arrivedAtOrigin", "dispatch", "arrivedAtDestination"];
const STEP: &str = r#"{"workerName":"Rui","workerPhone":"11","workerVehicleType":"MOTORCYCLE","code":"9876"}"#;

/// Strictly one after the other; the steps are told to everybody but to who took them.
async fn a_logistics_integrator_goes_step_by_step(restaurant: &Restaurant, delivered_by: &str, leaves: &str) {
    let coded_by = |order: &mut Value| {
        coded(order);
        order["delivery"]["deliveredBy"] = json!(delivered_by);
    };
    let order = restaurant.place(SHARED, coded_by).await;
    let step = async |tail: &str, body: &str| {
        restaurant.call(Method::POST, &format!("/logistics/v1.0/orders/{order}/{tail}"), body).await
    };
    assert_eq!(step("assignDriver", STEP).await.0, 409, "it is not confirmed");
    assert_eq!(restaurant.act(&order, "confirm", "").await.0, 202);
    let (status, shown) = restaurant.call(Method::GET, &format!("/logistics/v1.0/orders/{order}"), "").await;
    assert_eq!((status, &shown["id"]), (200, &json!(order)));
    for (position, tail) in STEPS.into_iter().enumerate() {
        for (_, other) in STEPS.into_iter().enumerate().filter(|(other, _)| *other != position) {
            let (status, refused) = step(other, STEP).await;
            assert_eq!((status, &refused["error"]["code"]), (409, &json!("Conflict")), "{other} instead of {tail}");
        }
        assert_eq!(step("verifyDeliveryCode", STEP).await.0, 409, "the courier is not at the door before {tail}");
        assert_eq!(step(tail, STEP).await, (202, Value::Null), "{tail}");
    }
    for tail in STEPS {
        assert_eq!(step(tail, STEP).await.0, 409, "{tail} again");
    }
    let (status, wrong) = step("verifyDeliveryCode", r#"{"code":"1234"}"#).await;
    assert_eq!((status, &wrong["message"]), (400, &json!("Confirmation code is invalid")));
    assert_eq!(step("verifyDeliveryCode", STEP).await, (202, Value::Null));

    let told = restaurant.other.codes_until(&order, "DDCS").await;
    assert_eq!(told, format!("PLC CFM DDCR ADR GTO AAO {leaves} AAD DDCS"));
    let assigned = restaurant.other.event(&order, "ADR").await;
    assert_eq!(
        assigned["metadata"],
        json!({"workerName": "Rui", "workerPhone": "11", "workerVehicleType": "MOTORCYCLE"})
    );
    // By now everything is there to be polled, so that what the integrator is not told it never will be.
    restaurant.report(&order, "CON", Value::Null).await;
    let told = restaurant.pos.until_nth(&order, "CON", 1).await;
    assert_eq!(codes(&told), "PLC CFM DDCR CON", "its own steps are not echoed");
    assert_eq!(
        restaurant.other.codes_until(&order, "CON").await,
        format!("PLC CFM DDCR ADR GTO AAO {leaves} AAD DDCS CON")
    );
}
