//! Webhooks that work: signatures, the log, keep-alives, acknowledgments, who is sent what, and the endpoints (PARTNER_API 2.7).

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use message_bus::{OutgoingMessage, Queue};
use serde_json::{Value, json};

use crate::documentation::differences;
use crate::rig::{eventually, merchant};
use crate::webhook_platform::{Ground, Received, Receiver, all_are, log_once, set, sign, subscribed};

#[tokio::test]
async fn an_event_is_pushed_as_polls_show_it_signed_with_the_client_secret_and_logged() {
    let (ground, receiver, rig, pos) = subscribed(202).await;
    let event = ground.publish(merchant(1), 1).await;
    receiver.has(1).await;
    let received = receiver.all().remove(0);
    assert_eq!(received.header("x-ifood-signature"), hex::encode(sign(b"pos-secret", &received.body)));
    let body = received.json();
    assert_eq!((body["id"].as_str(), body["fullCode"].as_str()), (Some(event.to_string().as_str()), Some("PLACED")));
    let log = log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    assert_eq!((log[0]["eventId"].as_str(), &log[0]["attempts"][0]["status"]), (body["id"].as_str(), &json!(202)));
    ground.is_recorded().await;
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [], "polls still show it");
    let shown = pos.get("/comanda/v1/webhook").await.json();
    assert_eq!((&shown["waiting"], &shown["deadLetters"], &shown["status"]), (&json!(0), &json!(0), &json!("ACTIVE")));
    assert!(!shown.to_string().contains("pos-secret"), "{shown}");
}

pub fn check_standard(received: &Received, secrets: &[&str]) {
    let (id, at) = (received.header("webhook-id"), received.header("webhook-timestamp"));
    let message = [format!("{id}.{at}.").as_bytes(), &received.body].concat();
    let signatures: Vec<String> = secrets
        .iter()
        .map(|secret| STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap())
        .map(|secret| format!("v1,{}", STANDARD.encode(sign(&secret, &message))))
        .collect();
    assert_eq!(received.header("webhook-signature"), signatures.join(" "));
}

#[tokio::test]
async fn standard_webhooks_rotate_their_secret_without_a_gap() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let made = set(&pos, &json!({ "url": receiver.url(), "dialect": "STANDARD" })).await;
    let first = made["secret"].as_str().unwrap().to_owned();
    let event = ground.publish(merchant(1), 1).await;
    receiver.has(1).await;
    let received = receiver.all().remove(0);
    check_standard(&received, &[&first]);
    assert_eq!(received.header("webhook-id"), event.to_string());
    assert_eq!(
        (received.json()["type"].as_str(), received.json()["data"]["code"].as_str()),
        (Some("order.placed"), Some("PLC"))
    );
    let second = format!("whsec_{}", STANDARD.encode([5; 32]));
    let changed = set(&pos, &json!({ "url": receiver.url(), "dialect": "STANDARD", "secret": second })).await;
    assert!(changed.get("secret").is_none() && changed["previousSecretUntil"].is_string(), "{changed}");
    ground.publish(merchant(1), 2).await;
    receiver.has(2).await;
    check_standard(&receiver.all()[1], &[&second, &first]);
}

