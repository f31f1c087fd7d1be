//! kitchen-api with webhooks: a table in a real DynamoDB of this process, a queue in memory, and receivers that speak real HTTP.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_sdk_dynamodb::Client as DynamoDb;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use bytes::Bytes;
use event_feed::{FeedEvent, notification};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kitchen_api::webhooks::{
    DialRules, SystemResolver, WebhookAdmin, WebhookConfig, WebhookDependencies, create_tables,
};
use kitchen_api::{Config, Dependencies, Entropy, Service};
use local_aws::LocalAws;
use message_bus::in_memory::InMemoryQueue;
use message_bus::{OutgoingMessage, Queue};
use order_model::{EventCode, EventId, MerchantId, Timestamp};
use parking_lot::Mutex;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::client::Client;
use crate::peers::{Peers, event_at};
use crate::rig::{InMemoryApplications, Rig, TestClock, config, dependencies, eventually, merchant};

/// A receiver answers nothing at all.
pub const HANGS: u16 = 0;

/// One request that a receiver got.
#[derive(Clone)]
pub struct Received {
    pub path: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Received {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }
}

/// A receiver of webhooks.
pub struct Receiver {
    pub address: SocketAddr,
    /// Connections that it took.
    pub connections: AtomicUsize,
    pub received: Mutex<Vec<Received>>,
    /// The status of every answer, or [`HANGS`].
    pub status: AtomicU16,
    /// The body of every answer.
    pub answer: Mutex<String>,
}

impl Receiver {
    pub async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let receiver = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            connections: AtomicUsize::new(0),
            received: Mutex::default(),
            status: AtomicU16::new(202),
            answer: Mutex::default(),
        });
        let serving = Arc::clone(&receiver);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let receiver = Arc::clone(&serving);
                receiver.connections.fetch_add(1, Ordering::SeqCst);
                let service = service_fn(move |request| Arc::clone(&receiver).take(request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        receiver
    }

    async fn take(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        self.received.lock().push(Received { path: parts.uri.path().to_owned(), headers: parts.headers, body });
        let status = self.status.load(Ordering::SeqCst);
        if status == HANGS {
            std::future::pending::<()>().await;
        }
        let answer = Full::new(Bytes::from(self.answer.lock().clone()));
        let response = Response::builder().status(status).header("location", format!("http://{}/", self.address));
        Ok(response.body(answer).unwrap())
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub fn all(&self) -> Vec<Received> {
        self.received.lock().clone()
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
        let service = Service::build(config, given).await.unwrap();
        let handle = service.handle();
        let client = Client::new(handle.address());
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(service.run(shutdown.clone()));
        let (peers, applications, clock) = (self.peers.clone(), self.applications.clone(), self.clock.clone());
        Rig { peers, applications, clock, handle, client, shutdown, running }
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
