//! PARTNER_API, section 4: token, versions, polling, acknowledgment, merchants, errors and the prefix.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::Config;
use order_model::{EventCode, MerchantId};
use serde_json::{Value, json};

use crate::client::{Answer, Client};
use crate::open_delivery_versions::TYPES_OF_1_3;
use crate::peers::event;
use crate::rate_limits::limit_named_by;
use crate::rig::{Rig, config, eventually, merchant};

const POLL: &str = "/v1/events:polling";
const ACKNOWLEDGE: &str = "/v1/events/acknowledgment";
/// A merchant's own name for itself, as Open Delivery recommends it: a document and a UUID.
pub const OWN_ID: &str = "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824";
/// The same, and a UUID at that.
const OWN_UUID: &str = "dbc7e35a-c936-4665-9e13-eb55eb8b6824";

/// Two merchants of `pos`, the first of which calls itself [`OWN_ID`], and one of `other`.
pub async fn rig() -> Rig {
    rig_with(config()).await
}

async fn rig_with(config: Config) -> Rig {
    let rig = Rig::start_with(config).await;
    for (number, own_id) in [(1, OWN_ID), (2, OWN_UUID), (3, "foreign-foreign-foreign-foreign-foreign")] {
        rig.peers.merchants.put(merchant(number), "Loja");
        rig.peers.merchants.change(merchant(number), |profile| own_id.clone_into(&mut profile.open_delivery_id));
    }
    rig
}

/// The status, having checked that the answer is a problem that says the same.
#[track_caller]
pub fn problem(answer: &Answer) -> u16 {
    assert_eq!(answer.headers["content-type"], "application/problem+json", "{answer:?}");
    let json = answer.json();
    assert_eq!(json["status"], answer.status.as_u16());
    assert!(json["title"].as_str().is_some_and(|title| !title.is_empty()), "{json}");
    answer.status.as_u16()
}

async fn ask_for_token(client: &Client, path: &str, form: &str) -> Answer {
    client.send("POST", path, &[("content-type", "application/x-www-form-urlencoded")], form.to_owned()).await
}

async fn poll(client: &Client, query: &str, merchants: &str) -> Answer {
    let headers = [("x-polling-merchants", merchants)];
    let headers = if merchants.is_empty() { &[][..] } else { &headers[..] };
    client.send("GET", &format!("{POLL}{query}"), headers, "").await
}

/// The types of a page's events, sorted.
pub fn types(answer: &Answer) -> Vec<String> {
    let of = |event: &Value| event["eventType"].as_str().unwrap().to_owned();
    let mut types: Vec<String> = answer.json().as_array().unwrap().iter().map(of).collect();
    types.sort_unstable();
    types
}

#[tokio::test]
async fn a_token_is_asked_for_in_snake_case_and_opens_both_dialects() {
    let rig = rig().await;
    let form = "grant_type=client_credentials&client_id=pos&client_secret=pos-secret";
    let answer = ask_for_token(&rig.client, "/oauth/token", form).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["cache-control"], "no-store");
    let json = answer.json();
    assert_eq!((&json["token_type"], &json["expires_in"]), (&json!("bearer"), &json!(21_600)));
    assert_eq!(json.as_object().unwrap().len(), 3, "nothing in camelCase");
    let pos = rig.client.with_token(json["access_token"].as_str().unwrap());
    assert_eq!(poll(&pos, "", "").await.status, 204);
    assert_eq!(pos.get("/events/v1.0/events:polling").await.status, 204);
    let token = rig.token("pos").await;
    assert_eq!(poll(&rig.client.with_token(&token), "", "").await.status, 204, "and the other way round");
}

#[tokio::test]
async fn what_gets_no_token_is_401_alike_and_locks_out_under_both_paths() {
    let rig = rig().await;
    let credentials =
        |id: &str, secret: &str| format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    for form in
        [String::new(), credentials("nobody", "x"), "grant_type=password&client_id=pos&client_secret=x".to_owned()]
    {
        assert_eq!(problem(&ask_for_token(&rig.client, "/oauth/token", &form).await), 401, "{form}");
    }
    for _ in 0..10 {
        assert_eq!(problem(&ask_for_token(&rig.client, "/oauth/token", &credentials("pos", "wrong")).await), 401);
    }
    let locked = ask_for_token(&rig.client, "/oauth/token", &credentials("pos", "pos-secret")).await;
    assert_eq!(problem(&locked), 429);
    assert_eq!(limit_named_by(&locked), 10, "so many may be wrong");
    assert_eq!(rig.client.ask_for_token("pos", "pos-secret").await.status, 429, "one lockout");
    let json = rig.client.send("POST", "/oauth/token", &[("content-type", "application/json")], "{}").await;
    assert_eq!(problem(&json), 415);
}

