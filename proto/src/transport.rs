//! One client type for every distance: `GatewayCoreClient<Transport>` talks to a server in this process or to a peer.
//!
//! The binary chooses. In one process a call is encoded and decoded but crosses no socket.

use std::convert::Infallible;
use std::io;
use std::marker::PhantomData;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::transport::{Endpoint, Uri};
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

/// What went wrong below gRPC. A type of its own, not a boxed trait object: with one, a future that makes a call is not
/// provably `Send` and cannot be spawned.
#[derive(Debug, thiserror::Error)]
#[error("the peer could not be reached")]
pub struct TransportError {
    /// What the layer below said; tonic reads the status of a call out of it.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl TransportError {
    pub(crate) fn from_below(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { source: source.into() }
    }
}

/// A way to reach one gRPC service; cheap to clone.
pub type Transport = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, TransportError>;

/// A connection that carries bytes both ways.
pub trait Connection: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Connection for T {}

/// A connection of whatever kind.
pub type BoxedConnection = Box<dyn Connection>;

/// Makes connections to one peer, for [`crate::frames`]; whoever calls it limits the time.
pub type Connector = Arc<dyn Fn() -> BoxFuture<'static, io::Result<BoxedConnection>> + Send + Sync>;

/// Reaches a generated server (`GatewayCoreServer::new(…)`) in the same process.
pub fn local<S>(server: S) -> Transport
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(server.map_err(TransportError::from_below))
}

/// A generated server (`GatewayCoreServer<Handle>`) behind a box. Whoever makes it compiles what answers its calls; without
/// the box each crate that serves it would compile all of that again.
pub struct BoxedServer<S> {
    service: BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Infallible>,
    server: PhantomData<fn() -> S>,
}

impl<S> BoxedServer<S>
where
    S: tower::Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    /// Boxes `server`.
    pub fn new(server: S) -> Self {
        Self { service: BoxCloneSyncService::new(server), server: PhantomData }
    }
}

impl<S> Clone for BoxedServer<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone(), server: PhantomData }
    }
}

impl<S: NamedService> NamedService for BoxedServer<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> tower::Service<http::Request<Body>> for BoxedServer<S> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.service.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        self.service.call(request)
    }
}

/// Reaches a peer at `address`, e.g. `http://127.0.0.1:7071`. Connects at the first call and again whenever the
/// connection is lost; a peer that stops answering pings for 5 s counts as lost.
///
/// # Errors
/// When `address` is not a URI.
pub fn remote(address: &str) -> Result<Transport, InvalidAddress> {
    let channel = endpoint(address)?.tcp_nodelay(true).connect_lazy();
    Ok(BoxCloneSyncService::new(channel.map_err(TransportError::from_below)))
}

/// [`remote`] over connections that `connector` makes, e.g. with TLS: it is called with `address` for each of them.
///
/// # Errors
/// When `address` is not a URI.
pub fn remote_through<C>(address: &str, connector: C) -> Result<Transport, InvalidAddress>
where
    C: tower::Service<Uri> + Send + 'static,
    C::Response: hyper::rt::Read + hyper::rt::Write + Send + Unpin + 'static,
    C::Future: Send,
    C::Error: std::error::Error + Send + Sync + 'static,
{
    let channel = endpoint(address)?.connect_with_connector_lazy(connector);
    Ok(BoxCloneSyncService::new(channel.map_err(TransportError::from_below)))
}

fn endpoint(address: &str) -> Result<Endpoint, InvalidAddress> {
    let uri: Uri = address.parse().map_err(|_| InvalidAddress { address: address.to_owned() })?;
    Ok(Endpoint::from(uri)
        .connect_timeout(Duration::from_secs(1))
        .http2_keep_alive_interval(Duration::from_secs(2))
        .keep_alive_timeout(Duration::from_secs(3))
        .keep_alive_while_idle(true))
}

/// A text was not the address of a peer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{address:?} is not an address such as http://127.0.0.1:7071")]
pub struct InvalidAddress {
    /// The text.
    pub address: String,
}
