//! The one door of these tests: a DynamoDB, a topic with a queue, a clock that the test moves, and services on them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use merchant_connection::store::Store;
use merchant_connection::{Config, Dependencies, Handle, NodeId, PresencePartition, Service};
use message_bus::in_memory::{Faults, InMemoryQueue, InMemoryTopic};
use message_bus::{Queue, SharedTopic};
use order_model::{Clock, ManualClock, MerchantId, RoutingHash, SharedClock, Timestamp};
use proto::conversions::to_bytes;
use proto::merchant_connection as wire;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::{Transport, local};
use replicated_grid::{Grid, SingleNode};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Response, Status};

use crate::proxy::Proxy;

pub const PREFIX: &str = "test-";
/// The default.
pub const PARTITIONS: u16 = 4;
const PATIENCE: Duration = Duration::from_secs(30);
/// How far a step moves the clock, and how long a sweep then has to see it: the service counts up to 200 ms a sweep.
const STEP: (Duration, Duration) = (Duration::from_millis(100), Duration::from_millis(60));

pub struct Platform {
    _aws: local_aws::LocalAws,
    pub dynamodb: Proxy,
    topic: Arc<InMemoryTopic>,
    queue: Arc<InMemoryQueue>,
    pub clock: Arc<ManualClock>,
}

/// A service that runs.
pub struct Running {
    pub api: MerchantConnectionClient<Transport>,
    pub handle: Handle,
    /// Where its state is, beyond its life.
    pub grid: SingleNode<PresencePartition>,
    clock: Arc<ManualClock>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

/// A message of `merchant-status`.
#[derive(Debug, Clone)]
pub struct Published {
    pub json: serde_json::Value,
    pub attributes: BTreeMap<String, String>,
}

impl Published {
    /// Merchant, status and sequence.
    pub fn brief(&self) -> (String, String, u64) {
        let text = |field: &str| self.json[field].as_str().unwrap().to_owned();
        (text("merchantId"), text("status"), self.json["sequence"].as_u64().unwrap())
    }

    pub fn id(&self) -> String {
        self.json["id"].as_str().unwrap().to_owned()
    }

    pub fn time(&self, field: &str) -> Timestamp {
        self.json[field].as_str().unwrap().parse().unwrap()
    }
}

/// Fresh beats of `merchants`, which are all there are.
pub fn beats(merchants: &[u32]) -> wire::BeatRequest {
    let beat = |number: &u32| wire::Beat { merchant_id: to_bytes(merchant(*number).as_bytes()), age_ms: 0 };
    let partitions = (0..u32::from(PARTITIONS)).collect();
    wire::BeatRequest {
        beats: merchants.iter().map(beat).collect(),
        partitions,
        partition_count: u32::from(PARTITIONS),
        pass_on: false,
    }
}

pub fn partition_of(number: u32) -> u16 {
    RoutingHash::of(merchant(number)).0 % PARTITIONS
}

pub fn merchant(number: u32) -> MerchantId {
    MerchantId::from_bytes((u128::from(number) << 96 | 0xabcd).to_be_bytes())
}

/// What [`Published::brief`] gives.
pub fn brief(number: u32, status: &str, sequence: u64) -> (String, String, u64) {
    (merchant(number).to_string(), status.to_owned(), sequence)
}

pub fn briefs(published: &[Published]) -> Vec<(String, String, u64)> {
    published.iter().map(Published::brief).collect()
}

pub fn config() -> Config {
    Config { offline_after: Duration::from_secs(1), sweep_interval: Duration::from_millis(100), ..Config::default() }
}

impl Platform {
    pub async fn start() -> Self {
        let aws = local_aws::LocalAws::start(local_aws::Config::default()).unwrap();
        let dynamodb = Proxy::before(aws.address()).await;
        let topic = Arc::new(InMemoryTopic::new("merchant-status"));
        let queue = Arc::new(InMemoryQueue::new("listener"));
        topic.subscribe(Arc::clone(&queue));
        let clock = ManualClock::new("2026-11-20T12:00:00Z".parse().unwrap());
        let platform = Self { _aws: aws, dynamodb, topic, queue, clock };
        // Twice: what exists is left as it is.
        merchant_connection::create_tables(&platform.client(), PREFIX).await.unwrap();
        merchant_connection::create_tables(&platform.client(), PREFIX).await.unwrap();
        platform
    }

    pub fn client(&self) -> aws_sdk_dynamodb::Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .region(Region::new("us-east-1"))
            .retry_config(RetryConfig::disabled())
            .endpoint_url(self.dynamodb.endpoint())
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    pub fn store(&self) -> Store {
        Store::new(self.client(), PREFIX)
    }

    /// A service, running and ready.
    pub async fn service(&self, config: Config) -> Running {
        let running = self.starting(config);
        eventually("ready", async || running.handle.readiness().is_ok()).await;
        running
    }

    /// A service that was started just now, on a grid that knows nothing.
    pub fn starting(&self, config: Config) -> Running {
        let grid = replicated_grid::Config { name: "merchant-connection", partitions: config.partitions };
        let grid = SingleNode::new(&grid, Arc::clone(&self.clock) as SharedClock, PresencePartition::default);
        self.starting_on(config, grid)
    }

