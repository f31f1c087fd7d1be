//! The one door of these tests: a DynamoDB, a topic, a merchant-connection, and cores on top of them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use futures::future::BoxFuture;
use gateway_core::{Config, Dependencies, Handle, Service};
use message_bus::in_memory::{InMemoryQueue, InMemoryTopic};
use message_bus::{Queue, SharedTopic, Topic, TopicError, TopicMessage};
use order_model::{Clock, EventCode, EventIdKey, EvidenceId, MerchantId, OrderId, SharedClock, Timestamp};
use parking_lot::Mutex;
use proto::gateway_core as wire;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::merchant_connection as merchants;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::merchant_connection::merchant_connection_server::{MerchantConnection, MerchantConnectionServer};
use proto::transport::{Transport, local};
use rand::SeedableRng;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

pub const KEY: [u8; 16] = [7; 16];
pub const MERCHANT: MerchantId = MerchantId::from_bytes([3; 16]);
const PATIENCE: Duration = Duration::from_secs(20);

/// The system's clock, which a test can make wrong.
pub struct TestClock {
    started: tokio::time::Instant,
    skew_ms: AtomicI64,
    skipped_ms: AtomicU64,
}

impl Clock for TestClock {
    #[expect(clippy::disallowed_methods, reason = "compared with the Date header of a real server")]
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap() + self.skew_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.skipped_ms.load(Ordering::SeqCst))
    }
}

/// The Open Delivery ids of [`MERCHANT`]; the second one is a UUID, spelled as some POS do.
pub const OPEN_DELIVERY_IDS: [&str; 2] = ["open-delivery-merchant", "5F0C2A4E-6A0E-4F5E-9D57-2B6F0D1F7A11"];

/// A merchant-connection that knows one merchant.
#[derive(Clone, Default)]
pub struct FakeMerchants {
    pub down: Arc<AtomicBool>,
    /// Only questions by Open Delivery id get no answer.
    pub open_delivery_down: Arc<AtomicBool>,
    /// Questions so far.
    pub lookups: Arc<AtomicU32>,
}

#[async_trait]
impl MerchantConnection for FakeMerchants {
    async fn lookup(
        &self,
        request: Request<merchants::LookupRequest>,
    ) -> Result<Response<merchants::Merchant>, Status> {
        use merchants::lookup_request::By;
        if self.down.load(Ordering::SeqCst) {
            return Err(Status::unavailable("down"));
        }
        self.lookups.fetch_add(1, Ordering::SeqCst);
        let known = match request.into_inner().by {
            Some(By::MerchantId(id)) => id.as_ref() == MERCHANT.as_bytes(),
            Some(By::OpenDeliveryId(_)) if self.open_delivery_down.load(Ordering::SeqCst) => {
                return Err(Status::unavailable("down"));
            }
            Some(By::OpenDeliveryId(id)) => OPEN_DELIVERY_IDS.contains(&id.as_str()),
            None => false,
        };
        if !known {
            return Err(Status::not_found("no such merchant"));
        }
        let id = bytes::Bytes::copy_from_slice(MERCHANT.as_bytes());
        Ok(Response::new(merchants::Merchant { id, ..Default::default() }))
    }

    async fn beat(&self, _: Request<merchants::BeatRequest>) -> Result<Response<merchants::BeatReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn presence(
        &self,
        _: Request<merchants::PresenceRequest>,
    ) -> Result<Response<merchants::PresenceReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn history(
        &self,
        _: Request<merchants::HistoryRequest>,
    ) -> Result<Response<merchants::HistoryReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_merchants(
        &self,
        _: Request<merchants::GetMerchantsRequest>,
    ) -> Result<Response<merchants::GetMerchantsReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn put_merchant(
        &self,
        _: Request<merchants::Merchant>,
    ) -> Result<Response<merchants::PutMerchantReply>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn totals(&self, _: Request<merchants::TotalsRequest>) -> Result<Response<merchants::TotalsReply>, Status> {
        Err(Status::unimplemented(""))
    }
}

/// A topic that refuses the events of some orders for good, as SNS does what is against its limits.
pub struct PickyTopic {
    inner: Arc<InMemoryTopic>,
    /// Refusals by refused order.
    refused: Mutex<BTreeMap<OrderId, usize>>,
}

impl PickyTopic {
    pub fn refuse(&self, order: OrderId) {
        self.refused.lock().insert(order, 0);
    }

    pub fn accept_all(&self) {
        self.refused.lock().clear();
    }

    pub fn refusals(&self, order: OrderId) -> usize {
        self.refused.lock()[&order]
    }
}

