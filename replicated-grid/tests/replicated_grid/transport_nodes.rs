//! Nodes for the tests of the transport: a server with grids that answer as they are told, and links to others.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use rand::SeedableRng;
use rand::rngs::StdRng;
use replicated_grid::peers::{Lane, PeerRequests};
use replicated_grid::transport::{
    ClusterName, ConnectionSecurity, Dial, GridServer, GridServerConfig, LinkSecurity, Links, LinksConfig, Membership,
    MembershipWatch, NodeTls, TcpDialer, tcp_incoming,
};
use replicated_grid::{Member, NodeId};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// Long enough for anything that happens at all.
pub const LONG: Duration = Duration::from_secs(20);

/// Waits for `future`; a test that hangs fails instead.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LONG, future).await.expect("it happens in time")
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let patient = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, patient).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// Answers `name/from/lane/request`. Holds requests of a lane back while it is closed, refuses `no`, and remembers
/// everything it was asked.
pub struct Grid {
    name: &'static str,
    pub asked: Mutex<Vec<Bytes>>,
    pub answered: AtomicU64,
    closed: watch::Sender<BTreeSet<Lane>>,
}

impl Grid {
    pub fn new(name: &'static str) -> Arc<Self> {
        let (asked, answered) = (Mutex::default(), AtomicU64::new(0));
        Arc::new(Self { name, asked, answered, closed: watch::Sender::new(BTreeSet::new()) })
    }

    pub fn close(&self, lane: Lane) {
        self.closed.send_if_modified(|closed| closed.insert(lane));
    }

    pub fn open(&self, lane: Lane) {
        self.closed.send_if_modified(|closed| closed.remove(&lane));
    }

    pub fn was_asked(&self) -> usize {
        self.asked.lock().len()
    }
}

impl PeerRequests for Grid {
    fn answer(self: Arc<Self>, from: NodeId, lane: Lane, request: Bytes) -> BoxFuture<'static, Result<Bytes, String>> {
        async move {
            self.asked.lock().push(request.slice(..request.len().min(64)));
            let mut closed = self.closed.subscribe();
            let _ = closed.wait_for(|closed| !closed.contains(&lane)).await;
            self.answered.fetch_add(1, Ordering::SeqCst);
            match &request[..] {
                b"no" => Err("it said no".to_owned()),
                b"large" => Ok(Bytes::from(vec![0; replicated_grid::transport::limits::PAYLOAD_BYTES_MAX + 1])),
                _ => Ok(expected(self.name, from, lane, &request)),
            }
        }
        .boxed()
    }
}

/// What a [`Grid`] answers.
pub fn expected(grid: &str, from: NodeId, lane: Lane, request: &[u8]) -> Bytes {
    let mut answer = format!("{grid}/{from}/{lane:?}/").into_bytes();
    answer.extend_from_slice(&request[..request.len().min(64)]);
    answer.into()
}

pub fn west() -> ClusterName {
    ClusterName::new("west").unwrap()
}

/// A running node; stops with the test.
pub struct Node {
    pub member: Member,
    pub server: GridServer,
    pub orders: Arc<Grid>,
    pub merchants: Arc<Grid>,
    pub membership: watch::Sender<Membership>,
    pub shutdown: CancellationToken,
}

impl Node {
    /// A node that takes anybody's word.
    pub async fn plain(id: u64) -> Self {
        Self::start(id, ConnectionSecurity::Plain, watch::Sender::default()).await
    }

    /// A node that wants certificates.
    pub async fn mutual(id: u64, tls: &NodeTls, membership: watch::Sender<Membership>) -> Self {
        Self::start(id, ConnectionSecurity::Mutual(tls.server()), membership).await
    }

    pub async fn start(id: u64, security: ConnectionSecurity, membership: watch::Sender<Membership>) -> Self {
        Self::judging(id, security, membership.subscribe(), membership).await
    }

    /// A node that judges its callers by `callers`.
    pub async fn judging(
        id: u64,
        security: ConnectionSecurity,
        callers: MembershipWatch,
        membership: watch::Sender<Membership>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let node = NodeId(id);
        let config = GridServerConfig { node, cluster: west(), membership: callers, security };
        let (server, shutdown) = (GridServer::new(config), CancellationToken::new());
        let (orders, merchants) = (Grid::new("orders"), Grid::new("merchants"));
        server.register("orders", Arc::<Grid>::clone(&orders));
        server.register("merchants", Arc::<Grid>::clone(&merchants));
        let (serving, stop) = (server.clone(), shutdown.clone());
        tokio::spawn(async move {
            serving.serve(tcp_incoming(listener), tonic::service::Routes::default(), stop).await.unwrap();
        });
        let member = Member { id: node, address };
        Self { member, server, orders, merchants, membership, shutdown }
    }

    /// This node at another address, e.g. a proxy's.
    pub fn at(&self, address: &str) -> Member {
        Member { id: self.member.id, address: address.to_owned() }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Links of node `id` that prove nothing.
pub fn plain_links(id: u64) -> Links {
    links(id, LinkSecurity::Plain, Arc::new(TcpDialer))
}

/// Links of node `id`.
pub fn links(id: u64, security: LinkSecurity, dialer: Arc<dyn Dial>) -> Links {
    links_of(LinksConfig { node: NodeId(id), cluster: west(), security }, dialer)
}

/// Links of whoever.
pub fn links_of(config: LinksConfig, dialer: Arc<dyn Dial>) -> Links {
    Links::new(config, dialer, Arc::new(Mutex::new(StdRng::seed_from_u64(7))))
}