    /// The same on a grid that may know something.
    pub fn starting_on(&self, config: Config, grid: SingleNode<PresencePartition>) -> Running {
        let dependencies = self.dependencies(Arc::clone(&self.clock) as SharedClock, grid.clone().into(), NodeId(1));
        let service = Service::build(config, dependencies).unwrap();
        let handle = service.handle();
        let api = MerchantConnectionClient::new(local(merchant_connection::grpc(handle.clone())));
        let shutdown = CancellationToken::new();
        let until = shutdown.clone();
        let task = tokio::spawn(async move { service.run(until).await.unwrap() });
        Running { api, handle, grid, clock: Arc::clone(&self.clock), shutdown, task }
    }

    pub fn dependencies(&self, clock: SharedClock, grid: Grid<PresencePartition>, node: NodeId) -> Dependencies {
        Dependencies {
            clock,
            grid,
            node,
            dynamodb: self.client(),
            table_prefix: PREFIX.to_owned(),
            merchant_status: Arc::clone(&self.topic) as SharedTopic,
        }
    }

    pub fn topic_is_down(&self, unavailable: bool) {
        self.topic.set_faults(Faults { unavailable, ..Faults::default() });
    }

    /// Everything published since the last call.
    pub async fn published(&self) -> Vec<Published> {
        let mut all = Vec::new();
        loop {
            let batch = self.queue.receive(10, Duration::ZERO, Duration::from_secs(600)).await.unwrap();
            if batch.is_empty() {
                return all;
            }
            self.queue.delete(batch.iter().map(|message| message.receipt.clone()).collect()).await;
            all.extend(batch.into_iter().map(|message| Published {
                json: serde_json::from_str(&message.body).unwrap(),
                attributes: message.attributes,
            }));
        }
    }

    /// Lets time pass, with `beating` heard in each step, until `count` messages were published.
    pub async fn published_while(&self, service: &Running, beating: &[u32], count: usize) -> Vec<Published> {
        let mut all = Vec::new();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while all.len() < count {
            assert!(tokio::time::Instant::now() < deadline, "published only {all:#?}");
            service.step(beating).await;
            all.extend(self.published().await);
        }
        all
    }
}

impl Running {
    /// Stops it as a termination signal does.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.unwrap();
    }

    /// A tenth of a second passes, in which a kitchen-api calls with the beats of `beating`.
    pub async fn step(&self, beating: &[u32]) {
        self.clock.advance(STEP.0);
        self.beat(beating).await;
        tokio::time::sleep(STEP.1).await;
    }

    /// So many steps: for showing that something does not happen.
    pub async fn steps(&self, count: usize, beating: &[u32]) {
        for _ in 0..count {
            self.step(beating).await;
        }
    }

    /// A kitchen-api calls with fresh beats, which are all there are; the partitions that were refused.
    pub async fn beat(&self, merchants: &[u32]) -> Vec<u32> {
        self.api.clone().beat(beats(merchants)).await.unwrap().into_inner().refused_partitions
    }

    pub async fn presence(&self, number: u32) -> wire::MerchantPresence {
        self.ask_presence(number, false).await.presences.into_iter().next().unwrap()
    }

    pub async fn ask_presence(&self, number: u32, with_last_change: bool) -> wire::PresenceReply {
        let merchant_ids = vec![to_bytes(merchant(number).as_bytes())];
        let request = wire::PresenceRequest { merchant_ids, with_last_change };
        self.api.clone().presence(request).await.unwrap().into_inner()
    }

    pub async fn totals(&self) -> wire::TotalsReply {
        self.api.clone().totals(wire::TotalsRequest {}).await.unwrap().into_inner()
    }

    /// Newest first; `before_ms` 0 for the newest.
    pub async fn history(&self, number: u32, limit: u32, before_ms: i64) -> Vec<wire::Transition> {
        let merchant_id = to_bytes(merchant(number).as_bytes());
        let request = wire::HistoryRequest { merchant_id, limit, before_ms };
        self.api.clone().history(request).await.unwrap().into_inner().transitions
    }

    pub async fn put(&self, merchant: wire::Merchant) -> Result<bool, Status> {
        self.api.clone().put_merchant(merchant).await.map(|reply| reply.into_inner().created)
    }

    /// Puts a profile at its version; why it was refused, if it was.
    pub async fn put_at(&self, merchant: wire::Merchant) -> Result<wire::PutRefusal, Status> {
        self.api.clone().put_merchant(merchant).await.map(|reply| reply.into_inner().refusal())
    }

    pub async fn lookup(&self, by: wire::lookup_request::By) -> Result<wire::Merchant, Status> {
        self.api.clone().lookup(wire::LookupRequest { by: Some(by) }).await.map(Response::into_inner)
    }

    pub fn now_ms(&self) -> i64 {
        self.clock.now().unix_ms()
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, condition: impl AsyncFn() -> bool) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !condition().await {
        assert!(tokio::time::Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
