//! kitchen-api with webhooks: a table in a real DynamoDB of this process, a queue in memory, and receivers that speak real HTTP.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use event_feed::{FeedEvent, notification};
use kitchen_api::webhooks::{
    DialRules, SystemResolver, WebhookAdmin, WebhookConfig, WebhookDependencies, create_tables,
};
use kitchen_api::{Config, Dependencies, Entropy, Service};
use local_aws::LocalAws;
use message_bus::in_memory::InMemoryQueue;
use message_bus::{OutgoingMessage, Queue};
use order_model::{EventCode, EventId, MerchantId, Timestamp};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::peers::{Peers, event_at};
use crate::rig::{InMemoryApplications, Rig, TestClock, config, dependencies, eventually, merchant};
pub use crate::webhook_receiver::{HANGS, Received, Receiver};

impl Receiver {
    /// A webhook of the merchant API's dialect that ends here, signed with the client secret of `pos`.
    pub fn ifood(&self) -> Value {
        json!({ "url": self.url(), "dialect": "IFOOD", "secret": "pos-secret" })
    }

    pub fn count(&self) -> usize {
        self.received.lock().len()
    }

    pub async fn has(&self, count: usize) {
        eventually(&format!("{count} requests arrive"), || self.count() >= count).await;
        assert_eq!(self.count(), count);
    }
}

/// What outlives a service: the tables, the queue, the peers and the clock.
pub struct Ground {
    pub aws: LocalAws,
    pub feed: Arc<InMemoryQueue>,
    pub dead_letters: Arc<InMemoryQueue>,
    pub peers: Peers,
    pub applications: Arc<InMemoryApplications>,
    pub clock: Arc<TestClock>,
}

impl Ground {
    pub async fn new() -> Self {
        let aws = LocalAws::start(local_aws::Config::default()).unwrap();
        let dynamodb = dynamodb(&aws);
        for _ in 0..2 {
            create_tables(&dynamodb, "t-").await.unwrap();
        }
        let applications = Arc::new(InMemoryApplications::default());
        applications.put("pos", "pos-secret", &[merchant(1), merchant(2)]);
        applications.put("other", "other-secret", &[merchant(3)]);
        Self {
            aws,
            feed: Arc::new(InMemoryQueue::new("webhooks-feed")),
            dead_letters: Arc::new(InMemoryQueue::new("webhooks-feed-dlq")),
            peers: Peers::default(),
            applications,
            clock: TestClock::new(),
        }
    }

    /// Runs a service on this ground.
    pub async fn start(&self) -> Rig {
        self.start_with(|_| ()).await
    }

    pub async fn start_with(&self, change: impl FnOnce(&mut WebhookConfig)) -> Rig {
        let (config, given) = self.parts(change);
        self.run(config, given).await
    }

    /// Runs a service of these parts on this ground.
    pub async fn run(&self, config: Config, given: Dependencies) -> Rig {
        let rig = self.run_cold(config, given).await;
        eventually("the service is ready", || rig.handle.readiness().is_ok()).await;
        rig
    }

    /// The same, without waiting until it is ready.
    pub async fn run_cold(&self, config: Config, given: Dependencies) -> Rig {
        Rig::run(config, given, (self.peers.clone(), self.applications.clone(), self.clock.clone())).await
    }

    /// Runs a service that dies as a process does when its runtime is shut down, and a client with a token of `pos`.
    pub async fn start_doomed(&self) -> (Runtime, Client) {
        let (config, given) = self.parts(|_| ());
        let doomed = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let started = doomed.spawn(async move {
            let service = Service::build(config, given).await.unwrap();
            let handle = service.handle();
            tokio::spawn(service.run(CancellationToken::new()));
            handle
        });
        let handle = started.await.unwrap();
        eventually("the doomed service is ready", || handle.readiness().is_ok()).await;
        let client = Client::new(handle.address());
        let answer = client.ask_for_token("pos", "pos-secret").await;
        (doomed, client.with_token(answer.json()["accessToken"].as_str().unwrap()))
    }

    pub fn parts(&self, change: impl FnOnce(&mut WebhookConfig)) -> (Config, Dependencies) {
        let mut webhooks = WebhookConfig {
            dial: DialRules { allow_loopback: true },
            look_interval: Duration::from_millis(20),
            ..WebhookConfig::default()
        };
        change(&mut webhooks);
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let given = WebhookDependencies {
            // Of its own, as another process would have one: a connection ends with its runtime.
            dynamodb: dynamodb(&self.aws),
            table_prefix: "t-".to_owned(),
            feed: self.feed.clone(),
            dead_letters: self.dead_letters.clone(),
            resolver: Arc::new(SystemResolver::default()),
            tls: Arc::new(tls),
        };
        let dependencies = dependencies(&self.peers, self.applications.clone(), self.clock.clone());
        (Config { webhooks, ..config() }, Dependencies { webhooks: Some(given), ..dependencies })
    }