#[tokio::test]
async fn each_application_is_sent_its_own_merchants_once_however_many_instances_there_are() {
    let (ground, receiver, others) = (Ground::new().await, Receiver::start().await, Receiver::start().await);
    let (rig, _second) = (ground.start().await, ground.start().await);
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
    set(&pos, &receiver.ifood()).await;
    set(&other, &others.ifood()).await;
    let mut expected = BTreeSet::new();
    for order in 1..=30 {
        expected.insert(ground.publish(merchant(1 + order % 2), order).await.to_string());
        ground.publish(merchant(4), 100 + order).await;
    }
    let to_other = ground.publish(merchant(3), 99).await;
    eventually("everything arrives", || receiver.count() >= 30 && others.count() >= 1).await;
    log_once(&pos, "all delivered", all_are("DELIVERED", 30)).await;
    ground.is_recorded().await;
    let ids: Vec<String> = receiver.all().iter().map(|one| one.json()["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((ids.len(), ids.into_iter().collect::<BTreeSet<_>>()), (30, expected));
    assert_eq!((others.count(), others.all()[0].json()["id"].as_str()), (1, Some(to_other.to_string().as_str())));
    let foreign = pos.send("POST", &format!("/comanda/v1/webhook/deliveries/{to_other}/redeliver"), &[], "").await;
    assert_eq!(foreign.status, 404, "another application's delivery");
}

#[tokio::test]
async fn a_revoked_application_or_merchant_is_sent_nothing() {
    let (ground, receiver, rig, _) = subscribed(202).await;
    rig.applications.put("pos", "pos-secret", &[merchant(2)]);
    tokio::time::sleep(Duration::from_millis(200)).await;
    ground.publish(merchant(1), 1).await;
    ground.publish(merchant(2), 2).await;
    receiver.has(1).await;
    rig.applications.change("pos", |stored| stored.record.revoked = true);
    tokio::time::sleep(Duration::from_millis(200)).await;
    ground.publish(merchant(2), 3).await;
    ground.is_recorded().await;
    assert_eq!(receiver.count(), 1);
}

#[tokio::test]
async fn what_is_no_event_goes_to_the_dead_letter_queue() {
    let ground = Ground::new().await;
    let _rig = ground.start().await;
    let message = OutgoingMessage { body: "{}".to_owned(), attributes: std::iter::empty().collect() };
    ground.feed.send(vec![message]).await;
    let dead = ground.dead_letters.receive(1, Duration::from_secs(10), Duration::from_secs(1)).await.unwrap();
    assert_eq!((dead[0].body.as_str(), dead[0].attributes["reason"].as_str()), ("{}", "UNKNOWN_VERSION"));
    ground.is_recorded().await;
}

#[tokio::test]
async fn a_delivery_acknowledges_for_polls_where_that_was_asked_for() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let mut wanted = receiver.ifood();
    wanted["acknowledges"] = json!(true);
    set(&pos, &wanted).await;
    let first = ground.publish(merchant(1), 1).await;
    log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [first]);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let second = ground.publish(merchant(1), 2).await;
    let is_owed =
        |log: &[Value]| log.iter().any(|one| one["status"] == "ACKNOWLEDGING" && one["attempts"][0]["status"] == 202);
    log_once(&pos, "the acknowledgment is owed", is_owed).await;
    rig.peers.fallback.down.store(false, Ordering::SeqCst);
    rig.clock.jump(Duration::from_secs(40));
    log_once(&pos, "both delivered", all_are("DELIVERED", 2)).await;
    assert!(rig.peers.feed.acknowledged_by("pos").contains(&second));
    assert_eq!(receiver.count(), 2, "it is not sent again");
}

#[tokio::test]
async fn a_keepalive_answered_with_202_is_a_beat_of_every_store_and_is_sent_every_30_s() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let (rig, _second) = (ground.start().await, ground.start().await);
    let pos = rig.as_application("pos").await;
    receiver.answers(200);
    let mut wanted = receiver.ifood();
    wanted["presence"] = json!("ALL");
    set(&pos, &wanted).await;
    receiver.has(1).await;
    let asked = receiver.all().remove(0);
    assert_eq!((&asked.json()["code"], asked.json().get("merchantIds")), (&json!("KEEPALIVE"), None));
    assert_eq!(asked.header("x-ifood-signature"), hex::encode(sign(b"pos-secret", &asked.body)));
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(rig.peers.merchants.beats.lock().is_empty(), "200 is no 202");
    assert_eq!(receiver.count(), 1, "one instance at a time, and not before 30 s are over");
    receiver.answers(202);
    // Another instance begins with no memory of the last one: what is stored holds it back, until it is over.
    rig.clock.jump(Duration::from_secs(31));
    let _third = ground.start().await;
    eventually("both merchants beat", || rig.peers.merchants.beats.lock().len() == 2).await;
    assert!(rig.peers.merchants.beats.lock().iter().eq(&[merchant(1), merchant(2)]));
}

