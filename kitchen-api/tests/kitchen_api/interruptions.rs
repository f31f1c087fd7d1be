//! PARTNER_API, sections 1.5 and 8.10: interruptions. It is Monday 2033-03-21, 06:40 UTC and 03:40 in São Paulo.

use std::sync::atomic::Ordering;
use std::time::Duration;

use order_model::MerchantId;
use proto::merchant_connection::Interruption;
use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Rig, merchant};

async fn rig() -> (Rig, Client) {
    let rig = Rig::start().await;
    for number in 1..=3 {
        rig.peers.merchants.put(merchant(number), &format!("Loja {number}"));
        let sao_paulo = || "America/Sao_Paulo".to_owned();
        rig.peers.merchants.change(merchant(number), |merchant| merchant.time_zone = sao_paulo());
    }
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn path(number: u8, tail: &str) -> String {
    format!("/merchant/v1.0/merchants/{}/interruptions{tail}", merchant(number))
}

fn body(start: &str, end: &str) -> Value {
    json!({ "description": "Falta de gás", "start": start, "end": end })
}

fn lunch() -> Value {
    body("2033-03-21T12:00:00", "2033-03-21T13:30:00")
}

fn kept(rig: &Rig, id: MerchantId) -> Vec<Interruption> {
    rig.peers.merchants.merchants.lock()[&id].interruptions.clone()
}

#[tokio::test]
async fn one_is_added_listed_and_removed() {
    let (rig, pos) = rig().await;
    let answer = pos.get(&path(1, "")).await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!([])));
    let answer = pos.post(&path(1, ""), lunch().to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.headers["content-type"].as_bytes()), (201, &b"application/json"[..]));
    let added = answer.json();
    let id = added["id"].as_str().unwrap();
    let mut expected = lunch();
    expected["id"] = json!(id);
    assert_eq!(added, expected, "the same with an id");
    assert_eq!(kept(&rig, merchant(1))[0].start_ms, 1_995_030_000_000, "15:00 UTC");
    let breakfast = body("2033-03-21T07:00:00", "2033-03-21T12:00:00");
    assert_eq!(pos.post(&path(1, ""), breakfast.to_string()).await.status, 201, "it touches the other");
    let listed = pos.get(&path(1, "")).await.json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[1]), (2, &added), "by their start");
    assert_eq!(pos.get(&path(2, "")).await.json(), json!([]), "the other store has none");
    let removed = pos.send("DELETE", &path(1, &format!("/{id}")), &[], "").await;
    assert_eq!((removed.status.as_u16(), removed.body.len()), (204, 0));
    let again = pos.send("DELETE", &path(1, &format!("/{id}")), &[], "").await;
    assert_eq!((again.status.as_u16(), again.error_code().as_str()), (404, "NotFound"));
    assert_eq!(pos.get(&path(1, "")).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn times_are_taken_with_and_without_an_offset_and_answered_without() {
    let (_rig, pos) = rig().await;
    for (index, (start, end)) in [
        ("2033-04-01T15:00:00.000Z", "2033-04-01T16:00:00Z"),
        ("2033-04-02T12:00:00-03:00", "2033-04-02T18:00:00+02:00"),
        ("2033-04-03T12:00", "2033-04-03T13:00:00.000"),
    ]
    .iter()
    .enumerate()
    {
        let answer = pos.post(&path(1, ""), body(start, end).to_string()).await.json();
        let day = index + 1;
        assert_eq!(answer["start"], format!("2033-04-0{day}T12:00:00"));
        assert_eq!(answer["end"], format!("2033-04-0{day}T13:00:00"));
    }
}

#[tokio::test]
async fn an_overlap_is_a_409_with_the_published_code() {
    let (rig, pos) = rig().await;
    assert_eq!(pos.post(&path(1, ""), lunch().to_string()).await.status, 201);
    let across = body("2033-03-21T13:29:59", "2033-03-21T14:00:00").to_string();
    let answer = pos.post(&path(1, ""), across.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "InterruptionOverlap"));
    assert_eq!(kept(&rig, merchant(1)).len(), 1);
    assert_eq!(pos.post(&path(2, ""), across).await.status, 201, "at another store");
}

/// However the two lie, and whichever way their times are written; what only touches is no overlap.
#[tokio::test]
async fn every_way_to_overlap_is_a_409_and_touching_is_none() {
    let (rig, pos) = rig().await;
    assert_eq!(pos.post(&path(1, ""), lunch().to_string()).await.status, 201);
    for (start, end) in [
        ("2033-03-21T12:00:00", "2033-03-21T13:30:00"),
        ("2033-03-21T12:30:00", "2033-03-21T12:31:00"),
        ("2033-03-21T11:00:00", "2033-03-21T14:00:00"),
        ("2033-03-21T11:00:00", "2033-03-21T12:00:01"),
        ("2033-03-21T16:29:59Z", "2033-03-21T17:00:00Z"),
        ("2033-03-21T14:00:00+00:00", "2033-03-21T17:00:00+01:00"),
    ] {
        let answer = pos.post(&path(1, ""), body(start, end).to_string()).await;
        let seen = (answer.status.as_u16(), answer.error_code());
        assert_eq!(seen, (409, "InterruptionOverlap".to_owned()), "{start} to {end}");
    }
    assert_eq!(kept(&rig, merchant(1)).len(), 1);
    for (start, end) in
        [("2033-03-21T11:00:00", "2033-03-21T12:00:00"), ("2033-03-21T16:30:00Z", "2033-03-21T17:00:00Z")]
    {
        assert_eq!(pos.post(&path(1, ""), body(start, end).to_string()).await.status, 201, "{start} to {end}");
    }
    assert_eq!(kept(&rig, merchant(1)).len(), 3);
}