    /// What an operator works with.
    pub fn admin(&self) -> WebhookAdmin {
        let rules = DialRules { allow_loopback: true };
        WebhookAdmin::new(dynamodb(&self.aws), "t-", rules, self.clock.clone(), Entropy::system())
    }

    /// Publishes the first event of an order, and answers with its id.
    pub async fn publish(&self, merchant: MerchantId, order: u8) -> EventId {
        self.publish_as(merchant, order, EventCode::Placed).await
    }

    pub async fn publish_as(&self, merchant: MerchantId, order: u8, code: EventCode) -> EventId {
        let created_at = Timestamp::from_unix_ms(1_995_000_000_000 + i64::from(order));
        self.publish_at(created_at, merchant, order, code).await
    }

    /// Publishes the first event of an order that is placed now, however far the clock has jumped.
    pub async fn publish_now(&self, merchant: MerchantId, order: u8) -> EventId {
        self.publish_at(self.now(), merchant, order, EventCode::Placed).await
    }

    pub fn now(&self) -> Timestamp {
        order_model::Clock::now(&*self.clock)
    }

    async fn publish_at(&self, created_at: Timestamp, merchant: MerchantId, order: u8, code: EventCode) -> EventId {
        let expires_at = created_at.plus(Duration::from_secs(8 * 60 * 60));
        let event = FeedEvent { expires_at, ..event_at(created_at, merchant, order, code) };
        let (body, attributes) = notification::encode(&event, "IFOOD", None);
        assert!(self.feed.send(vec![OutgoingMessage { body, attributes }]).await.iter().all(Result::is_ok));
        event.id
    }

    /// Waits until the table was asked for much more: whoever looks every 20 ms has looked many times.
    pub async fn is_looked_at(&self) {
        let asked = || self.aws.statistics().dynamodb_requests;
        let before = asked();
        eventually("the table is looked at", || asked() >= before + 80).await;
    }

    /// Waits until the queue is empty: everything is recorded.
    pub async fn is_recorded(&self) {
        for _ in 0..1000 {
            let depth = self.feed.depth().await.unwrap();
            if depth.visible + depth.in_flight == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the queue never became empty");
    }
}

/// A running service whose `pos` is told of events at this receiver, which answers with `status`; and a client of `pos`.
pub async fn subscribed(status: u16) -> (Ground, Arc<Receiver>, Rig, Client) {
    let (ground, receiver) = (Ground::new().await, Receiver::start().await);
    let rig = ground.start().await;
    let pos = rig.as_application("pos").await;
    receiver.answers(status);
    set(&pos, &receiver.ifood()).await;
    (ground, receiver, rig, pos)
}

pub fn dynamodb(aws: &LocalAws) -> DynamoDb {
    DynamoDb::from_conf(
        aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(aws.endpoint())
            .build(),
    )
}

pub fn sign(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// Sets a webhook, and waits until it counts.
pub async fn set(pos: &Client, wanted: &Value) -> Value {
    let answer = pos.send("PUT", "/comanda/v1/webhook", &[], wanted.to_string()).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // Instances look every 20 ms here; a change that nobody can ask about is waited for.
    tokio::time::sleep(Duration::from_millis(250)).await;
    answer.json()
}

/// The log of deliveries, once `is_reached` holds of it.
pub async fn log_once(pos: &Client, what: &str, is_reached: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    for _ in 0..500 {
        let page = pos.get("/comanda/v1/webhook/deliveries").await.json();
        let deliveries = page["deliveries"].as_array().unwrap().clone();
        if is_reached(&deliveries) {
            return deliveries;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}

/// The log's only delivery, once so many of its attempts are over.
pub async fn after_attempts(pos: &Client, count: usize) -> Value {
    let have_ended =
        |log: &[Value]| log.len() == 1 && log[0]["attempts"].as_array().is_some_and(|attempts| attempts.len() == count);
    log_once(pos, &format!("{count} attempts"), have_ended).await.remove(0)
}

/// Ends a service as a deployment does, and waits until it has.
pub async fn stop(rig: Rig) {
    rig.shutdown.cancel();
    rig.running.await.unwrap().unwrap();
}

/// Whether all deliveries of a log have this status, and there are `count`.
pub fn all_are(status: &str, count: usize) -> impl Fn(&[Value]) -> bool {
    let status = status.to_owned();
    move |deliveries| deliveries.len() == count && deliveries.iter().all(|one| one["status"] == status.as_str())
}
