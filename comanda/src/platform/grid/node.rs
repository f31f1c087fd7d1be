//! This process as a node of the grid: who it is, its logs, its listener, and the grids that run on it.
//!
//! Everything of the grid runs on a runtime of its own, so that a flood of polls cannot starve elections. The services get
//! a [`Grid`] each and know nothing of this.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use merchant_connection::PresencePartition;
use order_events::state::FeedPartition;
use order_model::SharedClock;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use replicated_grid::log::disk::RealDisk;
use replicated_grid::log::snapshots::SnapshotFiles;
use replicated_grid::log::wal::{self, Health, Reads, Wal};
use replicated_grid::log::{LogStore, MemoryLog, MemorySnapshots, SnapshotStore};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::transport::{
    self, ClusterName, ConnectionSecurity, GridServer, GridServerConfig, LinkSecurity, Links, LinksConfig, Memberships,
    NodeTls, TcpDialer, TlsConfig,
};
use replicated_grid::{Grid, Member, NodeId, StateMachine};
use tokio::net::TcpListener;
use tokio::runtime::{Handle, Runtime};
use tonic::service::Routes;

use super::admin_server::{AdminServer, NamedGrid};
use super::link::GridLink;
use super::{link, lost_log, node_id};
use crate::failure::{Context, Failure};
use crate::platform::admission::{Admission, accepted};
use crate::platform::members::{Members, Stage};
use crate::platform::{feed_port, internal_rpc, listeners};
use crate::settings::Settings;

/// Threads of the grid's runtime: elections need one that is free, and more compete with the polls.
const RUNTIME_THREADS: usize = 2;

/// What is left of a drain when a process ends is not worth more than this.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of order-events' grid.
pub const ORDER_EVENTS: &str = "order-events";

/// The name of merchant-connection's grid.
pub const MERCHANT_CONNECTION: &str = "merchant-connection";

/// Which grids a node takes part in: those of the roles it has.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// What a partition of order-events may hold, if it is wanted.
    pub order_events: Option<order_events::Limits>,
    /// Whether merchant-connection is.
    pub merchant_connection: bool,
}

impl Wanted {
    fn names(self) -> impl Iterator<Item = &'static str> {
        let order_events = self.order_events.map(|_| ORDER_EVENTS);
        order_events.into_iter().chain(self.merchant_connection.then_some(MERCHANT_CONNECTION))
    }
}

/// A node, built and bound, not yet serving its peers.
pub struct GridNode {
    runtime: Runtime,
    listener: TcpListener,
    member: Member,
    server: GridServer,
    tls: Option<NodeTls>,
    admission: Admission,
    is_durable: bool,
    cluster: String,
    grids: Vec<NamedGrid>,
    logs: Vec<Wal>,
    order_events: Option<Grid<FeedPartition>>,
    merchant_connection: Option<Grid<PresencePartition>>,
}

/// What every grid of a node is started from.
struct Foundation<'a> {
    settings: &'a Settings,
    identity: Identity,
    address: String,
    links: Links,
    clock: SharedClock,
}

impl Foundation<'_> {
    fn config(&self, name: &'static str, partitions: NonZeroU16) -> Result<Config, Failure> {
        let copies = self.settings.grid.replication_factor.try_into().context("reading replication_factor")?;
        Ok(Config { replication_factor: copies, ..Config::new(name, partitions) })
    }
}

