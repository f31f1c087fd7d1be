//! Internal gRPC of one role: between processes that prove who they are with the cluster's certificates, or on loopback.

use std::net::SocketAddr;
use std::time::Duration;

use order_events::connections;
use replicated_grid::transport::limits::STREAMS_PER_CONNECTION_MAX;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;

use super::admission::Admission;
use super::members::{Members, Stage};
use super::{feed_port, listeners};
use crate::cli::Role;
use crate::failure::Failure;

/// How long calls may go on once the service behind them has drained. A peer's stream of polls ends only when it is cut.
const LAST_CALLS_TIMEOUT: Duration = Duration::from_secs(1);

/// How often a caller that says nothing is asked whether it is there, and how long it may take to answer: one that is gone
/// does not hold a connection for good, one that hangs for some seconds keeps its.
const PING_INTERVAL: Duration = Duration::from_secs(5);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Which of the `roles` of a process listen here. One with every role has nobody to serve; a node of a cluster serves two
/// of them on the grid's listener, whose address the members know.
pub fn listening(roles: &[Role], is_cluster: bool) -> Vec<Role> {
    let listens = |role: &Role| match role {
        Role::GatewayCore | Role::ConnectionPolling => true,
        Role::OrderEvents | Role::MerchantConnection => !is_cluster,
        Role::GatewayAgent | Role::KitchenApi => false,
    };
    let has_all = Role::ALL.iter().all(|role| roles.contains(role));
    if has_all { Vec::new() } else { roles.iter().copied().filter(listens).collect() }
}

/// Answers polls of those of `polled` that may connect, until `shutdown`.
pub fn serve_polls(
    polls: order_events::Handle,
    polled: feed_port::Incoming,
    admission: &Admission,
    shutdown: CancellationToken,
) {
    let cut = CancellationToken::new();
    let admitted = admission.gate(polled, cut.clone());
    tokio::spawn(async move {
        let _cut_at_the_end = cut.drop_guard();
        connections::serve(polls, admitted, shutdown).await
    });
}

/// A bound listener and what it will serve.
pub struct InternalListener {
    listener: TcpListener,
    routes: Routes,
    polls: Option<order_events::Handle>,
}

impl InternalListener {
    /// Binds `address` for `server`.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn bind<S>(key: &str, address: SocketAddr, server: S) -> Result<Self, Failure>
    where
        S: tower::Service<
                http::Request<tonic::body::Body>,
                Response = http::Response<tonic::body::Body>,
                Error = std::convert::Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let listener = listeners::bind(key, address).await?;
        Ok(Self { listener, routes: Routes::new(server), polls: None })
    }

    /// Polls are answered here as well.
    #[must_use]
    pub fn with_polls(self, polls: order_events::Handle) -> Self {
        Self { polls: Some(polls), ..self }
    }

    /// Where it listens.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves it to whom `admission` lets in until told to stop; calls under way have [`LAST_CALLS_TIMEOUT`].
    pub fn add_to(self, members: &mut Members, admission: Admission) {
        members.add("internal-rpc", Stage::Foundation, move |token| async move {
            let (incoming, polled) = feed_port::fork(self.listener, Handle::current());
            match self.polls {
                Some(polls) => serve_polls(polls, polled, &admission, token.clone()),
                // Whoever comes to poll is turned away, not kept waiting.
                None => drop(polled),
            }
            let cut = CancellationToken::new();
            let admitted = admission.gate(incoming, cut.clone());
            // However this ends, no connection stays behind.
            let _cut_at_the_end = cut.drop_guard();
            let server = Server::builder()
                .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
                .http2_keepalive_interval(Some(PING_INTERVAL))
                .http2_keepalive_timeout(Some(PING_TIMEOUT))
                .add_routes(self.routes);
            let served = server.serve_with_incoming_shutdown(admitted, token.clone().cancelled_owned());
            let cut_off = async {
                token.cancelled().await;
                tokio::time::sleep(LAST_CALLS_TIMEOUT).await;
            };
            tokio::select! {
                served = served => served,
                () = cut_off => Ok(()),
            }
        });
    }
}
