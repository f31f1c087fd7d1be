//! The accept loop: connections in, requests to a tower service, answers out, with a limit on everything.
//!
//! Called by [`crate::Service`] with the API and by the benchmark with an empty handler, so that both are measured
//! behind the same loop. hyper is driven directly instead of through `axum::serve`, which keeps a client that sends its headers slowly for
//! ever. Cleartext speaks HTTP/1.1 only; over TLS the client chooses by ALPN. Routing and authentication are absent.

mod activity;
mod connection;
mod refusal;
mod registry;
mod request;
mod streams;
pub mod tls;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::IntoResponse;
use http::{Request, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub use request::PeerAddress;
pub(crate) use request::{BodyTimeout, WAIT_MAX};
pub(crate) use streams::has_shown_a_token;

use crate::config::ServerConfig;
use crate::errors::ApiError;
use crate::open_delivery::OpenDeliveryPrefix;
use connection::Driver;
use registry::{Refusal, Registry};

/// How long to wait when the system refuses to hand out a connection (most often: no file descriptor is left).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a listener is served.
#[derive(Clone)]
pub struct Options {
    /// Limits and timeouts.
    pub config: ServerConfig,
    /// TLS; cleartext when absent.
    pub tls: Option<tls::Acceptor>,
    /// How long requests in flight may take once `shutdown` was cancelled.
    pub drain_timeout: Duration,
    /// Where Open Delivery's paths are: what the server itself refuses there is a problem, as all errors there are.
    pub open_delivery: Option<OpenDeliveryPrefix>,
}

impl Options {
    /// Cleartext with the default limits.
    pub fn cleartext() -> Self {
        let (config, drain_timeout) = (ServerConfig::default(), Duration::from_secs(10));
        Self { config, tls: None, drain_timeout, open_delivery: None }
    }

    /// How errors look on `path`.
    fn error_shape(&self, path: &str) -> fn(ApiError) -> Response<Body> {
        match &self.open_delivery {
            Some(prefix) if prefix.covers(path) => ApiError::into_problem,
            Some(_) | None => ApiError::into_response,
        }
    }
}

/// Serves `service` on `listener` until `shutdown` is cancelled; then stops accepting, closes idle connections, lets
/// requests in flight finish and returns, at the latest after [`Options::drain_timeout`].
pub async fn serve<S>(listener: TcpListener, options: Options, service: S, shutdown: CancellationToken)
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let drain_timeout = options.drain_timeout;
    let ServerConfig { connections_max, connections_per_address_max, strangers_max, .. } = options.config;
    let registry = Registry::new(connections_max, connections_per_address_max, strangers_max);
    let driver = Arc::new(Driver::new(options, service));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => admit(&registry, &driver, stream, peer.ip()),
            Err(error) => {
                tracing::debug!(%error, "no connection could be accepted");
                driver.metrics.accept_failed.increment(1);
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    registry.drain(drain_timeout).await;
}

fn admit<S>(registry: &Registry, driver: &Arc<Driver<S>>, stream: TcpStream, peer: std::net::IpAddr)
where
    S: tower::Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    match registry.admit(peer) {
        Ok((admission, drain)) => {
            let id = admission.place().id();
            let driver = Arc::clone(driver);
            let task = tokio::spawn(async move {
                driver.drive(stream, peer, &admission, drain).await;
                drop(admission);
            });
            registry.abort_with(id, task.abort_handle());
        }
        Err(refusal) => {
            match refusal {
                Refusal::Full => driver.metrics.refused_full.increment(1),
                Refusal::AddressFull => driver.metrics.refused_address.increment(1),
            }
            if !driver.is_tls() {
                // One attempt: a fresh socket's send buffer takes it, and nobody waits for this client.
                let _ = stream.try_write(&refusal::full());
            }
        }
    }
}
