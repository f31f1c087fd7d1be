//! A platform on which two applications keep everything there is: `pos`, which asks, and `other`, whose every text is a canary.

use std::sync::atomic::Ordering;
use std::time::Duration;

use kitchen_api::feed::CachedOrder;
use kitchen_api::{CatalogTable, Config, Dependencies, RequestTable};
use order_model::{EventCode, EvidenceId, MerchantId, OrderId};
use serde_json::json;

use crate::authorization_matrix::case::{Case, Filled, Needs, World};
use crate::authorization_matrix::judgement::CANARY;
use crate::authorization_matrix::menu::{Menu, keep_menu};
use crate::catalog_table::Tables;
use crate::client::{Answer, Client};
use crate::peers::event;
use crate::pos_menu::document_of;
use crate::rig::Rig;
use crate::shipping::{NEAR, TARIFF, place};
use crate::webhook_platform::{Ground, Receiver, all_are, log_once, set};

/// With letters, so that an id has more than one spelling.
pub const OWN: &str = "0e7d1c3a-5b2f-4c8e-9a61-d3f0b7a4c901";
const SECOND: &str = "0e7d1c3a-5b2f-4c8e-9a61-d3f0b7a4c902";
const FOREIGN: &str = "f4b8a2de-91c7-4e05-b36d-7ac2e85f1d03";
const UNKNOWN: &str = "c93f6be1-2d48-4a7f-8e10-5bd7f9e3a604";

const OWN_ORDER: u8 = 0x1a;
const FOREIGN_ORDER: u8 = 0xf3;
const UNKNOWN_ORDER: u8 = 0xc9;

/// How long a body without an end may be silent before it counts as read.
const SILENCE: Duration = Duration::from_millis(500);

/// Who answers polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Primary,
    Fallback,
    /// The primary dies of every request that it takes, and the fallback answers it.
    Failover,
}

/// A running platform.
pub struct Platform {
    pub rig: Rig,
    pub pos: Client,
    pub other: Client,
    /// Its application has the merchants of `pos`, and was revoked.
    pub revoked: Client,
    pub own: World,
    pub foreign: World,
    pub unknown: World,
    state: State,
    _ground: Ground,
    _tables: Tables,
}

pub fn merchant_of(world: &World) -> MerchantId {
    world.value("{merchant}").parse().unwrap()
}

pub fn order_of(world: &World) -> OrderId {
    world.value("{order}").parse().unwrap()
}

/// What is known before anything runs.
fn world(merchant: &str, name: &str, order: u8, dispute: &str) -> World {
    let of: MerchantId = merchant.parse().unwrap();
    let event = event(of, order, EventCode::Placed);
    World(vec![
        ("{merchant}", merchant.to_owned()),
        ("{name}", name.to_owned()),
        ("{order}", event.order.to_string()),
        ("{event}", event.id.to_string()),
        ("{delivery}", event.id.to_string()),
        ("{dispute}", dispute.to_owned()),
        ("{interruption}", format!("pause-{dispute}")),
        ("{evidence}", EvidenceId::from_bytes([order; 16]).to_string()),
    ])
}

