//! Receivers that fail: retries, dead letters, pauses, isolation, and a process that dies in between.

use std::time::Duration;

use kitchen_api::webhooks::is_in_trouble;
use message_bus::in_memory::Faults;
use order_model::Timestamp;
use serde_json::{Value, json};

use crate::client::Client;
use crate::rig::{Rig, eventually, merchant};
use crate::webhook_platform::{Ground, HANGS, Receiver, after_attempts, all_are, log_once, set, subscribed};

#[tokio::test]
async fn a_receiver_that_hangs_slows_no_other() {
    let (ground, hanging, healthy) = (Ground::new().await, Receiver::start().await, Receiver::start().await);
    let rig = ground.start().await;
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
    hanging.answers(HANGS);
    set(&pos, &hanging.ifood()).await;
    set(&other, &healthy.ifood()).await;
    for order in 1..=60 {
        ground.publish(merchant(1), order).await;
    }
    eventually("the receiver hangs", || hanging.count() >= 8).await;
    let started = tokio::time::Instant::now();
    for order in 1..=30 {
        ground.publish(merchant(3), 100 + order).await;
    }
    eventually("the healthy one has everything", || healthy.count() >= 30).await;
    assert!(started.elapsed() < Duration::from_secs(5), "before the first request to the other one times out");
    assert_eq!(hanging.count(), 8, "no more at a time");
    ground.is_recorded().await;
    hanging.answers(202);
    let log = log_once(&pos, "the rest arrives once it answers", |log| {
        log.iter().filter(|one| one["status"] == "DELIVERED").count() >= 42
    });
    // A page of the log has the 50 newest; the eight that hung wait for their retry.
    log.await;
}