#[tokio::test]
async fn what_does_not_fit_is_a_400_that_names_its_field() {
    let (rig, pos) = rig().await;
    let with = |field: &str, value: Value| {
        let mut body = lunch();
        body[field] = value;
        body.to_string()
    };
    for (field, body) in [
        ("start", with("start", Value::Null)),
        ("start", with("start", json!("21/03/2033 12:00"))),
        ("end", with("end", json!(5))),
        ("end", body("2033-03-21T12:00:00", "2033-03-21T12:00:00").to_string()),
        ("end", body("2033-03-21T12:00:00", "2033-03-28T12:00:01").to_string()),
        ("end", body("2033-03-21T03:00:00", "2033-03-21T03:30:00").to_string()),
        ("description", with("description", json!("x".repeat(501)))),
        ("id", with("id", json!("a/b"))),
        ("id", with("id", json!(7))),
        ("description", with("description", json!(["x"]))),
        ("start", with("start", json!("2033-03-21"))),
        ("start", with("start", json!("99999-03-21T12:00:00"))),
        ("start", with("start", json!("2033-03-21T12:00:00[America/Sao_Paulo]"))),
        ("start", with("start", json!(1e300))),
        ("end", with("end", json!("9999-12-31T23:59:59-03:00"))),
        ("end", with("end", json!({ "deep": [[[]]] }))),
    ] {
        let answer = pos.post(&path(1, ""), body.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{body}");
        assert_eq!(answer.json()["error"]["field"], field, "{body}");
    }
    let deep = "[".repeat(100_000);
    for body in ["", "[]", "null", "{", "\"text\"", "{\"start\":1e999}", "\u{feff}{}", deep.as_str()] {
        let answer = pos.post(&path(1, ""), body.to_owned()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "BadRequest"), "{body}");
    }
    let large = pos.post(&path(1, ""), with("description", json!("x".repeat(300 * 1024)))).await;
    assert_eq!(large.status, 413);
    assert_eq!(rig.peers.merchants.puts.load(Ordering::SeqCst), 0, "nothing was tried");
    let week = body("2033-03-21T12:00:00", "2033-03-28T12:00:00").to_string();
    assert_eq!(pos.post(&path(1, ""), week).await.status, 201, "seven days are");
}

#[tokio::test]
async fn those_that_are_over_are_gone_and_a_hundred_are_the_most() {
    let (rig, pos) = rig().await;
    assert_eq!(pos.post(&path(1, ""), lunch().to_string()).await.status, 201);
    let id = pos.get(&path(1, "")).await.json()[0]["id"].as_str().unwrap().to_owned();
    let pause = |number: i64| Interruption {
        id: format!("i{number}"),
        start_ms: 1_996_000_000_000 + number * 1000,
        end_ms: 1_996_000_000_000 + (number + 1) * 1000,
        ..Interruption::default()
    };
    rig.peers.merchants.change(merchant(1), |merchant| merchant.interruptions.extend((0..99).map(pause)));
    let other = body("2033-12-01T12:00:00", "2033-12-01T13:00:00").to_string();
    let answer = pos.post(&path(1, ""), other.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (400, "InterruptionLimit"));
    // 16:41 UTC, 13:41 there: lunch is over.
    rig.clock.jump(Duration::from_secs(10 * 3600 + 60));
    // Not with the old token, which has expired meanwhile.
    let pos = rig.as_application("pos").await;
    let listed = pos.get(&path(1, "")).await.json();
    assert_eq!(listed.as_array().unwrap().len(), 99);
    assert_eq!(pos.send("DELETE", &path(1, &format!("/{id}")), &[], "").await.status, 404, "it is over");
    assert_eq!(kept(&rig, merchant(1)).len(), 100, "and still kept: clocks differ");
    assert_eq!(pos.post(&path(1, ""), other).await.status, 201);
    assert!(kept(&rig, merchant(1)).iter().all(|one| one.id != id), "until there must be room");
}

#[tokio::test]
async fn an_own_id_is_kept_and_makes_a_repeat_add_nothing() {
    let (rig, pos) = rig().await;
    let mut own = lunch();
    own["id"] = json!("falta-de-gas_1");
    for _ in 0..2 {
        let answer = pos.post(&path(1, ""), own.to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (201, own.clone()));
    }
    assert_eq!(kept(&rig, merchant(1)).len(), 1);
    own["end"] = json!("2033-03-21T13:00:00");
    let answer = pos.post(&path(1, ""), own.to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "Conflict"));
}