impl Topic for PickyTopic {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn publish(&self, messages: Vec<TopicMessage>) -> BoxFuture<'_, Vec<Result<(), TopicError>>> {
        Box::pin(async move {
            let mut results = Vec::new();
            for message in messages {
                let is_refused = self.refused.lock().iter_mut().any(|(order, refusals)| {
                    let is_its = message.body.contains(&order.to_string());
                    *refusals += usize::from(is_its);
                    is_its
                });
                if is_refused {
                    let (topic, reason) = (self.name().to_owned(), "InvalidParameter".to_owned());
                    results.push(Err(TopicError::Refused { topic, reason }));
                } else {
                    results.append(&mut self.inner.publish(vec![message]).await);
                }
            }
            results
        })
    }
}

pub struct Platform {
    aws: local_aws::LocalAws,
    pub topic: Arc<InMemoryTopic>,
    /// In front of `topic`.
    pub picky: Arc<PickyTopic>,
    feed: Arc<InMemoryQueue>,
    pub merchants: FakeMerchants,
    pub clock: Arc<TestClock>,
}

/// A core: its API, and its work once it runs.
pub struct TestCore {
    pub api: GatewayCoreClient<Transport>,
    pub handle: Handle,
    service: Arc<Service>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

/// An event as the feeds get it.
#[derive(Debug, Clone)]
pub struct Notification {
    pub body: String,
    pub event: event_feed::FeedEvent,
}

impl Notification {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub fn config() -> Config {
    Config::new(EventIdKey::from_bytes(KEY))
}

impl Platform {
    pub async fn start() -> Self {
        let aws = local_aws::LocalAws::start(local_aws::Config::default()).unwrap();
        let topic = Arc::new(InMemoryTopic::new("order-events"));
        let feed = Arc::new(InMemoryQueue::new("order-events-feed"));
        topic.subscribe(Arc::clone(&feed));
        let clock = TestClock {
            started: tokio::time::Instant::now(),
            skew_ms: AtomicI64::new(0),
            skipped_ms: AtomicU64::new(0),
        };
        let picky = Arc::new(PickyTopic { inner: Arc::clone(&topic), refused: Mutex::default() });
        let platform = Self { aws, topic, picky, feed, merchants: FakeMerchants::default(), clock: Arc::new(clock) };
        gateway_core::create_tables(&platform.dynamodb(), "test-").await.unwrap();
        gateway_core::create_tables(&platform.dynamodb(), "test-").await.unwrap();
        platform
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .region(Region::new("us-east-1"))
            .endpoint_url(self.aws.endpoint())
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// A core that answers requests and does nothing else.
    pub fn idle_core(&self, config: Config) -> TestCore {
        let lookup = local(MerchantConnectionServer::new(self.merchants.clone()));
        let dependencies = Dependencies {
            clock: Arc::clone(&self.clock) as SharedClock,
            dynamodb: self.dynamodb(),
            table_prefix: "test-".to_owned(),
            topic: Arc::clone(&self.picky) as SharedTopic,
            merchant_connection: MerchantConnectionClient::new(lookup),
            rng: Box::new(rand::rngs::StdRng::seed_from_u64(1)),
        };
        let service = Arc::new(Service::build(config, dependencies).unwrap());
        let handle = service.handle();
        let api = GatewayCoreClient::new(local(gateway_core::grpc(handle.clone())));
        TestCore { api, handle, service, running: None }
    }

    /// A core that publishes and acts on deadlines as well.
    pub fn core(&self, config: Config) -> TestCore {
        let mut core = self.idle_core(config);
        core.run();
        core
    }

    /// Everything published since the last call.
    pub async fn published(&self) -> Vec<Notification> {
        let mut all = Vec::new();
        loop {
            let batch = self.feed.receive(10, Duration::ZERO, Duration::from_secs(60)).await.unwrap();
            if batch.is_empty() {
                return all;
            }
            let receipts = batch.iter().map(|message| message.receipt.clone()).collect();
            all.extend(batch.into_iter().map(|message| decode(message.body, &message.attributes)));
            self.feed.delete(receipts).await;
        }
    }

    /// Collects publications until `enough` says so.
    pub async fn published_until(&self, enough: impl Fn(&[Notification]) -> bool) -> Vec<Notification> {
        let mut all = Vec::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while !enough(&all) {
            assert!(tokio::time::Instant::now() < deadline, "published only {all:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
            all.extend(self.published().await);
        }
        all
    }
}

fn decode(body: String, attributes: &BTreeMap<String, String>) -> Notification {
    let event = event_feed::notification::decode(&body, attributes).unwrap();
    assert!(event.id.is_genuine(&EventIdKey::from_bytes(KEY)));
    Notification { body, event }
}

impl TestCore {
    pub fn run(&mut self) {
        let shutdown = CancellationToken::new();
        let service = Arc::clone(&self.service);
        let until = shutdown.clone();
        let task = tokio::spawn(async move { service.run(until).await.unwrap() });
        self.running = Some((shutdown, task));
    }

    /// Stops it as a termination signal does.
    pub async fn stop(mut self) {
        if let Some((shutdown, task)) = self.running.take() {
            shutdown.cancel();
            task.await.unwrap();
        }
    }

    pub async fn submit(&self, request: wire::SubmitRequest) -> wire::SubmitReply {
        self.try_submit(request).await.unwrap()
    }

    pub async fn try_submit(&self, request: wire::SubmitRequest) -> Result<wire::SubmitReply, Status> {
        self.api.clone().submit(request).await.map(Response::into_inner)
    }

    pub async fn act(&self, order: OrderId, action: wire::Action) -> Result<wire::ActReply, Status> {
        self.api.clone().act(acting(order, action)).await.map(Response::into_inner)
    }

    pub async fn get(&self, order: OrderId) -> Result<wire::GetOrderReply, Status> {
        let order_id = bytes_of(order);
        self.api
            .clone()
            .get_order(wire::GetOrderRequest { order_id, ..Default::default() })
            .await
            .map(Response::into_inner)
    }

    pub async fn evidence(&self, order: OrderId, id: EvidenceId) -> Result<wire::GetEvidenceReply, Status> {
        let evidence_id = bytes::Bytes::copy_from_slice(id.as_bytes());
        let request = wire::GetEvidenceRequest { order_id: bytes_of(order), evidence_id };
        self.api.clone().get_evidence(request).await.map(Response::into_inner)
    }

    pub async fn events(&self, order: OrderId) -> Vec<event_feed::FeedEvent> {
        let request = wire::EventsOfOrderRequest { order_id: bytes_of(order), from_sequence: 1, to_sequence: 0 };
        let reply = self.api.clone().events_of_order(request).await.unwrap().into_inner();
        reply.events.iter().map(|event| proto::conversions::event_from_wire(event).unwrap()).collect()
    }

    pub async fn report_serving(&self) {
        self.api.clone().report_serving(wire::ReportServingRequest { instance: "kitchen-1".to_owned() }).await.unwrap();
    }

    /// Reports all the time, as kitchen-api does.
    pub fn keep_reporting(&self) -> JoinHandle<()> {
        let mut api = self.api.clone();
        tokio::spawn(async move {
            loop {
                let _ = api.report_serving(wire::ReportServingRequest::default()).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        })
    }

    pub async fn wait_for_state(&self, order: OrderId, state: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let now = self.get(order).await.unwrap().state;
            if now == state {
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "still {now}, not {state}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl TestClock {
    /// Lets monotonic time pass at once.
    pub fn skip(&self, by: Duration) {
        self.skipped_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

/// Waits for a condition.
pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !holds() {
        assert!(tokio::time::Instant::now() < deadline, "{what}: not in time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn order_id() -> OrderId {
    OrderId::from_uuid(uuid::Uuid::new_v4())
}

pub fn bytes_of(order: OrderId) -> bytes::Bytes {
    bytes::Bytes::copy_from_slice(order.as_bytes())
}

/// A message that places `order`; `digest` stands for its content.
pub fn placing(order: OrderId, message: &str, digest: u8) -> wire::SubmitRequest {
    let body = format!(
        r#"{{"id":"{order}","total":{{"orderAmount":68.10}},"customer":{{"name":"Ana Canary"}},"items":[{{"name":"Pizza","observations":"canary"}}]}}"#
    );
    wire::SubmitRequest {
        source: "test-app".to_owned(),
        message_id: message.to_owned(),
        body_digest: vec![digest; 32].into(),
        trace_id: vec![9; 16].into(),
        content: Some(wire::submit_request::Content::Place(wire::PlaceOrder {
            order_id: bytes_of(order),
            merchant: Some(wire::place_order::Merchant::MerchantId(bytes::Bytes::copy_from_slice(MERCHANT.as_bytes()))),
            facts: Some(wire::OrderFacts {
                order_type: "DELIVERY".to_owned(),
                delivered_by: "MERCHANT".to_owned(),
                ..Default::default()
            }),
            body: body.into(),
        })),
        ..Default::default()
    }
}

/// A message that reports `code`.
pub fn updating(order: OrderId, message: &str, code: EventCode, metadata: &str) -> wire::SubmitRequest {
    wire::SubmitRequest {
        source: "test-app".to_owned(),
        message_id: message.to_owned(),
        body_digest: vec![code.number(); 32].into(),
        content: Some(wire::submit_request::Content::Update(wire::UpdateOrder {
            order_id: bytes_of(order),
            code: u32::from(code.number()),
            metadata: metadata.to_owned().into(),
        })),
        ..Default::default()
    }
}

pub fn acting(order: OrderId, action: wire::Action) -> wire::ActRequest {
    wire::ActRequest {
        order_id: bytes_of(order),
        application_id: "dev-pos".to_owned(),
        merchant_id: bytes::Bytes::copy_from_slice(MERCHANT.as_bytes()),
        action: action.into(),
        code: "503".to_owned(),
        reason: "free text canary".to_owned(),
        ..Default::default()
    }
}

pub fn rejection(reply: &wire::SubmitReply) -> (&str, bool) {
    let rejection = reply.rejection.as_ref().expect("a rejection");
    (&rejection.reason, rejection.may_become_legal)
}