impl GridNode {
    /// Binds the listener, opens the logs, starts the grids from them.
    ///
    /// # Errors
    /// When an address, a file or a directory cannot be used.
    pub async fn build(
        settings: &Settings,
        wanted: Wanted,
        clock: SharedClock,
        link: &GridLink,
    ) -> Result<Self, Failure> {
        let grid = &settings.grid;
        let cluster = ClusterName::new(&grid.cluster).context("reading the cluster's name")?;
        let certified = match &grid.tls {
            Some(files) => link::identity(files, &cluster).await?.node(),
            None => None,
        };
        let identity = node_id::choose(grid.node_id.map(NodeId), certified, settings.data_dir.as_deref())?;
        refuse_a_lost_log(settings, wanted, identity.id(), link).await?;
        let listener = listeners::bind("grid_addr", grid.listen).await?;
        let address = advertised(settings, listener.local_addr().context("reading the grid's address")?);
        let memberships = Memberships::of_grids(wanted.names());
        let tls = match &grid.tls {
            Some(files) => Some(load_tls(files, &cluster, identity.id(), link, &memberships, &clock).await?),
            None => None,
        };
        let links = LinksConfig {
            node: identity.id(),
            cluster: cluster.clone(),
            security: tls.as_ref().map_or(LinkSecurity::Plain, |tls| LinkSecurity::Mutual(tls.client())),
        };
        let links = Links::new(links, Arc::new(TcpDialer), Arc::new(Mutex::new(StdRng::from_os_rng())));
        let security = tls.as_ref().map_or(ConnectionSecurity::Plain, |tls| ConnectionSecurity::Mutual(tls.server()));
        let admission = Admission { security: security.clone(), membership: memberships.union() };
        let server = GridServer::new(GridServerConfig {
            node: identity.id(),
            cluster,
            membership: memberships.union(),
            security,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(RUNTIME_THREADS)
            .thread_name("grid")
            .enable_all()
            .build()
            .context("starting the grid's runtime")?;
        let mut node = Unfinished { runtime, server, memberships, grids: Vec::new(), logs: Vec::new() };
        let foundation = Foundation { settings, identity, address, links, clock };
        let order_events = match wanted.order_events {
            Some(limits) => {
                let config = foundation.config(ORDER_EVENTS, grid.order_events_partitions)?;
                Some(node.start(&foundation, config, move || FeedPartition::new(limits)).await?)
            }
            None => None,
        };
        let merchant_connection = match wanted.merchant_connection {
            true => {
                let config = foundation.config(MERCHANT_CONNECTION, grid.merchant_connection_partitions)?;
                Some(node.start(&foundation, config, PresencePartition::default).await?)
            }
            false => None,
        };
        Ok(node.finish(foundation, listener, (tls, admission), order_events, merchant_connection))
    }

    /// Who this node is.
    pub fn id(&self) -> NodeId {
        self.member.id
    }

    /// At which address others reach it.
    pub fn address(&self) -> &str {
        &self.member.address
    }

    /// Who may connect to listeners of this process: members, and whoever else has a certificate of the cluster.
    pub fn admission(&self) -> Admission {
        self.admission.clone()
    }

    /// The grid of order-events, if this node takes part in it.
    pub fn order_events(&self) -> Option<Grid<FeedPartition>> {
        self.order_events.clone()
    }

    /// The grid of merchant-connection, if this node takes part in it.
    pub fn merchant_connection(&self) -> Option<Grid<PresencePartition>> {
        self.merchant_connection.clone()
    }

    /// Why the node cannot do its part.
    pub fn readiness(&self) -> impl Fn() -> Result<(), String> + Send + Sync + 'static {
        let (grids, health) = (self.grids.clone(), self.logs.iter().map(Wal::health).collect::<Vec<_>>());
        move || {
            for log in &health {
                match *log.borrow() {
                    Health::Writable => {}
                    Health::Full => return Err("the disk of its log is full".to_owned()),
                    Health::Closed => return Err("its log failed; it needs a restart".to_owned()),
                }
            }
            grids.iter().try_for_each(|(name, grid)| grid.readiness().map_err(|reason| format!("{name}: {reason}")))
        }
    }

    /// Serves peers, operators, `routes` and `polls` until told to stop. What it leads is handed over before anything else
    /// ends. Polls are answered on the runtime of the caller.
    pub fn add_to(
        self,
        members: &mut Members,
        routes: Routes,
        polls: Option<order_events::Handle>,
        drain_timeout: Duration,
    ) {
        let grids: Arc<[NamedGrid]> = self.grids.into();
        let draining = Arc::clone(&grids);
        members.add("grid-drain", Stage::Edge, move |token| async move {
            token.cancelled().await;
            for (name, grid) in draining.iter() {
                if let Err(error) = grid.drain(drain_timeout).await {
                    tracing::warn!(grid = name, error = %error, "not everything led here was handed over");
                }
            }
            Ok::<(), std::convert::Infallible>(())
        });
        let admin = AdminServer::new(self.member, self.cluster, self.is_durable, Arc::clone(&grids));
        let routes = routes.add_service(admin);
        let (runtime, listener, server, tls, logs) = (self.runtime, self.listener, self.server, self.tls, self.logs);
        let admission = self.admission;
        members.add("grid-node", Stage::Foundation, move |token| async move {
            if let Some(tls) = tls {
                let token = token.clone();
                runtime.spawn(async move { tls.follow(token).await });
            }
            let main = Handle::current();
            let (incoming, polled) = {
                let _there = runtime.enter();
                feed_port::fork(listener, main)
            };
            match polls {
                Some(polls) => internal_rpc::serve_polls(polls, polled, &admission, token.clone()),
                // Whoever comes to poll is turned away, not kept waiting.
                None => drop(polled),
            }
            let serving = runtime.spawn(async move { server.serve(accepted(incoming), routes, token).await });
            let served = serving.await.unwrap_or(Ok(()));
            for (_, grid) in grids.iter() {
                // Nothing is lost by a grid that does not end in time: what it acknowledged is in its log.
                let _ = tokio::time::timeout(STOP_TIMEOUT, grid.stop()).await;
            }
            logs.iter().for_each(Wal::close);
            runtime.shutdown_background();
            served
        });
    }
}

/// Where a grid keeps what must outlast a crash.
type Storage = (Arc<dyn LogStore>, Arc<dyn SnapshotStore>);

/// A node whose grids are being started.
struct Unfinished {
    runtime: Runtime,
    server: GridServer,
    memberships: Memberships,
    grids: Vec<NamedGrid>,
    logs: Vec<Wal>,
}

impl Unfinished {
    async fn start<M: StateMachine>(
        &mut self,
        foundation: &Foundation<'_>,
        config: Config,
        initial: impl Fn() -> M + Send + Sync + 'static,
    ) -> Result<Grid<M>, Failure> {
        let name = config.name;
        let (log, snapshots) = self.storage(foundation, name)?;
        let dependencies = Dependencies {
            identity: foundation.identity.clone(),
            address: foundation.address.clone(),
            log,
            snapshots,
            peers: Arc::new(foundation.links.peers(name)),
            clock: Arc::clone(&foundation.clock),
        };
        let starting = self.runtime.spawn(ReplicatedNode::start(config, dependencies, initial));
        let started = starting.await.context(&format!("starting the grid of {name}"))?;
        let node = started.context(&format!("starting the grid of {name}"))?;
        self.server.register_with(name, node.requests(), node.membership());
        self.runtime.spawn(self.memberships.clone().follow(name, node.membership()));
        // Without a disk this is another node than the one that was here, and takes its place.
        let (rejoining, seeds) = (node.clone(), foundation.settings.grid.seeds.clone());
        self.runtime.spawn(async move { rejoining.rejoin(&seeds).await });
        self.grids.push((name, Arc::new(node.clone())));
        Ok(Grid::from(node))
    }

