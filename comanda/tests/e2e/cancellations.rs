//! PARTNER_API 1.4, 2.1, 2.5 and 8: cancellations by the merchant and by the consumer, over HTTP against the real core.

use serde_json::{Value, json};

use crate::restaurant::{OWN, Restaurant, takeout};

/// The codes of PARTNER_API 1.4: those that are offered, then the legacy ones that are still sent.
const CODES: [&str; 12] = ["501", "502", "503", "504", "505", "506", "507", "508", "509", "511", "512", "513"];
const LEGACY_CODES: [&str; 10] = ["801", "803", "804", "805", "807", "808", "809", "815", "818", "820"];

#[tokio::test(flavor = "multi_thread")]
async fn cancellations_go_their_ways_and_say_who_why_and_after_what() {
    let restaurant = Restaurant::open().await;
    a_merchant_cancels_with_any_body_and_any_code(&restaurant).await;
    the_reasons_are_those_that_fit(&restaurant).await;
    what_has_left_is_cancelled_by_the_platform_or_not(&restaurant).await;
    a_consumer_asks_and_the_merchant_answers(&restaurant).await;
}

/// Section 8.3: an absent body, `{}` or any JSON, and exactly 202 without a body.
async fn a_merchant_cancels_with_any_body_and_any_code(restaurant: &Restaurant) {
    let bodies = ["", "{}", "[]", "null", "not json", r#"{"reason":"r","cancellationCode":"501"}"#];
    let unknown = [r#"{"reason":"sem gas","cancellationCode":"999"}"#, r#"{"cancellationCode":null}"#];
    let mut sent: Vec<(String, &str)> = Vec::new();
    for body in bodies.into_iter().chain(unknown) {
        sent.push((body.to_owned(), if body.contains("501") { "501" } else { "509" }));
    }
    for code in CODES.into_iter().chain(LEGACY_CODES) {
        sent.push((json!({ "cancellationCode": code }).to_string(), code));
    }
    sent.push((json!({ "cancellationCode": 803 }).to_string(), "803"));
    for (body, code) in &sent {
        let order = restaurant.place(OWN, |_| {}).await;
        assert_eq!(restaurant.act(&order, "requestCancellation", body).await, (202, Value::Null), "{body}");
        assert_eq!(restaurant.pos.codes_until(&order, "CAN").await, "PLC CAR CAN", "{body}");
        let [asked, cancelled] = [restaurant.pos.event(&order, "CAR").await, restaurant.pos.event(&order, "CAN").await];
        let mut metadata = asked["metadata"].clone();
        assert!(metadata["CANCEL_REASON"].as_str().is_some_and(|reason| !reason.is_empty()), "{metadata}");
        metadata["CANCEL_REASON"] = json!("in words");
        let expected = json!({"CANCEL_STAGE": "PLACED", "CANCEL_CODE": code, "CANCEL_REASON": "in words",
            "CANCEL_ORIGIN": "RESTAURANT", "CANCEL_USER": "dev-pos", "TIMEOUT_EVENT": false});
        assert_eq!(metadata, expected, "{body}");
        let mut follows = asked["metadata"].clone();
        follows["CANCELLATION_REQUESTED_EVENT_ID"] = asked["id"].clone();
        assert_eq!(cancelled["metadata"], follows, "{body}");
        restaurant.refuses(&order, "requestCancellation", "CANCELLED").await;
    }
    let order = restaurant.place(OWN, |_| {}).await;
    let path = format!("/shipping/v1.0/orders/{order}/cancel");
    assert_eq!(restaurant.call(http::Method::POST, &path, "").await, (202, Value::Null));
    assert_eq!(restaurant.pos.event(&order, "CAN").await["metadata"]["CANCEL_CODE"], "509");
}

async fn the_reasons_are_those_that_fit(restaurant: &Restaurant) {
    let offered = async |order: &str| {
        let (status, reasons) = restaurant.read(order, "cancellationReasons").await;
        assert_eq!(status, 200);
        let codes = reasons.as_array().unwrap().iter().map(|reason| {
            let fields: Vec<&String> = reason.as_object().unwrap().keys().collect();
            assert_eq!(fields, ["cancelCodeId", "description"], "{reason}");
            assert!(!reason["description"].as_str().unwrap().is_empty());
            reason["cancelCodeId"].as_str().unwrap().to_owned()
        });
        codes.collect::<Vec<_>>()
    };
    let delivery = restaurant.confirmed(OWN, |_| {}).await;
    assert_eq!(offered(&delivery).await, CODES);
    let fetched = restaurant.place(OWN, takeout).await;
    let without_courier = ["501", "502", "503", "505", "507", "508", "509", "512", "513"];
    assert_eq!(offered(&fetched).await, without_courier);
    restaurant.act(&delivery, "dispatch", "").await;
    assert_eq!(offered(&delivery).await, ["501", "506", "507", "509", "511"], "it has left");
    restaurant.act(&fetched, "requestCancellation", "").await;
    assert_eq!(offered(&fetched).await, [""; 0]);
}

/// `CAR`, then `CARF` or `CAN`: an answer names the request that it answers.
async fn what_has_left_is_cancelled_by_the_platform_or_not(restaurant: &Restaurant) {
    let order = restaurant.confirmed(OWN, |_| {}).await;
    assert_eq!(restaurant.act(&order, "dispatch", "").await.0, 202);
    let ask = r#"{"cancellationCode":"504"}"#;
    assert_eq!(restaurant.act(&order, "requestCancellation", ask).await, (202, Value::Null));
    let asked = restaurant.pos.event(&order, "CAR").await;
    assert_eq!(asked["metadata"]["CANCEL_STAGE"], "DISPATCHED");
    restaurant.refuses(&order, "requestCancellation", "DISPATCHED").await;
    let failed = restaurant.reported(&order, "CARF", Value::Null, 1).await;
    let mut expected = asked["metadata"].clone();
    expected["CANCELLATION_REQUESTED_EVENT_ID"] = asked["id"].clone();
    // Who answered is an internal app, which has no name here.
    expected.as_object_mut().unwrap().remove("CANCEL_USER");
    assert_eq!(failed["metadata"], expected);

    assert_eq!(restaurant.act(&order, "requestCancellation", "{}").await.0, 202, "it may ask again");
    let events = restaurant.pos.until_nth(&order, "CAR", 2).await;
    let second = events.iter().rfind(|event| event["code"] == "CAR").unwrap();
    let cancelled = restaurant.reported(&order, "CAN", Value::Null, 1).await;
    assert_eq!(cancelled["metadata"]["CANCELLATION_REQUESTED_EVENT_ID"], second["id"]);
    assert_eq!(cancelled["metadata"]["CANCEL_CODE"], "509");
    assert_eq!(restaurant.pos.codes_until(&order, "CAN").await, "PLC CFM DSP CAR CARF CAR CAN");
}

/// `CCR`, then `CCA` and `CAN`, or `CCD`.
async fn a_consumer_asks_and_the_merchant_answers(restaurant: &Restaurant) {
    let order = restaurant.confirmed(OWN, |_| {}).await;
    restaurant.refuses(&order, "acceptCancellation", "CONFIRMED").await;
    let asked = restaurant.reported(&order, "CCR", Value::Null, 1).await;
    assert_eq!(asked["metadata"]["CANCEL_ORIGIN"], "CONSUMER");
    assert_eq!(restaurant.act(&order, "acceptCancellation", "").await, (202, Value::Null));
    assert_eq!(restaurant.pos.codes_until(&order, "CAN").await, "PLC CFM CCR CCA CAN");
    for code in ["CCA", "CAN"] {
        let metadata = restaurant.pos.event(&order, code).await["metadata"].take();
        assert_eq!(metadata["CANCELLATION_REQUESTED_EVENT_ID"], asked["id"], "{code}");
        assert_eq!((&metadata["CANCEL_ORIGIN"], metadata.get("CANCEL_USER")), (&json!("CONSUMER"), None), "{code}");
    }

    let order = restaurant.confirmed(OWN, |_| {}).await;
    for (number, (body, why)) in
        [(r#"{"reason":"Ana has it","code":"DISH_ALREADY_DONE"}"#, json!("DISH_ALREADY_DONE")), ("", Value::Null)]
            .into_iter()
            .enumerate()
    {
        restaurant.reported(&order, "CCR", Value::Null, number + 1).await;
        assert_eq!(restaurant.act(&order, "denyCancellation", body).await, (202, Value::Null), "{body}");
        let events = restaurant.pos.until_nth(&order, "CCD", number + 1).await;
        let denied = events.last().unwrap();
        assert_eq!((&denied["code"], &denied["metadata"]["DENIAL_CODE"]), (&json!("CCD"), &why), "{body}");
        assert!(!denied.to_string().contains("Ana"), "free text stands in no event: {denied}");
    }
    restaurant.refuses(&order, "denyCancellation", "CONFIRMED").await;
    assert_eq!(restaurant.act(&order, "readyToPickup", "").await.0, 202, "the order goes on");
    assert_eq!(restaurant.pos.codes_until(&order, "RTP").await, "PLC CFM CCR CCD CCR CCD RTP");
}
