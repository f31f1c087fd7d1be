//! Nodes of order-events' grid in one process: logs in files, fsynced, links over TCP, a runtime for each node.
//!
//! A node is killed by dropping its runtime, which closes its connections and writes nothing more, and comes back from its
//! directory. What one process spares against several is context switches between address spaces, nothing else.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use order_events::Limits;
use order_events::state::FeedPartition;
use order_model::{Clock, SharedClock, Timestamp};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use replicated_grid::log::disk::RealDisk;
use replicated_grid::log::snapshots::SnapshotFiles;
use replicated_grid::log::wal::{self, Reads, Wal};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::transport::{
    ClusterName, ConnectionSecurity, GridServer, GridServerConfig, LinkSecurity, Links, LinksConfig, TcpDialer,
    tcp_incoming,
};
use replicated_grid::{Member, NodeId};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Partitions of the grid.
pub const PARTITIONS: u16 = 16;
const NAME: &str = "figures";

/// The machine's own clocks.
pub struct RealClock(Instant);

impl RealClock {
    pub fn shared() -> SharedClock {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Timestamp::from_unix_ms(i64::try_from(since_1970.as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// A node that runs.
pub struct Node {
    pub grid: ReplicatedNode<FeedPartition>,
    runtime: Option<Runtime>,
    wal: Wal,
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        self.wal.close();
    }
}

/// Nodes, running or not, each with its address and its directory.
pub struct Cluster {
    directory: PathBuf,
    members: Vec<Member>,
    pub nodes: Vec<Option<Node>>,
}

impl Cluster {
    /// `count` nodes under `directory`, formed into a cluster whose leaders are spread.
    pub async fn form(directory: PathBuf, count: u64) -> Self {
        let free = || std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let members: Vec<Member> = (1..=count).map(|id| Member { id: NodeId(id), address: free() }).collect();
        let mut cluster = Self { directory, members, nodes: Vec::new() };
        for index in 0..cluster.members.len() {
            let node = cluster.start(index).await;
            cluster.nodes.push(Some(node));
        }
        let members = cluster.members.clone();
        cluster.node(0).grid.init(members, Duration::from_secs(20)).await.unwrap();
        cluster.wait_until_spread().await;
        cluster
    }

    /// Starts the node at `index` from its directory.
    pub async fn start(&self, index: usize) -> Node {
        let (member, count) = (self.members[index].clone(), self.members.len());
        let base = self.directory.join(format!("node-{}", member.id));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let running = runtime.spawn(run(member, base, NonZeroU16::new(if count >= 3 { 3 } else { 1 }).unwrap()));
        let (grid, wal) = running.await.unwrap();
        Node { grid, runtime: Some(runtime), wal }
    }

    pub fn node(&self, index: usize) -> &Node {
        self.nodes[index].as_ref().unwrap()
    }

    /// Ends a node as a crash does.
    pub fn kill(&mut self, index: usize) {
        drop(self.nodes[index].take());
    }

    /// The index of the node that leads `partition`, if that is known.
    pub fn leader(&self, partition: u16) -> Option<usize> {
        let knows = self.nodes.iter().flatten().next()?;
        let leader = knows.grid.leadership().borrow()[usize::from(partition)].leader?;
        self.members.iter().position(|member| member.id == leader)
    }

    /// Waits until every node leads its share.
    pub async fn wait_until_spread(&self) {
        let share = usize::from(PARTITIONS) / self.members.len();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let led = |index: usize| (0..PARTITIONS).filter(|number| self.leader(*number) == Some(index)).count();
            if (0..self.members.len()).all(|index| led(index) >= share) {
                return;
            }
            assert!(Instant::now() < deadline, "leaders do not spread");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn run(member: Member, base: PathBuf, copies: NonZeroU16) -> (ReplicatedNode<FeedPartition>, Wal) {
    let clock = RealClock::shared();
    let cluster = ClusterName::new(NAME).unwrap();
    let log_config = wal::Config::new(NAME, NAME.to_owned(), member.id);
    let disk = |name: &str| Arc::new(RealDisk::open(base.join(name)).unwrap());
    let wal = Wal::start(disk("log"), Arc::clone(&clock), &log_config).unwrap();
    let snapshots = SnapshotFiles::open(disk("snapshots"), Reads::BlockingThread).unwrap();
    let links = LinksConfig { node: member.id, cluster: cluster.clone(), security: LinkSecurity::Plain };
    let links = Links::new(links, Arc::new(TcpDialer), Arc::new(Mutex::new(StdRng::from_os_rng())));
    let listener = tokio::net::TcpListener::bind(&member.address).await.unwrap();
    let dependencies = Dependencies {
        identity: Identity::durable(member.id),
        address: member.address.clone(),
        log: Arc::new(wal.clone()),
        snapshots: Arc::new(snapshots),
        peers: Arc::new(links.peers(NAME)),
        clock,
    };
    let config = Config { replication_factor: copies, ..Config::new(NAME, NonZeroU16::new(PARTITIONS).unwrap()) };
    let grid = ReplicatedNode::start(config, dependencies, || FeedPartition::new(Limits::default())).await.unwrap();
    let server = GridServer::new(GridServerConfig {
        node: member.id,
        cluster,
        membership: grid.membership(),
        security: ConnectionSecurity::Plain,
    });
    server.register(NAME, grid.requests());
    tokio::spawn(async move {
        server.serve(tcp_incoming(listener), Routes::default(), CancellationToken::new()).await.unwrap();
    });
    (grid, wal)
}
