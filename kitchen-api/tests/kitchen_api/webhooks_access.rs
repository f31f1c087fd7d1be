//! Webhooks of applications that are not known yet, are known no longer, or may have none: what waits, what is buried, who is asked nothing.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::store::StoredApplication;
use kitchen_api::{Config, Dependencies, Modules};
use order_model::EventCode;
use serde_json::{Value, json};

use crate::client::Client;
use crate::open_delivery::problem;
use crate::rig::{InMemoryApplications, eventually, merchant};
use crate::sign_in::SignIn;
use crate::webhook_platform::{Ground, Receiver, after_attempts, all_are, log_once, set, stop, subscribed};

/// Longer than the first wait of a failed delivery with all its jitter, and than every lease.
const UNTIL_DUE: Duration = Duration::from_secs(40);
/// How long whoever looked after a receiver holds it beyond its end; no delivery that failed is due by then.
const LEASE: Duration = Duration::from_secs(15);

/// A delivery to `pos` that has failed once, and whoever recorded it is gone. Its receiver would take it now.
async fn left_over() -> (Ground, Arc<Receiver>) {
    let (ground, receiver, rig, pos) = subscribed(503).await;
    ground.publish(merchant(1), 1).await;
    after_attempts(&pos, 1).await;
    stop(rig).await;
    receiver.answers(202);
    (ground, receiver)
}

/// The log as an operator reads it: nobody has a token while the applications cannot be read.
async fn logged(ground: &Ground) -> Vec<Value> {
    let page = ground.admin().deliveries(&"pos".parse().unwrap(), None, 50).await.unwrap();
    page["deliveries"].as_array().unwrap().clone()
}

async fn is_delivered(ground: &Ground) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !all_are("DELIVERED", 1)(&logged(ground).await) {
        assert!(tokio::time::Instant::now() < deadline, "never delivered: {:?}", logged(ground).await);
    }
}

