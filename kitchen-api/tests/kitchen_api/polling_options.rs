//! What a poll may ask for beyond what is published: filters that keep what they hide, and a part instead of a 403.

use std::sync::atomic::Ordering;

use order_model::EventCode;
use serde_json::json;

use crate::client::{Answer, Client};
use crate::peers::event;
use crate::rig::{Rig, merchant};

const POLL: &str = "/events/v1.0/events:polling";

/// Who answers.
#[derive(Debug, Clone, Copy)]
enum By {
    OtherProcess,
    SameProcess,
    Fallback,
}

const EVERYBODY: [By; 3] = [By::OtherProcess, By::SameProcess, By::Fallback];

/// One event to be seen and one to be hidden of merchant 1, one of merchant 3, which is another application's.
async fn rig(by: By) -> (Rig, Client) {
    let rig = Rig::start().await;
    let events = vec![
        event(merchant(1), 1, EventCode::Placed),
        event(merchant(1), 2, EventCode::Confirmed),
        event(merchant(3), 3, EventCode::Placed),
    ];
    match by {
        By::OtherProcess => *rig.peers.feed.events.lock() = events,
        By::SameProcess => {
            *rig.peers.feed.events.lock() = events;
            rig.peers.feed.local.store(true, Ordering::SeqCst);
        }
        By::Fallback => {
            *rig.peers.fallback.events.lock() = events;
            rig.peers.feed.down.store(true, Ordering::SeqCst);
        }
    }
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn codes(answer: &Answer) -> Vec<String> {
    let json = answer.json();
    json.as_array().unwrap().iter().map(|event| event["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_filter_keeps_what_it_hides_when_asked_to() {
    for by in EVERYBODY {
        let (rig, pos) = rig(by).await;
        let answer = pos.get(&format!("{POLL}?types=PLC&acknowledgeHidden=false")).await;
        assert_eq!((answer.status.as_u16(), codes(&answer)), (200, vec!["PLC".to_owned()]), "{by:?}");
        let nothing_shows = pos.get(&format!("{POLL}?types=CAN&acknowledgeHidden=false")).await;
        assert_eq!(nothing_shows.status, 204, "{by:?}");
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [], "{by:?}");
        assert_eq!(codes(&pos.get(POLL).await), ["PLC", "CFM"], "{by:?}: both are still pending");
    }
}

#[tokio::test]
async fn a_filter_acknowledges_what_it_hides_unless_asked_not_to() {
    let hidden = event(merchant(1), 2, EventCode::Confirmed).id;
    for query in ["types=PLC", "types=PLC&acknowledgeHidden=true"] {
        let (rig, pos) = rig(By::OtherProcess).await;
        assert_eq!(codes(&pos.get(&format!("{POLL}?{query}")).await), ["PLC"]);
        assert_eq!(rig.peers.feed.acknowledged_by("pos"), [hidden], "{query}");
    }
}

#[tokio::test]
async fn a_part_is_served_and_what_the_application_may_not_see_is_listed() {
    for by in EVERYBODY {
        let (rig, pos) = rig(by).await;
        let (own, foreign, unknown) = (merchant(1), merchant(3), merchant(9));
        let poll = async |query: &str, named: String| {
            pos.send("GET", &format!("{POLL}{query}"), &[("x-polling-merchants", &named)], "").await
        };
        let part = poll("?partial=true", format!("{foreign},{own},{unknown}")).await;
        assert_eq!((part.status.as_u16(), codes(&part)), (200, vec!["PLC".to_owned(), "CFM".to_owned()]), "{by:?}");
        assert_eq!(part.headers["x-unauthorized-merchants"], format!("{foreign},{unknown}"));
        assert_eq!(part.headers["x-unauthorized-merchants-count"], "2");
        let mut nothing_left = Vec::new();
        for other in [foreign, unknown] {
            let answer = poll("?partial=true", other.to_string()).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0), "{by:?}");
            assert_eq!(answer.headers["x-unauthorized-merchants"], other.to_string());
            nothing_left.push(answer.headers.len());
        }
        assert_eq!(nothing_left[0], nothing_left[1], "foreign and unknown answer alike");
        let whole = poll("?partial=true", own.to_string()).await;
        assert!(whole.headers.get("x-unauthorized-merchants").is_none(), "{by:?}");
        for query in ["", "?partial=false"] {
            let refused = poll(query, format!("{foreign},{own},{unknown}")).await;
            assert_eq!(refused.status, 403);
            assert_eq!(refused.json()["unauthorizedMerchants"], json!([foreign.to_string(), unknown.to_string()]));
        }
        let beats = rig.peers.merchants.beats.lock().clone();
        assert!(!beats.contains(&foreign) && !beats.contains(&unknown), "{by:?}");
    }
}

#[tokio::test]
async fn what_is_listed_is_bounded_and_counted() {
    let (_rig, pos) = rig(By::OtherProcess).await;
    let named: Vec<String> = (100..250u8).map(|number| merchant(number).to_string()).collect();
    let path = format!("{POLL}?partial=true");
    let answer = pos.send("GET", &path, &[("x-polling-merchants", &named.join(","))], "").await;
    assert_eq!(answer.status, 204);
    assert_eq!(answer.headers["x-unauthorized-merchants"], named[..100].join(","));
    assert_eq!(answer.headers["x-unauthorized-merchants-count"], "150");
}

#[tokio::test]
async fn a_value_that_is_none_is_400_and_names_the_field() {
    let (rig, pos) = rig(By::OtherProcess).await;
    for (query, field) in [
        ("wait=31", "wait"),
        ("wait=-1", "wait"),
        ("wait=soon", "wait"),
        ("wait=", "wait"),
        ("partial=yes", "partial"),
        ("partial=", "partial"),
        ("acknowledgeHidden=no", "acknowledgeHidden"),
        ("types=PLC&acknowledgeHidden=", "acknowledgeHidden"),
    ] {
        for path in [POLL, "/order/v1.0/events:polling", "/comanda/v1/events/stream"] {
            let answer = pos.get(&format!("{path}?{query}")).await;
            assert_eq!(answer.status, 400, "{path}?{query}");
            assert_eq!(answer.json()["error"]["field"], field, "{path}?{query}");
        }
    }
    assert_eq!(rig.peers.feed.acknowledged_by("pos"), [], "nothing was hidden by a request that was refused");
}