#[tokio::test]
async fn versions_are_answered_without_a_token() {
    let rig = rig().await;
    let answer = rig.client.get("/v1/versions/orderingApp").await;
    let order = json!({ "version": "1.6.0", "availableEventsMethods": ["POLLING"] });
    assert_eq!(answer.json(), json!({ "merchant": { "version": "1.6.0" }, "order": order }));
}

#[tokio::test]
async fn one_event_has_one_id_in_both_dialects_and_an_acknowledgment_in_either_counts() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let [first, second] = [1, 2].map(|order| event(merchant(1), order, EventCode::Placed));
    rig.peers.feed.events.lock().extend([first.clone(), second.clone()]);
    let answer = poll(&pos, "", "").await;
    assert_eq!((answer.status.as_u16(), &answer.headers["content-type"]), (200, &"application/json".parse().unwrap()));
    let shown = answer.json()[0].clone();
    let url = format!("http://{}/v1/orders/{}", rig.handle.address(), first.order);
    let expected = json!({
        "eventId": first.id.to_string(), "eventType": "CREATED", "orderId": first.order.to_string(),
        "orderURL": url, "createdAt": first.created_at.to_string(),
    });
    assert_eq!(shown, expected);
    let body = json!([{ "id": first.id.to_string(), "orderId": first.order.to_string(), "eventType": "CREATED" }]);
    let answer = pos.post(ACKNOWLEDGE, body.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0));
    let left = pos.get("/events/v1.0/events:polling").await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(second.id.to_string())));
    let body = json!([{ "id": second.id.to_string() }]);
    assert_eq!(pos.post("/events/v1.0/events/acknowledgment", body.to_string()).await.status, 202);
    let answer = poll(&pos, "", "").await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
}

#[tokio::test]
async fn every_type_is_shown_and_what_has_none_stays_pending_for_the_other_dialect() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let mut number = 0;
    let all = EventCode::ALL.iter().map(|&code| {
        number += 1;
        event(merchant(1), number, code)
    });
    rig.peers.feed.events.lock().extend(all);
    let newer = ["PICKED_UP", "PREPARATION_REQUESTED", "PREPARING", "PREPARING"];
    let mut expected = [&TYPES_OF_1_3[..], &newer].concat();
    expected.sort_unstable();
    assert_eq!(types(&poll(&pos, "", "").await), expected);
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty(), "hidden is not acknowledged");
    let merchants = pos.get("/events/v1.0/events:polling").await.json();
    let codes: Vec<&str> = merchants.as_array().unwrap().iter().map(|event| event["code"].as_str().unwrap()).collect();
    assert_eq!(codes.len(), EventCode::ALL.len() - 1);
    assert!(codes.contains(&"ADR") && !codes.contains(&"DLV"));
}

#[tokio::test]
async fn a_filter_of_types_acknowledges_what_it_hides_and_only_that() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let events =
        [EventCode::Placed, EventCode::Confirmed, EventCode::AssignDriver, EventCode::RecommendedPreparationStart];
    let events: Vec<_> = (1..).zip(events).map(|(number, code)| event(merchant(1), number, code)).collect();
    rig.peers.feed.events.lock().extend(events.clone());
    assert_eq!(poll(&pos, "?eventType=NOTHING_KNOWN", "").await.status, 204);
    assert_eq!(types(&poll(&pos, "?eventType=", "").await).len(), 3, "blank is not sent");
    assert!(rig.peers.feed.acknowledged_by("pos").is_empty());
    assert_eq!(types(&poll(&pos, "?eventType=CREATED&eventType=PREPARING", "").await), ["CREATED"]);
    let mut acknowledged = rig.peers.feed.acknowledged_by("pos");
    acknowledged.sort_unstable();
    let mut hidden = vec![events[1].id, events[3].id];
    hidden.sort_unstable();
    assert_eq!(acknowledged, hidden, "PREPARATION_REQUESTED cannot be named; the courier is no word here");
    let sixteen = vec!["CREATED"; 16].join(",");
    assert_eq!(problem(&poll(&pos, &format!("?eventType={sixteen}"), "").await), 400);
}

