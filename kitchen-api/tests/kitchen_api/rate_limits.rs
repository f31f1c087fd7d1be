//! PARTNER_API 1.1: the published limits, per application and operation, and what a 429 says.

use kitchen_api::Config;
use order_model::OrderId;

use crate::client::{Answer, Client};
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/events/v1.0/events:polling";

fn limited() -> Config {
    Config { limits_requests: true, ..config() }
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
