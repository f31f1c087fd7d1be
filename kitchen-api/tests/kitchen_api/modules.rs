//! Modules: without the one that an operation belongs to an application is refused, whatever its request names; with it, it is not.
//!
//! The list of operations is the served documents'; one whose path belongs to no module that is known here fails by its name.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::{Module, Modules};
use order_model::{MerchantId, OrderId};
use serde_json::Value;

use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::open_delivery::problem;
use crate::rig::{Rig, config, eventually, merchant};
use crate::sign_in::{SignIn, pos};

const DOCUMENTS: [&str; 3] = ["/openapi/merchant.json", "/openapi/open-delivery.json", "/openapi/comanda.json"];
const POLL: &str = "/events/v1.0/events:polling";

/// What belongs to which module; the first that fits counts.
const PREFIXES: [(&str, Module); 14] = [
    ("/events/v1.0/", Module::Events),
    ("/order/v1.0/events", Module::Events),
    ("/order/v1.0/", Module::Order),
    ("/merchant/v1.0/", Module::Merchant),
    ("/catalog/v2.0/", Module::Catalog),
    ("/catalog/v1.0/", Module::Catalog),
    ("/logistics/v1.0/", Module::Logistics),
    ("/shipping/v1.0/", Module::Shipping),
    ("/v1/", Module::OpenDelivery),
    ("/comanda/v1/events", Module::Events),
    ("/comanda/v1/webhook", Module::Events),
    ("/comanda/v1/simulator/", Module::Order),
    ("/comanda/v1/merchants/{id}/presence", Module::Merchant),
    ("/comanda/v1/merchants/{id}/menu", Module::OpenDelivery),
];

/// An operation that takes a token, at one of its paths.
struct Operation {
    method: String,
    path: String,
    module: Module,
    is_open_delivery: bool,
    /// What its document says of a 403.
    refusal: String,
}

async fn operations(client: &Client) -> Vec<Operation> {
    let mut operations = Vec::new();
    for name in DOCUMENTS {
        let document = client.get(name).await.json();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                if operation.get("security").is_none() {
                    continue;
                }
                let found = PREFIXES.iter().find(|(prefix, _)| path.starts_with(prefix));
                let (_, module) = found.unwrap_or_else(|| panic!("{method} {path} belongs to no module"));
                operations.push(Operation {
                    method: method.to_uppercase(),
                    path: path.clone(),
                    module: *module,
                    is_open_delivery: name.contains("open-delivery"),
                    refusal: operation["responses"]["403"]["description"].as_str().unwrap_or_default().to_owned(),
                });
            }
        }
    }
    operations
}

/// A merchant with an order and a dispute.
struct World {
    merchant: MerchantId,
    order: OrderId,
    dispute: &'static str,
}

fn worlds() -> [World; 3] {
    [(1, "own"), (3, "foreign"), (9, "unknown")].map(|(number, dispute)| World {
        merchant: merchant(number),
        order: OrderId::from_bytes([number; 16]),
        dispute,
    })
}

impl Operation {
    fn path_in(&self, world: &World) -> String {
        let (merchant, order) = (world.merchant.to_string(), world.order.to_string());
        let named = [
            ("/merchants/{id}", format!("/merchants/{merchant}")),
            ("/merchant/{id}", format!("/merchant/{merchant}")),
            ("{merchantId}", merchant.clone()),
            ("/orders/{id}", format!("/orders/{order}")),
            ("{orderId}", order),
            ("{disputeId}", world.dispute.to_owned()),
            ("{operation}", "delivery".to_owned()),
        ];
        let path = named.iter().fold(self.path.clone(), |path, (token, value)| path.replace(token, value));
        let segments = path.split('/').map(|segment| if segment.starts_with('{') { "none" } else { segment });
        format!("{}?merchantId={merchant}", segments.collect::<Vec<_>>().join("/"))
    }

    async fn ask(&self, client: &Client, world: &World) -> Answer {
        let merchant = world.merchant.to_string();
        client.send(&self.method, &self.path_in(world), &[("x-polling-merchants", merchant.as_str())], "").await
    }