#[tokio::test]
async fn a_keepalive_by_merchant_counts_those_that_the_answer_lists_and_no_others() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let online = [merchant(2), merchant(3)].map(|id| id.to_string());
    *receiver.answer.lock() = json!({ "merchantIds": online }).to_string();
    let mut wanted = receiver.ifood();
    wanted["presence"] = json!("PER_MERCHANT");
    set(&pos, &wanted).await;
    receiver.has(1).await;
    let asked = [merchant(1), merchant(2)].map(|id| id.to_string());
    assert_eq!(receiver.all()[0].json()["merchantIds"], json!(asked));
    eventually("the listed merchant beats", || !rig.peers.merchants.beats.lock().is_empty()).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(rig.peers.merchants.beats.lock().iter().eq(&[merchant(2)]), "the foreign one does not");
}

#[tokio::test]
async fn wrong_webhooks_are_refused_with_the_field() {
    let ground = Ground::new().await;
    let rig = ground.start_with(|config| config.dial.allow_loopback = false).await;
    let pos = rig.as_application("pos").await;
    let good = json!({ "url": "https://pos.example.com/hook", "dialect": "IFOOD", "secret": "s" });
    for (field, value) in [
        ("url", json!("http://pos.example.com/")),
        ("url", json!("https://127.0.0.1/")),
        ("url", json!("https://169.254.169.254/latest/meta-data/")),
        ("url", json!("https://pos.example.com:8080/")),
        ("url", json!(format!("https://pos.example.com/{}", "x".repeat(300)))),
        ("url", json!(null)),
        ("dialect", json!("SOAP")),
        ("presence", json!("MAYBE")),
        ("acknowledges", json!(1)),
        ("secret", json!("")),
        ("secret", json!(null)),
    ] {
        let mut wrong = good.clone();
        wrong[field] = value.clone();
        let answer = pos.send("PUT", "/comanda/v1/webhook", &[], wrong.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{field}: {value}");
        assert_eq!(answer.json()["error"]["field"], field, "{value}");
    }
    let unknown = json!({ "url": "https://a.example.com/", "dialect": "IFOOD", "secret": "s", "paused": true });
    assert_eq!(pos.send("PUT", "/comanda/v1/webhook", &[], unknown.to_string()).await.status, 400);
    for (method, path) in [("GET", ""), ("DELETE", ""), ("POST", "/resume")] {
        let answer = pos.send(method, &format!("/comanda/v1/webhook{path}"), &[], "").await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (404, "NotFound"), "{method}");
    }
    for query in ["limit=0", "limit=101", "before=x"] {
        assert_eq!(pos.get(&format!("/comanda/v1/webhook/deliveries?{query}")).await.status, 400, "{query}");
    }
    let none = "/comanda/v1/webhook/deliveries/00000000-0000-4000-8000-000000000001/redeliver";
    assert_eq!(pos.send("POST", none, &[], "").await.status, 404);
    assert_eq!(pos.send("PUT", "/comanda/v1/webhook", &[], good.to_string()).await.status, 200);
    let other = rig.as_application("other").await;
    assert_eq!(other.get("/comanda/v1/webhook").await.status, 404, "another application sees none of it");
    assert_eq!(pos.send("DELETE", "/comanda/v1/webhook", &[], "").await.status, 204);
    assert_eq!(pos.get("/comanda/v1/webhook").await.status, 404);
}

#[tokio::test]
async fn webhooks_are_answered_as_documented() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let document = pos.get("/openapi/comanda.json").await.json();
    let made = set(&pos, &json!({ "url": receiver.url(), "dialect": "STANDARD" })).await;
    receiver.answers(404);
    ground.publish(merchant(1), 1).await;
    log_once(&pos, "dead", all_are("DEAD", 1)).await;
    let own = "/comanda/v1/webhook";
    let schema_of = |path: &str, method: &str| {
        document["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"].clone()
    };
    assert_eq!(differences(&document, &schema_of(own, "put"), &made, "put"), [""; 0]);
    for (method, path) in
        [("get", ""), ("get", "/deliveries"), ("get", "/dead-letters"), ("post", "/dead-letters/redeliver")]
    {
        let path = format!("{own}{path}");
        let answer = pos.send(&method.to_uppercase(), &path, &[], "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(differences(&document, &schema_of(&path, method), &answer.json(), method), [""; 0], "{path}");
    }
}
