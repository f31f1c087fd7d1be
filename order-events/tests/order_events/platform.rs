//! The one door of these tests: a service with its queue and its peers, and helpers that speak like a POS.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use event_feed::{AuthorisedMerchants, FeedEvent, Filter, GrantedMerchant, TraceId, notification};
use message_bus::in_memory::InMemoryQueue;
use message_bus::{OutgoingMessage, Queue};
use order_events::state::FeedPartition;
use order_events::{Config, Dependencies, Handle, PollFlags, PollOutcome, Service};
use order_model::{
    ApplicationId, Clock, EventCategory, EventCode, EventId, EventIdKey, MerchantId, OrderId, PartitionCount,
    RoutingHash, Timestamp,
};
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use replicated_grid::{NodeId, SingleNode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::peers::{FakeCore, FakePolling};

/// When every test begins.
pub const START_MS: i64 = 1_795_000_000_000;

/// How long any condition may take, in tokio's time: many rounds of the queue's visibility timeout, 30 s.
const PATIENCE: Duration = Duration::from_secs(600);

/// Wall clock and monotonic clock out of tokio's paused time; the wall clock can jump.
pub struct VirtualClock {
    started: Instant,
    skew_ms: AtomicI64,
}

impl VirtualClock {
    pub fn jump(&self, by_ms: i64) {
        self.skew_ms.fetch_add(by_ms, Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        let elapsed_ms = i64::try_from(self.started.elapsed().as_millis()).unwrap();
        Timestamp::from_unix_ms(START_MS + elapsed_ms + self.skew_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

pub fn key() -> EventIdKey {
    EventIdKey::from_bytes([5; 16])
}

pub fn application() -> ApplicationId {
    "dev-pos".parse().unwrap()
}

pub fn merchant(number: u8) -> MerchantId {
    MerchantId::from_bytes([number; 16])
}

pub fn order(number: u32) -> OrderId {
    OrderId::from_bytes(u128::from(number).to_be_bytes())
}

pub fn partition_of(merchant: MerchantId) -> u32 {
    u32::from(RoutingHash::of(merchant).partition(PartitionCount::DEFAULT).0)
}

/// Event `sequence` of order `number` of a merchant, created shortly before the start, expiring after an hour.
pub fn event(of: u8, number: u32, sequence: u32) -> FeedEvent {
    let created_at = Timestamp::from_unix_ms(START_MS - 60_000 + i64::from(number) * 10 + i64::from(sequence));
    let mut event = FeedEvent {
        id: EventId::derive(&key(), created_at, merchant(of), order(number), sequence),
        order: order(number),
        merchant: merchant(of),
        code: if sequence == 1 { EventCode::Placed } else { EventCode::Confirmed },
        category: EventCategory::Food,
        sequence,
        created_at,
        expires_at: created_at.plus(Duration::from_secs(3_600)),
        trace: TraceId([3; 16]),
        body: Bytes::new(),
    };
    event.body = notification::encode_body(&event, "IFOOD", None);
    event
}

pub struct Platform {
    pub handle: Handle,
    pub grid: SingleNode<FeedPartition>,
    pub clock: Arc<VirtualClock>,
    pub feed: Arc<InMemoryQueue>,
    pub dead_letters: Arc<InMemoryQueue>,
    pub polling: FakePolling,
    pub core: FakeCore,
    shutdown: CancellationToken,
    running: tokio::task::JoinHandle<Result<(), order_events::Error>>,
}

impl Platform {
    /// A running service that serves.
    pub async fn start() -> Self {
        let platform = Self::start_with(FakePolling::default(), |_| {});
        platform.eventually_ready().await;
        platform
    }

    /// A running service that may not serve yet.
    pub fn start_with(polling: FakePolling, configure: impl FnOnce(&mut Config)) -> Self {
        Self::start_over(polling, configure, |_| {})
    }

    /// The same over a grid that was prepared.
    pub fn start_over(
        polling: FakePolling,
        configure: impl FnOnce(&mut Config),
        prepare: impl FnOnce(&SingleNode<FeedPartition>),
    ) -> Self {
        let clock = Arc::new(VirtualClock { started: Instant::now(), skew_ms: AtomicI64::new(0) });
        let feed = Arc::new(InMemoryQueue::new("order-events-feed"));
        let dead_letters = Arc::new(InMemoryQueue::new("order-events-feed-dlq"));
        let core = FakeCore::default();
        let mut config = Config::new(key());
        configure(&mut config);
        let limits = config.limits;
        let grid_config = replicated_grid::Config { name: "order-events", partitions: config.partitions.0 };
        let grid = SingleNode::new(&grid_config, clock.clone(), || FeedPartition::new(limits));
        prepare(&grid);
        let dependencies = Dependencies {
            clock: clock.clone(),
            grid: grid.clone().into(),
            node: NodeId(1),
            feed: feed.clone(),
            dead_letters: dead_letters.clone(),
            connection_polling: ConnectionPollingClient::new(polling.transport()),
            gateway_core: GatewayCoreClient::new(core.transport()),
        };
        let service = Service::build(config, dependencies).unwrap();
        let (handle, shutdown) = (service.handle(), CancellationToken::new());
        let running = tokio::spawn(service.run(shutdown.clone()));
        Self { handle, grid, clock, feed, dead_letters, polling, core, shutdown, running }
    }

    pub async fn eventually_ready(&self) {
        eventually("ready", || self.handle.readiness().is_ok()).await;
    }

    /// Publishes events to the feed queue, in this order.
    pub async fn publish(&self, events: &[FeedEvent]) {
        let message = |event: &FeedEvent| {
            let (body, attributes) = notification::encode(event, "IFOOD", None);
            OutgoingMessage { body, attributes }
        };
        let sent = self.feed.send(events.iter().map(message).collect()).await;
        assert!(sent.iter().all(Result::is_ok));
    }

    pub fn poll(&self, merchants: &[u8]) -> PollOutcome {
        self.poll_as(&application(), merchants, 1_000, PollFlags::default())
    }

    pub fn poll_as(
        &self,
        application: &ApplicationId,
        merchants: &[u8],
        limit: usize,
        flags: PollFlags,
    ) -> PollOutcome {
        self.handle.poll(&authorised(application, merchants), &Filter::default(), limit, flags)
    }

    /// The ids a poll shows, in order; it must not be refused.
    pub fn shown(&self, merchants: &[u8]) -> Vec<EventId> {
        let outcome = self.poll(merchants);
        assert_eq!(outcome.refused, []);
        outcome.events.iter().map(|event| event.id).collect()
    }

    pub async fn eventually_shown(&self, merchants: &[u8], expected: &[FeedEvent]) {
        let expected: Vec<EventId> = expected.iter().map(|event| event.id).collect();
        eventually("the events are shown", || self.shown(merchants) == expected).await;
    }

    pub async fn acknowledge(&self, ids: &[EventId]) {
        assert_eq!(self.handle.acknowledge(&application(), ids).await, []);
    }

    /// Stops the service, which must drain.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.unwrap().unwrap();
    }
}

pub fn authorised(application: &ApplicationId, merchants: &[u8]) -> AuthorisedMerchants {
    let granted = |number: &u8| GrantedMerchant { merchant: merchant(*number), visible_from: Timestamp::default() };
    AuthorisedMerchants::vouched_for_by_peer(application.clone(), merchants.iter().map(granted).collect())
}

/// Waits for a condition, with a deadline.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
