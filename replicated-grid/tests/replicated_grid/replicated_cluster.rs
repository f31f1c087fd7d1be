//! Nodes of a grid in one process, over a network that loses what it is told to.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use order_model::{Clock, Timestamp};
use parking_lot::Mutex;
use replicated_grid::log::simulated_disk::SimulatedDisk;
use replicated_grid::log::wal::{self, Wal};
use replicated_grid::log::{Durable, GroupId, GroupLog, LogEntry, LogError, LogStore, MemoryLog, MemorySnapshots};
use replicated_grid::peers::{Lane, PeerError, PeerRequests, Peers};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::{Leadership, Member, NodeId, ProposeError};

use crate::{Journal, START_MS, command};

/// How long anything may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let started = tokio::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < PATIENCE, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Real time, with jumps for tests.
pub struct TestClock {
    started: tokio::time::Instant,
    skew_ms: AtomicI64,
    slept_ms: AtomicI64,
}

impl TestClock {
    pub fn new() -> Arc<Self> {
        let started = tokio::time::Instant::now();
        Arc::new(Self { started, skew_ms: AtomicI64::new(0), slept_ms: AtomicI64::new(0) })
    }

    /// The wall clock jumps.
    pub fn jump(&self, ms: i64) {
        self.skew_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Both clocks go on while the process does not, as when it is stopped and continued.
    pub fn sleep(&self, ms: i64) {
        self.slept_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let elapsed = i64::try_from(self.monotonic().as_millis()).unwrap();
        Timestamp::from_unix_ms(START_MS + elapsed + self.skew_ms.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        let slept = u64::try_from(self.slept_ms.load(Ordering::SeqCst)).unwrap();
        self.started.elapsed() + Duration::from_millis(slept)
    }
}

/// A log in memory that outlives its node.
#[derive(Clone, Default)]
pub struct KeptLog(pub MemoryLog);

impl LogStore for KeptLog {
    fn group(&self, group: GroupId) -> GroupLog {
        self.0.group(group)
    }
    fn append(&self, group: GroupId, entries: Vec<LogEntry>, durable: Durable) {
        self.0.append(group, entries, durable);
    }
    fn truncate(&self, group: GroupId, from: u64, durable: Durable) {
        self.0.truncate(group, from, durable);
    }
    fn purge(&self, group: GroupId, through: u64, marker: Bytes, durable: Durable) {
        self.0.purge(group, through, marker, durable);
    }
    fn save_vote(&self, group: GroupId, vote: Bytes, durable: Durable) {
        self.0.save_vote(group, vote, durable);
    }
    fn entries(&self, group: GroupId, range: Range<u64>, max: usize) -> BoxFuture<'_, Result<Vec<Bytes>, LogError>> {
        self.0.entries(group, range, max)
    }
}

/// The network: who is on it, and which ways are cut.
#[derive(Default)]
pub struct Net {
    nodes: Mutex<BTreeMap<NodeId, Arc<dyn PeerRequests>>>,
    cut: Mutex<BTreeSet<(NodeId, NodeId)>>,
    snapshots_sent: AtomicI64,
}

impl Net {
    pub fn cut_one_way(&self, from: u64, to: u64) {
        self.cut.lock().insert((NodeId(from), NodeId(to)));
    }

    /// Cuts `node` off from all others of `1..=last`.
    pub fn isolate(&self, node: u64, last: u64) {
        for other in (1..=last).filter(|other| *other != node) {
            self.cut_one_way(node, other);
            self.cut_one_way(other, node);
        }
    }

    pub fn heal(&self) {
        self.cut.lock().clear();
    }

    pub fn snapshot_chunks(&self) -> i64 {
        self.snapshots_sent.load(Ordering::SeqCst)
    }