/// Lets time pass until nothing waits any more.
async fn until_dead(rig: &Rig, pos: &Client) -> Vec<Value> {
    for _ in 0..20 {
        let log = log_once(pos, "an attempt is over", |log| {
            log.iter().all(|one| one["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty()))
        });
        let log = log.await;
        if log.iter().all(|one| one["status"] == "DEAD") {
            return log;
        }
        rig.clock.jump(Duration::from_secs(200));
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    panic!("never dead");
}

#[tokio::test]
async fn a_failing_receiver_is_tried_for_15_min_then_it_is_a_dead_letter_that_can_be_asked_for() {
    let (ground, receiver, rig, pos) = subscribed(503).await;
    let event = ground.publish(merchant(1), 1).await.to_string();
    receiver.has(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.count(), 1, "not again before 30 s");
    rig.clock.jump(Duration::from_secs(37));
    receiver.has(2).await;
    let dead = until_dead(&rig, &pos).await;
    assert_eq!((&dead[0]["reason"], &dead[0]["eventId"]), (&json!("RETRIES_EXHAUSTED"), &json!(event)));
    let results: Vec<&Value> = dead[0]["attempts"].as_array().unwrap().iter().map(|one| &one["result"]).collect();
    assert!(results.len() >= 4 && results.iter().all(|result| *result == "SERVER_ERROR"), "{results:?}");
    let shown = pos.get("/comanda/v1/webhook").await.json();
    assert_eq!((&shown["deadLetters"], &shown["lastFailure"]), (&json!(1), &json!("SERVER_ERROR")));
    assert!(shown["failingSince"].is_string());
    receiver.answers(200);
    let before = receiver.count();
    let again = format!("/comanda/v1/webhook/deliveries/{event}/redeliver");
    assert_eq!(pos.post(&again, "").await.status, 202);
    receiver.has(before + 1).await;
    assert_eq!(receiver.all()[before].json()["id"], event.as_str(), "the same id");
    log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    let answer = pos.post(&again, "").await;
    assert_eq!((answer.status.as_u16(), answer.error_code().as_str()), (409, "NotADeadLetter"));
}

/// An instant in a log.
fn instant(value: &Value) -> Timestamp {
    value.as_str().unwrap_or_else(|| panic!("no instant: {value}")).parse().unwrap()
}

/// The webhook as it is shown, once `is_reached` holds of it.
async fn shown_once(pos: &Client, what: &str, is_reached: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    loop {
        let shown = pos.get("/comanda/v1/webhook").await.json();
        if is_reached(&shown) {
            return shown;
        }
        assert!(tokio::time::Instant::now() < deadline, "never: {what}: {shown}");
    }
}

async fn paused(pos: &Client) -> Value {
    shown_once(pos, "it is paused", |shown| shown["status"] == "PAUSED").await
}

#[tokio::test]
async fn the_first_retry_comes_after_30_s_each_next_one_later_and_the_last_after_15_min() {
    let (ground, receiver, rig, pos) = subscribed(503).await;
    ground.publish(merchant(1), 1).await;
    // Waits are up to a fifth longer than planned; what the machine takes to note an attempt comes on top.
    let slack = Duration::from_secs(5);
    for (failures, planned_s) in [(1, 30), (2, 60), (3, 120), (4, 240)] {
        let delivery = after_attempts(&pos, failures).await;
        let (failed_at, due_at) = (instant(&delivery["attempts"][failures - 1]["at"]), instant(&delivery["dueAt"]));
        let (wait, planned) = (due_at.since(failed_at), Duration::from_secs(planned_s));
        assert!(wait >= planned && wait <= planned * 6 / 5 + slack, "{failures}: {wait:?}");
        ground.is_looked_at().await;
        assert_eq!(receiver.count(), failures, "not before it is due");
        rig.clock.jump(due_at.since(ground.now()));
    }
    let delivery = after_attempts(&pos, 5).await;
    rig.clock.jump(instant(&delivery["dueAt"]).since(ground.now()));
    let dead = after_attempts(&pos, 6).await;
    assert_eq!((&dead["status"], &dead["reason"]), (&json!("DEAD"), &json!("RETRIES_EXHAUSTED")));
    let lasted = instant(&dead["attempts"][5]["at"]).since(instant(&dead["attempts"][0]["at"]));
    let window = Duration::from_secs(15 * 60);
    assert!(lasted + slack >= window && lasted <= window + 2 * slack, "{lasted:?}");
}

#[tokio::test]
async fn an_answer_that_takes_more_than_5_s_is_none_and_the_202_of_a_later_attempt_counts() {
    let (ground, receiver, rig, pos) = subscribed(HANGS).await;
    ground.publish(merchant(1), 1).await;
    let delivery = after_attempts(&pos, 1).await;
    let attempt = &delivery["attempts"][0];
    assert_eq!((&delivery["status"], &attempt["result"]), (&json!("WAITING"), &json!("TIMED_OUT")));
    let latency_ms = attempt["latencyMs"].as_u64().unwrap();
    assert!((5_000..15_000).contains(&latency_ms), "{latency_ms}");
    assert!(attempt.get("status").is_none(), "{attempt}");
    receiver.answers(202);
    rig.clock.jump(Duration::from_secs(37));
    let delivery = after_attempts(&pos, 2).await;
    assert_eq!((&delivery["status"], &delivery["attempts"][1]["result"]), (&json!("DELIVERED"), &json!("ACCEPTED")));
}

#[tokio::test]
async fn a_receiver_is_paused_after_72_h_and_what_expired_meanwhile_is_a_dead_letter() {
    const HOUR: Duration = Duration::from_secs(60 * 60);
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    receiver.answers(500);
    set(&rig.as_application("pos").await, &receiver.ifood()).await;
    let expired = ground.publish(merchant(1), 1).await.to_string();
    let pos = rig.as_application("pos").await;
    shown_once(&pos, "it fails", |shown| shown["failingSince"].is_string()).await;
    rig.clock.jump(71 * HOUR);
    // Tokens do not live that long.
    let pos = rig.as_application("pos").await;
    let of_expired =
        |log: &[Value]| log.iter().any(|one| one["eventId"] == expired.as_str() && one["status"] == "DEAD");
    let log = log_once(&pos, "it has expired", of_expired).await;
    assert_eq!((log.len(), &log[0]["reason"]), (1, &json!("EXPIRED")));
    assert_eq!(receiver.count(), 1, "nobody is sent what has expired");
    ground.publish_now(merchant(1), 2).await;
    receiver.has(2).await;
    ground.is_looked_at().await;
    rig.clock.jump(HOUR + HOUR / 10);
    ground.publish_now(merchant(1), 3).await;
    // Were it paused by now, it would say so with an earlier instant.
    let shown = paused(&pos).await;
    assert_eq!(shown["pauseReason"], "FAILING");
    let failed_for = instant(&shown["pausedAt"]).since(instant(&shown["failingSince"]));
    assert!(failed_for >= 72 * HOUR && failed_for < 73 * HOUR, "{failed_for:?}");
}

#[tokio::test]
async fn a_refusal_or_a_redirect_is_a_dead_letter_at_once_and_all_of_them_can_be_asked_for() {
    let (ground, receiver, _rig, pos) = subscribed(202).await;
    for (number, status) in [400, 404, 302, 307].into_iter().enumerate() {
        receiver.answers(status);
        ground.publish(merchant(1), u8::try_from(number + 1).unwrap()).await;
        log_once(&pos, "dead", all_are("DEAD", number + 1)).await;
    }
    assert_eq!(receiver.count(), 4, "no redirect is followed, nothing is tried again");
    let dead = pos.get("/comanda/v1/webhook/dead-letters").await.json();
    assert_eq!(dead["deliveries"].as_array().unwrap().len(), 4);
    assert_eq!(dead["deliveries"][2]["attempts"][0]["result"], "REDIRECTED");
    receiver.answers(204);
    let answer = pos.post("/comanda/v1/webhook/dead-letters/redeliver", "").await.json();
    assert_eq!(answer, json!({ "redelivered": 4, "more": false }));
    log_once(&pos, "all delivered", all_are("DELIVERED", 4)).await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_paused_and_what_waits_is_sent_once_it_is_resumed() {
    let (ground, receiver, _rig, pos) = subscribed(410).await;
    ground.publish(merchant(1), 1).await;
    log_once(&pos, "dead", all_are("DEAD", 1)).await;
    assert_eq!(paused(&pos).await["pauseReason"], "GONE");
    let listed = ground.admin().list().await.unwrap();
    assert_eq!((&listed[0]["application"], &listed[0]["pauseReason"]), (&json!("pos"), &json!("GONE")));
    assert_eq!((listed.len(), is_in_trouble(&listed[0])), (1, true), "and the operator sees it");
    receiver.answers(202);
    tokio::time::sleep(Duration::from_millis(300)).await;
    ground.publish(merchant(1), 2).await;
    ground.is_recorded().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(receiver.count(), 1, "it waits");
    assert_eq!(pos.get("/comanda/v1/webhook").await.json()["waiting"], 1);
    assert_eq!(pos.post("/comanda/v1/webhook/resume", "").await.status, 202);
    receiver.has(2).await;
    assert_eq!(pos.get("/comanda/v1/webhook").await.json()["status"], "ACTIVE");
}

#[tokio::test]
async fn a_receiver_that_fails_for_long_is_paused() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start_with(|config| config.pause_after = Duration::from_secs(60)).await;
    let pos = rig.as_application("pos").await;
    receiver.answers(500);
    set(&pos, &receiver.ifood()).await;
    ground.publish(merchant(1), 1).await;
    receiver.has(1).await;
    rig.clock.jump(Duration::from_secs(70));
    receiver.has(2).await;
    assert_eq!(paused(&pos).await["pauseReason"], "FAILING");
}

#[tokio::test]
async fn a_process_that_dies_while_it_delivers_loses_nothing() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    receiver.answers(HANGS);
    let (doomed, pos) = ground.start_doomed().await;
    set(&pos, &receiver.ifood()).await;
    for order in 1..=12 {
        ground.publish(merchant(1), order).await;
    }
    ground.is_recorded().await;
    eventually("requests are under way", || receiver.count() >= 1).await;
    doomed.shutdown_background();
    receiver.answers(202);
    let second = ground.start().await;
    let pos = second.as_application("pos").await;
    // The leases of what was under way, and of the receiver itself.
    ground.clock.jump(Duration::from_secs(31));
    log_once(&pos, "everything is delivered", all_are("DELIVERED", 12)).await;
}

#[tokio::test]
async fn a_queue_that_repeats_itself_makes_one_delivery_of_each_event() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    ground.feed.set_faults(Faults { duplicated_percent: 100, duplicates: 3, ..Faults::default() });
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    set(&pos, &receiver.ifood()).await;
    for order in 1..=5 {
        ground.publish(merchant(1), order).await;
    }
    log_once(&pos, "delivered", all_are("DELIVERED", 5)).await;
    ground.is_recorded().await;
    assert_eq!(receiver.count(), 5);
}
