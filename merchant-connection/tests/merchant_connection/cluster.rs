//! Nodes of a presence grid in one process with a service on each, over a network that loses what it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use merchant_connection::{Config, Handle, NodeId, PresencePartition, Service};
use order_model::{Clock, SharedClock, Timestamp};
use parking_lot::Mutex;
use proto::merchant_connection as wire;
use proto::merchant_connection::merchant_connection_client::MerchantConnectionClient;
use proto::transport::{Transport, local};
use replicated_grid::log::{MemoryLog, MemorySnapshots};
use replicated_grid::peers::{Lane, PeerError, PeerRequests, Peers};
use replicated_grid::replicated::{Dependencies, Identity, ReplicatedNode};
use replicated_grid::{Grid, Leadership, Member};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::platform::{PARTITIONS, Platform, Published, beats, eventually};

/// How often the feeder calls, as kitchen-api does every half second.
const CALL_EVERY: Duration = Duration::from_millis(50);

/// Real time, from a fixed instant on.
pub struct RealClock {
    started: tokio::time::Instant,
}

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_795_000_000_000).plus(self.monotonic())
    }

    fn monotonic(&self) -> Duration {
        Duration::from_secs(1) + self.started.elapsed()
    }
}

#[derive(Default)]
pub struct Net {
    nodes: Mutex<BTreeMap<NodeId, Arc<dyn PeerRequests>>>,
    isolated: Mutex<BTreeSet<NodeId>>,
}

impl Net {
    pub fn isolate(&self, node: u64) {
        self.isolated.lock().insert(node_id(node));
    }

    pub fn heal(&self) {
        self.isolated.lock().clear();
    }

    fn passes(&self, from: NodeId, to: NodeId) -> bool {
        let isolated = self.isolated.lock();
        !isolated.contains(&from) && !isolated.contains(&to)
    }
}

struct NetPeers {
    from: NodeId,
    net: Arc<Net>,
}

impl Peers for NetPeers {
    fn call(&self, to: &Member, lane: Lane, request: Bytes, deadline: Duration) -> Answer {
        let (from, node, net) = (self.from, to.id, Arc::clone(&self.net));
        Box::pin(async move {
            let no_answer = PeerError::NoAnswer { node, after: deadline };
            if !net.passes(from, node) {
                tokio::time::sleep(deadline).await;
                return Err(no_answer);
            }
            let there = net.nodes.lock().get(&node).cloned();
            let Some(there) = there else {
                return Err(PeerError::Unreachable { node, reason: "it is not running".to_owned() });
            };
            let answer = tokio::time::timeout(deadline, tokio::spawn(there.answer(from, lane, request))).await;
            let answer = answer.map_err(|_| no_answer.clone())?.unwrap();
            if !net.passes(node, from) {
                return Err(no_answer);
            }
            answer.map_err(|reason| PeerError::Refused { node, reason })
        })
    }
}

type Answer = BoxFuture<'static, Result<Bytes, PeerError>>;

/// A node with its service.
pub struct ClusterNode {
    pub grid: ReplicatedNode<PresencePartition>,
    pub api: MerchantConnectionClient<Transport>,
    handle: Handle,
    service: JoinHandle<()>,
    _shutdown: CancellationToken,
}

impl ClusterNode {
    fn leadership(&self, partition: u16) -> Leadership {
        self.grid.leadership().borrow()[usize::from(partition)]
    }

    pub async fn presence(&self, number: u32) -> wire::PresenceReply {
        let merchant_ids = vec![proto::conversions::to_bytes(crate::platform::merchant(number).as_bytes())];
        let request = wire::PresenceRequest { merchant_ids, with_last_change: false };
        self.api.clone().presence(request).await.unwrap().into_inner()
    }
}

/// What the kitchen-apis do: whose beats they bring, to all nodes but those that hear only that nobody beats.
#[derive(Default)]
pub struct Fed {
    pub merchants: Vec<u32>,
    pub told_of_silence: BTreeSet<u64>,
}

/// Three nodes.
pub struct Cluster {
    pub platform: Platform,
    pub net: Arc<Net>,
    pub nodes: Arc<Mutex<BTreeMap<u64, Arc<ClusterNode>>>>,
    pub clock: SharedClock,
    pub fed: Arc<Mutex<Fed>>,
    feeder: JoinHandle<()>,
}

pub fn config() -> Config {
    Config { offline_after: Duration::from_secs(2), sweep_interval: Duration::from_millis(100), ..Config::default() }
}

