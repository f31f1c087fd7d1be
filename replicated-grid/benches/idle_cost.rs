//! What three nodes of 16 partitions cost when nothing happens, and how long a failover takes: in one process, over TCP in
//! the clear, with logs in memory.
//!
//! `cargo bench -p replicated-grid --bench idle_cost [heartbeat ms] [seconds] [failovers]`. Prints the CPU of one
//! node in percent of a core, its share of the resident memory, and the time from the end of a node to the first
//! command that every partition takes again.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "an example measures real time and may fail loudly")]

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use order_model::{Clock, Timestamp};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use replicated_grid::log::{MemoryLog, MemorySnapshots};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::transport::{
    ClusterName, ConnectionSecurity, GridServer, GridServerConfig, LinkSecurity, Links, LinksConfig, Memberships,
    TcpDialer, tcp_incoming,
};
use replicated_grid::{Member, ReplicatedTime, RestoreError, StateMachine};
use tokio_util::sync::CancellationToken;

const NAME: &str = "idle";
const PARTITIONS: u16 = 16;
const PATIENCE: Duration = Duration::from_secs(60);

struct Nothing;

impl StateMachine for Nothing {
    fn apply(&mut self, _at: ReplicatedTime, _command: &[u8]) -> Vec<u8> {
        Vec::new()
    }

    fn snapshot(&self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(_snapshot: &[u8]) -> Result<Self, RestoreError> {
        Ok(Self)
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

struct Node {
    member: Member,
    grid: ReplicatedNode<Nothing>,
    stop: CancellationToken,
}

async fn start(random: u64, heartbeat: Duration, started: Instant) -> Node {
    let identity = Identity::volatile(random);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let member = Member { id: identity.id(), address: listener.local_addr().unwrap().to_string() };
    let (cluster, memberships) = (ClusterName::new("idle").unwrap(), Memberships::of_grids([NAME]));
    let links = LinksConfig { node: member.id, cluster: cluster.clone(), security: LinkSecurity::Plain };
    let random = Arc::new(Mutex::new(StdRng::seed_from_u64(random)));
    let links = Links::new(links, Arc::new(TcpDialer), random);
    let (membership, security) = (memberships.union(), ConnectionSecurity::Plain);
    let server = GridServer::new(GridServerConfig { node: member.id, cluster, membership, security });
    let (serving, stop) = (server.clone(), CancellationToken::new());
    let ends = stop.clone();
    tokio::spawn(async move {
        serving.serve(tcp_incoming(listener), tonic::service::Routes::default(), ends).await.unwrap();
    });
    let mut config = Config::new(NAME, NonZeroU16::new(PARTITIONS).unwrap());
    config.heartbeat_interval = heartbeat;
    let dependencies = Dependencies {
        identity,
        address: member.address.clone(),
        log: Arc::new(MemoryLog::default()),
        snapshots: Arc::new(MemorySnapshots::default()),
        peers: Arc::new(links.peers(NAME)),
        clock: Arc::new(RealClock(started)),
    };
    let grid = ReplicatedNode::start(config, dependencies, || Nothing).await.unwrap();
    server.register_with(NAME, grid.requests(), grid.membership());
    tokio::spawn(memberships.follow(NAME, grid.membership()));
    Node { member, grid, stop }
}

async fn formed(heartbeat: Duration) -> Vec<Node> {
    let started = Instant::now();
    let mut nodes = Vec::new();
    for random in 1..=3 {
        nodes.push(start(random, heartbeat, started).await);
    }
    let members = nodes.iter().map(|node| node.member.clone()).collect();
    nodes[0].grid.init(members, PATIENCE).await.unwrap();
    while nodes.iter().any(|node| node.grid.readiness().is_err()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    // Leaders are spread, queues have found their size.
    tokio::time::sleep(Duration::from_secs(5)).await;
    nodes
}

/// From the end of one node until every partition has taken a command again.
async fn failover(heartbeat: Duration) -> Vec<Duration> {
    let nodes = formed(heartbeat).await;
    nodes[0].stop.cancel();
    nodes[0].grid.stop().await;
    let ended = Instant::now();
    let asked = (0..PARTITIONS).map(|partition| {
        let grid = nodes[1].grid.clone();
        async move {
            while grid.propose(partition, vec![Bytes::from_static(b"on")]).await.is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            ended.elapsed()
        }
    });
    let took = futures::future::join_all(asked).await;
    for node in &nodes[1..] {
        node.stop.cancel();
        node.grid.stop().await;
    }
    took
}

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = arguments().skip(1).map(|text| text.parse::<u64>().unwrap());
    let heartbeat = Duration::from_millis(arguments.next().unwrap_or(50));
    let lasts = Duration::from_secs(arguments.next().unwrap_or(20));
    let failovers = arguments.next().unwrap_or(5);
    let load = || std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    println!("heartbeat {heartbeat:?}, load {}", load().trim());
    let nodes = formed(heartbeat).await;
    let (cpu_before, before) = (cpu_time(), Instant::now());
    tokio::time::sleep(lasts).await;
    let cpu = (cpu_time() - cpu_before).as_secs_f64() / before.elapsed().as_secs_f64() / 3.0;
    println!("idle: {:.2} % of a core and {:.1} MiB a node", cpu * 100.0, resident_bytes() / 3.0 / 1_048_576.0);
    for node in &nodes {
        node.stop.cancel();
        node.grid.stop().await;
    }
    let mut took = Vec::new();
    for _ in 0..failovers {
        // Those that another node led took no time.
        took.extend(failover(heartbeat).await.into_iter().filter(|took| *took > Duration::from_millis(100)));
    }
    took.sort();
    if let (Some(middle), Some(last)) = (took.get(took.len() / 2), took.last()) {
        let p99 = took[(took.len() * 99 / 100).min(took.len() - 1)];
        println!("failover: p50 {middle:?}, p99 {p99:?}, worst {last:?} of {}", took.len());
    }
    println!("load {}", load().trim());
}

fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    // After the name in parentheses: user and system time in hundredths of a second are fields 12 and 13.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4_096.0
}