    fn passes(&self, from: NodeId, to: NodeId) -> bool {
        !self.cut.lock().contains(&(from, to))
    }
}

struct NetPeers {
    from: NodeId,
    net: Arc<Net>,
}

impl Peers for NetPeers {
    fn call(
        &self,
        to: &Member,
        lane: Lane,
        request: Bytes,
        deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerError>> {
        let (from, node, net) = (self.from, to.id, Arc::clone(&self.net));
        assert_eq!(to.address, format!("node-{node}:1"));
        if lane == Lane::Snapshot {
            net.snapshots_sent.fetch_add(1, Ordering::SeqCst);
        }
        Box::pin(async move {
            let lost = async |net: &Net, from, to| {
                if !net.passes(from, to) {
                    std::future::pending::<()>().await;
                }
            };
            let answered = tokio::time::timeout(deadline, async {
                lost(&net, from, node).await;
                let there = net.nodes.lock().get(&node).cloned();
                let Some(there) = there else {
                    return Err(PeerError::Unreachable { node, reason: "it is not running".to_owned() });
                };
                let answer = tokio::spawn(there.answer(from, lane, request)).await.unwrap();
                lost(&net, node, from).await;
                answer.map_err(|reason| PeerError::Refused { node, reason })
            });
            answered.await.unwrap_or(Err(PeerError::NoAnswer { node, after: deadline }))
        })
    }
}

/// A node, and what outlives it.
pub struct TestNode {
    pub grid: ReplicatedNode<Journal>,
    pub clock: Arc<TestClock>,
    log: KeptLog,
    snapshots: MemorySnapshots,
}

/// Some nodes, numbered from 1.
pub struct Cluster {
    pub net: Arc<Net>,
    pub nodes: BTreeMap<u64, TestNode>,
    config: Config,
}

pub fn member(id: u64) -> Member {
    Member { id: NodeId(id), address: format!("node-{id}:1") }
}

impl Cluster {
    /// Starts `nodes` nodes and makes one grid of them; waits until every partition has a leader.
    pub async fn formed(nodes: u64, partitions: u16, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut cluster = Self::started(nodes, partitions, adjust).await;
        let members = (1..=nodes).map(member).collect();
        cluster.grid(1).init(members, PATIENCE).await.unwrap();
        cluster.led().await;
        cluster
    }

    pub async fn started(nodes: u64, partitions: u16, adjust: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::new("test", NonZeroU16::new(partitions).unwrap());
        // The tests share two processors: an election needs a little longer than on a quiet machine.
        config.election_timeout_min = Duration::from_millis(400);
        config.election_timeout_max = Duration::from_millis(600);
        adjust(&mut config);
        let mut cluster = Self { net: Arc::default(), nodes: BTreeMap::new(), config };
        for id in 1..=nodes {
            cluster.start(id).await;
        }
        cluster
    }

    /// Starts node `id`, with what it left behind.
    pub async fn start(&mut self, id: u64) {
        let left = self.nodes.remove(&id);
        let (log, snapshots) = left.map(|node| (node.log, node.snapshots)).unwrap_or_default();
        self.start_with(Identity::durable(NodeId(id)), Arc::new(log.clone()), log, snapshots).await;
    }

    /// Starts a node whose log is in memory, under an id made from `random`.
    pub async fn start_volatile(&mut self, random: u64) {
        let log = MemoryLog::default();
        let kept = KeptLog(log.clone());
        self.start_with(Identity::volatile(random), Arc::new(log), kept, MemorySnapshots::default()).await;
    }

    /// Starts node `id` with its log on `disk`.
    pub async fn start_on(&mut self, id: u64, disk: &SimulatedDisk) {
        let config = wal::Config {
            segment_bytes: 64 * 1024,
            reads: wal::Reads::Inline,
            ..wal::Config::new("test", "town".to_owned(), NodeId(id))
        };
        let (log, writer) = Wal::open(Arc::new(disk.clone()), TestClock::new(), &config).unwrap();
        tokio::spawn(writer.run_as_task());
        let (kept, snapshots) = (KeptLog::default(), MemorySnapshots::default());
        self.start_with(Identity::durable(NodeId(id)), Arc::new(log), kept, snapshots).await;
    }

    async fn start_with(
        &mut self,
        identity: Identity,
        store: Arc<dyn LogStore>,
        log: KeptLog,
        snapshots: MemorySnapshots,
    ) {
        let (id, clock) = (identity.id().0, TestClock::new());
        let dependencies = Dependencies {
            identity,
            address: member(id).address,
            log: store,
            snapshots: Arc::new(snapshots.clone()),
            peers: Arc::new(NetPeers { from: NodeId(id), net: Arc::clone(&self.net) }),
            clock: clock.clone(),
        };
        let grid = ReplicatedNode::start(self.config.clone(), dependencies, Journal::default).await.unwrap();
        self.net.nodes.lock().insert(NodeId(id), grid.requests());
        self.nodes.insert(id, TestNode { grid, clock, log, snapshots });
    }

