//! The door of all tests: a service over a local DynamoDB, a core that knows some events, and builders of events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{BehaviorVersion, ConfigBag, Credentials, Intercept, Region, RuntimeComponents};
use bytes::Bytes;
use connection_polling::index::{Index, Outcome, Record};
use connection_polling::{Config, Dependencies, Handle, Service, create_tables, grpc};
use event_feed::{FeedEvent, Filter, TraceId, notification};
use message_bus::in_memory::InMemoryQueue;
use order_model::{Clock, EventCategory, EventCode, EventId, EventIdKey, ManualClock, MerchantId, OrderId, Timestamp};
use parking_lot::Mutex;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::connection_polling::{AcknowledgeRequest, Fence};
use proto::conversions::{event_from_wire, event_to_wire, filter_to_wire, to_bytes};
use proto::feed;
use proto::gateway_core::gateway_core_server::{GatewayCore, GatewayCoreServer};
use proto::gateway_core::*;
use proto::transport::{Transport, local};
use tonic::{Request, Response, Status};

/// How often a batch that failed is indexed again.
const INDEX_RETRIES_MAX: u32 = 3;

/// 2100-01-01.
pub const START: Timestamp = Timestamp::from_unix_ms(4_102_444_800_000);
pub const MINUTE: Duration = Duration::from_secs(60);
pub const HOUR: Duration = Duration::from_secs(3600);
pub const PREFIX: &str = "test-";

pub fn key() -> EventIdKey {
    EventIdKey::from_bytes([7; 16])
}

/// The merchant with this number; consecutive ones have different routing hashes.
pub fn merchant(number: u32) -> MerchantId {
    MerchantId::from_bytes((u128::from(number) << 64 | 1).to_be_bytes())
}

pub fn order(number: u32) -> OrderId {
    OrderId::from_bytes((u128::from(number) << 32 | 2).to_be_bytes())
}

/// An event; change what matters with struct update through [`EventSpec`].
#[derive(Clone, Copy)]
pub struct EventSpec {
    pub merchant: u32,
    pub order: u32,
    pub sequence: u32,
    pub created_at: Timestamp,
    pub lives: Duration,
    pub code: EventCode,
    pub category: EventCategory,
}

impl EventSpec {
    pub fn new(merchant: u32, order: u32, created_at: Timestamp) -> Self {
        let (code, category) = (EventCode::Placed, EventCategory::Food);
        Self { merchant, order, sequence: 1, created_at, lives: 8 * HOUR, code, category }
    }

    pub fn build(self) -> FeedEvent {
        let (merchant, order) = (merchant(self.merchant), order(self.order));
        let mut event = FeedEvent {
            id: EventId::derive(&key(), self.created_at, merchant, order, self.sequence),
            order,
            merchant,
            code: self.code,
            category: self.category,
            sequence: self.sequence,
            created_at: self.created_at,
            expires_at: self.created_at.plus(self.lives),
            trace: TraceId([3; 16]),
            body: Bytes::new(),
        };
        event.body = notification::encode_body(&event, "IFOOD", None);
        event
    }
}

/// Body and attributes of an event's notification.
pub fn notified(event: &FeedEvent) -> (String, BTreeMap<String, String>) {
    notification::encode(event, "IFOOD", None)
}

/// Counts requests as they leave.
#[derive(Debug, Clone, Default)]
struct RequestCounter(Arc<AtomicUsize>);

impl Intercept for RequestCounter {
    fn name(&self) -> &'static str {
        "RequestCounter"
    }

    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), aws_sdk_dynamodb::error::BoxError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

pub struct Platform {
    _aws: Option<local_aws::LocalAws>,
    pub endpoint: String,
    pub dynamodb: aws_sdk_dynamodb::Client,
    pub clock: Arc<ManualClock>,
    pub core: FakeCore,
    pub feed: Arc<InMemoryQueue>,
    pub dead_letters: Arc<InMemoryQueue>,
    pub service: Option<Service>,
    pub handle: Handle,
    pub client: ConnectionPollingClient<Transport>,
    pub index: Index,
    requests: RequestCounter,
}