    /// On disk if there is a data directory.
    fn storage(&mut self, foundation: &Foundation<'_>, name: &'static str) -> Result<Storage, Failure> {
        let Some(directory) = &foundation.settings.data_dir else {
            return Ok((Arc::new(MemoryLog::default()), Arc::new(MemorySnapshots::default())));
        };
        let base: &Path = &directory.join(name);
        let grid = &foundation.settings.grid;
        let config = wal::Config {
            segment_bytes: u64::from(grid.segment_mib) << 20,
            ..wal::Config::new(name, grid.cluster.clone(), foundation.identity.id())
        };
        let log = Wal::start(opened(&base.join("log"))?, Arc::clone(&foundation.clock), &config);
        let log = log.context(&format!("opening the log of {name}"))?;
        self.logs.push(log.clone());
        let snapshots = SnapshotFiles::open(opened(&base.join("snapshots"))?, Reads::BlockingThread);
        let snapshots = snapshots.context(&format!("opening the snapshots of {name}"))?;
        Ok((Arc::new(log), Arc::new(snapshots)))
    }

    fn finish(
        self,
        foundation: Foundation<'_>,
        listener: TcpListener,
        (tls, admission): (Option<NodeTls>, Admission),
        order_events: Option<Grid<FeedPartition>>,
        merchant_connection: Option<Grid<PresencePartition>>,
    ) -> GridNode {
        GridNode {
            runtime: self.runtime,
            listener,
            member: Member { id: foundation.identity.id(), address: foundation.address },
            server: self.server,
            tls,
            admission,
            is_durable: foundation.identity.is_durable(),
            cluster: foundation.settings.grid.cluster.clone(),
            grids: self.grids,
            logs: self.logs,
            order_events,
            merchant_connection,
        }
    }
}

fn opened(path: &Path) -> Result<Arc<RealDisk>, Failure> {
    RealDisk::open(path.to_owned()).map(Arc::new).context(&format!("opening {}", path.display()))
}

/// Before anything listens: nodes that start together must not wait for each other's answers.
async fn refuse_a_lost_log(settings: &Settings, wanted: Wanted, id: NodeId, link: &GridLink) -> Result<(), Failure> {
    for name in wanted.names() {
        let Some(directory) = settings.data_dir.as_ref().map(|directory| directory.join(name)) else { continue };
        let log = opened(&directory.join("log"))?;
        if wal::is_new(&*log).context(&format!("reading {}", directory.display()))? {
            lost_log::refuse_a_member(name, id, &directory, &settings.grid.seeds, link).await?;
        }
    }
    Ok(())
}

/// A listener on every address has none that others could use.
fn advertised(settings: &Settings, bound: SocketAddr) -> String {
    settings.grid.advertised.clone().unwrap_or_else(|| bound.to_string())
}

async fn load_tls(
    files: &crate::settings::grid::GridTls,
    cluster: &ClusterName,
    id: NodeId,
    link: &GridLink,
    memberships: &Memberships,
    clock: &SharedClock,
) -> Result<NodeTls, Failure> {
    let config = TlsConfig {
        files: link::tls_files(files),
        cluster: cluster.clone(),
        identity: transport::Identity::Node(id),
        roles: link.roles().to_vec(),
        membership: memberships.union(),
        clock: Arc::clone(clock),
    };
    NodeTls::load(config).await.context("reading the grid's certificates")
}