    fn title(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

fn alone(module: Module) -> Modules {
    [module].into_iter().collect()
}

fn without(module: Module) -> String {
    format!("without-{}", module.name())
}

fn only(module: Module) -> String {
    format!("only-{}", module.name())
}

/// Two applications for each module, one with all others and one with it alone, and one without any; each has merchant 1.
async fn rig() -> Rig {
    let rig = Rig::start_cold(config(), |applications| {
        let put = |id: &str, modules| {
            applications.put(id, &format!("{id}-secret"), &[merchant(1)]);
            applications.change(id, |stored| stored.record.modules = modules);
        };
        for module in Module::ALL {
            put(&without(module), Modules::ALL.without(alone(module)));
            put(&only(module), alone(module));
        }
        put("none", Modules::NONE);
    })
    .await;
    eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
    for world in worlds().iter().take(2) {
        rig.peers.merchants.put(world.merchant, "Loja");
        rig.peers.core.put(world.order, world.merchant, r#"{"id":"x","category":"GROCERY"}"#);
        rig.peers.core.disputes.lock().insert(world.dispute.to_owned(), world.order);
    }
    rig
}

/// Everything of an answer but the time of day.
fn seen(answer: &Answer) -> (u16, Vec<(String, String)>, String) {
    let headers = answer.headers.iter().filter(|(name, _)| *name != "date");
    let mut headers: Vec<(String, String)> =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    headers.sort();
    (answer.status.as_u16(), headers, String::from_utf8(answer.body.to_vec()).unwrap())
}

/// 403 in the words of the operation's dialect, which name the module and who grants it.
#[track_caller]
fn assert_refused(operation: &Operation, answer: &Answer) {
    let (at, name) = (operation.title(), operation.module.name());
    assert_eq!(answer.status, 403, "{at}: {answer:?}");
    let message = if operation.is_open_delivery {
        assert_eq!(problem(answer), 403, "{at}");
        answer.json()["title"].as_str().unwrap().to_owned()
    } else {
        assert_eq!(answer.error_code(), "ModuleNotGranted", "{at}");
        let error = answer.json()["error"].clone();
        assert!(error["hint"].as_str().is_some_and(|hint| hint.contains("operator")), "{at}: {error}");
        assert!(error.get("unauthorizedMerchants").is_none(), "{at}: {error}");
        error["message"].as_str().unwrap().to_owned()
    };
    assert!(message.contains(&format!("the module {name}:")) && message.contains("operator"), "{at}: {message}");
    assert!(operation.refusal.contains(&format!("`{name}`")), "{at}: {}", operation.refusal);
}

/// How much the peers were asked.
fn asked(rig: &Rig) -> [u32; 4] {
    let peers = &rig.peers;
    [&peers.core.calls, &peers.merchants.calls, &peers.feed.polls, &peers.fallback.polls]
        .map(|count| count.load(Ordering::SeqCst))
}

#[tokio::test]
async fn without_its_module_every_operation_is_403_for_own_foreign_and_unknown_alike_and_nobody_is_asked() {
    let rig = rig().await;
    let operations = operations(&rig.client).await;
    let found: BTreeSet<&str> = operations.iter().map(|operation| operation.module.name()).collect();
    assert_eq!(found.len(), Module::ALL.len(), "{found:?}");
    let before = asked(&rig);
    for module in Module::ALL {
        let client = rig.as_application(&without(module)).await;
        for operation in operations.iter().filter(|operation| operation.module == module) {
            let [own, foreign, unknown] = worlds();
            let own = operation.ask(&client, &own).await;
            assert_refused(operation, &own);
            for other in [foreign, unknown] {
                assert_eq!(seen(&operation.ask(&client, &other).await), seen(&own), "{}", operation.title());
            }
        }
    }
    assert_eq!(asked(&rig), before, "it is decided before anything else is looked at");
    // Beats travel later than their answers: once another one has arrived, theirs would have.
    let other = rig.as_application("other").await;
    assert_eq!(other.get(POLL).await.status, 204);
    let beats = &rig.peers.merchants.beats;
    eventually("another application's poll is a beat", || beats.lock().contains(&merchant(3))).await;
    assert!(!beats.lock().contains(&merchant(1)), "a poll that was refused is no sign of life");
}

#[tokio::test]
async fn with_its_module_alone_every_operation_answers_as_with_all_of_them() {
    let rig = rig().await;
    let all = rig.as_application("pos").await;
    let [own, ..] = worlds();
    let operations = operations(&rig.client).await;
    for module in Module::ALL {
        let client = rig.as_application(&only(module)).await;
        for operation in operations.iter().filter(|operation| operation.module == module) {
            // The status alone: a stream has no end.
            let path = operation.path_in(&own);
            let expected = all.status_of(&operation.method, &path).await;
            let answered = client.status_of(&operation.method, &path).await;
            assert!(expected != 403 && answered == expected, "{}: {answered}, not {expected}", operation.title());
        }
    }
}

#[tokio::test]
async fn a_token_that_does_not_count_is_401_whatever_its_application_has_not() {
    let rig = rig().await;
    let none = rig.as_application("none").await;
    let operations = operations(&rig.client).await;
    let [own, ..] = worlds();
    for operation in &operations {
        assert_refused(operation, &operation.ask(&none, &own).await);
    }
    rig.applications.change("none", |stored| stored.record.revoked = true);
    until(&none, POLL, 401).await;
    for operation in &operations {
        for (who, client) in
            [("revoked", &none), ("nonsense", &rig.client.with_token("nonsense")), ("none", &rig.client)]
        {
            assert_eq!(operation.ask(client, &own).await.status, 401, "{}: {who}", operation.title());
        }
    }
    // What takes no token asks for no module.
    assert_eq!(rig.client.get("/v1/versions/orderingApp").await.status, 200);
}

/// Waits until `path` is answered so, at most the 5 s in which changes of an application count.
async fn until(client: &Client, path: &str, status: u16) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(5);
    loop {
        let answer = client.get(path).await;
        if answer.status == status {
            return;
        }
        assert!(tokio::time::Instant::now() < deadline, "not {status} within 5 s: {answer:?}");
    }
}

#[tokio::test]
async fn what_is_taken_away_is_refused_with_a_token_that_was_out_and_served_again_once_it_is_back() {
    let rig = rig().await;
    let pos = rig.as_application("pos").await;
    let set = |modules| rig.applications.change("pos", |stored| stored.record.modules = modules);
    assert_eq!((pos.get(POLL).await.status.as_u16(), pos.get("/v1/events:polling").await.status.as_u16()), (204, 204));
    set(Modules::ALL.without(alone(Module::Events)));
    until(&pos, POLL, 403).await;
    for path in ["/events/v1.0/events%3Apolling", "/order/v1.0/events:polling", "/comanda/v1/events/stream"] {
        assert_eq!(pos.get(path).await.error_code(), "ModuleNotGranted", "{path}");
    }
    assert_eq!(pos.send("HEAD", POLL, &[], "").await.status, 403);
    assert_eq!(pos.get(&format!("{POLL}?wait=30")).await.status, 403);
    for path in ["/v1/events:polling", "/merchant/v1.0/merchants"] {
        assert!(pos.get(path).await.status.is_success(), "{path}: another module");
    }
    set(Modules::ALL.without(alone(Module::OpenDelivery)));
    until(&pos, POLL, 204).await;
    assert_eq!(problem(&pos.get("/v1/events:polling").await), 403);
    // A new token has what its application has, and no more.
    let renewed = rig.as_application("pos").await;
    assert_eq!(
        (renewed.get(POLL).await.status.as_u16(), problem(&renewed.get("/v1/events:polling").await)),
        (204, 403)
    );
}

#[tokio::test]
async fn an_answer_that_is_kept_under_a_key_is_refused_like_a_new_one() {
    let tables = Tables::start().await;
    let (rig, pos) = tables.rig().await;
    let order = OrderId::from_bytes([1; 16]);
    rig.peers.core.put(order, merchant(1), "{}");
    let path = format!("/order/v1.0/orders/{order}/confirm");
    let confirm = async || pos.client.send("POST", &path, &[("idempotency-key", "k")], "{}").await;
    assert_eq!(confirm().await.status, 202);
    rig.applications.change("pos", |stored| stored.record.modules = Modules::ALL.without(alone(Module::Order)));
    until(&pos.client, &format!("/order/v1.0/orders/{order}"), 403).await;
    let refused = confirm().await;
    assert_eq!((refused.status.as_u16(), refused.headers.get("idempotency-replayed")), (403, None));
    assert_eq!(rig.peers.core.acts.lock().len(), 1);
}

#[tokio::test]
async fn the_tokens_of_a_distributed_application_have_its_modules() {
    let flow = SignIn::start().await;
    let (_, client, _) = flow.signed_in(&[merchant(1)]).await;
    let applications = &flow.table.applications;
    let left = applications.revoke_modules(&pos(), alone(Module::Events)).await.unwrap();
    assert_eq!(left, Modules::ALL.without(alone(Module::Events)));
    flow.until(&client, POLL, 403).await;
    let refused: Value = client.get(POLL).await.json();
    assert_eq!(refused["code"], "ModuleNotGranted");
    assert_eq!(client.get("/merchant/v1.0/merchants").await.status, 200);
    assert_eq!(applications.grant_modules(&pos(), Modules::ALL).await.unwrap(), Modules::ALL);
    flow.until(&client, POLL, 204).await;
}
