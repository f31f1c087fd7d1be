//! PARTNER_API 1.1: the published limits, per application and operation, and what a 429 says.

use std::time::Duration;

use kitchen_api::Config;
use order_model::OrderId;

use crate::client::{Answer, Client};
use crate::open_delivery::problem;
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

fn limited() -> Config {
    Config { limits_requests: true, ..config() }
}

/// The limit that a 429 names, having checked that nothing is missing that a client paces itself by.
#[track_caller]
pub fn limit_named_by(refused: &Answer) -> u32 {
    assert_eq!(refused.status, 429, "{refused:?}");
    let number = |header: &str| -> u32 { refused.headers[header].to_str().unwrap().parse().unwrap() };
    assert!(number("retry-after") >= 1, "{refused:?}");
    assert_eq!(number("x-ratelimit-reset"), number("retry-after"));
    assert_eq!(number("x-ratelimit-remaining"), 0);
    number("x-ratelimit-limit")
}

/// Any order or store: what is one too many is refused before anybody looks for it.
fn ask<'a>(client: &'a Client, method: &'a str, path: &'a str) -> impl Future<Output = Answer> + 'a {
    client.send(method, path, &[], if method == "GET" { "" } else { "[]" })
}

/// Asks as often as the limit says and once more, on a clock that stands still.
async fn exhaust(client: &Client, method: &str, path: &str, limit: u32) {
    for taken in 0..limit {
        let answer = ask(client, method, path).await;
        assert_ne!(answer.status, 429, "{method} {path}: refused after {taken}");
        assert_ne!(answer.status, 405, "{method} {path}");
    }
    assert_eq!(limit_named_by(&ask(client, method, path).await), limit, "{method} {path}");
}

/// Asks to cancel an order until that is refused as too much, and says how many were taken.
async fn cancel_until_refused(client: &Client) -> (usize, Answer) {
    ask_until_refused(client, &path("order", "requestCancellation")).await
}

fn path(module: &str, tail: &str) -> String {
    format!("/{module}/v1.0/orders/{}/{tail}", OrderId::from_bytes([7; 16]))
}

async fn ask_until_refused(client: &Client, path: &str) -> (usize, Answer) {
    for taken in 0..2_000 {
        let answer = client.post(path, "{}").await;
        if answer.status == 429 {
            return (taken, answer);
        }
        assert_eq!(answer.status, 404, "{answer:?}");
    }
    panic!("2000 requests were taken");
}

#[tokio::test]
async fn what_is_above_the_published_limit_is_429_with_what_a_client_paces_itself_by() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    let (taken, refused) = cancel_until_refused(&pos).await;
    assert!(taken >= 300, "a minute's worth may come at once: {taken}");
    assert_eq!(refused.error_code(), "TooManyRequests");
    assert_eq!(refused.json()["message"], "Throttling applied.");
    for (header, value) in
        [("retry-after", "1"), ("x-ratelimit-limit", "300"), ("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1")]
    {
        assert_eq!(refused.headers[header], value, "{header}");
    }
}

#[tokio::test]
async fn each_operation_and_each_application_is_counted_by_itself() {
    let rig = Rig::start_with(limited()).await;
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
    cancel_until_refused(&pos).await;
    let confirm = format!("/order/v1.0/orders/{}/confirm", OrderId::from_bytes([7; 16]));
    assert_eq!(pos.post(&confirm, "").await.status, 404);
    assert_eq!(pos.get(POLL).await.status, 204);
    let (taken, _) = cancel_until_refused(&other).await;
    assert!(taken >= 300, "{taken}");
}

#[tokio::test]
async fn a_poll_that_is_one_too_many_says_all_the_same_that_its_merchant_is_there() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    let poll = |id: String| {
        let pos = pos.clone();
        async move { pos.send("GET", POLL, &[("x-polling-merchants", &id)], "").await }
    };
    let mut polls = 0;
    while poll(merchant(1).to_string()).await.status != 429 {
        polls += 1;
        assert!(polls < 60_000, "never refused");
    }
    assert!(polls >= 6_000, "{polls}");
    let mut refused = false;
    for _ in 0..50 {
        refused |= poll(merchant(2).to_string()).await.status == 429;
    }
    assert!(refused);
    eventually("its merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(2))).await;
}