#[tokio::test]
async fn what_is_due_waits_until_the_applications_can_be_read_and_is_delivered_then() {
    let (ground, receiver) = left_over().await;
    ground.applications.down.store(true, Ordering::SeqCst);
    ground.clock.jump(UNTIL_DUE);
    let (config, given) = ground.parts(|_| ());
    let rig = ground.run_cold(config, given).await;
    ground.is_looked_at().await;
    assert!(rig.handle.readiness().is_err());
    assert!(all_are("WAITING", 1)(&logged(&ground).await), "{:?}", logged(&ground).await);
    assert_eq!(receiver.count(), 1, "nor is it sent to somebody who may be revoked");
    ground.applications.down.store(false, Ordering::SeqCst);
    is_delivered(&ground).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn an_instance_that_does_not_know_an_application_yet_buries_nothing_before_it_has_looked_again() {
    let (ground, receiver) = left_over().await;
    // Read before `pos` came, and not again by itself.
    let behind = Arc::new(InMemoryApplications::default());
    behind.put("other", "other-secret", &[merchant(3)]);
    let (config, given) = ground.parts(|_| ());
    let config = Config { directory_refresh: Duration::from_secs(3_600), ..config };
    ground.clock.jump(LEASE);
    let _rig = ground.run(config, Dependencies { applications: behind.clone(), ..given }).await;
    behind.down.store(true, Ordering::SeqCst);
    let before = behind.looks.load(Ordering::SeqCst);
    ground.clock.jump(UNTIL_DUE);
    eventually("it looks again, twice", || behind.looks.load(Ordering::SeqCst) >= before + 2).await;
    assert!(all_are("WAITING", 1)(&logged(&ground).await), "a look that failed says nothing");
    behind.put("pos", "pos-secret", &[merchant(1)]);
    behind.down.store(false, Ordering::SeqCst);
    is_delivered(&ground).await;
    assert_eq!(receiver.count(), 2);
}

#[tokio::test]
async fn what_is_due_for_a_merchant_that_was_taken_away_is_a_dead_letter() {
    let (ground, receiver) = left_over().await;
    ground.applications.change("pos", |stored| stored.grants.retain(|grant| grant.merchant != merchant(1)));
    ground.clock.jump(UNTIL_DUE);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let dead = log_once(&pos, "dead", all_are("DEAD", 1)).await;
    assert_eq!((&dead[0]["reason"], receiver.count()), (&json!("REVOKED"), 1));
}

#[tokio::test]
async fn what_the_new_dialect_has_no_word_for_is_a_dead_letter() {
    let (ground, receiver, _rig, pos) = subscribed(503).await;
    ground.publish_as(merchant(1), 1, EventCode::AssignDriver).await;
    after_attempts(&pos, 1).await;
    receiver.answers(202);
    let base = format!("http://{}/od", receiver.address);
    set(&pos, &json!({ "url": base, "dialect": "OPEN_DELIVERY", "secret": "pos-secret" })).await;
    ground.clock.jump(UNTIL_DUE);
    let dead = log_once(&pos, "dead", all_are("DEAD", 1)).await;
    assert_eq!((&dead[0]["reason"], receiver.count()), (&json!("NOT_IN_DIALECT"), 1));
}

/// Two receivers were asked for a keep-alive once; then `pos` is changed so, and the instance is replaced. The other's alone is asked again.
async fn is_asked_no_more_once(change: impl FnOnce(&mut StoredApplication)) {
    let (ground, receiver, others) = (Ground::new().await, Receiver::start().await, Receiver::start().await);
    let rig = ground.start().await;
    let (pos, other) = (rig.as_application("pos").await, rig.as_application("other").await);
    for (client, receiver) in [(&pos, &receiver), (&other, &others)] {
        let mut wanted = receiver.ifood();
        wanted["presence"] = json!("ALL");
        set(client, &wanted).await;
        receiver.has(1).await;
    }
    ground.applications.change("pos", change);
    stop(rig).await;
    // An instance that begins asks as soon as what is stored lets it.
    ground.clock.jump(Duration::from_secs(31));
    let _second = ground.start().await;
    others.has(2).await;
    ground.is_looked_at().await;
    assert_eq!((receiver.count(), others.count()), (1, 2));
}

#[tokio::test]
async fn a_revoked_application_is_sent_no_keepalive() {
    is_asked_no_more_once(|stored| stored.record.revoked = true).await;
}

/// Gives `pos` these modules, and waits until `path` is answered so.
async fn has_modules(ground: &Ground, pos: &Client, modules: Modules, path: &str, status: u16) {
    ground.applications.change("pos", |stored| stored.record.modules = modules);
    let known = async {
        while pos.get(path).await.status != status {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), known).await.unwrap();
}

#[tokio::test]
async fn without_the_module_of_its_dialect_events_wait_nobody_is_asked_who_is_online_and_all_goes_on_with_it() {
    for (dialect, module, path) in
        [("IFOOD", "events", "/events/v1.0/events:polling"), ("OPEN_DELIVERY", "open-delivery", "/v1/events:polling")]
    {
        let (ground, receiver) = (Ground::new().await, Receiver::start().await);
        ground.peers.merchants.put(merchant(1), "Loja");
        let rig = ground.start().await;
        let pos = rig.as_application("pos").await;
        set(&pos, &json!({ "url": receiver.url(), "dialect": dialect, "secret": "pos-secret" })).await;
        let rest = Modules::ALL.without(module.parse().unwrap());
        has_modules(&ground, &pos, rest, path, 403).await;
        ground.publish(merchant(1), 1).await;
        ground.is_recorded().await;
        ground.is_looked_at().await;
        assert!(all_are("WAITING", 1)(&logged(&ground).await), "{dialect}: {:?}", logged(&ground).await);
        assert_eq!(receiver.count(), 0, "{dialect}");
        has_modules(&ground, &pos, Modules::ALL, path, 204).await;
        is_delivered(&ground).await;
        assert_eq!(receiver.count(), 1, "{dialect}");
    }
}

#[tokio::test]
async fn without_the_module_no_keepalive_is_sent() {
    let rest = Modules::ALL.without("events".parse().unwrap());
    is_asked_no_more_once(|stored| stored.record.modules = rest).await;
}

#[tokio::test]
async fn a_webhook_of_a_dialect_whose_module_is_not_there_is_not_set() {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    let rest = Modules::ALL.without("open-delivery".parse().unwrap());
    has_modules(&ground, &pos, rest, "/v1/events:polling", 403).await;
    let wanted = json!({ "url": receiver.url(), "dialect": "OPEN_DELIVERY", "secret": "pos-secret" });
    let refused = pos.send("PUT", "/comanda/v1/webhook", &[], wanted.to_string()).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (403, "ModuleNotGranted"));
    assert!(refused.json()["message"].as_str().unwrap().contains("open-delivery"), "{refused:?}");
    assert_eq!(pos.get("/comanda/v1/webhook").await.status, 404, "nothing was set");
    set(&pos, &receiver.ifood()).await;
}

#[tokio::test]
async fn a_distributed_application_has_no_webhook_and_onboards_no_pos() {
    let flow = SignIn::start().await;
    let (_, pos, _) = flow.signed_in(&[merchant(1)]).await;
    let wanted = json!({ "url": "https://pos.example.com/hook", "dialect": "IFOOD", "secret": "s" });
    let refused = pos.send("PUT", "/comanda/v1/webhook", &[], wanted.to_string()).await;
    assert_eq!((refused.status.as_u16(), refused.error_code().as_str()), (403, "Forbidden"));
    assert!(refused.json()["error"]["hint"].as_str().unwrap().contains("centralized"), "{refused:?}");
    let endpoints = json!({ "getMerchantURL": { "baseURL": "https://pos.example.com/", "apiKey": "k" } });
    let path = format!("/v1/merchantOnboarding?merchantId={}", merchant(1));
    assert_eq!(problem(&pos.send("PUT", &path, &[], endpoints.to_string()).await), 403);
}