/// An instant of 2033, as the store's clock shows it; 7 days of it are 7 days also where it is put back.
#[tokio::test]
async fn seven_days_are_those_of_the_stores_calendar() {
    let (rig, pos) = rig().await;
    let lisbon = || "Europe/Lisbon".to_owned();
    rig.peers.merchants.change(merchant(1), |merchant| merchant.time_zone = lisbon());
    // On 2033-10-30 the clock is put back from 02:00 to 01:00.
    let week = body("2033-10-23T01:30:00", "2033-10-30T01:30:00");
    let answer = pos.post(&path(1, ""), week.to_string()).await;
    assert_eq!(answer.status, 201);
    assert_eq!((&answer.json()["start"], &answer.json()["end"]), (&week["start"], &week["end"]));
    let kept = kept(&rig, merchant(1));
    assert_eq!(kept[0].end_ms - kept[0].start_ms, (7 * 24 + 1) * 3_600_000);
}

/// As from a node of an earlier release, which knows no versions: a change on it would be one on whatever is there.
#[tokio::test]
async fn a_profile_without_a_version_is_not_changed() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.change(merchant(1), |merchant| merchant.version = 0);
    let answer = pos.post(&path(1, ""), lunch().to_string()).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert_eq!(rig.peers.merchants.puts.load(Ordering::SeqCst), 0, "nothing was tried");
}

#[tokio::test]
async fn a_change_made_at_the_same_time_is_tried_again_and_in_the_end_a_503() {
    let (rig, pos) = rig().await;
    let merchants = &rig.peers.merchants;
    merchants.overtaken.store(9, Ordering::SeqCst);
    assert_eq!(pos.post(&path(1, ""), lunch().to_string()).await.status, 201);
    assert_eq!((merchants.puts.load(Ordering::SeqCst), kept(&rig, merchant(1)).len()), (10, 1));
    merchants.overtaken.store(99, Ordering::SeqCst);
    let other = body("2033-04-01T12:00:00", "2033-04-01T13:00:00").to_string();
    let answer = pos.post(&path(1, ""), other).await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"));
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(merchants.puts.load(Ordering::SeqCst), 10 + 10, "a bounded number of attempts");
    let id = kept(&rig, merchant(1))[0].id.clone();
    assert_eq!(pos.send("DELETE", &path(1, &format!("/{id}")), &[], "").await.status, 503);
    assert_eq!(kept(&rig, merchant(1)).len(), 1);
}

/// A call that is sent again to another node finds its own change there.
#[tokio::test]
async fn a_lost_answer_of_merchant_connection_is_recognised() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.answers_lost.store(1, Ordering::SeqCst);
    let answer = pos.post(&path(1, ""), lunch().to_string()).await;
    assert_eq!((answer.status.as_u16(), kept(&rig, merchant(1)).len()), (201, 1));
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    rig.peers.merchants.answers_lost.store(1, Ordering::SeqCst);
    assert_eq!(pos.send("DELETE", &path(1, &format!("/{id}")), &[], "").await.status, 204);
    assert_eq!(kept(&rig, merchant(1)), []);
}

#[tokio::test]
async fn a_foreign_and_an_unknown_merchant_are_403_alike_and_without_a_token_it_is_401() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.merchants.lock().remove(&merchant(2));
    let foreign = pos.get(&path(3, "")).await;
    assert_eq!((foreign.status.as_u16(), foreign.error_code().as_str()), (403, "Forbidden"));
    let id = "lunch";
    let own = Interruption { id: id.to_owned(), start_ms: 0, end_ms: i64::MAX, ..Interruption::default() };
    rig.peers.merchants.change(merchant(3), |merchant| merchant.interruptions.push(own));
    // Foreign, granted but not there, and unknown.
    for number in [3, 2, 99] {
        for (method, path, body) in [
            ("GET", path(number, ""), String::new()),
            ("POST", path(number, ""), lunch().to_string()),
            ("DELETE", path(number, &format!("/{id}")), String::new()),
        ] {
            let answer = pos.send(method, &path, &[], body.clone()).await;
            assert_eq!((answer.status, &answer.body), (foreign.status, &foreign.body), "{method} {path}");
            let answer = rig.client.send(method, &path, &[], body).await;
            assert_eq!(
                (answer.status.as_u16(), answer.error_code().as_str()),
                (401, "Unauthorized"),
                "{method} {path}"
            );
        }
    }
    assert_eq!(rig.peers.merchants.puts.load(Ordering::SeqCst), 0, "nothing was tried");
    assert_eq!(kept(&rig, merchant(3)).len(), 1);
}

#[tokio::test]
async fn without_merchant_connection_they_are_503() {
    let (rig, pos) = rig().await;
    rig.peers.merchants.down.store(true, Ordering::SeqCst);
    for (method, tail) in [("GET", ""), ("POST", ""), ("DELETE", "/lunch")] {
        let answer = pos.send(method, &path(1, tail), &[], lunch().to_string()).await;
        assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (503, "ServiceUnavailable"), "{method}");
    }
}