#[tokio::test]
async fn merchants_are_named_by_uuid_or_by_their_own_id() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    rig.peers.feed.events.lock().extend([1, 2, 3].map(|number| event(merchant(number), number, EventCode::Placed)));
    let first = merchant(1).to_string();
    for (named, events) in [
        (first.as_str(), 1),
        (OWN_ID, 1),
        (OWN_UUID, 1),
        (&*format!(" {OWN_ID} , {OWN_UUID} ,, "), 2),
        (&*format!("{OWN_ID},{first}"), 1),
    ] {
        assert_eq!(types(&poll(&pos, "", named).await).len(), events, "{named}");
    }
    let lookups = rig.peers.merchants.lookups.load(Ordering::SeqCst);
    assert_eq!(lookups, 2, "remembered");
    let unknown = MerchantId::from_bytes([9; 16]).to_string();
    let foreign = merchant(3).to_string();
    for stranger in [
        &*foreign,
        "foreign-foreign-foreign-foreign-foreign",
        &*unknown,
        "unknown-unknown-unknown-unknown-unknown",
        "short",
    ] {
        let before = rig.peers.feed.polls.load(Ordering::SeqCst);
        let answer = poll(&pos, "", &format!("{OWN_ID},{stranger}")).await;
        assert_eq!(problem(&answer), 403, "{stranger}");
        assert_eq!(answer.json()["title"], poll(&pos, "", &unknown).await.json()["title"], "alike");
        assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst), before, "nothing was read");
    }
    let many = |count: usize| vec![OWN_ID; count].join(",");
    assert_eq!(problem(&poll(&pos, "", &many(101)).await), 400);
    assert_eq!(poll(&pos, "", &many(100)).await.status, 200);
}

#[tokio::test]
async fn every_poll_is_a_beat_even_when_it_cannot_be_answered() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    poll(&pos, "", "short").await;
    rig.peers.feed.down.store(true, Ordering::SeqCst);
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let answer = poll(&pos, "", OWN_ID).await;
    assert_eq!(problem(&answer), 503);
    assert!(answer.headers.contains_key("retry-after"));
    eventually("the first merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(1))).await;
    assert!(!rig.peers.merchants.beats.lock().contains(&merchant(2)), "a refused poll is no beat");
}

/// Without merchant-connection a merchant that is known by its UUID beats, and one that has to be looked up is 503.
#[tokio::test]
async fn names_that_cannot_be_looked_up_are_503_and_the_others_beat() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let others = ["foreign-foreign-foreign-foreign-foreign", "unknown-unknown-unknown-unknown-unknown"];
    for stranger in others {
        assert_eq!(problem(&poll(&pos, "", stranger).await), 403, "{stranger}");
    }
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    for stranger in others {
        assert_eq!(problem(&poll(&pos, "", stranger).await), 503, "{stranger}: nothing remembered tells them apart");
    }
    let second = merchant(2).to_string();
    assert_eq!(poll(&pos, "", &second).await.status, 204);
    rig.peers.merchants.beats.lock().clear();
    assert_eq!(problem(&poll(&pos, "", &format!("{second},{OWN_ID}")).await), 503);
    assert_eq!(problem(&pos.get(&format!("/v1/merchant/{OWN_ID}/status")).await), 503);
    rig.peers.merchants.down.store(false, Ordering::SeqCst);
    eventually("the second merchant beats", || rig.peers.merchants.beats.lock().contains(&merchant(2))).await;
}

#[tokio::test]
async fn an_acknowledgment_takes_any_shape_of_at_most_100() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let pending = event(merchant(1), 1, EventCode::Placed);
    let id = pending.id.to_string();
    for body in [
        json!([{ "id": id, "orderId": "x", "eventType": "NEW" }]),
        json!([{ "eventId": id, "eventType": "CREATED", "orderURL": "x" }]),
        json!([id]),
        json!({ "events": [{ "id": id }] }),
        json!([]),
        json!([{ "id": "not-an-id" }]),
        json!(vec![json!({ "id": id }); 100]),
    ] {
        rig.peers.feed.acknowledged.lock().clear();
        let answer = pos.post(ACKNOWLEDGE, body.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{body}");
        let named = body.to_string().contains(&id);
        assert_eq!(rig.peers.feed.acknowledged_by("pos").len(), usize::from(named), "{body}");
    }
    assert_eq!(problem(&pos.post(ACKNOWLEDGE, json!(vec![json!({ "id": id }); 101]).to_string()).await), 400);
    assert_eq!(problem(&pos.post(ACKNOWLEDGE, "not json").await), 400);
    assert_eq!(problem(&pos.post(ACKNOWLEDGE, format!("[{}]", " ".repeat(8 << 20))).await), 413);
}

