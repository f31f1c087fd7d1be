//! Internal gRPC of the services between machines, over the same certificates as the nodes' own streams.
//!
//! To serve: hand a [`super::Gate`] to tonic's `serve_with_incoming_shutdown`. To call: [`remote`].

use std::sync::Arc;

use hyper_util::rt::TokioIo;
use proto::transport::{InvalidAddress, Transport, remote_through};
use tokio::time::timeout;

use super::io::Dial;
use super::limits::HANDSHAKE_TIMEOUT;
use super::tls::{ClientTls, Expect};

/// Reaches a service at `address` (`host:port`), whoever of `expect` serves it. Connects at the first call and again
/// whenever the connection is lost.
///
/// # Errors
/// When `address` is not one.
pub fn remote(
    address: &str,
    dialer: Arc<dyn Dial>,
    tls: ClientTls,
    expect: Expect,
) -> Result<Transport, InvalidAddress> {
    let dialed = address.to_owned();
    let connector = tower::service_fn(move |_: http::Uri| {
        let (dialing, tls) = (dialer.dial(&dialed), tls.clone());
        async move {
            let io = dialing.await?;
            let secured = timeout(HANDSHAKE_TIMEOUT, tls.connect(io, expect)).await?;
            secured.map(TokioIo::new).map_err(std::io::Error::other)
        }
    });
    remote_through(&format!("http://{address}"), connector)
}
