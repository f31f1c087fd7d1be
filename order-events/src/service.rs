//! The service: what it is configured with, what it is given, the handle that answers, and the tasks that run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::{AuthorisedMerchants, Filter};
use futures::future::BoxFuture;
use message_bus::{PacedQueue, SharedQueue};
use order_model::{ApplicationId, EventId, EventIdKey, OrderId, PartitionCount, PartitionId, RoutingHash, SharedClock};
use parking_lot::Mutex;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;
use replicated_grid::{Grid, Leadership, NodeId, SingleNode};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::consumer::{self, Consumer};
use crate::fence::{self, Serving};
use crate::ingest::ACKNOWLEDGE_DEADLINE;
use crate::news::{Subscribers, Subscription};
use crate::order_cache::{self, CachedOrder, OrderCache};
use crate::poll::{PollFlags, PollOutcome};
use crate::rebuild::{self, Progress};
use crate::soft_state::SoftState;
use crate::state::{FeedPartition, Limits};
use crate::telemetry::Telemetry;
use crate::{gaps, reconcile, upkeep};

/// How long receiving rests after a batch that was not full, so that the next one is fuller: an event is visible to a
/// waiting POS that much later at the most, and at hundreds of events a second takes a fraction of the calls.
const FEED_PAUSE: Duration = Duration::from_millis(10);

/// The settings, as plain values.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many partitions, those of the grid; fixed for the life of a cluster.
    pub partitions: PartitionCount,
    /// The key under which event ids are made, shared by the cluster.
    pub event_id_key: EventIdKey,
    /// How many bodies each partition keeps in memory: what a new [`FeedPartition`] of the grid is made with.
    pub limits: Limits,
    /// How long a read of the fence lets a partition serve; the same for everyone who raises one.
    pub fence: Duration,
    /// How often the fences are read; well below `fence`.
    pub fence_read_interval: Duration,
    /// How many readers of the feed queue run side by side.
    pub feed_readers: usize,
    /// The most bytes of cached orders.
    pub order_cache_bytes_max: usize,
    /// How long `run` waits for its tasks after it was told to stop.
    pub drain_timeout: Duration,
}

impl Config {
    /// CONTRACT's defaults under `event_id_key`, which has none: 16 partitions, FENCE 3 s read every second, 4 readers,
    /// 256 MiB of cached orders, 10 s to drain.
    pub fn new(event_id_key: EventIdKey) -> Self {
        Self {
            partitions: PartitionCount::DEFAULT,
            event_id_key,
            limits: Limits::default(),
            fence: Duration::from_secs(3),
            fence_read_interval: Duration::from_secs(1),
            feed_readers: 4,
            order_cache_bytes_max: 256 * 1024 * 1024,
            drain_timeout: Duration::from_secs(10),
        }
    }
}

/// What the service is given.
#[derive(Clone)]
pub struct Dependencies {
    /// Wall-clock and monotonic time.
    pub clock: SharedClock,
    /// The partitions, whichever runner stands behind them; see [`single_node`] for the simplest.
    pub grid: Grid<FeedPartition>,
    /// Who this process is in the grid.
    pub node: NodeId,
    /// The queue `order-events-feed`.
    pub feed: SharedQueue,
    /// The queue `order-events-feed-dlq`.
    pub dead_letters: SharedQueue,
    /// connection-polling: export and fence.
    pub connection_polling: ConnectionPollingClient<Transport>,
    /// gateway-core: gaps and orders.
    pub gateway_core: GatewayCoreClient<Transport>,
}

/// The service could not be built or ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot work.
    #[error("setting {setting}: {reason}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A task panicked, which is a bug.
    #[error("a task of order-events failed")]
    Task(#[source] tokio::task::JoinError),
    /// Tasks did not end within the drain timeout; what they were doing will be repeated by the next process.
    #[error("order-events did not drain within {0:?}")]
    DrainTimeout(Duration),
}

