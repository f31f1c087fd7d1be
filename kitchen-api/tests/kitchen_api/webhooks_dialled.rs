//! Where webhooks and the readers of menus may not go: what is refused when it is set, and what is when its name is looked up.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use kitchen_api::webhooks::{DialRules, Resolver};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::client::Client;
use crate::open_delivery::OWN_ID;
use crate::rig::{Rig, merchant};
use crate::webhook_platform::{Ground, Receiver, all_are, log_once, set};

const WEBHOOK: &str = "/comanda/v1/webhook";
/// A name that only the resolver of a test knows.
const NAME: &str = "pos.example.com";
/// A router's address at many places.
const PRIVATE: &str = "192.168.0.1";
const LOOPBACK: &str = "127.0.0.1";

/// A name server that answers every name with the same addresses, and remembers who was asked about.
#[derive(Default)]
struct NameServer {
    addresses: Mutex<Vec<IpAddr>>,
    asked: Mutex<Vec<String>>,
}

impl NameServer {
    fn answers(&self, addresses: &[&str]) {
        *self.addresses.lock() = addresses.iter().map(|address| address.parse().unwrap()).collect();
    }
}

impl Resolver for NameServer {
    fn resolve<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        self.asked.lock().push(host.to_owned());
        let addresses = self.addresses.lock().clone();
        async move { Ok(addresses) }.boxed()
    }
}

/// A platform that asks this name server, in development or not.
async fn start(ground: &Ground, names: &Arc<NameServer>, allow_loopback: bool) -> (Rig, Client) {
    let (config, mut given) = ground.parts(|config| config.dial = DialRules { allow_loopback });
    given.webhooks.as_mut().unwrap().resolver = names.clone();
    let rig = ground.run(config, given).await;
    let pos = rig.as_application("pos").await;
    (rig, pos)
}

fn is_refused_once(log: &[Value]) -> bool {
    log.len() == 1 && log[0]["attempts"][0]["result"] == "ADDRESS_REFUSED"
}

#[tokio::test]
async fn a_name_that_has_a_private_address_is_not_connected_to_until_it_has_none() {
    let (ground, receiver, names) = (Ground::new().await, Receiver::start().await, Arc::new(NameServer::default()));
    // One address of two is enough: which of them a client takes is up to the client.
    names.answers(&[LOOPBACK, PRIVATE]);
    let (rig, pos) = start(&ground, &names, true).await;
    let url = format!("http://{NAME}:{}/hook", receiver.address.port());
    set(&pos, &json!({ "url": url, "dialect": "IFOOD", "secret": "pos-secret" })).await;
    ground.publish(merchant(1), 1).await;
    let log = log_once(&pos, "refused", is_refused_once).await;
    assert_eq!((&log[0]["status"], log[0]["attempts"][0].get("status")), (&json!("WAITING"), None));
    assert_eq!(receiver.connections.load(Ordering::SeqCst), 0);
    assert_eq!(*names.asked.lock(), [NAME], "its name was looked up, once");
    // The same name is dialled where all of its addresses may be.
    names.answers(&[LOOPBACK]);
    rig.clock.jump(Duration::from_secs(37));
    log_once(&pos, "delivered", all_are("DELIVERED", 1)).await;
    assert_eq!((receiver.count(), receiver.all()[0].header("host")), (1, url.split('/').nth(2).unwrap()));
}

#[tokio::test]
async fn without_the_switch_of_development_a_name_that_is_this_machine_is_not_connected_to() {
    for address in [LOOPBACK, PRIVATE, "169.254.169.254", "::1", "::ffff:10.0.0.1"] {
        let (ground, names) = (Ground::new().await, Arc::new(NameServer::default()));
        names.answers(&[address]);
        let (_rig, pos) = start(&ground, &names, false).await;
        let url = format!("https://{NAME}/hook");
        set(&pos, &json!({ "url": url, "dialect": "IFOOD", "secret": "pos-secret" })).await;
        ground.publish(merchant(1), 1).await;
        log_once(&pos, address, is_refused_once).await;
        assert_eq!(*names.asked.lock(), [NAME], "{address}");
    }
}

