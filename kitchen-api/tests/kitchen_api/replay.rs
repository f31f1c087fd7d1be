//! `GET /comanda/v1/events`: events again, also after their acknowledgment, by cursor; for the application's own merchants alone.

use std::sync::atomic::Ordering;

use event_feed::FeedEvent;
use order_model::EventCode;
use serde_json::{Value, json};

use crate::captured_log::CapturedLog;
use crate::client::Client;
use crate::documentation::differences;
use crate::peers::event;
use crate::rig::{Rig, config, eventually, merchant};

fn own_events() -> Vec<FeedEvent> {
    (1..=5).map(|number| event(merchant(1), number, EventCode::Placed)).collect()
}

async fn rig() -> (Rig, Client) {
    let rig = Rig::start_cold(config(), |known| known.put("both", "both-secret", &[merchant(1), merchant(3)])).await;
    eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
    rig.peers.fallback.replays.events.lock().extend(own_events());
    rig.peers.fallback.replays.events.lock().push(event(merchant(3), 9, EventCode::Placed));
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn path(number: u8, query: &str) -> String {
    format!("/comanda/v1/events?merchantId={}&{query}", merchant(number))
}

fn ids(page: &Value) -> Vec<String> {
    page["events"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_hold_every_event_with_its_id_and_nothing_is_acknowledged() {
    let (rig, pos) = rig().await;
    let expected: Vec<String> = own_events().iter().map(|event| event.id.to_string()).collect();
    let (mut all, mut query, mut pages) = (Vec::new(), "limit=2".to_owned(), 0);
    loop {
        let answer = pos.get(&path(1, &query)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let page = answer.json();
        all.extend(ids(&page));
        pages += 1;
        query = format!("limit=2&after={}", page["cursor"].as_str().unwrap());
        if page["hasMore"] == false {
            break;
        }
    }
    assert_eq!((all, pages), (expected, 3));
    let after_the_end = pos.get(&path(1, &query)).await.json();
    assert_eq!((ids(&after_the_end).len(), &after_the_end["hasMore"]), (0, &json!(false)));
    assert!(rig.peers.feed.acknowledged.lock().is_empty());
    assert!(rig.peers.merchants.beats.lock().is_empty(), "a replay is no heartbeat");
    assert_eq!(rig.peers.feed.polls.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_category_is_asked_for_and_the_grants_window_is_passed_on() {
    let (rig, pos) = rig().await;
    assert_eq!(pos.get(&path(1, "")).await.status, 200);
    let asked = rig.peers.fallback.replays.asked.lock().pop().unwrap().of.unwrap();
    assert_eq!((asked.application_id.as_str(), asked.limit, asked.merchants.len()), ("pos", 100, 1));
    assert!(asked.filter.unwrap().all_categories && asked.shadow);
    assert!(asked.merchants[0].visible_from_ms > 0);
}

#[tokio::test]
async fn a_replay_that_begins_anew_says_so() {
    let (rig, pos) = rig().await;
    *rig.peers.fallback.replays.restarted.lock() = true;
    assert_eq!(pos.get(&path(1, "")).await.json()["restarted"], true);
}

#[tokio::test]
async fn what_is_wrong_is_refused_at_its_field() {
    let (rig, pos) = rig().await;
    let cursor = pos.get(&path(1, "limit=1")).await.json()["cursor"].as_str().unwrap().to_owned();
    let asked = rig.peers.fallback.replays.asked.lock().len();
    let query = |number: u8, query: &str| path(number, query);
    for (path, field) in [
        ("/comanda/v1/events".to_owned(), "merchantId"),
        ("/comanda/v1/events?merchantId=x".to_owned(), "merchantId"),
        (query(1, "limit=0"), "limit"),
        (query(1, "limit=501"), "limit"),
        (query(1, "limit=many"), "limit"),
        (query(1, "after=abc"), "after"),
        (query(1, &format!("after={cursor}A")), "after"),
        (query(2, &format!("after={cursor}")), "after"),
    ] {
        let answer = pos.get(&path).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]["field"]), (400, &json!(field)), "{path}");
    }
    let both = rig.as_application("both").await;
    let answer = both.get(&path(1, &format!("after={cursor}"))).await;
    assert_eq!(answer.status, 400, "another application's cursor is none");
    assert_eq!(rig.peers.fallback.replays.asked.lock().len(), asked, "nothing of it was passed on");
}

#[tokio::test]
async fn a_foreign_merchant_is_as_unknown() {
    let (rig, pos) = rig().await;
    for number in [3, 9] {
        let answer = pos.get(&path(number, "")).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (403, "Forbidden"));
        assert_eq!(answer.json()["unauthorizedMerchants"], json!([merchant(number).to_string()]));
    }
    assert_eq!(rig.client.get(&path(1, "")).await.status, 401);
    assert!(rig.peers.fallback.replays.asked.lock().is_empty());
}

#[tokio::test]
async fn without_the_keeper_of_events_it_is_503() {
    let (rig, pos) = rig().await;
    rig.peers.fallback.down.store(true, Ordering::SeqCst);
    let answer = pos.get(&path(1, "")).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
}

#[tokio::test]
async fn a_page_is_answered_as_documented() {
    let (_rig, pos) = rig().await;
    let document = pos.get("/openapi/comanda.json").await.json();
    let responses = &document["paths"]["/comanda/v1/events"]["get"]["responses"];
    for query in ["limit=0", "after=x"] {
        let answer = pos.get(&path(1, query)).await;
        let schema = &responses[answer.status.as_str()]["content"]["application/json"]["schema"];
        assert_eq!(differences(&document, schema, &answer.json(), query), [""; 0]);
    }
    let page = pos.get(&path(2, "")).await.json();
    let schema = &responses["200"]["content"]["application/json"]["schema"];
    assert_eq!(differences(&document, schema, &page, "page"), [""; 0]);
}

/// Who was given what, in the structured log; what was in it is not there.
#[tokio::test]
async fn every_use_leaves_an_audit_record_and_a_refusal_leaves_none() {
    let (log, _guard) = CapturedLog::start();
    let (_rig, pos) = rig().await;
    assert_eq!(pos.get(&path(3, "")).await.status, 403);
    assert_eq!(pos.get(&path(1, "after=nonsense")).await.status, 400);
    assert_eq!(log.with("audit", "replay").len(), 0, "nothing was given");
    let page = pos.get(&path(1, "limit=2")).await.json();
    let next = page["cursor"].as_str().unwrap();
    assert_eq!(pos.get(&path(1, &format!("limit=500&after={next}"))).await.status, 200);
    let (records, events) = (log.with("audit", "replay"), own_events());
    assert_eq!(records.len(), 2, "one for each use: {records:?}");
    let (one, id) =
        (merchant(1).to_string(), |field: &str, at: usize| records[at].get(field).cloned().unwrap_or_default());
    for at in [0, 1] {
        assert_eq!((id("application", at).as_str(), id("merchant", at)), ("pos", one.clone()));
    }
    assert_eq!((id("events", 0), id("events", 1)), ("2".to_owned(), "3".to_owned()));
    assert_eq!((id("begins_anew", 0), id("begins_anew", 1)), ("true".to_owned(), "false".to_owned()));
    let [first, second] = [(&events[0], &events[1]), (&events[2], &events[4])];
    for (at, (oldest, newest)) in [first, second].into_iter().enumerate() {
        assert_eq!(id("oldest", at), oldest.created_at.to_string());
        assert_eq!(id("newest", at), newest.created_at.to_string());
    }
    let text = format!("{records:?}");
    assert!(events.iter().all(|event| !text.contains(&event.order.to_string())), "nothing of their content: {text}");
}
