//! How many commands a grid of one and of three nodes commits in one process, over memory logs and no network.
//!
//! `cargo bench -p replicated-grid --bench propose_throughput [seconds] [proposers]`. Prints committed
//! commands a second and the latency of a proposal of one command. What disks and networks cost is measured elsewhere.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "an example measures real time and may fail loudly")]

use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::BoxFuture;
use order_model::{Clock, Timestamp};
use parking_lot::RwLock;
use replicated_grid::log::{MemoryLog, MemorySnapshots};
use replicated_grid::peers::{Lane, PeerError, PeerRequests, Peers};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::{Member, NodeId, ReplicatedTime, RestoreError, StateMachine};

const PARTITIONS: u16 = 16;
const COMMAND: [u8; 400] = [7; 400];

/// Counts what it applies.
#[derive(Default)]
struct Count(u64);

impl StateMachine for Count {
    fn apply(&mut self, _at: ReplicatedTime, _command: &[u8]) -> Vec<u8> {
        self.0 += 1;
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        self.0.to_be_bytes().to_vec()
    }

    fn restore(snapshot: &[u8]) -> Result<Self, RestoreError> {
        let bytes = snapshot.try_into().map_err(|_| RestoreError { reason: "not eight bytes".to_owned() })?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

struct RealClock(Instant);

impl Clock for RealClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_unix_ms(1_795_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

type Reached = Arc<RwLock<BTreeMap<NodeId, Arc<dyn PeerRequests>>>>;

struct InProcess(NodeId, Reached);

impl Peers for InProcess {
    fn call(
        &self,
        to: &Member,
        lane: Lane,
        request: Bytes,
        _deadline: Duration,
    ) -> BoxFuture<'static, Result<Bytes, PeerError>> {
        let (from, node, there) = (self.0, to.id, self.1.read().get(&to.id).cloned());
        Box::pin(async move {
            let there = there.ok_or_else(|| PeerError::Unreachable { node, reason: "not started".to_owned() })?;
            there.answer(from, lane, request).await.map_err(|reason| PeerError::Refused { node, reason })
        })
    }
}

async fn cluster(nodes: u64) -> Vec<ReplicatedNode<Count>> {
    let reached: Reached = Arc::default();
    let mut started = Vec::new();
    for id in 1..=nodes {
        let dependencies = Dependencies {
            identity: Identity::volatile(id),
            address: format!("node-{id}:1"),
            log: Arc::new(MemoryLog::default()),
            snapshots: Arc::new(MemorySnapshots::default()),
            peers: Arc::new(InProcess(Identity::volatile(id).id(), Arc::clone(&reached))),
            clock: Arc::new(RealClock(Instant::now())),
        };
        let config = Config::new("throughput", NonZeroU16::new(PARTITIONS).unwrap());
        let node = ReplicatedNode::start(config, dependencies, Count::default).await.unwrap();
        reached.write().insert(Identity::volatile(id).id(), node.requests());
        started.push(node);
    }
    let members = (1..=nodes).map(|id| Member { id: Identity::volatile(id).id(), address: format!("node-{id}:1") });
    started[0].init(members.collect(), Duration::from_secs(10)).await.unwrap();
    let mut leadership = started[0].leadership();
    leadership.wait_for(|all| all.iter().all(|partition| partition.leader.is_some())).await.unwrap();
    // Until the leaders are spread.
    tokio::time::sleep(Duration::from_secs(if nodes > 1 { 6 } else { 1 })).await;
    started
}

async fn measure(nodes: u64, seconds: u64, proposers: usize) {
    let started = cluster(nodes).await;
    let end = Instant::now() + Duration::from_secs(seconds);
    let tasks = (0..proposers).map(|number| {
        let partition = u16::try_from(number % usize::from(PARTITIONS)).unwrap();
        let leader = started[0].leadership().borrow()[usize::from(partition)].leader.unwrap();
        let at = usize::try_from(leader.0 & 0xff).unwrap() - 1;
        let grid = started[at].clone();
        tokio::spawn(async move {
            let (mut latencies, mut failed) = (Vec::new(), 0_u64);
            while Instant::now() < end {
                let began = Instant::now();
                match grid.propose(partition, vec![Bytes::from_static(&COMMAND)]).await {
                    Ok(_) => latencies.push(began.elapsed()),
                    Err(_) => failed += 1,
                }
            }
            (latencies, failed)
        })
    });
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for task in tasks.collect::<Vec<_>>() {
        let (own, own_failed) = task.await.unwrap();
        latencies.extend(own);
        failed += own_failed;
    }
    latencies.sort_unstable();
    let at = |part: usize| latencies[(latencies.len() - 1) * part / 100];
    let rate = latencies.len() as u64 / seconds;
    println!("{nodes} nodes, {proposers} proposers: {rate}/s, p50 {:?}, p99 {:?}, {failed} failed", at(50), at(99));
    for node in started {
        node.stop().await;
    }
}

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let argument = |at: usize| arguments().nth(at).and_then(|text| text.parse::<usize>().ok());
    let seconds = argument(1).unwrap_or(3) as u64;
    for nodes in [1, 3] {
        for proposers in argument(2).map_or(vec![1, 64, 1024], |one| vec![one]) {
            measure(nodes, seconds, proposers).await;
        }
    }
}
