//! One machine of the cluster: what outlives its crashes, and how the grid's node on it is started.
//!
//! Everything below the services is the real code: log, transport, runner. Services on top are started by `grid_run` and
//! `feed_run`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use order_model::SharedClock;
use parking_lot::Mutex;
use rand::Rng;
use rand::rngs::StdRng;
use replicated_grid::log::LogStore;
use replicated_grid::log::snapshots::SnapshotFiles;
use replicated_grid::log::wal::{self, Reads, Wal};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::transport::{
    ClusterName, ConnectionSecurity, GridServer, GridServerConfig, LinkSecurity, Links, LinksConfig,
};
use replicated_grid::{NodeId, StateMachine};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use turmoil::net::TcpListener;

use crate::clock::{HostClock, VirtualTime};
use crate::network::{self, SimulatedDialer, incoming};
use crate::planted::{AckedBeforeSync, SimulationBug};
use crate::seed::Seed;
use crate::storage::MachineDisk;

/// Small segments, so that a run of a minute begins and drops many.
const SEGMENT_BYTES: u64 = 256 * 1024;

/// Few bytes of the log stay in memory, so that followers are fed from the disk as well.
const CACHE_BYTES: usize = 16 * 1024;

const CLUSTER: &str = "simulated";

/// A machine.
pub struct Machine {
    /// Its number, from 1; also its node's id.
    pub number: u64,
    /// Its clocks.
    pub clock: Arc<HostClock>,
    /// How often it has been started.
    pub incarnation: AtomicU32,
    /// Whether it stands still: clients on it begin nothing.
    pub is_frozen: AtomicBool,
    disk: Mutex<MachineDisk>,
    seed: Seed,
}

/// Why a node was not started: in a simulation that is a finding, never a reason to panic.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {reason}")]
pub struct NotStarted {
    step: &'static str,
    reason: String,
}

impl NotStarted {
    /// Says that `step` failed, and why.
    pub fn of<E: std::error::Error>(step: &'static str) -> impl FnOnce(E) -> Self {
        failed(step)
    }
}

fn failed<E: std::error::Error>(step: &'static str) -> impl FnOnce(E) -> NotStarted {
    move |error| {
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            reason = format!("{reason}: {cause}");
            source = cause.source();
        }
        NotStarted { step, reason }
    }
}

/// A node of the grid `M` that runs.
pub struct Started<M: StateMachine> {
    /// The node.
    pub node: ReplicatedNode<M>,
    /// What its peers reach it through, once it is served.
    server: GridServer,
}

/// So many machines, each with clocks of its own.
pub fn all(count: u64, time: &Arc<VirtualTime>, seed: Seed) -> Vec<Arc<Machine>> {
    let mut drifts = seed.stream("drifts");
    let machine = |number| {
        let clock = HostClock::new(Arc::clone(time));
        clock.drift(drifts.random_range(-200..=200), drifts.random_range(-200..=200));
        Machine::new(number, clock, seed)
    };
    (1..=count).map(machine).collect()
}

impl Machine {
    /// A machine that was never started.
    pub fn new(number: u64, clock: Arc<HostClock>, seed: Seed) -> Arc<Self> {
        Arc::new(Self {
            number,
            clock,
            incarnation: AtomicU32::new(0),
            is_frozen: AtomicBool::new(false),
            disk: Mutex::default(),
            seed,
        })
    }

    /// Its name on the network.
    pub fn host(&self) -> String {
        network::host_name(self.number)
    }

    /// Its disk.
    pub fn disk(&self) -> MachineDisk {
        self.disk.lock().clone()
    }

    /// A stream of randomness for one start of this machine.
    pub fn stream(&self, name: &str) -> StdRng {
        let incarnation = self.incarnation.load(Ordering::SeqCst);
        self.seed.stream(&format!("n{}/{incarnation}/{name}", self.number))
    }

    /// A number of the same kind.
    pub fn number_of(&self, name: &str) -> u64 {
        self.stream(name).random()
    }

    /// Opens the log and the snapshots, and starts the node. Within the machine's host.
    ///
    /// # Errors
    /// When a step fails, as it does on a damaged or full disk.
    pub async fn start_node<M: StateMachine>(
        &self,
        config: Config,
        initial: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Started<M>, NotStarted> {
        let disk = self.disk();
        let (node, clock): (NodeId, SharedClock) = (NodeId(self.number), self.clock.clone());
        let mut log_config = wal::Config::new(config.name, CLUSTER.to_owned(), node);
        (log_config.segment_bytes, log_config.cache_bytes) = (SEGMENT_BYTES, CACHE_BYTES);
        log_config.reads = Reads::Inline;
        let files = Arc::new(disk.files.clone());
        let (log, writer) = Wal::open(files.clone(), clock.clone(), &log_config).map_err(failed("opening the log"))?;
        tokio::spawn(disk.write(writer, self.stream("disk")));
        let snapshots = SnapshotFiles::open(files, Reads::Inline).map_err(failed("opening the snapshots"))?;
        let cluster = ClusterName::new(CLUSTER).map_err(failed("naming the cluster"))?;
        let links = LinksConfig { node, cluster: cluster.clone(), security: LinkSecurity::Plain };
        let random = Arc::new(Mutex::new(self.stream("links")));
        let links = Links::new(links, Arc::new(SimulatedDialer), random);
        let mut log: Arc<dyn LogStore> = Arc::new(log);
        if SimulationBug::AckBeforeSync.is_planted() {
            log = Arc::new(AckedBeforeSync(log));
        }
        let name = config.name;
        let dependencies = Dependencies {
            identity: Identity::durable(node),
            address: network::address(self.number),
            log,
            snapshots: Arc::new(snapshots),
            peers: Arc::new(links.peers(name)),
            clock,
        };
        let grid = ReplicatedNode::start(config, dependencies, initial).await.map_err(failed("starting the node"))?;
        let server = GridServer::new(GridServerConfig {
            node,
            cluster,
            membership: grid.membership(),
            security: ConnectionSecurity::Plain,
        });
        server.register(name, grid.requests());
        Ok(Started { node: grid, server })
    }

    /// Serves the peers of a node, and `routes` beside them, until the token is cancelled. Within the machine's host.
    ///
    /// # Errors
    /// When the port is taken.
    pub async fn serve<M: StateMachine>(
        &self,
        started: Started<M>,
        routes: Routes,
    ) -> Result<CancellationToken, NotStarted> {
        let listener = TcpListener::bind(("0.0.0.0", network::GRID_PORT)).await.map_err(failed("listening"))?;
        let shutdown = CancellationToken::new();
        let ending = shutdown.clone();
        tokio::spawn(replicated_grid::spawn::seeded(self.number_of("server"), async move {
            if let Err(error) = started.server.serve(incoming(listener), routes, ending).await {
                tracing::error!(%error, "serving peers ended");
            }
        }));
        Ok(shutdown)
    }
}
