//! PARTNER_API, section 4: versions, and applications that were written for Open Delivery 1.3.0.

use kitchen_api::OpenDeliveryVersion;
use order_model::{EventCode, OrderId};
use serde_json::json;

use crate::client::Client;
use crate::open_delivery::types;
use crate::peers::event;
use crate::rig::{Rig, config, eventually, merchant};
use crate::webhook_platform::{Ground, Receiver, all_are, log_once, set};

const POLL: &str = "/v1/events:polling";
/// Every type of 1.3.0.
pub const TYPES_OF_1_3: [&str; 12] = [
    "CANCELLATION_REQUESTED",
    "CANCELLATION_REQUEST_DENIED",
    "CANCELLED",
    "CANCELLED_DENIED",
    "CONCLUDED",
    "CONFIRMED",
    "CREATED",
    "DELIVERED",
    "DISPATCHED",
    "ORDER_CANCELLATION_REQUEST",
    "PICKUP_AREA_ASSIGNED",
    "READY_FOR_PICKUP",
];
/// What 1.3.0 has no type for.
const NEWER: [EventCode; 4] = [
    EventCode::RecommendedPreparationStart,
    EventCode::PreparationStarted,
    EventCode::SeparationStarted,
    EventCode::Collected,
];

/// `pos` is an application of 1.3.0, `newer` one of today; both see the first merchant.
async fn rig() -> Rig {
    let rig = Rig::start_cold(config(), |applications| {
        applications.change("pos", |stored| stored.record.open_delivery_version = OpenDeliveryVersion::V1_3);
        applications.put("newer", "newer-secret", &[merchant(1)]);
    })
    .await;
    eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
    rig.peers.merchants.put(merchant(1), "Loja");
    rig
}

async fn both(rig: &Rig) -> (Client, Client) {
    (rig.as_application("pos").await, rig.as_application("newer").await)
}

#[tokio::test]
async fn the_versions_of_merchants_endpoints_are_answered_without_a_token() {
    let rig = rig().await;
    let answer = rig.client.get("/v1/versions/merchant").await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()),
        (200, json!({ "merchantEndpoint": "1.2.1" })),
        "nothing is pushed"
    );
    let ground = Ground::new().await;
    let rig = ground.start().await;
    let versions = rig.client.get("/v1/versions/merchant").await.json();
    assert_eq!(versions, json!({ "merchantEndpoint": "1.2.1", "ordersWebhook": "1.2.1" }));
}

#[tokio::test]
async fn the_versions_are_those_that_the_asking_application_can_read() {
    let rig = rig().await;
    let (pos, newer) = both(&rig).await;
    for (client, version) in [(&pos, "1.2.1"), (&newer, "1.6.0"), (&rig.client.with_token("nonsense"), "1.6.0")] {
        let versions = client.get("/v1/versions/orderingApp").await.json();
        assert_eq!(
            (&versions["merchant"]["version"], &versions["order"]["version"]),
            (&json!(version), &json!(version))
        );
    }
}

#[tokio::test]
async fn an_application_of_1_3_0_is_shown_the_types_of_1_3_0_alone() {
    let rig = rig().await;
    let (pos, newer) = both(&rig).await;
    let all: Vec<_> = (1..).zip(EventCode::ALL).map(|(number, &code)| event(merchant(1), number, code)).collect();
    rig.peers.feed.events.lock().extend(all);
    assert_eq!(types(&pos.get(POLL).await), TYPES_OF_1_3);
    assert_eq!(types(&newer.get(POLL).await).len(), TYPES_OF_1_3.len() + NEWER.len(), "others see the rest");
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty(), "hidden is not acknowledged");
    let codes = pos.get("/events/v1.0/events:polling").await.json();
    assert!(codes.as_array().unwrap().iter().any(|event| event["code"] == "PRS"), "the other dialect has it yet");
}

#[tokio::test]
async fn a_page_of_what_1_3_0_does_not_know_is_empty_and_a_filter_acknowledges_it() {
    let rig = rig().await;
    let (pos, _) = both(&rig).await;
    let newer: Vec<_> = (1..).zip(NEWER).map(|(number, code)| event(merchant(1), number, code)).collect();
    rig.peers.feed.events.lock().extend(newer.clone());
    assert_eq!(pos.get(POLL).await.status, 204);
    assert_eq!(pos.get(&format!("{POLL}?eventType=PREPARING,PICKED_UP")).await.status, 204);
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty(), "no known type was asked for");
    assert_eq!(pos.get(&format!("{POLL}?eventType=CREATED,PREPARING")).await.status, 204);
    let mut acknowledged = rig.peers.feed.acknowledged_by("pos");
    acknowledged.sort_unstable();
    let mut hidden: Vec<_> = newer.iter().map(|event| event.id).collect();
    hidden.sort_unstable();
    assert_eq!(acknowledged, hidden);
}

#[tokio::test]
async fn an_order_is_shown_to_1_3_0_with_the_last_event_that_it_knows() {
    const BODY: &str = r#"{"displayId":"1","orderType":"TAKEOUT","createdAt":"2026-11-20T12:00:00.000Z"}"#;
    let rig = rig().await;
    let (pos, newer) = both(&rig).await;
    let order = OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), BODY);
    rig.peers.core.orders.lock().get_mut(&order).unwrap().state = "PREPARATION_STARTED".to_owned();
    let path = format!("/v1/orders/{order}");
    assert_eq!(newer.get(&path).await.json()["lastEvent"], "PREPARING");
    assert_eq!(pos.get(&path).await.json()["lastEvent"], "CONFIRMED");
    // Only what it is shown is limited: what it asks for is done.
    assert_eq!(pos.post(&format!("{path}/preparing"), "").await.status, 202);
}

#[tokio::test]
async fn what_1_3_0_does_not_know_is_not_pushed_to_it() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    ground.peers.merchants.put(merchant(1), "Loja");
    receiver.answers(204);
    ground.applications.change("pos", |stored| stored.record.open_delivery_version = OpenDeliveryVersion::V1_3);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    set(&pos, &json!({ "url": format!("http://{}/od", receiver.address), "dialect": "OPEN_DELIVERY", "secret": "s" }))
        .await;
    for (order, code) in [(1, EventCode::PreparationStarted), (2, EventCode::Collected), (3, EventCode::Dispatched)] {
        ground.publish_as(merchant(1), order, code).await;
    }
    ground.is_recorded().await;
    log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    let sent: Vec<String> = receiver.all().iter().map(|one| one.json()["eventType"].to_string()).collect();
    assert_eq!(sent, ["\"DISPATCHED\""]);
}
