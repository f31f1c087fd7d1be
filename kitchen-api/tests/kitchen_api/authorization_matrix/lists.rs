//! Lists in which own and foreign things stand together, and keys that two applications share.

use order_model::EventCode;
use serde_json::{Value, json};

use crate::authorization_matrix::judgement::{CANARY, leaks, seen};
use crate::authorization_matrix::menu::finished;
use crate::authorization_matrix::platform::{Platform, State, merchant_of};
use crate::peers::event;

const POLL: &str = "/events/v1.0/events:polling";

/// One foreign merchant among the most that a poll may name refuses it, and nothing is read; a part is served where that was
/// asked for, with the foreign ones and the unknown ones listed alike.
#[tokio::test]
async fn one_foreign_merchant_among_500_refuses_a_poll_unless_a_part_is_wanted() {
    for state in [State::Primary, State::Fallback] {
        let platform = Platform::start(state).await;
        let (own, foreign) = (platform.own.value("{merchant}"), platform.foreign.value("{merchant}"));
        let mut answers = Vec::new();
        for other in [foreign, platform.unknown.value("{merchant}")] {
            let mut named = vec![own; 500];
            named[250] = other;
            let named = named.join(",");
            let headers = [("x-polling-merchants", named.as_str())];
            let before = platform.polls();
            let refused = platform.pos.send("GET", POLL, &headers, "").await;
            assert_eq!(refused.status, 403);
            assert_eq!(refused.json()["unauthorizedMerchants"], json!([other]));
            assert_eq!(platform.polls(), before, "nothing was read");
            let part = platform.pos.send("GET", &format!("{POLL}?partial=true"), &headers, "").await;
            assert_eq!((part.status.as_u16(), part.json().as_array().unwrap().len()), (200, 1));
            assert_eq!(part.headers["x-unauthorized-merchants"], other);
            let polls = platform.polls();
            assert!(if state == State::Primary { polls.0 > before.0 } else { polls.1 > before.1 }, "{state:?}");
            answers.push([refused, part].map(|answer| seen(&answer, &[other.to_owned()])));
        }
        assert_eq!(answers[0], answers[1], "{state:?}");
        assert!(!answers[0].concat().contains(CANARY));
    }
}

/// 202, as for whatever is no event of the application's; what is another one's stays as it was.
#[tokio::test]
async fn an_acknowledgment_of_foreign_events_takes_nothing_from_their_application() {
    let platform = Platform::start(State::Primary).await;
    let unknown = event(merchant_of(&platform.unknown), 0xc9, EventCode::Confirmed).id.to_string();
    let (own, foreign) = (platform.own.value("{event}"), platform.foreign.value("{event}"));
    for path in ["/events/v1.0/events/acknowledgment", "/order/v1.0/events/acknowledgment", "/v1/events/acknowledgment"]
    {
        let body = json!([{ "id": foreign }, { "id": own }, { "id": unknown }, { "id": "none" }]).to_string();
        let answer = platform.pos.post(path, body).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (202, 0), "{path}");
    }
    assert_eq!(platform.pos.get(POLL).await.status, 204, "its own is gone");
    let left = platform.other.get(POLL).await.json();
    assert_eq!((left.as_array().unwrap().len(), &left[0]["id"]), (1, &json!(foreign)));
    // A filter acknowledges what it hides: of its own merchants.
    assert_eq!(platform.pos.get(&format!("{POLL}?types=CAN")).await.status, 204);
    assert_eq!(platform.other.get(POLL).await.status, 200);
}

/// A batch says of an item of another merchant what it says of one that there is not, and does nothing to it.
#[tokio::test]
async fn a_batch_takes_no_foreign_items() {
    let platform = Platform::start(State::Primary).await;
    let root = format!("/catalog/v2.0/merchants/{}", platform.own.value("{merchant}"));
    for (tail, token, field) in [("items", "{item}", "itemId"), ("options", "{option}", "optionId")] {
        for (what, change) in [("price", json!({ "value": 77 })), ("status", json!("UNAVAILABLE"))] {
            let worlds = [&platform.own, &platform.foreign, &platform.unknown];
            let entries = worlds.map(|world| json!({ field: world.value(token), what: change }));
            let path = format!("{root}/{tail}/{what}");
            let taken = platform.pos.send("PATCH", &path, &[], json!(entries).to_string()).await;
            assert_eq!(taken.status, 202, "{taken:?}");
            let batch = finished(&platform.pos, &root, taken.json()["batchId"].as_str().unwrap()).await;
            let results: Vec<Value> = batch["results"].as_array().unwrap().clone();
            assert_eq!((&batch["failed"], &results[0]["result"]), (&json!(2), &json!("SUCCESS")), "{batch}");
            let [foreign, unknown] = [1, 2].map(|index: usize| {
                let named = worlds[index].value(token);
                assert_eq!(results[index]["resourceId"], named);
                results[index].to_string().replace(named, "").replace(&format!(r#""index":{index}"#), "")
            });
            assert_eq!(foreign, unknown, "{tail}/{what}");
        }
    }
    let theirs = format!("/catalog/v2.0/merchants/{}", platform.foreign.value("{merchant}"));
    let item = platform.other.get(&format!("{theirs}/items/{}", platform.foreign.value("{item}"))).await.json();
    assert_eq!((&item["price"]["value"], &item["status"]), (&json!(10.0), &json!("AVAILABLE")));
    let option = &item["optionGroups"][0]["options"][0];
    assert_eq!((&option["price"]["value"], &option["status"]), (&json!(5.0), &json!("AVAILABLE")));
}

/// The answer that is kept under one application's key is not given to another one that sends the same.
#[tokio::test]
async fn an_answer_under_a_key_is_its_applications_alone() {
    let platform = Platform::start(State::Primary).await;
    let key = [("idempotency-key", "the same key")];
    let theirs = format!("/order/v1.0/orders/{}/confirm", platform.foreign.value("{order}"));
    assert_eq!(platform.other.send("POST", &theirs, &key, "").await.status, 202);
    let refused = platform.pos.send("POST", &theirs, &key, "").await;
    assert_eq!(refused.status, 404, "{refused:?}");
    assert!(refused.headers.get("idempotency-replayed").is_none());
    assert_eq!(leaks(&seen(&refused, &[]), &platform.foreign), [""; 0]);
    let again = platform.other.send("POST", &theirs, &key, "").await;
    assert_eq!((again.status.as_u16(), again.headers["idempotency-replayed"].to_str().unwrap()), (202, "true"));
    let key = [("idempotency-key", "one more key")];
    let body = json!({ "merchantId": platform.foreign.value("{merchant}") }).to_string();
    let placed = platform.other.send("POST", "/comanda/v1/simulator/orders", &key, body.clone()).await;
    assert_eq!(placed.status, 202);
    let refused = platform.pos.send("POST", "/comanda/v1/simulator/orders", &key, body).await;
    assert_eq!(refused.status, 403);
    let order = placed.json()["orderId"].as_str().unwrap().to_owned();
    assert!(!String::from_utf8_lossy(&refused.body).contains(&order));
}
