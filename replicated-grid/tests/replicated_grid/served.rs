//! A process as the binary makes one: a listener, links, and grids that share them. In the clear, over TCP.

use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use replicated_grid::Member;
use replicated_grid::log::{LogStore, MemoryLog, MemorySnapshots};
use replicated_grid::replicated::{Config, Dependencies, Identity, ReplicatedNode};
use replicated_grid::transport::{
    ConnectionSecurity, GridServer, GridServerConfig, LinkSecurity, Links, Memberships, TcpDialer, tcp_incoming,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::transport_nodes::{eventually, links, west};
use crate::Journal;
use crate::replicated_cluster::{KeptLog, TestClock};

/// See the module.
pub struct Served {
    pub member: Member,
    identity: Identity,
    links: Links,
    server: GridServer,
    memberships: Memberships,
    stop: CancellationToken,
    serving: tokio::task::JoinHandle<()>,
}

impl Served {
    /// Listens at `address`; takes part in `grids`.
    pub async fn start(identity: Identity, address: &str, grids: &[&str]) -> Self {
        // Whoever had the address may be about to let it go.
        let mut bound = TcpListener::bind(address).await;
        eventually("the address is free", async || {
            if bound.is_err() {
                bound = TcpListener::bind(address).await;
            }
            bound.is_ok()
        })
        .await;
        let listener = bound.unwrap();
        let member = Member { id: identity.id(), address: listener.local_addr().unwrap().to_string() };
        let memberships = Memberships::of_grids(grids.iter().copied());
        let links = links(member.id.0, LinkSecurity::Plain, Arc::new(TcpDialer));
        let server = GridServer::new(GridServerConfig {
            node: member.id,
            cluster: west(),
            membership: memberships.union(),
            security: ConnectionSecurity::Plain,
        });
        let (served, stop) = (server.clone(), CancellationToken::new());
        let ends = stop.clone();
        let serving = tokio::spawn(async move {
            served.serve(tcp_incoming(listener), tonic::service::Routes::default(), ends).await.unwrap();
        });
        Self { member, identity, links, server, memberships, stop, serving }
    }

    /// Starts a grid.
    pub async fn grid(&self, name: &'static str, partitions: u16) -> ReplicatedNode<Journal> {
        let mut config = Config::new(name, NonZeroU16::new(partitions).unwrap());
        config.election_timeout_min = Duration::from_millis(400);
        config.election_timeout_max = Duration::from_millis(600);
        let log: Arc<dyn LogStore> = match self.identity.is_durable() {
            true => Arc::new(KeptLog::default()),
            false => Arc::new(MemoryLog::default()),
        };
        let dependencies = Dependencies {
            identity: self.identity.clone(),
            address: self.member.address.clone(),
            log,
            snapshots: Arc::new(MemorySnapshots::default()),
            peers: Arc::new(self.links.peers(name)),
            clock: TestClock::new(),
        };
        let node = ReplicatedNode::start(config, dependencies, Journal::default).await.unwrap();
        self.server.register_with(name, node.requests(), node.membership());
        tokio::spawn(self.memberships.clone().follow(name, node.membership()));
        node
    }

    /// Ends as kill -9 does: nothing is handed over.
    pub async fn kill(self) {
        self.stop.cancel();
        self.serving.await.unwrap();
    }
}
