//! Open Delivery's webhooks: `newEvent`, its signature, and one state of acknowledgment (PARTNER_API, section 4).

use order_model::{EventCode, OrderId};
use serde_json::{Value, json};

use crate::documentation::differences;
use crate::open_delivery::OWN_ID;
use crate::rig::{Rig, merchant};
use crate::webhook_platform::{Ground, Receiver, all_are, log_once, set, sign};

/// Merchant 1 calls itself [`OWN_ID`]; merchant 2 has no name of its own.
async fn ground() -> Ground {
    let ground = Ground::new().await;
    for number in [1, 2] {
        ground.peers.merchants.put(merchant(number), "Loja");
    }
    ground.peers.merchants.change(merchant(1), |profile| OWN_ID.clone_into(&mut profile.open_delivery_id));
    ground
}

fn open_delivery(receiver: &Receiver) -> Value {
    json!({ "url": format!("http://{}/od/", receiver.address), "dialect": "OPEN_DELIVERY", "secret": "pos-secret" })
}

#[tokio::test]
async fn a_new_event_is_posted_below_the_base_url_signed_and_named() {
    let (ground, receiver) = (ground().await, Receiver::start().await);
    receiver.answers(204);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let webhook = set(&pos, &open_delivery(&receiver)).await;
    let event = ground.publish(merchant(1), 1).await;
    receiver.has(1).await;
    let received = receiver.all().remove(0);
    assert_eq!((received.path.as_str(), received.header("content-type")), ("/od/v1/newEvent", "application/json"));
    assert_eq!(received.header("x-app-id"), webhook["appId"].as_str().unwrap());
    assert_eq!(received.header("x-app-merchantid"), OWN_ID);
    assert_eq!(received.header("x-app-signature"), hex::encode(sign(b"pos-secret", &received.body)));
    let order = OrderId::from_bytes([1; 16]);
    let expected = json!({
        "eventId": event.to_string(), "eventType": "CREATED", "orderId": order.to_string(),
        "orderURL": format!("http://{}/v1/orders/{order}", rig.handle.address()),
        "createdAt": event.created_at().to_string(),
    });
    assert_eq!(received.json(), expected);
    let document = pos.get("/openapi/open-delivery.json").await.json();
    let schema = json!({ "$ref": "#/components/schemas/OrderEvent" });
    assert_eq!(differences(&document, &schema, &received.json(), "event"), [""; 0]);
    ground.publish(merchant(2), 2).await;
    receiver.has(2).await;
    assert_eq!(receiver.all()[1].header("x-app-merchantid"), merchant(2).to_string(), "without a name of its own");
    assert_eq!(receiver.all()[1].header("x-app-id"), received.header("x-app-id"), "one for all");
}

#[tokio::test]
async fn the_answer_is_the_acknowledgment_and_a_refused_event_stays_pending_for_polls() {
    for status in [200, 204] {
        let (ground, receiver) = (ground().await, Receiver::start().await);
        receiver.answers(status);
        let rig = ground.start().await;
        let pos = rig.as_application("pos").await;
        let webhook = set(&pos, &open_delivery(&receiver)).await;
        assert_eq!(webhook["acknowledges"], true);
        let event = ground.publish(merchant(1), 1).await;
        log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [event], "{status}");
        receiver.answers(403);
        ground.publish(merchant(1), 2).await;
        log_once(&pos, "dead", |log| log.iter().any(|one| one["status"] == "DEAD")).await;
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [event], "{status}");
    }
}

#[tokio::test]
async fn each_dialect_is_sent_the_events_it_has_a_word_for() {
    let (ground, receiver, others) = (ground().await, Receiver::start().await, Receiver::start().await);
    ground.applications.put("ifood", "ifood-secret", &[merchant(1)]);
    let rig = ground.start().await;
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("ifood").await);
    set(&pos, &open_delivery(&receiver)).await;
    set(&other, &json!({ "url": others.url(), "dialect": "IFOOD", "secret": "s" })).await;
    for (order, code) in [(1, EventCode::Delivered), (2, EventCode::AssignDriver), (3, EventCode::Concluded)] {
        ground.publish_as(merchant(1), order, code).await;
    }
    log_once(&pos, "delivered", all_are("DELIVERED", 2)).await;
    log_once(&other, "delivered", all_are("DELIVERED", 2)).await;
    ground.is_recorded().await;
    let sent = |receiver: &Receiver, field: &str| {
        let mut all: Vec<String> =
            receiver.all().iter().map(|one| one.json()[field].as_str().unwrap().to_owned()).collect();
        all.sort();
        all
    };
    assert_eq!(sent(&receiver, "eventType"), ["CONCLUDED", "DELIVERED"]);
    assert_eq!(sent(&others, "code"), ["ADR", "CON"]);
}

#[tokio::test]
async fn an_event_waits_while_its_merchants_name_cannot_be_asked_for() {
    let (ground, receiver) = (ground().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    set(&pos, &open_delivery(&receiver)).await;
    rig.peers.merchants.down.store(true, std::sync::atomic::Ordering::SeqCst);
    ground.publish(merchant(1), 1).await;
    log_once(&pos, "it waits", all_are("WAITING", 1)).await;
    ground.is_recorded().await;
    rig.peers.merchants.down.store(false, std::sync::atomic::Ordering::SeqCst);
    rig.clock.jump(std::time::Duration::from_secs(31));
    let log = log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    assert_eq!((log[0]["attempts"].as_array().unwrap().len(), receiver.count()), (1, 1), "no failure of the receiver");
}

#[tokio::test]
async fn the_versions_say_that_events_are_pushed() {
    let ground = ground().await;
    let rig = ground.start().await;
    let versions = rig.client.get("/v1/versions/orderingApp").await.json();
    assert_eq!(versions["order"]["availableEventsMethods"], json!(["POLLING", "WEBHOOK"]));
    let document = rig.client.get("/openapi/open-delivery.json").await.json();
    let schema = json!({ "$ref": "#/components/schemas/VersionOrderingApp" });
    assert_eq!(differences(&document, &schema, &versions, "versions"), [""; 0]);
    let without = Rig::start().await.client.get("/v1/versions/orderingApp").await.json();
    assert_eq!(without["order"]["availableEventsMethods"], json!(["POLLING"]), "where nothing is pushed");
}

#[tokio::test]
async fn wrong_webhooks_of_open_delivery_are_refused_with_the_field() {
    let (ground, receiver) = (ground().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    for (field, value) in [
        ("url", json!("http://127.0.0.1:9/od?x=y")),
        ("url", json!("http://127.0.0.1:9/v1/newEvent")),
        ("acknowledges", json!(false)),
        ("presence", json!("ALL")),
        ("presence", json!("PER_MERCHANT")),
        ("secret", json!(null)),
    ] {
        let mut wrong = open_delivery(&receiver);
        wrong[field] = value.clone();
        let answer = pos.send("PUT", "/comanda/v1/webhook", &[], wrong.to_string()).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{value}");
    }
    assert_eq!(pos.get("/comanda/v1/webhook").await.status, 404);
}
