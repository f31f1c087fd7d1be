//! The service: what it is configured with, what it is given, and what all its parts share.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use futures::future::BoxFuture;
use message_bus::SharedTopic;
use order_model::{PartitionCount, SharedClock};
use parking_lot::RwLock;
use replicated_grid::{Grid, Leadership, NodeId, SingleNode};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::error::Error;
use crate::leading;
use crate::led::Led;
use crate::outbox::Outbox;
use crate::presence::PresencePartition;
use crate::store::Store;

/// What the service is given.
pub struct Dependencies {
    /// Time.
    pub clock: SharedClock,
    /// The partitions, whichever runner stands behind them; see [`single_node`] for the simplest.
    pub grid: Grid<PresencePartition>,
    /// Who this process is in the grid.
    pub node: NodeId,
    /// Owner of the `merchants` table.
    pub dynamodb: aws_sdk_dynamodb::Client,
    /// Prefix of the table's name.
    pub table_prefix: String,
    /// `merchant-status`.
    pub merchant_status: SharedTopic,
}

/// A grid of this process alone, for tests and for a platform that keeps nothing. Its node is 1.
pub fn single_node(config: &Config, clock: SharedClock) -> Grid<PresencePartition> {
    let grid = replicated_grid::Config { name: "merchant-connection", partitions: config.partitions };
    SingleNode::new(&grid, clock, PresencePartition::default).into()
}

/// merchant-connection.
pub struct Service {
    handle: Handle,
}

/// The API in the same process, and what the RPCs are made of.
#[derive(Clone)]
pub struct Handle {
    pub(crate) shared: Arc<Shared>,
}

/// What all parts of the service share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) partitions: PartitionCount,
    pub(crate) clock: SharedClock,
    pub(crate) grid: Grid<PresencePartition>,
    pub(crate) node: NodeId,
    pub(crate) leadership: watch::Receiver<Arc<[Leadership]>>,
    /// What is led here, by partition.
    pub(crate) led: Box<[RwLock<Option<Arc<Led>>>]>,
    pub(crate) store: Store,
    pub(crate) outbox: Outbox,
    /// Told when a partition was taken over.
    pub(crate) restore_wanted: Notify,
    /// Counts restores that ended.
    pub(crate) restores: watch::Sender<u64>,
    /// Items read by the restore under way.
    pub(crate) restored_items: AtomicU64,
}

impl Service {
    /// Builds it; touches nothing outside.
    ///
    /// # Errors
    /// When a setting is out of range, or the grid is not the one of the settings.
    pub fn build(config: Config, dependencies: Dependencies) -> Result<Self, Error> {
        for (setting, value, least) in [
            ("offline_after", config.offline_after, Duration::from_secs(1)),
            ("sweep_interval", config.sweep_interval, Duration::from_millis(100)),
        ] {
            if value < least {
                return Err(Error::Setting { setting, least });
            }
        }
        let (configured, of_grid) = (config.partitions.get(), dependencies.grid.partitions());
        if configured != of_grid {
            return Err(Error::Partitions { configured, of_grid });
        }
        let store = Store::new(dependencies.dynamodb, &dependencies.table_prefix);
        let shared = Shared {
            partitions: PartitionCount(config.partitions),
            leadership: dependencies.grid.leadership(),
            led: (0..configured).map(|_| RwLock::default()).collect(),
            outbox: Outbox { store: store.clone(), topic: dependencies.merchant_status },
            config,
            clock: dependencies.clock,
            grid: dependencies.grid,
            node: dependencies.node,
            store,
            restore_wanted: Notify::new(),
            restores: watch::Sender::new(0),
            restored_items: AtomicU64::new(0),
        };
        let shared = Arc::new(shared);
        shared.answer_questions();
        Ok(Self { handle: Handle { shared } })
    }

    /// The API for the same process.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until `shutdown`, then writes and publishes what was decided, for at most the drain timeout.
    ///
    /// # Errors
    /// When a task panicked.
    pub fn run(self, shutdown: CancellationToken) -> BoxFuture<'static, Result<(), Error>> {
        // Boxed here, so that it is compiled here and not in each crate that runs it.
        Box::pin(self.serve_until(shutdown))
    }

    async fn serve_until(self, shutdown: CancellationToken) -> Result<(), Error> {
        let ended = leading::run(Arc::clone(&self.handle.shared), shutdown).await;
        for partition in 0..self.handle.shared.grid.partitions() {
            self.handle.shared.grid.stop_serving(partition);
        }
        ended
    }
}

impl Handle {
    /// Who this process is in the grid.
    pub fn node(&self) -> NodeId {
        self.shared.node
    }

    /// Who leads each partition, by its number, and every change of it.
    pub fn leadership(&self) -> watch::Receiver<Arc<[Leadership]>> {
        self.shared.grid.leadership()
    }
}