/// Each beside what is the same act in Open Delivery's words, where there is one: it finds the limit used up.
#[tokio::test]
async fn every_published_limit_is_taken_to_its_last_request_and_counts_in_both_dialects() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    for (method, path, limit, same_act) in [
        ("GET", "/events/v1.0/events:polling?types=NONE", 6_000, "/v1/events:polling"),
        ("POST", "/events/v1.0/events/acknowledgment", 6_000, "/v1/events/acknowledgment"),
        ("GET", "/order/v1.0/orders/x", 3_000, "/v1/orders/x"),
        ("GET", "/order/v1.0/orders/x/virtual-bag", 1_000, ""),
        ("POST", "/order/v1.0/orders/x/confirm", 3_000, "/v1/orders/x/confirm"),
        ("POST", "/order/v1.0/orders/x/startPreparation", 3_000, "/v1/orders/x/preparing"),
        ("POST", "/order/v1.0/orders/x/readyToPickup", 3_000, "/v1/orders/x/readyForPickup"),
        ("POST", "/order/v1.0/orders/x/dispatch", 3_000, "/v1/orders/x/dispatch"),
        ("POST", "/order/v1.0/orders/x/requestCancellation", 300, "/v1/orders/x/requestCancellation"),
        ("POST", "/order/v1.0/orders/x/requestDriver", 120, ""),
        ("GET", "/order/v1.0/orders/x/tracking", 5_000, ""),
        ("POST", "/order/v1.0/disputes/x/accept", 1_000, ""),
        ("POST", "/order/v1.0/disputes/x/reject", 1_000, ""),
        ("POST", "/order/v1.0/disputes/x/alternatives/y", 1_000, ""),
        ("GET", "/shipping/v1.0/merchants/x/deliveryAvailabilities", 4_000, ""),
        ("GET", "/shipping/v1.0/orders/x/deliveryAvailabilities", 4_000, ""),
        ("POST", "/shipping/v1.0/merchants/x/orders", 4_000, ""),
        ("POST", "/shipping/v1.0/orders/x/requestDriver", 4_000, ""),
        ("POST", "/shipping/v1.0/orders/x/cancel", 600, ""),
        ("POST", "/shipping/v1.0/orders/x/cancelRequestDriver", 600, ""),
        ("POST", "/shipping/v1.0/orders/x/deliveryAddressChangeRequest", 500, ""),
        ("POST", "/shipping/v1.0/orders/x/userConfirmAddress", 500, ""),
        ("POST", "/shipping/v1.0/orders/x/acceptDeliveryAddressChange", 500, ""),
        ("POST", "/shipping/v1.0/orders/x/denyDeliveryAddressChange", 500, ""),
        ("POST", "/logistics/v1.0/orders/x/assignDriver", 100, ""),
        ("POST", "/logistics/v1.0/orders/x/goingToOrigin", 100, ""),
        ("POST", "/logistics/v1.0/orders/x/arrivedAtOrigin", 100, ""),
        ("POST", "/logistics/v1.0/orders/x/dispatch", 100, ""),
        ("POST", "/logistics/v1.0/orders/x/arrivedAtDestination", 100, ""),
        ("POST", "/logistics/v1.0/orders/x/verifyDeliveryCode", 100, ""),
    ] {
        exhaust(&pos, method, path, limit).await;
        if !same_act.is_empty() {
            let refused = ask(&pos, method, same_act).await;
            assert_eq!((problem(&refused), limit_named_by(&refused)), (429, limit), "{same_act}");
        }
    }
}

#[tokio::test]
async fn requests_in_open_deliverys_words_use_up_the_limit_of_the_same_act() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    exhaust(&pos, "POST", "/v1/orders/x/requestCancellation", 300).await;
    let refused = ask(&pos, "POST", "/order/v1.0/orders/x/requestCancellation").await;
    assert_eq!((refused.error_code().as_str(), limit_named_by(&refused)), ("TooManyRequests", 300));
    let other = rig.as_application("other").await;
    assert_ne!(ask(&other, "POST", "/v1/orders/x/requestCancellation").await.status, 429, "counted by itself");
}

#[tokio::test]
async fn acts_that_only_open_delivery_has_are_limited_by_themselves() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    for (method, path, limit) in [
        ("POST", "/v1/orders/x/pickedUp", 3_000),
        ("POST", "/v1/orders/x/delivered", 3_000),
        ("POST", "/v1/orders/x/tracking", 5_000),
        ("PATCH", "/v1/orders/x/details", 3_000),
    ] {
        exhaust(&pos, method, path, limit).await;
    }
    assert_ne!(ask(&pos, "POST", "/v1/orders/x/confirm").await.status, 429);
}

#[tokio::test]
async fn the_virtual_bag_is_limited_by_the_second_and_all_else_by_the_minute() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    let (bag, cancel) = ("/order/v1.0/orders/x/virtual-bag", "/order/v1.0/orders/x/requestCancellation");
    exhaust(&pos, "GET", bag, 1_000).await;
    exhaust(&pos, "POST", cancel, 300).await;
    rig.clock.pass(Duration::from_secs(1));
    exhaust(&pos, "GET", bag, 1_000).await;
    for _ in 0..5 {
        assert_ne!(ask(&pos, "POST", cancel).await.status, 429, "a second's worth of 300 a minute");
    }
    assert_eq!(limit_named_by(&ask(&pos, "POST", cancel).await), 300);
}

#[tokio::test]
async fn dev_sets_no_limits_in_either_dialect() {
    let rig = Rig::start().await;
    let pos = rig.as_application("pos").await;
    rig.clock.stop();
    for path in ["/order/v1.0/orders/x/requestCancellation", "/v1/orders/x/requestCancellation"] {
        for _ in 0..=300 {
            assert_ne!(ask(&pos, "POST", path).await.status, 429, "{path}");
        }
    }
}

#[tokio::test]
async fn couriers_and_disputes_have_limits_of_their_own() {
    let rig = Rig::start_with(limited()).await;
    let pos = rig.as_application("pos").await;
    for (path, limit) in [
        (path("order", "requestDriver"), 120),
        (path("logistics", "goingToOrigin"), 100),
        (path("logistics", "arrivedAtDestination"), 100),
        (path("shipping", "cancel"), 600),
        (path("shipping", "cancelRequestDriver"), 600),
        (path("shipping", "userConfirmAddress"), 500),
        ("/order/v1.0/disputes/none/accept".to_owned(), 1_000),
    ] {
        let (taken, refused) = ask_until_refused(&pos, &path).await;
        assert!(taken >= limit, "{path}: {taken}");
        assert_eq!(refused.headers["x-ratelimit-limit"], limit.to_string(), "{path}");
    }
    assert_eq!(pos.post(&path("shipping", "requestDriver"), "").await.status, 404, "published as 4,000, not 120");
}