impl Platform {
    pub async fn start(state: State) -> Self {
        let mut own = world(OWN, "22815773000169-dbc7e35a-c936-4665-9e13-eb55eb8b6824", OWN_ORDER, "dispute-0e7d1c3a");
        let mut foreign =
            world(FOREIGN, "98765432000110-f01e2d3c-b4a5-4687-9e13-0badcafe0f0e", FOREIGN_ORDER, "dispute-f4b8a2de");
        let mut unknown =
            world(UNKNOWN, "55555555000155-5a5b5c5d-a1b2-4c3d-9e13-123456abcdef", UNKNOWN_ORDER, "dispute-c93f6be1");
        let (ground, tables) = (Ground::new().await, Tables::start().await);
        let mine = [merchant_of(&own), SECOND.parse().unwrap()];
        ground.applications.put("pos", "pos-secret", &mine);
        ground.applications.put("other", "other-secret", &[merchant_of(&foreign)]);
        ground.applications.put("revoked", "revoked-secret", &mine);
        let rig = start_on(&ground, &tables).await;
        let pos = rig.as_application("pos").await;
        let other = rig.as_application("other").await;
        let revoked = revoked(&rig).await;

        keep_in_memory(&rig, &own, "Loja");
        keep_in_memory(&rig, &foreign, CANARY);
        rig.peers.merchants.put(SECOND.parse().unwrap(), "Filial");
        let (mine, others) = (Menu::of("0e7d1c3a", "Prato"), Menu::of("f4b8a2de", CANARY));
        let (mine, others) = (keep_menu(&pos, &own, &mine).await, keep_menu(&other, &foreign, &others).await);
        own.0.extend(mine);
        foreign.0.extend(others);
        unknown.0.extend(Menu::of("c93f6be1", "").names(UNKNOWN, "dead0000-0000-4000-8000-00000000beef"));
        for (client, world) in [(&pos, &mut own), (&other, &mut foreign)] {
            let quote = quoted(client, world).await;
            world.0.push(("{quote}", quote));
        }
        unknown.0.push(("{quote}", "dead0000-0000-4000-8000-0000000000fe".to_owned()));
        let hook = keep_webhook(&ground, &pos, &mut own, "hook").await;
        keep_webhook(&ground, &other, &mut foreign, CANARY).await;
        let menu = onboard(&pos, &own, "Pizzas").await;
        onboard(&other, &foreign, CANARY).await;
        for world in [&mut own, &mut foreign, &mut unknown] {
            world.0.extend([("{second}", SECOND.to_owned()), ("{hook}", hook.clone()), ("{pos}", menu.clone())]);
        }
        rig.peers.feed.down.store(state == State::Fallback, Ordering::SeqCst);
        rig.peers.fallback.is_fenced.store(true, Ordering::SeqCst);
        Self { rig, pos, other, revoked, own, foreign, unknown, state, _ground: ground, _tables: tables }
    }

    /// Puts back what an own request before may have changed.
    pub async fn prepare(&self, case: &Case) {
        keep_in_memory(&self.rig, &self.own, "Loja");
        match case.needs {
            Needs::Nothing => {}
            Needs::Catalog => drop(keep_menu(&self.pos, &self.own, &Menu::of("0e7d1c3a", "Prato")).await),
            Needs::DeadLetter => drop(log_once(&self.pos, "dead again", all_are("DEAD", 1)).await),
        }
    }

    pub async fn ask(&self, client: &Client, request: &Filled) -> Answer {
        let headers: Vec<(&str, &str)> = request.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (method, path, body) = (&request.method, &request.path, request.body.clone());
        if self.state == State::Failover {
            self.rig.peers.feed.dies_of.store(1, Ordering::SeqCst);
        }
        if request.is_endless {
            client.send_until_silent(method, path, &headers, body, SILENCE).await
        } else {
            client.send(method, path, &headers, body).await
        }
    }

    /// Polls that the primary and the fallback have answered.
    pub fn polls(&self) -> (u32, u32) {
        let (primary, fallback) = (&self.rig.peers.feed.polls, &self.rig.peers.fallback.polls);
        (primary.load(Ordering::SeqCst), fallback.load(Ordering::SeqCst))
    }
}

async fn start_on(ground: &Ground, tables: &Tables) -> Rig {
    let (config, given) = ground.parts(|_| ());
    // Thousands of requests on a machine with other things to do: none of them is about time.
    let config = Config { call_timeout: Duration::from_secs(5), courier_tariff: Some(TARIFF), ..config };
    let catalog = CatalogTable::new(tables.dynamodb(), "t-");
    let requests = RequestTable::new(tables.dynamodb(), "t-");
    ground.run(config, Dependencies { catalog, requests, ..given }).await
}