#[tokio::test]
async fn a_store_is_available_while_it_is_open_and_connected() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    rig.peers.merchants.online.lock().insert(merchant(1));
    let answer = pos.get(&format!("/v1/merchant/{OWN_ID}/status")).await;
    assert_eq!(answer.status, 200);
    let json = answer.json();
    assert_eq!(
        (&json["status"], &json["orderingAppMerchantId"]),
        (&json!("AVAILABLE"), &json!(merchant(1).to_string()))
    );
    let types: Vec<&str> =
        json["services"].as_array().unwrap().iter().map(|one| one["serviceType"].as_str().unwrap()).collect();
    assert_eq!(types, ["DELIVERY", "TAKEOUT", "INDOOR"]);
    let hours = &json["services"][0]["serviceHours"][0]["weekHours"];
    assert_eq!(hours[0]["dayOfWeek"].as_array().unwrap().len(), 7);
    assert_eq!(hours[0]["timePeriods"], json!({ "startTime": "00:00:00+00:00", "endTime": "23:59:59+00:00" }));
    assert_eq!(pos.get(&format!("/v1/merchant/{}/status", merchant(1))).await.json(), json, "the same by UUID");
    rig.peers.merchants.online.lock().clear();
    assert_eq!(pos.get(&format!("/v1/merchant/{OWN_ID}/status")).await.json()["status"], "UNAVAILABLE");
    let unknown = pos.get("/v1/merchant/unknown/status").await;
    assert_eq!(problem(&unknown), 404);
    for stranger in
        [merchant(3).to_string(), merchant(99).to_string(), "foreign-foreign-foreign-foreign-foreign".to_owned()]
    {
        let answer = pos.get(&format!("/v1/merchant/{stranger}/status")).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body), "{stranger}");
    }
}

#[tokio::test]
async fn without_a_token_and_off_the_paths_there_are_problems_here_and_envelopes_elsewhere() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    for path in [POLL, "/v1/orders/x", "/v1/merchant/x/status"] {
        let answer = rig.client.get(path).await;
        assert_eq!(problem(&answer), 401, "{path}");
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(problem(&pos.get("/v1/nothing").await), 404);
    assert_eq!(problem(&pos.send("DELETE", POLL, &[], "").await), 405);
    assert_eq!(problem(&pos.get("/oauth/token").await), 405);
    assert_eq!(pos.get("/nothing").await.error_code(), "NotFound");
    assert_eq!(pos.post("/events/v1.0/events:polling", "").await.error_code(), "MethodNotAllowed");
}

#[tokio::test]
async fn the_paths_move_below_the_prefix_and_links_and_the_document_with_them() {
    let prefix = "/v4/opendelivery";
    let rig = rig_with(Config {
        open_delivery_prefix: prefix.parse().unwrap(),
        public_url: Some("https://api.example.com/".to_owned()),
        call_timeout: Duration::from_secs(2),
        ..config()
    })
    .await;
    let form = "grant_type=client_credentials&client_id=pos&client_secret=pos-secret";
    for path in ["/oauth/token", "/v4/opendelivery/oauth/token"] {
        assert_eq!(ask_for_token(&rig.client, path, form).await.status, 200, "{path}");
    }
    let pos = rig.as_application("pos").await;
    let pending = event(merchant(1), 1, EventCode::Placed);
    rig.peers.feed.events.lock().push(pending.clone());
    for path in [format!("{prefix}{POLL}"), format!("{prefix}/v1/events%3Apolling")] {
        let url = format!("https://api.example.com{prefix}/v1/orders/{}", pending.order);
        assert_eq!(pos.get(&path).await.json()[0]["orderURL"], url);
    }
    let answer = pos.get(&format!("{prefix}/v1/merchant/{OWN_ID}/status")).await;
    assert_eq!(answer.status, 200, "the parameter is found at its new place");
    assert_eq!(pos.get(POLL).await.error_code(), "NotFound");
    assert_eq!(problem(&pos.get(&format!("{prefix}/nothing")).await), 404);
    assert_eq!(problem(&pos.post(&format!("{prefix}{POLL}"), "").await), 405);
    let document = rig.client.get("/openapi/open-delivery.json").await.json();
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(paths.iter().all(|path| path.starts_with(prefix) || *path == "/oauth/token"), "{paths:?}");
}