impl Platform {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(adjust: impl FnOnce(&mut Config)) -> Self {
        let config = local_aws::Config { ttl_sweep_interval: 24 * HOUR, ..local_aws::Config::default() };
        let aws = local_aws::LocalAws::start(config).unwrap();
        let endpoint = aws.endpoint();
        let platform = Self::over(&endpoint, Some(aws), adjust);
        create_tables(&platform.dynamodb, PREFIX).await.unwrap();
        platform
    }

    /// Over whatever answers, or does not, at `endpoint`.
    pub fn over(endpoint: &str, aws: Option<local_aws::LocalAws>, adjust: impl FnOnce(&mut Config)) -> Self {
        let requests = RequestCounter::default();
        let sdk = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .interceptor(requests.clone())
            .build();
        let dynamodb = aws_sdk_dynamodb::Client::from_conf(sdk);
        let clock = ManualClock::new(START);
        let core = FakeCore::default();
        let (feed, dead_letters) = (Arc::new(InMemoryQueue::new("feed")), Arc::new(InMemoryQueue::new("dlq")));
        let mut config = Config::new(key());
        // The local DynamoDB's Date is today; the tests live in 2100.
        config.clock_tolerance = Duration::from_secs(200 * 365 * 24 * 3600);
        adjust(&mut config);
        let dependencies = Dependencies {
            clock: clock.clone(),
            dynamodb: dynamodb.clone(),
            table_prefix: PREFIX.to_owned(),
            core: local(GatewayCoreServer::new(core.clone())),
            feed: feed.clone(),
            dead_letters: dead_letters.clone(),
        };
        let index = Index::new(&dynamodb, PREFIX, clock.clone(), config.clock_tolerance, key());
        let service = Service::build(config, dependencies).unwrap();
        let handle = service.handle();
        let client = ConnectionPollingClient::new(local(grpc(handle.clone())))
            .max_decoding_message_size(connection_polling::MESSAGE_BYTES_MAX);
        let service = Some(service);
        Self {
            _aws: aws,
            endpoint: endpoint.to_owned(),
            dynamodb,
            clock,
            core,
            feed,
            dead_letters,
            service,
            handle,
            client,
            index,
            requests,
        }
    }

    /// Indexes events as the queue's consumer and the Lambda do.
    pub async fn index(&self, events: &[FeedEvent]) {
        let notified: Vec<_> = events.iter().map(notified).collect();
        for batch in notified.chunks(100) {
            let records: Vec<_> = batch.iter().map(|(body, attributes)| Record { body, attributes }).collect();
            let mut outcomes = self.index.apply(&records).await;
            // A busy machine runs out of time now and then; the feed's queue would give the batch again.
            for _ in 0..INDEX_RETRIES_MAX {
                if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Failed(_))) {
                    outcomes = self.index.apply(&records).await;
                }
            }
            assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Indexed)), "{outcomes:?}");
        }
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub async fn poll(&self, poll: &PollSpec) -> Polled {
        self.try_poll(poll).await.unwrap()
    }

    pub async fn try_poll(&self, poll: &PollSpec) -> Result<Polled, Status> {
        let reply = self.client.clone().poll(poll.to_wire()).await?.into_inner();
        Ok(Polled {
            events: reply.events.iter().map(|event| event_from_wire(event).unwrap()).collect(),
            hidden: reply.hidden_ids.iter().map(|id| EventId::try_from_slice(id).unwrap()).collect(),
        })
    }

    pub async fn acknowledge(&self, application: &str, ids: &[EventId]) {
        self.try_acknowledge(application, ids, false).await.unwrap();
    }

    pub async fn try_acknowledge(
        &self,
        application: &str,
        ids: &[EventId],
        without_leader: bool,
    ) -> Result<Vec<Fence>, Status> {
        let event_ids = ids.iter().map(|id| to_bytes(id.as_bytes())).collect();
        let acknowledge = feed::AcknowledgeRequest { application_id: application.to_owned(), event_ids };
        let request = AcknowledgeRequest { acknowledge: Some(acknowledge), without_leader };
        Ok(self.client.clone().acknowledge(request).await?.into_inner().fences)
    }

    /// How many requests reach DynamoDB while `work` runs.
    pub async fn requests_during<T>(&self, work: impl Future<Output = T>) -> (T, usize) {
        let before = self.requests.0.load(Ordering::SeqCst);
        let result = work.await;
        (result, self.requests.0.load(Ordering::SeqCst) - before)
    }
}