async fn revoked(rig: &Rig) -> Client {
    let client = rig.as_application("revoked").await;
    rig.applications.change("revoked", |stored| stored.record.revoked = true);
    for _ in 0..500 {
        if client.get("/merchant/v1.0/merchants").await.status == 401 {
            return client;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the revocation never counts");
}

/// What the scripted peers keep of one application: profile, history, order, dispute, events. `text` is in all of it.
fn keep_in_memory(rig: &Rig, world: &World, text: &str) {
    let (merchant, order) = (merchant_of(world), order_of(world));
    let peers = &rig.peers;
    peers.merchants.put(merchant, text);
    peers.merchants.change(merchant, |profile| {
        world.value("{name}").clone_into(&mut profile.open_delivery_id);
        profile.is_test = true;
        profile.coordinates = Some(proto::merchant_connection::Coordinates {
            latitude_microdegrees: -23_550_000,
            longitude_microdegrees: -46_630_000,
        });
        profile.interruptions = vec![proto::merchant_connection::Interruption {
            id: world.value("{interruption}").to_owned(),
            description: text.to_owned(),
            start_ms: 1_995_900_000_000,
            end_ms: 1_995_903_600_000,
        }];
    });
    peers.merchants.online.lock().insert(merchant);
    peers.merchants.history.put(merchant, 1_994_000_000_000, 4);
    if let Some(transitions) = peers.merchants.history.0.lock().get_mut(&merchant) {
        transitions.iter_mut().for_each(|one| text.clone_into(&mut one.reason));
    }
    peers.feed.acknowledged.lock().retain(|(by, _)| by.as_str() != "pos");
    if peers.core.orders.lock().contains_key(&order) {
        return;
    }
    let body = order_body(world, text);
    peers.core.put(order, merchant, body);
    peers.core.orders.lock().get_mut(&order).unwrap().position =
        Some(proto::gateway_core::CourierPosition { latitude: "-23.55".to_owned(), ..Default::default() });
    let file = proto::gateway_core::GetEvidenceReply {
        merchant_id: proto::conversions::to_bytes(merchant.as_bytes()),
        content_type: "image/png".to_owned(),
        content: text.to_owned().into(),
    };
    peers.core.evidence.lock().insert((order, world.value("{evidence}").parse().unwrap()), file);
    peers.core.disputes.lock().insert(world.value("{dispute}").to_owned(), order);
    let cached = CachedOrder { merchant, body: bytes::Bytes::from_static(body.as_bytes()), sequence: 1 };
    peers.feed.cached.lock().insert(order, cached);
    let mut pending = event(merchant, order.as_bytes()[0], EventCode::Placed);
    let shown = json!({ "id": pending.id.to_string(), "code": "PLC", "orderId": order.to_string(),
        "merchantId": merchant.to_string(), "metadata": { "note": text } });
    pending.body = shown.to_string().into();
    peers.feed.events.lock().push(pending.clone());
    peers.fallback.events.lock().push(pending.clone());
    peers.fallback.replays.events.lock().push(pending);
}

fn order_body(world: &World, text: &str) -> &'static str {
    let item = json!({ "index": 1, "name": text, "quantity": 1, "unitPrice": 1.5, "price": 1.5, "optionsPrice": 0,
        "totalPrice": 1.5, "observations": text });
    let body = json!({
        "id": world.value("{order}"), "displayId": text, "orderType": "DELIVERY", "category": "GROCERY", "isTest": true,
        "createdAt": "2026-11-20T12:00:00.000Z", "merchant": { "id": world.value("{merchant}"), "name": text },
        "customer": { "name": text, "phone": { "number": text } }, "items": [item],
        "total": { "subTotal": 1.5, "deliveryFee": 0, "additionalFees": 0, "benefits": 0, "orderAmount": 1.5 },
        "payments": { "prepaid": 0, "pending": 1.5, "methods": [{ "value": 1.5, "method": "CASH", "type": "OFFLINE" }] },
        "delivery": { "deliveredBy": "MERCHANT", "deliveryAddress": { "complement": text,
            "coordinates": { "latitude": NEAR.0, "longitude": NEAR.1 } } },
    });
    body.to_string().leak()
}

/// A quote for a courier.
async fn quoted(client: &Client, world: &World) -> String {
    let answer = client.get(&place(merchant_of(world), NEAR)).await;
    answer.json()["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
}

/// A webhook with one dead letter. Answers with its URL.
async fn keep_webhook(ground: &Ground, client: &Client, world: &mut World, text: &str) -> String {
    let receiver = Receiver::start().await;
    receiver.answers(404);
    let url = format!("{}/{text}", receiver.url());
    set(client, &json!({ "url": url, "dialect": "IFOOD", "secret": "pos-secret" })).await;
    let delivery = ground.publish(merchant_of(world), order_of(world).as_bytes()[0]).await;
    *world = world.with("{delivery}", &delivery.to_string());
    log_once(client, "dead", all_are("DEAD", 1)).await;
    url
}

/// Has a POS's document read, and waits until it is. Answers with where it stands.
async fn onboard(client: &Client, world: &World, category: &str) -> String {
    let pos = Receiver::start().await;
    pos.answers(200);
    *pos.answer.lock() = document_of(world.value("{name}"), category);
    let base_url = format!("http://{}/", pos.address);
    let merchant = world.value("{merchant}");
    let body = json!({ "getMerchantURL": { "baseURL": base_url } }).to_string();
    let path = format!("/v1/merchantOnboarding?merchantId={merchant}");
    assert_eq!(client.send("PUT", &path, &[], body).await.status, 201);
    for _ in 0..500 {
        if client.get(&format!("/comanda/v1/merchants/{merchant}/menu")).await.status == 200 {
            return base_url;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the document of {category} is never read");
}
