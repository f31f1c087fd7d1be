//! How much the transport between two nodes costs: calls/s, latency and CPU per call, by the number of callers.
//!
//! Both nodes are in this process, so the CPU is that of both sides. `cargo bench -p replicated-grid --bench transport_throughput -- 3`
//! measures each row for 3 seconds. The called side answers at once: nothing but the transport is measured.
#![allow(clippy::unwrap_used, reason = "a measurement that cannot run may as well panic")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, join_all};
use futures::{FutureExt, Stream, stream};
use order_model::{ManualClock, Timestamp};
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use replicated_grid::peers::{Lane, PeerRequests, Peers};
use replicated_grid::transport::{
    Accepted, BoxedIo, ClusterName, ConnectionSecurity, Dial, GridServer, GridServerConfig, Identity, LinkSecurity,
    Links, LinksConfig, Membership, NodeTls, TcpDialer, TlsConfig, TlsFiles, TransportPeers, tcp_incoming,
};
use replicated_grid::{Member, NodeId};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// An order event is about this large.
const REQUEST_BYTES: usize = 400;
/// An acknowledgment of a follower is about this large.
const ANSWER: &[u8] = &[7; 64];

const DEADLINE: Duration = Duration::from_secs(5);

struct AtOnce;

impl PeerRequests for AtOnce {
    fn answer(self: Arc<Self>, _: NodeId, _: Lane, _: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        std::future::ready(Ok(Bytes::from_static(ANSWER))).boxed()
    }
}

struct UnixDialer;

impl Dial for UnixDialer {
    fn dial(&self, address: &str) -> BoxFuture<'static, std::io::Result<BoxedIo>> {
        let address = address.to_owned();
        async move { Ok(Box::new(UnixStream::connect(address).await?) as BoxedIo) }.boxed()
    }
}

fn unix_incoming(listener: UnixListener) -> impl Stream<Item = std::io::Result<Accepted>> + Send + 'static {
    stream::unfold(listener, |listener| async move {
        let accepted = listener.accept().await;
        let accepted = accepted.map(|(stream, _)| Accepted { io: Box::new(stream), from: "unix".to_owned() });
        Some((accepted, listener))
    })
}

/// User and system time of this process.
fn cpu() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

async fn measure(name: &str, peers: &TransportPeers, to: &Member, callers: usize, lasting: Duration) {
    let request = Bytes::from(vec![1; REQUEST_BYTES]);
    while peers.call(to, Lane::Raft, request.clone(), DEADLINE).await.is_err() {}
    let (cpu_before, started) = (cpu(), Instant::now());
    let calling = (0..callers).map(|_| {
        let (peers, to, request) = (peers.clone(), to.clone(), request.clone());
        tokio::spawn(async move {
            let mut latencies = Vec::new();
            while started.elapsed() < lasting {
                let asked = Instant::now();
                peers.call(&to, Lane::Raft, request.clone(), DEADLINE).await.unwrap();
                latencies.push(asked.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> = join_all(calling).await.into_iter().flat_map(Result::unwrap).collect();
    let (elapsed, used) = (started.elapsed(), cpu() - cpu_before);
    latencies.sort_unstable();
    let calls = latencies.len();
    let at = |share: f64| latencies[((calls - 1) as f64 * share) as usize].as_micros();
    println!(
        "{name:<12} {callers:>7} {:>10.0} {:>8} {:>8} {:>10.1}",
        calls as f64 / elapsed.as_secs_f64(),
        at(0.5),
        at(0.99),
        used.as_secs_f64() * 1e6 / calls as f64,
    );
}

async fn tls(directory: &Path, authority: &CertifiedIssuer<'_, KeyPair>, node: u64) -> NodeTls {
    let (identity, cluster) = (Identity::Node(NodeId(node)), ClusterName::new("west").unwrap());
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec![identity.dns_name(&cluster)]).unwrap().signed_by(&key, authority).unwrap();
    let path = |name: &str| directory.join(format!("{node}-{name}.pem"));
    let files = TlsFiles { ca: path("ca"), certificate: path("certificate"), key: path("key") };
    std::fs::write(&files.ca, authority.pem()).unwrap();
    std::fs::write(&files.certificate, certificate.pem()).unwrap();
    std::fs::write(&files.key, key.serialize_pem()).unwrap();
    let clock = ManualClock::new(Timestamp::from_unix_ms(1_795_000_000_000));
    let membership = watch::Sender::new(Membership::Unknown).subscribe();
    NodeTls::load(TlsConfig { files, cluster, identity, roles: Vec::new(), membership, clock }).await.unwrap()
}

/// Of the command line, from 0; cargo adds `--bench`.
fn arguments() -> impl Iterator<Item = String> {
    std::env::args().filter(|argument| argument != "--bench")
}

#[tokio::main(worker_threads = 2)]
async fn main() {
    let seconds = arguments().nth(1).and_then(|seconds| seconds.parse().ok()).unwrap_or(3);
    let directory = tempfile::tempdir().unwrap();
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let authority = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
    let (one, two) = (tls(directory.path(), &authority, 1).await, tls(directory.path(), &authority, 2).await);
    println!("{:<12} {:>7} {:>10} {:>8} {:>8} {:>10}", "", "callers", "calls/s", "p50 us", "p99 us", "CPU us/call");
    for (secure, unix) in [(false, false), (true, false), (false, true), (true, true)] {
        let (cluster, shutdown) = (ClusterName::new("west").unwrap(), CancellationToken::new());
        let (server_security, link_security) = match secure {
            false => (ConnectionSecurity::Plain, LinkSecurity::Plain),
            true => (ConnectionSecurity::Mutual(one.server()), LinkSecurity::Mutual(two.client())),
        };
        let membership = watch::Sender::new(Membership::Unknown).subscribe();
        let config =
            GridServerConfig { node: NodeId(1), cluster: cluster.clone(), membership, security: server_security };
        let server = GridServer::new(config);
        server.register("orders", Arc::new(AtOnce));
        let (incoming, address, dialer): (stream::BoxStream<'static, _>, String, Arc<dyn Dial>) = if unix {
            let path = directory.path().join(format!("socket-{secure}"));
            let incoming = unix_incoming(UnixListener::bind(&path).unwrap());
            (Box::pin(incoming), path.display().to_string(), Arc::new(UnixDialer))
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap().to_string();
            (Box::pin(tcp_incoming(listener)), address, Arc::new(TcpDialer))
        };
        let stop = shutdown.clone();
        tokio::spawn(async move { server.serve(incoming, tonic::service::Routes::default(), stop).await });
        let config = LinksConfig { node: NodeId(2), cluster, security: link_security };
        let links = Links::new(config, dialer, Arc::new(Mutex::new(StdRng::seed_from_u64(7))));
        let (peers, to) = (links.peers("orders"), Member { id: NodeId(1), address });
        let name = format!("{} {}", if unix { "unix" } else { "tcp" }, if secure { "mTLS" } else { "plain" });
        for callers in [1, 4, 64] {
            measure(&name, &peers, &to, callers, Duration::from_secs(seconds)).await;
        }
        shutdown.cancel();
    }
}
