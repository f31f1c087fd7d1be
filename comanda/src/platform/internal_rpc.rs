//! Internal gRPC of one role: loopback only, until peers prove who they are with certificates.

use std::net::SocketAddr;
use std::time::Duration;

use order_events::connections;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::transport::Server;

use super::members::{Members, Stage};
use super::{feed_port, listeners};
use crate::failure::Failure;

/// How long calls may go on once the service behind them has drained. A peer's stream of polls ends only when it is cut.
const LAST_CALLS_TIMEOUT: Duration = Duration::from_secs(1);

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

    /// Serves it until told to stop; calls under way have [`LAST_CALLS_TIMEOUT`].
    pub fn add_to(self, members: &mut Members) {
        members.add("internal-rpc", Stage::Foundation, move |token| async move {
            let (incoming, polled) = feed_port::fork(self.listener, Handle::current());
            if let Some(polls) = self.polls {
                tokio::spawn(connections::serve(polls, feed_port::stream_of(polled), token.clone()));
            }
            let server = Server::builder().add_routes(self.routes);
            let incoming = feed_port::stream_of(incoming);
            let served = server.serve_with_incoming_shutdown(incoming, token.clone().cancelled_owned());
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