#[derive(Clone)]
pub struct PollSpec {
    pub application: String,
    pub merchants: Vec<(MerchantId, Timestamp)>,
    pub filter: Filter,
    pub limit: u32,
    pub shadow: bool,
}

impl PollSpec {
    /// `application` polls these merchants, granted long ago.
    pub fn new(application: &str, merchants: impl IntoIterator<Item = u32>) -> Self {
        Self {
            application: application.to_owned(),
            merchants: merchants.into_iter().map(|number| (merchant(number), START.minus(300 * HOUR))).collect(),
            filter: Filter::default(),
            limit: 1_000,
            shadow: false,
        }
    }

    pub fn to_wire(&self) -> feed::PollRequest {
        let granted = |(merchant, visible_from): &(MerchantId, Timestamp)| feed::GrantedMerchant {
            merchant_id: to_bytes(merchant.as_bytes()),
            visible_from_ms: visible_from.unix_ms(),
        };
        feed::PollRequest {
            application_id: self.application.clone(),
            merchants: self.merchants.iter().map(granted).collect(),
            filter: Some(filter_to_wire(&self.filter)),
            limit: self.limit,
            fallback_unreachable: false,
            shadow: self.shadow,
        }
    }
}

#[derive(Debug, Default)]
pub struct Polled {
    pub events: Vec<FeedEvent>,
    pub hidden: Vec<EventId>,
}

impl Polled {
    pub fn ids(&self) -> Vec<EventId> {
        self.events.iter().map(|event| event.id).collect()
    }

    pub fn id_set(&self) -> BTreeSet<EventId> {
        self.events.iter().map(|event| event.id).collect()
    }
}

pub fn ids<'a>(events: impl IntoIterator<Item = &'a FeedEvent>) -> BTreeSet<EventId> {
    events.into_iter().map(|event| event.id).collect()
}

/// Waits for a condition, at most 10 s.
pub async fn eventually<F: Future<Output = bool>>(what: &str, condition: impl Fn() -> F) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A core that knows some events and counts who asks for them.
#[derive(Clone, Default)]
pub struct FakeCore {
    pub events: Arc<Mutex<Vec<FeedEvent>>>,
    pub asked: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl GatewayCore for FakeCore {
    async fn events_of_order(
        &self,
        request: Request<EventsOfOrderRequest>,
    ) -> Result<Response<EventsOfOrderReply>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let request = request.into_inner();
        let wanted = |event: &&FeedEvent| {
            event.order.as_bytes()[..] == request.order_id[..]
                && (request.from_sequence..=request.to_sequence).contains(&event.sequence)
        };
        let events = self.events.lock().iter().filter(wanted).map(event_to_wire).collect();
        Ok(Response::new(EventsOfOrderReply { events }))
    }

    async fn submit(&self, _: Request<SubmitRequest>) -> Result<Response<SubmitReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }

    async fn act(&self, _: Request<ActRequest>) -> Result<Response<ActReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }

    async fn get_order(&self, _: Request<GetOrderRequest>) -> Result<Response<GetOrderReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }

    async fn get_evidence(&self, _: Request<GetEvidenceRequest>) -> Result<Response<GetEvidenceReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }

    async fn erase_order(&self, _: Request<EraseOrderRequest>) -> Result<Response<EraseOrderReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }

    async fn report_serving(&self, _: Request<ReportServingRequest>) -> Result<Response<ReportServingReply>, Status> {
        Err(Status::unimplemented("not this fake's"))
    }
}