#[tokio::test]
async fn a_menu_is_not_read_from_a_name_that_has_a_private_address() {
    let (ground, pos_server, names) = (Ground::new().await, Receiver::start().await, Arc::new(NameServer::default()));
    ground.peers.merchants.put(merchant(1), "Loja");
    ground.peers.merchants.change(merchant(1), |profile| OWN_ID.clone_into(&mut profile.open_delivery_id));
    names.answers(&[LOOPBACK, PRIVATE]);
    let (_rig, pos) = start(&ground, &names, true).await;
    let base_url = format!("http://{NAME}:{}/", pos_server.address.port());
    let endpoints = json!({ "getMerchantURL": { "baseURL": base_url, "apiKey": "pos-key" } });
    let onboarding = format!("/v1/merchantOnboarding?merchantId={OWN_ID}");
    assert_eq!(pos.send("PUT", &onboarding, &[], endpoints.to_string()).await.status, 201);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let told = loop {
        let reading = pos.get(&format!("/v1/merchantStatus?merchantId={OWN_ID}")).await.json();
        if reading["status"] == "FAIL" {
            break reading["moreInfo"].clone();
        }
        assert!(tokio::time::Instant::now() < deadline, "never read: {reading}");
    };
    assert_eq!(told, "GET /v1/merchant: the address is not on the public internet.");
    assert_eq!(*names.asked.lock(), [NAME]);
    assert_eq!(pos_server.connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_the_switch_of_development_only_https_to_ports_443_and_8443_can_be_set() {
    let (ground, names) = (Ground::new().await, Arc::new(NameServer::default()));
    let (_rig, pos) = start(&ground, &names, false).await;
    let put = async |url: &str| {
        let wanted = json!({ "url": url, "dialect": "IFOOD", "secret": "s" });
        pos.send("PUT", WEBHOOK, &[], wanted.to_string()).await
    };
    for (url, expected) in [
        ("http://pos.example.com/hook", "expected https"),
        ("http://pos.example.com:443/hook", "expected https"),
        ("https://pos.example.com:80/hook", "expected port 443 or 8443"),
        ("https://pos.example.com:444/hook", "expected port 443 or 8443"),
        ("https://pos.example.com:8080/hook", "expected port 443 or 8443"),
        ("https://127.0.0.1/hook", "expected a host on the public internet"),
        ("https://localhost/hook", "expected a public host name, or an IP address in its usual form"),
    ] {
        let refused = put(url).await;
        assert_eq!(refused.status, 400, "{url}");
        let error = refused.json()["error"].clone();
        assert_eq!((&error["field"], &error["message"]), (&json!("url"), &json!(expected)), "{url}");
    }
    for url in ["https://pos.example.com/hook", "https://pos.example.com:443/", "https://pos.example.com:8443/hook"] {
        assert_eq!(put(url).await.status, 200, "{url}");
    }
}

#[tokio::test]
async fn a_url_has_at_most_250_characters() {
    let (ground, names) = (Ground::new().await, Arc::new(NameServer::default()));
    let (_rig, pos) = start(&ground, &names, false).await;
    let put = async |characters: usize| {
        let host = "https://pos.example.com/";
        let url = format!("{host}{}", "x".repeat(characters - host.len()));
        let wanted = json!({ "url": url, "dialect": "IFOOD", "secret": "s" });
        pos.send("PUT", WEBHOOK, &[], wanted.to_string()).await
    };
    let (taken, refused) = (put(250).await, put(251).await);
    assert_eq!((taken.status.as_u16(), taken.json()["url"].as_str().unwrap().len()), (200, 250));
    assert_eq!((refused.status.as_u16(), &refused.json()["error"]["field"]), (400, &json!("url")));
    assert_eq!(refused.json()["error"]["message"], "expected at most 250 characters");
}