/// A grid of this process alone, for tests and for a platform that keeps nothing. Its node is 1.
pub fn single_node(config: &Config, clock: SharedClock) -> Grid<FeedPartition> {
    let grid = replicated_grid::Config { name: "order-events", partitions: config.partitions.0 };
    let limits = config.limits;
    SingleNode::new(&grid, clock, || FeedPartition::new(limits)).into()
}

/// What all parts of the service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) grid: Grid<FeedPartition>,
    pub(crate) node: NodeId,
    pub(crate) leadership: watch::Receiver<Arc<[Leadership]>>,
    pub(crate) serving: Serving,
    /// Told whenever partitions were rebuilt.
    pub(crate) rebuilt: Notify,
    pub(crate) orders: OrderCache,
    pub(crate) orders_to_cache: mpsc::Sender<OrderId>,
    pub(crate) progress: Mutex<Progress>,
    pub(crate) telemetry: Arc<Telemetry>,
    /// Who wants to know of new events.
    pub(crate) subscribers: Arc<Subscribers>,
    soft: Vec<SoftState>,
    fence_epochs: Mutex<Vec<u64>>,
    turn: AtomicUsize,
}

impl Shared {
    pub(crate) fn partition_of(&self, hash: RoutingHash) -> PartitionId {
        hash.partition(self.config.partitions)
    }

    pub(crate) fn soft_of(&self, partition: PartitionId) -> &SoftState {
        &self.soft[usize::from(partition.0)]
    }

    /// A number that wanders from poll to poll.
    pub(crate) fn next_turn(&self) -> usize {
        self.turn.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn note_fence_epochs(&self, epochs: impl Iterator<Item = u64>) {
        let mut noted = self.fence_epochs.lock();
        noted.clear();
        noted.extend(epochs);
    }

    pub(crate) fn fence_epochs(&self) -> Vec<u64> {
        self.fence_epochs.lock().clone()
    }
}

/// The API for callers in the same process; cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

impl Handle {
    /// Answers a poll from memory, in microseconds and without awaiting anything: at most `limit` (1 to 1000) events of
    /// the merchants authorised, through `filter`. Merchants of refused partitions are left out: ask the fallback for those.
    pub fn poll(
        &self,
        authorised: &AuthorisedMerchants,
        filter: &Filter,
        limit: usize,
        flags: PollFlags,
    ) -> PollOutcome {
        self.shared.poll(authorised, filter, limit, flags)
    }

    /// Acknowledges events for an application and answers, within 1 s, the partitions that are not known to have applied
    /// it; empty when all did. Ids that are not genuine are stored nowhere. Works whether or not a partition serves, and
    /// wherever it is led.
    pub async fn acknowledge(&self, application: &ApplicationId, ids: &[EventId]) -> Vec<PartitionId> {
        self.shared.acknowledge(application, ids, ACKNOWLEDGE_DEADLINE).await
    }

    /// The order, if it was placed or patched within the last two hours and fits the cache. For when the core does not answer.
    pub fn cached_order(&self, order: OrderId) -> Option<CachedOrder> {
        self.shared.orders.get(order, self.shared.clock.monotonic())
    }

    /// Tells, from now on, which merchants get something new that this process brings in, wherever it is led. The event
    /// is applied by then: a poll of its leader shows it, unless it stands above a gap.
    pub fn subscribe(&self) -> Subscription {
        self.shared.subscribers.subscribe()
    }

