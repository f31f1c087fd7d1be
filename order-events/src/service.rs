//! The service: what it is configured with, what it is given, the handle that answers, and the tasks that run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_feed::{AuthorisedMerchants, Filter};
use message_bus::SharedQueue;
use order_model::{ApplicationId, EventId, EventIdKey, OrderId, PartitionCount, PartitionId, RoutingHash, SharedClock};
use parking_lot::Mutex;
use proto::connection_polling::connection_polling_client::ConnectionPollingClient;
use proto::gateway_core::gateway_core_client::GatewayCoreClient;
use proto::transport::Transport;
use replicated_grid::{Grid, SingleNode};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::consumer::Consumer;
use crate::fence::{self, Serving};
use crate::order_cache::{self, CachedOrder, OrderCache};
use crate::poll::{PollFlags, PollOutcome, RefusalReason};
use crate::rebuild::{self, Progress};
use crate::soft_state::SoftState;
use crate::state::{FeedPartition, Limits};
use crate::telemetry::Telemetry;
use crate::{gaps, upkeep};

/// The settings, as plain values.
#[derive(Debug, Clone)]
pub struct Config {
    /// How many partitions; fixed for the life of a cluster.
    pub partitions: PartitionCount,
    /// The key under which event ids are made, shared by the cluster.
    pub event_id_key: EventIdKey,
    /// How many bodies each partition keeps in memory.
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

/// How one partition stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// Which.
    pub partition: PartitionId,
    /// Why it does not serve; `None` when it does.
    pub why_not: Option<RefusalReason>,
    /// Events stored, expired ones that are still recognised included.
    pub events: u64,
    /// Acknowledgments that wait for their events.
    pub acknowledgments: u64,
    /// The epoch of its fence when it was last read.
    pub fence_epoch: u64,
}

/// What all parts of the service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) clock: SharedClock,
    pub(crate) grid: Grid<FeedPartition>,
    pub(crate) serving: Serving,
    pub(crate) orders: OrderCache,
    pub(crate) orders_to_cache: mpsc::Sender<OrderId>,
    pub(crate) progress: Mutex<Progress>,
    pub(crate) telemetry: Arc<Telemetry>,
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

    pub(crate) fn refusal_reason(&self) -> RefusalReason {
        self.serving.refusal_reason(self.clock.monotonic(), self.config.fence)
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

    /// Acknowledges events for an application and answers the partitions that did not apply it; empty when all did. Ids
    /// that are not genuine are stored nowhere. Works whether or not a partition serves.
    pub async fn acknowledge(&self, application: &ApplicationId, ids: &[EventId]) -> Vec<PartitionId> {
        self.shared.acknowledge(application, ids).await
    }

    /// The order, if it was placed or patched within the last two hours and fits the cache. For when the core does not answer.
    pub fn cached_order(&self, order: OrderId) -> Option<CachedOrder> {
        self.shared.orders.get(order, self.shared.clock.monotonic())
    }

    /// How every partition stands.
    pub fn status(&self) -> Vec<PartitionStatus> {
        let epochs = self.shared.fence_epochs.lock().clone();
        let grid = &self.shared.grid;
        let status = |partition: PartitionId| {
            let counts = |state: &FeedPartition| (state.event_count() as u64, state.tombstone_count() as u64);
            let (events, acknowledgments) = grid.read_without_lease(partition.0, counts).unwrap_or_default();
            PartitionStatus {
                partition,
                why_not: (!grid.is_serving(partition.0)).then(|| self.shared.refusal_reason()),
                events,
                acknowledgments,
                fence_epoch: epochs.get(usize::from(partition.0)).copied().unwrap_or(0),
            }
        };
        self.shared.config.partitions.iter().map(status).collect()
    }

    /// Whether every partition serves.
    ///
    /// # Errors
    /// With the reason why not, in words.
    pub fn readiness(&self) -> Result<(), String> {
        if !self.shared.serving.is_rebuilt() {
            let progress = self.shared.progress.lock().clone();
            let failure = progress.last_failure.map(|code| format!(", last failure {code}")).unwrap_or_default();
            let (done, total) = (progress.items_done, progress.items_total_estimate);
            return Err(format!("rebuilding from connection-polling: {done} of about {total} items{failure}"));
        }
        let status = self.status();
        let unreadable = status.iter().filter(|one| one.why_not == Some(RefusalReason::FenceUnreadable)).count();
        let out = status.iter().filter(|one| one.why_not.is_some()).count();
        match (out, unreadable) {
            (0, _) => Ok(()),
            (_, 0) => Err(format!("{out} partitions are fenced out and are being taken back")),
            _ => Err(format!("the fences of {unreadable} partitions cannot be read from connection-polling")),
        }
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
        let grid_config = replicated_grid::Config { name: "order-events", partitions: config.partitions.0 };
        let clock = Arc::clone(&dependencies.clock);
        let limits = config.limits;
        let (orders_to_cache, orders_wanted) = mpsc::channel(order_cache::QUEUED_MAX);
        let shared = Shared {
            grid: SingleNode::new(&grid_config, Arc::clone(&clock), || FeedPartition::new(limits)).into(),
            clock,
            serving: Serving::default(),
            orders: OrderCache::new(config.order_cache_bytes_max),
            orders_to_cache,
            progress: Mutex::default(),
            telemetry: Arc::new(Telemetry::register()),
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

    /// Runs until `shutdown`, then drains. Consumes and takes acknowledgments at once; serves once it is rebuilt.
    ///
    /// # Errors
    /// When a task panicked or did not end in time.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { shared, dependencies, orders_wanted } = self;
        let Dependencies { feed, dead_letters, connection_polling, gateway_core, .. } = dependencies;
        let mut tasks = JoinSet::new();
        for _ in 0..shared.config.feed_readers {
            let consumer = Consumer {
                queue: Arc::clone(&feed),
                dead_letters: Arc::clone(&dead_letters),
                sink: Arc::clone(&shared) as Arc<dyn crate::ingest::EventSink>,
                telemetry: Arc::clone(&shared.telemetry),
            };
            tasks.spawn(consumer.run(shutdown.clone()));
        }
        tasks.spawn(order_cache::fill(Arc::clone(&shared), gateway_core.clone(), orders_wanted, shutdown.clone()));
        tasks.spawn(gaps::fill(Arc::clone(&shared), gateway_core, shutdown.clone()));
        tasks.spawn(upkeep::run(Arc::clone(&shared), shutdown.clone()));
        tasks.spawn(rebuild_then_serve(Arc::clone(&shared), connection_polling, shutdown.clone()));
        let result = supervise(tasks, &shutdown, shared.config.drain_timeout).await;
        for partition in 0..shared.grid.partitions() {
            shared.grid.stop_serving(partition);
        }
        result
    }
}

async fn rebuild_then_serve(
    shared: Arc<Shared>,
    client: ConnectionPollingClient<Transport>,
    shutdown: CancellationToken,
) {
    rebuild::run(&shared, &client, &shutdown).await;
    if shutdown.is_cancelled() {
        return;
    }
    tokio::join!(
        fence::keep(Arc::clone(&shared), client.clone(), shutdown.clone()),
        rebuild::reconcile(shared, client, shutdown)
    );
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