impl Cluster {
    /// Forms one with everything led and restored, and a kitchen-api that calls.
    pub async fn formed() -> Self {
        let platform = Platform::start().await;
        let clock: SharedClock = Arc::new(RealClock { started: tokio::time::Instant::now() });
        let net = Arc::<Net>::default();
        let mut nodes = BTreeMap::new();
        for id in 1..=3 {
            nodes.insert(id, Arc::new(start(&platform, &net, &clock, id).await));
        }
        let members = (1..=3).map(member).collect();
        nodes[&1].grid.init(members, Duration::from_secs(30)).await.unwrap();
        let nodes = Arc::new(Mutex::new(nodes));
        let fed = Arc::<Mutex<Fed>>::default();
        let feeder = tokio::spawn(feed(Arc::clone(&nodes), Arc::clone(&fed)));
        let cluster = Self { platform, net, nodes, clock, fed, feeder };
        eventually("every node is ready", async || {
            cluster.nodes.lock().values().all(|node| node.handle.readiness().is_ok())
                && (0..PARTITIONS).all(|partition| cluster.leader(partition).is_some())
        })
        .await;
        cluster
    }

    pub fn node(&self, id: u64) -> Arc<ClusterNode> {
        Arc::clone(&self.nodes.lock()[&id])
    }

    /// Who leads `partition` by its own account, in the latest term.
    pub fn leader(&self, partition: u16) -> Option<u64> {
        let nodes = self.nodes.lock();
        let ours = nodes.iter().map(|(id, node)| (node.leadership(partition), *id));
        let latest = ours.filter(|(leadership, _)| leadership.is_ours).max_by_key(|(leadership, _)| leadership.term);
        latest.map(|(_, id)| id)
    }

    /// Waits until somebody other than `not` leads `partition` and answers for it.
    pub async fn taken_over(&self, number: u32, not: u64) -> u64 {
        let partition = crate::platform::partition_of(number);
        eventually("another leader answers", async || {
            let Some(leader) = self.leader(partition).filter(|leader| *leader != not) else { return false };
            self.node(leader).presence(number).await.refused_partitions.is_empty()
        })
        .await;
        self.leader(partition).unwrap()
    }

    pub fn feed(&self, merchants: impl IntoIterator<Item = u32>) {
        self.fed.lock().merchants = merchants.into_iter().collect();
    }

    /// Ends a node as kill -9 does.
    pub async fn kill(&self, id: u64) {
        let node = self.nodes.lock().remove(&id).unwrap();
        node.service.abort();
        self.net.nodes.lock().remove(&node_id(id));
        node.grid.stop().await;
    }

    /// Waits until `count` messages were published since the last look.
    pub async fn published(&self, count: usize) -> Vec<Published> {
        let all = Mutex::new(Vec::new());
        eventually("published", async || {
            let new = self.platform.published().await;
            let mut all = all.lock();
            all.extend(new);
            all.len() >= count
        })
        .await;
        all.into_inner()
    }

    /// The time, in ms, by the clock of every node.
    pub fn now_ms(&self) -> i64 {
        self.clock.now().unix_ms()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.feeder.abort();
    }
}

/// A node whose log is in memory has an id of this kind.
fn node_id(id: u64) -> NodeId {
    Identity::volatile(id).id()
}

fn member(id: u64) -> Member {
    Member { id: node_id(id), address: format!("node-{id}:1") }
}

async fn start(platform: &Platform, net: &Arc<Net>, clock: &SharedClock, number: u64) -> ClusterNode {
    let id = node_id(number);
    let mut of_grid = replicated_grid::replicated::Config::new("merchant-connection", config().partitions);
    // The tests share two processors: an election needs a little longer than on a quiet machine.
    of_grid.election_timeout_min = Duration::from_millis(400);
    of_grid.election_timeout_max = Duration::from_millis(600);
    let dependencies = Dependencies {
        identity: Identity::volatile(number),
        address: member(number).address,
        log: Arc::new(MemoryLog::default()),
        snapshots: Arc::new(MemorySnapshots::default()),
        peers: Arc::new(NetPeers { from: id, net: Arc::clone(net) }),
        clock: Arc::clone(clock),
    };
    let grid = ReplicatedNode::start(of_grid, dependencies, PresencePartition::default).await.unwrap();
    net.nodes.lock().insert(id, grid.requests());
    let dependencies = platform.dependencies(Arc::clone(clock), Grid::from(grid.clone()), id);
    let service = Service::build(config(), dependencies).unwrap();
    let handle = service.handle();
    let api = MerchantConnectionClient::new(local(merchant_connection::grpc(handle.clone())));
    let shutdown = CancellationToken::new();
    let until = shutdown.clone();
    let service = tokio::spawn(async move { service.run(until).await.unwrap() });
    ClusterNode { grid, api, handle, service, _shutdown: shutdown }
}

async fn feed(nodes: Arc<Mutex<BTreeMap<u64, Arc<ClusterNode>>>>, fed: Arc<Mutex<Fed>>) {
    loop {
        let running: Vec<(u64, Arc<ClusterNode>)> =
            nodes.lock().iter().map(|(id, node)| (*id, Arc::clone(node))).collect();
        for (id, node) in running {
            let request = {
                let fed = fed.lock();
                if fed.told_of_silence.contains(&id) { beats(&[]) } else { beats(&fed.merchants) }
            };
            node.api.clone().beat(request).await.unwrap();
        }
        tokio::time::sleep(CALL_EVERY).await;
    }
}