    /// Who this process is in the grid.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Who leads each partition, by its number, and every change of it.
    pub fn leadership(&self) -> watch::Receiver<Arc<[Leadership]>> {
        self.shared.grid.leadership()
    }
}

/// The service before and while it runs.
pub struct Service {
    shared: Arc<Shared>,
    dependencies: Dependencies,
    orders_wanted: mpsc::Receiver<OrderId>,
}

impl Service {
    /// Puts the service together; nothing is read, sent or served yet.
    ///
    /// # Errors
    /// When a setting cannot work.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        if config.fence_read_interval * 2 > config.fence {
            return Err(Error::Setting { setting: "fence_read_interval", reason: "must be at most half of fence" });
        }
        if config.feed_readers == 0 {
            return Err(Error::Setting { setting: "feed_readers", reason: "must be at least 1" });
        }
        if dependencies.grid.partitions() != config.partitions.0.get() {
            return Err(Error::Setting { setting: "partitions", reason: "must be as many as the grid has" });
        }
        let grid = dependencies.grid.clone();
        let (orders_to_cache, orders_wanted) = mpsc::channel(order_cache::QUEUED_MAX);
        let shared = Shared {
            node: dependencies.node,
            leadership: grid.leadership(),
            grid,
            clock: Arc::clone(&dependencies.clock),
            serving: Serving::default(),
            rebuilt: Notify::new(),
            orders: OrderCache::new(config.order_cache_bytes_max),
            orders_to_cache,
            progress: Mutex::default(),
            telemetry: Arc::new(Telemetry::register()),
            subscribers: Arc::default(),
            soft: config.partitions.iter().map(|_| SoftState::default()).collect(),
            fence_epochs: Mutex::default(),
            turn: AtomicUsize::new(0),
            config,
        };
        Ok(Self { shared: Arc::new(shared), dependencies, orders_wanted })
    }

    /// The API for the same process.
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Runs until `shutdown`, then drains. Consumes and takes acknowledgments at once; serves what it leads once that is
    /// rebuilt and taken back.
    ///
    /// # Errors
    /// When a task panicked or did not end in time.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { shared, dependencies, orders_wanted } = self;
        let Dependencies { feed, dead_letters, connection_polling, gateway_core, .. } = dependencies;
        let mut tasks = JoinSet::new();
        let consumer = Consumer {
            queue: Arc::new(PacedQueue::new(feed, FEED_PAUSE)),
            dead_letters,
            sink: Arc::clone(&shared) as Arc<dyn crate::ingest::EventSink>,
            telemetry: Arc::clone(&shared.telemetry),
            lanes: consumer::lanes(shared.grid.partitions()),
            failures: Arc::default(),
        };
        for _ in 0..shared.config.feed_readers {
            tasks.spawn(consumer.clone().run(shutdown.clone()));
        }
        tasks.spawn(order_cache::fill(Arc::clone(&shared), gateway_core.clone(), orders_wanted, shutdown.clone()));
        tasks.spawn(gaps::fill(Arc::clone(&shared), gateway_core, shutdown.clone()));
        tasks.spawn(upkeep::run(Arc::clone(&shared), shutdown.clone()));
        tasks.spawn(rebuild::run(Arc::clone(&shared), connection_polling.clone(), shutdown.clone()));
        tasks.spawn(reconcile::run(Arc::clone(&shared), connection_polling.clone(), shutdown.clone()));
        tasks.spawn(fence::keep(Arc::clone(&shared), connection_polling, shutdown.clone()));
        let result = supervise(tasks, &shutdown, shared.config.drain_timeout).await;
        for partition in 0..shared.grid.partitions() {
            shared.grid.stop_serving(partition);
        }
        result
    }
}

/// Waits for the tasks: a failure of one ends all, and after `shutdown` they have `drain_timeout`.
async fn supervise(mut tasks: JoinSet<()>, shutdown: &CancellationToken, drain_timeout: Duration) -> Result<(), Error> {
    while !shutdown.is_cancelled() {
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = tasks.join_next() => match ended {
                Some(Err(error)) => {
                    shutdown.cancel();
                    return Err(Error::Task(error));
                }
                Some(Ok(())) => {}
                None => return Ok(()),
            },
        }
    }
    let drained = tokio::time::timeout(drain_timeout, async {
        while let Some(ended) = tasks.join_next().await {
            ended.map_err(Error::Task)?;
        }
        Ok(())
    });
    drained.await.unwrap_or(Err(Error::DrainTimeout(drain_timeout)))
}