    /// Ends node `id`; its log stays.
    pub async fn stop(&mut self, id: u64) {
        self.net.nodes.lock().remove(&NodeId(id));
        self.grid(id).stop().await;
    }

    pub fn grid(&self, id: u64) -> ReplicatedNode<Journal> {
        self.nodes[&id].grid.clone()
    }

    pub fn leadership(&self, node: u64, partition: u16) -> Leadership {
        self.nodes[&node].grid.leadership().borrow()[usize::from(partition)]
    }

    /// Who leads `partition` by its own account, in the latest term.
    pub fn leader(&self, partition: u16) -> Option<u64> {
        let ours = self.nodes.keys().map(|id| (self.leadership(*id, partition), *id));
        ours.filter(|(leadership, _)| leadership.is_ours)
            .max_by_key(|(leadership, _)| leadership.term)
            .map(|(_, id)| id)
    }

    /// Waits until every partition is led.
    pub async fn led(&mut self) {
        let partitions = self.config.partitions.get();
        eventually("every partition has a leader", || {
            (0..partitions).all(|partition| self.leader(partition).is_some())
        })
        .await;
    }

    /// Waits for a leader of `partition` other than `not`.
    pub async fn leader_besides(&self, partition: u16, not: u64) -> u64 {
        eventually("another leader", || self.leader(partition).is_some_and(|leader| leader != not)).await;
        self.leader(partition).unwrap()
    }

    /// What `node` holds of `partition`.
    pub fn journal(&self, node: u64, partition: u16) -> Vec<(i64, Vec<u8>)> {
        self.grid(node).read_without_lease(partition, |journal| journal.0.clone()).unwrap_or_default()
    }

    /// Lets whoever leads `partition` serve for long, and says in which term.
    pub fn serve(&self, node: u64, partition: u16) -> u64 {
        let term = self.leadership(node, partition).term;
        self.grid(node).serve_until(partition, term, Duration::from_secs(3_600));
        term
    }

    /// Whether all nodes of `nodes` hold the same of `partition`, and something.
    pub fn agree(&self, nodes: &[u64], partition: u16) -> bool {
        let first = self.journal(nodes[0], partition);
        !first.is_empty() && nodes.iter().all(|node| self.journal(*node, partition) == first)
    }
}

/// Proposes `text` until it is acknowledged.
pub async fn insist(grid: &ReplicatedNode<Journal>, partition: u16, text: &str) {
    let started = tokio::time::Instant::now();
    loop {
        match grid.propose(partition, vec![command(text.to_owned())]).await {
            Ok(_) => return,
            Err(error) => assert!(error.is_retryable() && started.elapsed() < PATIENCE, "{text}: {error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Proposes numbered commands to `partition` through `grid` until told to stop; answers what was acknowledged.
pub fn proposing(
    grid: ReplicatedNode<Journal>,
    partition: u16,
    name: &'static str,
) -> (tokio_util::sync::CancellationToken, tokio::task::JoinHandle<Vec<String>>) {
    let ending = tokio_util::sync::CancellationToken::new();
    let end = ending.clone();
    let task = tokio::spawn(async move {
        let mut acknowledged = Vec::new();
        for number in 0.. {
            if end.is_cancelled() {
                break;
            }
            let text = format!("{name}{number}");
            match grid.propose(partition, vec![command(text.clone())]).await {
                Ok(_) => acknowledged.push(text),
                Err(ProposeError::UnknownPartition { .. }) => panic!("the partition is there"),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
        acknowledged
    });
    (ending, task)
}

/// That `journal` has each of `acknowledged` exactly once, in order.
pub fn holds_all(journal: &[(i64, Vec<u8>)], acknowledged: &[String]) {
    let mut entries = journal.iter();
    for text in acknowledged {
        assert!(entries.any(|(_, command)| command == text.as_bytes()), "{text} was acknowledged and is not there");
    }
    let distinct: BTreeSet<&[u8]> = journal.iter().map(|(_, command)| &command[..]).collect();
    assert_eq!(distinct.len(), journal.len(), "something was applied twice");
}
