//! Our webhook operations as a client meets them when something goes wrong: hints, repeated requests, too many of them.

use kitchen_api::{Config, Dependencies, RequestTable, create_tables};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::rig::{Rig, merchant};
use crate::webhook_platform::{Ground, Receiver, all_are, dynamodb, log_once, set};

const WEBHOOK: &str = "/comanda/v1/webhook";

#[track_caller]
fn has_hint(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (status, code), "{answer:?}");
    let hint = answer.json()["error"]["hint"].clone();
    assert!(hint.as_str().is_some_and(|hint| hint.len() > 20), "{answer:?}");
}

#[tokio::test]
async fn every_refusal_has_a_code_and_says_what_to_do() {
    let ground = Ground::new().await;
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    for wrong in [
        json!([]),
        json!({}),
        json!({ "url": "https://10.0.0.1/", "dialect": "IFOOD", "secret": "s" }),
        json!({ "url": "https://a.example.com/", "dialect": "SOAP" }),
        json!({ "url": "https://a.example.com/", "dialect": "IFOOD" }),
        json!({ "url": "https://a.example.com/", "dialect": "IFOOD", "secret": "s", "unknown": 1 }),
        json!({ "url": "https://a.example.com/", "dialect": "IFOOD", "secret": "s", "acknowledges": 1 }),
    ] {
        has_hint(&pos.send("PUT", WEBHOOK, &[], wrong.to_string()).await, 400, "BadRequest");
    }
    for query in ["limit=0", "before=x"] {
        has_hint(&pos.get(&format!("{WEBHOOK}/deliveries?{query}")).await, 400, "BadRequest");
    }
    for (method, path) in [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/resume"),
        ("POST", "/deliveries/00000000-0000-4000-8000-000000000001/redeliver"),
        ("POST", "/deliveries/x/redeliver"),
    ] {
        has_hint(&pos.send(method, &format!("{WEBHOOK}{path}"), &[], "").await, 404, "NotFound");
    }
    let menu = pos.get(&format!("/comanda/v1/merchants/{}/menu", merchant(1))).await;
    has_hint(&menu, 404, "NotFound");
    let without = Rig::start().await;
    let unavailable = without.as_application("pos").await.get(WEBHOOK).await;
    has_hint(&unavailable, 503, "ServiceUnavailable");
}

#[tokio::test]
async fn a_delivery_that_is_no_dead_letter_is_a_conflict_that_says_where_dead_letters_are() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    set(&pos, &json!({ "url": receiver.url(), "dialect": "IFOOD", "secret": "s" })).await;
    let event = ground.publish(merchant(1), 1).await;
    log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    let refused = pos.post(&format!("{WEBHOOK}/deliveries/{event}/redeliver"), "").await;
    has_hint(&refused, 409, "NotADeadLetter");
    assert!(refused.json()["error"]["hint"].as_str().unwrap().contains("dead-letters"));
}

async fn with_key(pos: &Client, path: &str, key: &str) -> Answer {
    pos.send("POST", &format!("{WEBHOOK}{path}"), &[("idempotency-key", key)], "").await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotency-replayed").is_some_and(|value| value == "true")
}

/// Whether there are two dead letters with so many attempts in all.
fn dead_after(attempts: usize) -> impl Fn(&[Value]) -> bool {
    move |log| {
        let made = log.iter().map(|one| one["attempts"].as_array().map_or(0, Vec::len)).sum::<usize>();
        all_are("DEAD", 2)(log) && made == attempts
    }
}

#[tokio::test]
async fn the_same_key_has_one_effect_and_one_answer_on_every_post() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let dynamodb = dynamodb(&ground.aws);
    create_tables(&dynamodb, "t-").await.unwrap();
    let (config, given) = ground.parts(|_| ());
    let requests = RequestTable::new(dynamodb, "t-");
    let rig = ground.run(config, Dependencies { requests, ..given }).await;
    let pos = rig.as_application("pos").await;
    receiver.answers(404);
    set(&pos, &json!({ "url": receiver.url(), "dialect": "IFOOD", "secret": "s" })).await;
    let event = ground.publish(merchant(1), 1).await;
    ground.publish(merchant(2), 2).await;
    log_once(&pos, "both are dead", dead_after(2)).await;

    // What was sent again is refused and dies again, so that a repeat would send it once more.
    let one = format!("/deliveries/{event}/redeliver");
    let first = with_key(&pos, &one, "one").await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (202, false));
    log_once(&pos, "it died again", dead_after(3)).await;
    let again = with_key(&pos, &one, "one").await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true));

    let first = with_key(&pos, "/dead-letters/redeliver", "all").await;
    assert_eq!((first.json(), is_replayed(&first)), (json!({ "redelivered": 2, "more": false }), false));
    log_once(&pos, "both died again", dead_after(5)).await;
    let again = with_key(&pos, "/dead-letters/redeliver", "all").await;
    assert_eq!((&again.body, is_replayed(&again)), (&first.body, true));

    let first = with_key(&pos, "/resume", "resume").await;
    let again = with_key(&pos, "/resume", "resume").await;
    assert_eq!((first.status.as_u16(), is_replayed(&first)), (202, false));
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (202, true));

    let other = with_key(&pos, "/resume", "one").await;
    assert_eq!((other.status.as_u16(), other.error_code().as_str()), (422, "IdempotencyKeyReused"));
    ground.is_looked_at().await;
    assert_eq!(receiver.count(), 5, "no repeat has sent anything");
}

#[tokio::test]
async fn changes_and_redeliveries_have_a_limit_for_each_minute() {
    let ground = Ground::new().await;
    let (config, given) = ground.parts(|_| ());
    let rig = ground.run(Config { limits_requests: true, ..config }, given).await;
    let pos = rig.as_application("pos").await;
    for (path, limit) in [("/dead-letters/redeliver", 30), ("/resume", 60)] {
        let mut taken = 0;
        let refused = loop {
            let answer = pos.post(&format!("{WEBHOOK}{path}"), "").await;
            if answer.status == 429 {
                break answer;
            }
            taken += 1;
            assert!(taken < 1_000, "{path} is never refused");
        };
        assert!(taken >= limit, "a minute's worth may come at once: {path} {taken}");
        assert_eq!(refused.headers["x-ratelimit-limit"], limit.to_string(), "{path}");
        assert_eq!(refused.error_code(), "TooManyRequests");
    }
}
